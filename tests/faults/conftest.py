"""What the tests of faults share."""

from pathlib import Path

import pytest
from support.faults import prepare


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Of a server, with its rules."""
    return prepare(tmp_path)


@pytest.fixture(params=["asyncio", "pyicap"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine of every `icapd serve` that the test starts."""
    name: str = request.param
    monkeypatch.setenv("ICAPD_SERVER_ENGINE", name)
    return name
