"""What the tests of the server share."""

import pytest


@pytest.fixture(params=["asyncio", "pyicap"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine of every `icapd serve` that the test starts."""
    name: str = request.param
    monkeypatch.setenv("ICAPD_SERVER_ENGINE", name)
    return name
