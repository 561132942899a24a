"""What nobody caught is told by its kind and its place: its message may hold what a body holds."""

import asyncio

import pytest
import uvloop

from icapd.server.telemetry.internal_error import log_of_loop


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_message_of_an_unforeseen_error_is_not_logged(
    new_loop: type[asyncio.AbstractEventLoop], capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ValueError("hunter2")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log_of_loop)
        loop.call_soon(fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    told = "".join(capfd.readouterr())
    assert "internal-error" in told and "ValueError" in told and "test_internal_error.py" in told
    assert "hunter2" not in told
