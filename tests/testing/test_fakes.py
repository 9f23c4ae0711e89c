"""The sinks of the kit under its own contract, and its clock."""

from __future__ import annotations

from datetime import timedelta

from partner_vouchers.testing import FixedClock
from tests.support.contracts import WithFailingSink


class TestFailingSink(WithFailingSink):
    pass


def test_a_fixed_clock_moves_when_it_is_told_to() -> None:
    clock = FixedClock()
    start = clock()
    assert clock() == start
    clock.advance(days=1, seconds=-1)
    assert clock() - start == timedelta(days=1, seconds=-1)
