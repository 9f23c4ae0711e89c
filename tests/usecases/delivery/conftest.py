from __future__ import annotations

import pytest

from tests.support.host import Host
from tests.usecases.delivery.stage import Stage


@pytest.fixture
def stage(host: Host) -> Stage:
    return Stage(host)
