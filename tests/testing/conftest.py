"""How Hypothesis searches for faults that are there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings


@pytest.fixture
def no_shrinking() -> Iterator[None]:
    """A fault is to be found here, not explained."""
    before = settings.get_current_profile_name()
    settings.register_profile(
        "no shrinking",
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("no shrinking")
    yield
    settings.load_profile(before)
