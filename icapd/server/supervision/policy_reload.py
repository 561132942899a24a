"""One policy and one fingerprint key for all workers: all load the new ones, then all take them, or none."""

import asyncio
from collections.abc import Sequence

from icapd.server.supervision.messages import Prepared
from icapd.server.supervision.worker_process import WorkerGone, WorkerProcess

#: Seconds for loading and proving all rules, on a machine that is busy.
PREPARE_TIMEOUT = 120.0
#: Seconds for an exchange of one reference, behind whatever a worker is at.
COMMIT_TIMEOUT = 30.0


async def reload_all(workers: Sequence[WorkerProcess]) -> Prepared:
    """Have all workers take what the files hold now, or none of them.

    The result's `problem` says why none did. A worker that dies meanwhile reads the files when it is started
    again.
    """
    try:
        async with asyncio.timeout(PREPARE_TIMEOUT):
            answers = await _prepare_all(workers)
    except TimeoutError:
        return _refusal(f"the workers have not loaded the policy after {PREPARE_TIMEOUT:.0f} s")
    prepared = [answer for answer in answers if answer is not None]
    if not prepared:
        return _refusal("no worker serves; it is taken when one does")
    for answer in prepared:
        if answer.problem:
            return answer
    if len({(answer.istag, answer.state.key_id) for answer in prepared}) > 1:
        return _refusal("the rule files, or the fingerprint keys, changed while they were loaded; try again")
    await asyncio.gather(*(_commit(worker, prepared[0]) for worker in workers))
    return prepared[0]


async def _prepare_all(workers: Sequence[WorkerProcess]) -> list[Prepared | None]:
    """One first, so that the others find the databases that it compiled, or need not try what is broken."""
    answers: list[Prepared | None] = []
    for number, worker in enumerate(workers, 1):
        answers.append(first := await _prepare(worker))
        if first is not None:
            rest = () if first.problem else workers[number:]
            return [*answers, *await asyncio.gather(*map(_prepare, rest))]
    return answers


async def _prepare(worker: WorkerProcess) -> Prepared | None:
    try:
        return await worker.prepare()
    except WorkerGone:
        return None


async def _commit(worker: WorkerProcess, prepared: Prepared) -> None:
    try:
        async with asyncio.timeout(COMMIT_TIMEOUT):
            await worker.commit(prepared)
    except (WorkerGone, TimeoutError):
        # One that is stuck takes it as soon as it goes on: messages keep their order.
        return


def _refusal(problem: str) -> Prepared:
    return Prepared(0, problem)
