"""How hard Hypothesis searches: HYPOTHESIS_PROFILE is `default` or `deep`."""

import os

import pytest
from hypothesis import HealthCheck, settings

# A deadline measures the machine, not the code.
_slow_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# The same examples each time: a change is not blamed for what chance found. `deep` looks for new ones.
settings.register_profile("default", _slow_machine, max_examples=50, derandomize=True)
settings.register_profile("deep", _slow_machine, max_examples=2000, print_blob=True)

settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give long searches the time that they need on a busy machine, too."""
    for item in items:
        if item.get_closest_marker("deep") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1800))
