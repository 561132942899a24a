"""Work that is given up when something else comes first."""

import asyncio
from collections.abc import Coroutine


async def done_before(event: asyncio.Event, work: Coroutine[object, object, None]) -> bool:
    """Do the work; False when the event came before it was done. Raises what the work raises."""
    task = asyncio.create_task(work)
    come = asyncio.create_task(event.wait())
    await asyncio.wait((task, come), return_when=asyncio.FIRST_COMPLETED)
    come.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
        return False
    task.result()
    return True
