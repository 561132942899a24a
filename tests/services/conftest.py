"""What the tests of services share."""

import pytest
from support.policies import demo_policy

from icapd.policy import Policy


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return demo_policy(tmp_path_factory.mktemp("rules"))
