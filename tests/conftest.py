"""How hard Hypothesis searches: HYPOTHESIS_PROFILE is `default`, `ci` or `deep`."""

import os

from hypothesis import HealthCheck, settings

# A deadline measures the machine, not the code.
_slow_machine = settings(deadline=None, derandomize=False, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("default", _slow_machine, max_examples=50)
# The same examples each time: a change is not blamed for what chance found.
settings.register_profile("ci", _slow_machine, max_examples=100, derandomize=True, print_blob=True)
settings.register_profile("deep", _slow_machine, max_examples=2000, print_blob=True)

settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "default")
)
