from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given

from partner_vouchers.domain.events import (
    AuditedEvent,
    CodeEvent,
    Event,
    FieldChange,
    ListEdited,
    ListExpired,
    ListExpiringSoon,
    StockEvent,
    StockLow,
    UnreadableEvent,
)
from partner_vouchers.domain.promo_events import HOST_EVENTS, CouponRedeemed, VoucherRewarded
from partner_vouchers.errors import StorageError
from partner_vouchers.testing import strategies
from partner_vouchers.testing.sinks import rewarded
from partner_vouchers.wire.stored_events import EVENT_TYPES, event_from_json, event_to_json
from tests.support.promo import an_event

EDITED = ListEdited(
    occurred_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    list_id="1837",
    changes=(FieldChange("name", "Winter Sale", "दिवाली"),),
)
LOW = StockLow(
    occurred_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    list_id="1837",
    partner="Puma",
    list_tag="winter_sale_500",
    available=100,
)


REDEEMED = an_event(CouponRedeemed, discount_amount=None)


def types_in(event: AuditedEvent) -> list[tuple[type, type]]:
    return [(type(change.before), type(change.after)) for change in event.changes]


@given(event=strategies.stored_events())
def test_an_event_comes_back_as_it_was_stored(event: Event) -> None:
    found = event_from_json(event.event_name, event_to_json(event))
    assert found == event
    assert type(found) is type(event)
    if isinstance(found, AuditedEvent) and isinstance(event, AuditedEvent):
        # 1 == 1.0 == True, but they are not the same to a reader.
        assert types_in(found) == types_in(event)


def test_every_event_that_is_stored_as_text_has_its_name() -> None:
    recorded = set(AuditedEvent.__subclasses__()) - {UnreadableEvent}
    of_codes, of_stock = CodeEvent.__subclasses__(), StockEvent.__subclasses__()
    concrete = {*recorded, *of_stock, *of_codes, ListExpired, ListExpiringSoon, *HOST_EVENTS}
    assert set(EVENT_TYPES.values()) == concrete
    assert all(kind.event_name == name for name, kind in EVENT_TYPES.items())


def test_the_event_of_an_assignment_is_not_stored_as_text() -> None:
    assert VoucherRewarded.event_name not in EVENT_TYPES
    with pytest.raises(StorageError, match="keep the id of the assignment"):
        event_to_json(rewarded("user-1"))


def test_an_event_that_could_not_be_read_back_is_not_stored() -> None:
    class ListPainted(ListEdited):
        """An event of somebody else's, which has the name of ours."""

    with pytest.raises(StorageError, match=r"list\.edited"):
        event_to_json(ListPainted(occurred_at=EDITED.occurred_at))


def test_what_is_stored_today_can_be_read_for_ever() -> None:
    edited = (
        '{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":"1837",'
        '"changes":[{"field":"name","before":"Winter Sale","after":"दिवाली"}]}'
    )
    low = (
        '{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":"1837",'
        '"partner":"Puma","list_tag":"winter_sale_500","available":100}'
    )

    redeemed = (
        '{"occurred_at":"2024-02-19T14:00:00+00:00","user_id":"user-42","order_id":"order-991",'
        '"coupon_code":"DIWALI10-XK2","coupon_id":"CPN-77","coupon_name":"Diwali 10 %",'
        '"discount_amount":null,"cashback_points":20}'
    )

    assert (event_to_json(EDITED), event_to_json(LOW)) == (edited, low)
    assert event_to_json(REDEEMED) == redeemed
    assert event_from_json("CT Coupon Redeemed", redeemed) == REDEEMED
    assert event_from_json("list.edited", edited) == EDITED
    assert event_from_json("list.running_low", low) == LOW


def test_an_event_of_a_newer_version_is_unreadable_and_tells_what_it_concerns() -> None:
    assert event_from_json("list.exploded", event_to_json(EDITED)) == UnreadableEvent(
        occurred_at=EDITED.occurred_at, name="list.exploded", list_id="1837"
    )
    found = event_from_json("CT Coupon Redeemed", stored(REDEEMED, colour="green"))
    assert found == UnreadableEvent(
        occurred_at=REDEEMED.occurred_at, name="CT Coupon Redeemed", user_id="user-42"
    )
    assert found.ordering_key == "user:user-42"
    for text in (
        "",
        "[]",
        "{}",
        '{"occurred_at": 5, "user_id": 7}',
        '{"occurred_at": "2026-11-21T12:00:00"}',
    ):
        nothing = event_from_json("list.exploded", text)
        assert isinstance(nothing, UnreadableEvent)
        assert (nothing.ordering_key, nothing.occurred_at.year) == ("", 1970)


def stored(event: Event, **changed: object) -> str:
    return json.dumps({**json.loads(event_to_json(event)), **changed})


@pytest.mark.parametrize(
    "name,text",
    [
        ("list.edited", stored(EDITED, extra=1)),
        ("list.running_low", stored(LOW, changes=[])),
        ("list.edited", stored(LOW)),
        ("list.edited", stored(EDITED, changes=[{"field": "name", "before": 1, "after": 2, "by": "ops"}])),
        ("list.edited", stored(EDITED, changes=[{"field": "name", "before": 1}])),
        ("list.running_low", "{}"),
        ("list.running_low", stored(LOW, list_id=None)),
        ("list.running_low", stored(LOW, list_id=1837)),
        ("list.edited", stored(EDITED, list_id=1837)),
        ("list.running_low", stored(LOW, available=5.9)),
        ("list.running_low", stored(LOW, available="5")),
        ("list.running_low", stored(LOW, available=True)),
        ("list.running_low", stored(LOW, occurred_at="yesterday")),
        ("CT Coupon Redeemed", stored(REDEEMED, cashback_points=True)),
        ("CT Coupon Redeemed", stored(REDEEMED, cashback_points="20")),
        ("CT Coupon Redeemed", stored(REDEEMED, cashback_points=float("nan"))),
        ("CT Coupon Redeemed", stored(REDEEMED, order_id=None)),
        ("CT Coupon Redeemed", stored(REDEEMED, coupon_code=1)),
    ],
)
def test_what_does_not_fit_is_refused_and_not_bent(name: str, text: str) -> None:
    assert isinstance(event_from_json(name, text), UnreadableEvent)
