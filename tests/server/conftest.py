"""What the tests of the server share."""

import pytest
import trustme


@pytest.fixture(params=["asyncio", "pyicap"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine of every `icapd serve` that the test starts."""
    name: str = request.param
    monkeypatch.setenv("ICAPD_SERVER_ENGINE", name)
    return name


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """The authority of the ICAPS listener's certificate, and of its clients'."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="session")
def stranger() -> trustme.CA:
    """An authority that nobody was told of."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)
