"""The sinks of the kit under its own contract, and its clocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.ports import EventSink
from partner_vouchers.testing import (
    EventSinkContract,
    FailingSink,
    FixedClock,
    MovingClock,
    RecordingSink,
    UnsupportedHook,
    unsupported,
)
from partner_vouchers.testing.sinks import UNWANTED


class TestRecordingSink(EventSinkContract):
    def new_sink(self, place: Path) -> RecordingSink:
        return RecordingSink(concurrency=4)

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        assert isinstance(sink, RecordingSink)
        return [event.user_id for event in sink.events if isinstance(event, VoucherRewarded)]

    def unavailable_sink(self, place: Path) -> UnsupportedHook:
        return unsupported("it takes everything")

    def rejecting_sink(self, place: Path) -> UnsupportedHook:
        return unsupported("it takes everything")


class TestFailingSink(TestRecordingSink):
    def new_sink(self, place: Path) -> RecordingSink:
        return FailingSink()

    def unavailable_sink(self, place: Path) -> FailingSink:  # type: ignore[override]
        return FailingSink(outages=1)

    def rejecting_sink(self, place: Path) -> FailingSink:  # type: ignore[override]
        return FailingSink(rejects=lambda event: getattr(event, "user_id", None) == UNWANTED)


def test_a_fixed_clock_moves_when_it_is_told_to() -> None:
    clock = FixedClock()
    start = clock()
    assert clock() == start
    clock.advance(days=1, seconds=-1)
    assert clock() - start == timedelta(days=1, seconds=-1)


def test_a_moving_clock_never_shows_an_instant_twice() -> None:
    clock = MovingClock()
    shown = [clock() for _ in range(5)]
    assert shown == sorted(set(shown))
