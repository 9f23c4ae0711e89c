"""Prove a storage or a sink of your own: the contract tests that the library's own adapters pass.

Needs the extra `testing`, which brings pytest and Hypothesis.
"""

try:
    import hypothesis as _hypothesis  # noqa: F401
    import pytest
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        f"the contract tests need {_missing.name}: install partner-vouchers[testing]", name=_missing.name
    ) from _missing

# Before they are imported: so a failed assertion tells the values.
_ROOMS = "suites calling comparing driver machine model model_of_codes model_of_requests sinks workers"
pytest.register_assert_rewrite(*(f"{__name__}.{room}" for room in _ROOMS.split()))

from partner_vouchers.testing.fakes import FailingSink, FixedClock  # noqa: E402
from partner_vouchers.testing.hooks import HostConnection, UnsupportedHook, overrides_contract, unsupported  # noqa: E402
from partner_vouchers.testing.machine import StorageMachine  # noqa: E402
from partner_vouchers.testing.sinks import EventSinkContract  # noqa: E402
from partner_vouchers.testing.storage import StorageContract  # noqa: E402

__all__ = [
    "EventSinkContract",
    "FailingSink",
    "FixedClock",
    "HostConnection",
    "StorageContract",
    "StorageMachine",
    "UnsupportedHook",
    "overrides_contract",
    "unsupported",
]
