"""Prove a storage or a sink of your own: the contract tests that the library's own adapters pass.

Needs the extra `testing`, which brings pytest and Hypothesis.
"""

import pytest

# Before they are imported: so a failed assertion tells the values.
pytest.register_assert_rewrite(
    *(f"{__name__}.{room}" for room in ("clauses", "driver", "machine", "model", "sinks", "storage", "teams"))
)

from partner_vouchers.testing.fakes import FailingSink, FixedClock, MovingClock, RecordingSink  # noqa: E402
from partner_vouchers.testing.hooks import HostConnection, Unable, overrides_contract, unable  # noqa: E402
from partner_vouchers.testing.machine import StorageMachine  # noqa: E402
from partner_vouchers.testing.sinks import EventSinkContract  # noqa: E402
from partner_vouchers.testing.storage import StorageContract  # noqa: E402

__all__ = [
    "EventSinkContract",
    "FailingSink",
    "FixedClock",
    "HostConnection",
    "MovingClock",
    "RecordingSink",
    "StorageContract",
    "StorageMachine",
    "Unable",
    "overrides_contract",
    "unable",
]
