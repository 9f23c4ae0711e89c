"""A batch that is refused as a whole is halved until those to blame stand alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.events import Event, ListCreated, StockEvent, StockLow
from partner_vouchers.domain.promo_events import CouponRedeemed, PromoEvent, VoucherRewarded
from partner_vouchers.errors import InvalidInput, SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import MAX_CALLS, Refused, send_in_parts
from partner_vouchers.sinks.memory import MemorySink
from tests.sinks.entries import LOW, entry, rewards
from tests.support.promo import an_event


class Receiver:
    """Refuses each request that holds one of these events; breaks down at a call."""

    def __init__(self, bad: set[str], breaks_at: int | None = None) -> None:
        self.bad = bad
        self.breaks_at = breaks_at
        self.calls = 0
        self.taken: list[str] = []

    def __call__(self, part: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        self.calls += 1
        if self.calls == self.breaks_at:
            raise SinkUnavailable(sink="it", reason="down")
        if any(each.id in self.bad for each in part):
            raise Refused("refused with the status 400")
        self.taken += [each.id for each in part]
        return ()


@given(count=st.integers(1, 200), data=st.data())
def test_each_event_is_taken_once_or_rejected(count: int, data: st.DataObject) -> None:
    entries = rewards(count)
    ids = [each.id for each in entries]
    bad = set(data.draw(st.lists(st.sampled_from(ids), max_size=3)))
    receiver = Receiver(bad, data.draw(st.none() | st.integers(1, MAX_CALLS)))
    try:
        rejections = send_in_parts("it", entries, receiver)
    except SinkUnavailable:
        assert receiver.taken == []
        return

    assert sorted([*receiver.taken, *(each.id for each in rejections)]) == sorted(ids)
    assert {each.id for each in rejections if each.final} <= bad
    assert receiver.calls <= MAX_CALLS
    if receiver.breaks_at is None and len(bad) < 2:
        assert [each.id for each in rejections if each.final] == sorted(bad)
        assert len(rejections) == len(bad)


def test_one_bad_event_among_a_thousand_is_found() -> None:
    receiver = Receiver({"s-700"})
    rejections = send_in_parts("it", rewards(1000), receiver)
    assert rejections == [Rejection("s-700", "refused with the status 400", final=True)]
    assert len(receiver.taken) == 999


def test_where_everything_is_refused_no_event_is_to_blame() -> None:
    entries = rewards(1000)
    with pytest.raises(SinkUnavailable, match="refuses the content of every request"):
        send_in_parts("it", entries, Receiver({each.id for each in entries}))


def test_a_single_event_that_is_refused_is_not_sent_again() -> None:
    assert send_in_parts("it", rewards(1), Receiver({"s-1"})) == [
        Rejection("s-1", "refused with the status 400", final=True)
    ]


def test_what_was_taken_before_a_breakdown_stays_taken() -> None:
    receiver = Receiver({"s-1"}, breaks_at=5)
    rejections = send_in_parts("it", rewards(4), receiver)
    # The whole, the first half, its first (to blame), its second; then it breaks down.
    assert receiver.taken == ["s-2"]
    assert rejections == [
        Rejection("s-1", "refused with the status 400", final=True),
        # Which of the two broke it, nobody knows.
        Rejection("s-3", "down", sender_refused=True),
        Rejection("s-4", "down", sender_refused=True),
    ]


def test_only_an_event_that_was_alone_in_the_request_that_failed_can_be_to_blame() -> None:
    # The whole, its first half, the first and the second by themselves; the second half, and the first of that.
    rejections = send_in_parts("it", rewards(4), Receiver({"s-1", "s-4"}, breaks_at=6))
    assert rejections == [
        Rejection("s-1", "refused with the status 400", final=True),
        Rejection("s-3", "down"),
        Rejection("s-4", "down", sender_refused=True),
    ]


def test_events_that_were_only_refused_together_with_others_are_not_to_blame() -> None:
    bad = {f"s-{number}" for number in range(1, 1000, 30)}
    rejections = send_in_parts("it", rewards(1000), Receiver(bad))
    assert {each.sender_refused for each in rejections if not each.final} == {True}
    assert not any(each.sender_refused for each in rejections if each.final)


# --- which events a sink takes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kinds,wanted",
    [
        ((Event,), ["s-1", "s-2", "s-3"]),
        ((PromoEvent,), ["s-1", "s-2"]),
        ((StockEvent,), ["s-3"]),
        ((CouponRedeemed, StockLow), ["s-2", "s-3"]),
        ((ListCreated,), []),
    ],
    ids=str,
)
def test_a_sink_wants_the_kinds_that_it_is_told(kinds: tuple[type[Event], ...], wanted: list[str]) -> None:
    entries = [entry(an_event(VoucherRewarded)), entry(an_event(CouponRedeemed), 2), entry(LOW, 3)]
    sink = MemorySink(events=kinds)
    assert [each.id for each in entries if sink.wants(each.event)] == wanted


@pytest.mark.parametrize("kinds", [(), VoucherRewarded, ("CT Partner Voucher Rewarded",), (dict,)], ids=str)
def test_kinds_are_classes_of_events(kinds: object) -> None:
    with pytest.raises(InvalidInput, match=r"^events: must contain classes"):
        MemorySink(events=kinds)  # type: ignore[arg-type]
