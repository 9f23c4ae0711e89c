"""The sinks of the kit under its own contract, and its clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.ports import EventSink
from partner_vouchers.testing import EventSinkContract, FailingSink, FixedClock
from partner_vouchers.testing.sinks import UNWANTED


class TestFailingSink(EventSinkContract):
    def new_sink(self, place: Path) -> FailingSink:
        return FailingSink(concurrency=4)

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        assert isinstance(sink, FailingSink)
        return [event.user_id for event in sink.events if isinstance(event, VoucherRewarded)]

    def unavailable_sink(self, place: Path) -> FailingSink:
        return FailingSink(outages=1)

    def rejecting_sink(self, place: Path) -> FailingSink:
        return FailingSink(rejects=lambda event: getattr(event, "user_id", None) == UNWANTED)


def test_a_fixed_clock_moves_when_it_is_told_to() -> None:
    clock = FixedClock()
    start = clock()
    assert clock() == start
    clock.advance(days=1, seconds=-1)
    assert clock() - start == timedelta(days=1, seconds=-1)
