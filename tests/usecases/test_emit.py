"""The promo events that a host raises."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import asdict

from partner_vouchers.domain.events import Event, StockLow
from partner_vouchers.domain.promo_events import (
    HOST_EVENTS,
    CouponRewarded,
    HostEvent,
    PointsCredited,
    VoucherRewarded,
)
from partner_vouchers.errors import InvalidInput
from partner_vouchers.messages import MessageTemplate
from partner_vouchers.sinks.memory import MemorySink
from tests.support.host import Host
from tests.support.promo import AT, an_event


@pytest.mark.parametrize("kind", HOST_EVENTS)
def test_an_event_reaches_a_sink_as_it_was_raised(host: Host, kind: type[HostEvent]) -> None:
    event, bare = an_event(kind), an_event(kind, **dict.fromkeys(optional(kind)))
    for each in (event, bare):
        host.vouchers.events.emit(each)
    sink = MemorySink()
    host.vouchers.events.deliver(sink)

    assert sink.events == [event, bare]
    # 20 == 20.0, but they are not the same to a reader.
    assert repr(sink.events) == repr([event, bare])


def optional(kind: type[HostEvent]) -> list[str]:
    return [row.attribute for row in kind.table.rows if row.optional]


def test_events_of_a_user_keep_their_order_among_assignments(host: Host) -> None:
    found = host.a_list("A")
    host.vouchers.events.emit(first := an_event(PointsCredited, user_id="ann"))
    host.give(found.id, "ann")
    host.vouchers.events.emit(last := an_event(CouponRewarded, user_id="ann"))
    sink = MemorySink()
    host.vouchers.events.deliver(sink)
    of_ann = [event for event in sink.events if event.ordering_key == "user:ann"]

    assert [of_ann[0], of_ann[2]] == [first, last]
    assert isinstance(of_ann[1], VoucherRewarded)


class Dressed(PointsCredited):
    """A host's own class, of which the storage would know nothing."""


@pytest.mark.parametrize(
    "event,said",
    [
        (an_event(VoucherRewarded), "^event: is written by codes.assign, once for each code; emit does not"),
        (StockLow(occurred_at=AT, list_id="1", partner="P", list_tag="t", available=1), "not StockLow"),
        (Event(occurred_at=AT), "must be one of CouponRewarded, CouponRedeemed, CouponReverted, "),
        (an_event(CouponRewarded).properties(), "not dict"),
        (PointsCredited, "not type"),
        (None, "not NoneType"),
        (Dressed(**asdict(an_event(PointsCredited))), "not Dressed"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_other_events_are_refused(host: Host, event: Any, said: str) -> None:
    with host.nothing_changes(), pytest.raises(InvalidInput, match=said) as caught:
        host.vouchers.events.emit(event)

    assert caught.value.field == "event"


def test_a_message_tells_of_an_event_by_its_wire_names() -> None:
    template = MessageTemplate("{{ Event['Coupon Code'] }} until {{ Event['Coupon Expiry Date'] }}")

    assert template.render(event=an_event(CouponRewarded)) == "DIWALI10-XK2 until 31-03-2024 23:59:59"
