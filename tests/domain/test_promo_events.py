from __future__ import annotations

import time
import types
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.promo_events import (
    HOST_EVENTS,
    PROMO_EVENTS,
    CouponRedeemed,
    CouponRewarded,
    HostEvent,
    PointsCredited,
    PointsDebited,
    PromoEvent,
)
from partner_vouchers.domain.properties import WireForm, as_number, coupon_date
from partner_vouchers.errors import InvalidInput, NaiveDatetime
from tests.support.promo import AT, an_event

FORMS = [(kind, form) for kind in PROMO_EVENTS for form in kind.table.forms]
INDIA = timezone(timedelta(hours=5, minutes=30))


# --- what an event says ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind,form", FORMS)
def test_the_user_is_the_identity_of_an_event_and_no_property(kind: type[PromoEvent], form: WireForm) -> None:
    event = an_event(kind)

    assert "user-42" not in event.properties(form).values()
    assert event.ordering_key == "user:user-42"


@pytest.mark.parametrize("kind,form", FORMS)
def test_an_event_says_what_its_class_names(kind: type[PromoEvent], form: WireForm) -> None:
    assert tuple(an_event(kind).properties(form)) == kind.property_names(form)


@pytest.mark.parametrize("kind", PROMO_EVENTS)
def test_the_first_form_is_the_default(kind: type[PromoEvent]) -> None:
    event = an_event(kind)

    assert event.properties() == event.properties(kind.table.forms[0])
    assert kind.property_names() == kind.property_names(kind.table.forms[0])


def test_an_event_has_only_its_own_forms() -> None:
    for ask in (an_event(CouponRewarded).properties, CouponRewarded.property_names):
        with pytest.raises(InvalidInput, match=r"^form: must be one of 'title case'$"):
            ask("legacy")


@pytest.mark.parametrize("kind", PROMO_EVENTS)
def test_a_property_is_optional_exactly_where_its_attribute_may_be_none(kind: type[PromoEvent]) -> None:
    hints = get_type_hints(kind)
    for row in kind.table.rows:
        assert row.optional is (types.NoneType in get_args(hints[row.attribute])), row.attribute


@pytest.mark.parametrize("kind", PROMO_EVENTS)
def test_no_form_names_two_properties_alike(kind: type[PromoEvent]) -> None:
    for form in kind.table.forms:
        assert len(set(kind.property_names(form))) == len(kind.property_names(form))


@pytest.mark.parametrize("kind,form", FORMS)
def test_what_is_not_known_is_left_out(kind: type[PromoEvent], form: WireForm) -> None:
    optional = {row.attribute: None for row in kind.table.rows if row.optional}
    left = an_event(kind, **optional).properties(form)

    assert set(left) == {name for name, row in kind.table.of_form(form) if not row.optional}
    assert None not in left.values()


# --- instants and numbers on the wire ------------------------------------------------------------------------


def test_instants_are_told_in_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[object]:
        # In another zone, since what is in UTC already need not be moved.
        begins = datetime(2024, 2, 1, 5, 30, tzinfo=INDIA)
        return [*(an_event(kind).properties() for kind in PROMO_EVENTS), coupon_date(begins)]

    here = told()
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert told() == here
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "given_number,number",
    [
        (20, 20),
        (20.0, 20.0),
        (-0.5, -0.5),
        (0, 0),
        (2**53, 2**53),
        (Decimal("49.90"), 49.9),
        (Decimal("20.00"), 20),
        (Decimal("2E+3"), 2000),
        (Decimal(2**53), 2**53),
    ],
    ids=repr,
)
def test_a_number_stays_a_number(given_number: Any, number: float) -> None:
    found = an_event(PointsDebited, points=given_number).properties()["Points"]

    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize(
    "value",
    [
        True,
        "20",
        None,
        float("nan"),
        float("inf"),
        float("-inf"),
        2**53 + 1,
        -(2**53) - 1,
        1e300,
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("0.1234567890123456789"),
        Decimal("1e999999999"),
        Decimal("-1e999999999"),
        Decimal("1e-999999999"),
        Decimal(2**53 + 1),
        10 + 0j,
    ],
    ids=repr,
)
def test_what_is_no_number_for_every_reader_is_refused(value: object) -> None:
    for kind, field in ((PointsDebited, "points"), (PointsCredited, "points")):
        with pytest.raises(InvalidInput, match=f"^{field}: must"):
            an_event(kind, **{field: value})


@given(cents=st.integers(-(10**12), 10**12))
def test_an_amount_in_cents_is_kept_to_the_cent(cents: int) -> None:
    amount = Decimal(cents) / 100

    assert Decimal(repr(as_number(amount))) == amount


# --- what an event may hold ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HOST_EVENTS)
def test_instants_are_aware_and_kept_in_utc(kind: type[HostEvent]) -> None:
    assert an_event(kind, occurred_at=AT.astimezone(INDIA)).occurred_at.tzinfo is UTC
    with pytest.raises(NaiveDatetime, match=r"^occurred_at: "):
        an_event(kind, occurred_at=AT.replace(tzinfo=None))
    with pytest.raises(InvalidInput, match=r"^occurred_at: must be a datetime"):
        an_event(kind, occurred_at="2024-02-19")


@pytest.mark.parametrize("field", ["starts_at", "redeemable_from", "expires_at"])
def test_dates_of_a_coupon_are_aware(field: str) -> None:
    with pytest.raises(NaiveDatetime, match=f"^{field}: "):
        an_event(CouponRewarded, **{field: AT.replace(tzinfo=None)})


@pytest.mark.parametrize("kind", HOST_EVENTS)
@pytest.mark.parametrize(
    "value",
    ["", " ", "a\0b", "a\nb", "\ud800", 42, None],
    ids=["empty", "blank", "NUL", "line feed", "surrogate", "number", "none"],
)
def test_ids_are_names(kind: type[HostEvent], value: object) -> None:
    fields = {"user_id", "coupon_id", "order_id", "wallet_id", "transaction_id"}
    for field in fields & set(get_type_hints(kind)):
        with pytest.raises(InvalidInput, match=f"^{field}: "):
            an_event(kind, **{field: value})


@pytest.mark.parametrize("field", ["description", "terms"])
def test_texts_may_have_several_lines_and_be_empty(field: str) -> None:
    for text in ("", "one\ntwo\tthree"):
        assert getattr(an_event(CouponRewarded, **{field: text}), field) == text
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        an_event(CouponRewarded, **{field: "\x1b[2J"})


@pytest.mark.parametrize("kind", [PointsCredited, PointsDebited])
def test_points_come_from_a_known_source(kind: type[HostEvent]) -> None:
    for value in ("campaign", "", None, ["API"]):
        with pytest.raises(InvalidInput, match=r"^source: must be one of 'Campaign', 'API', 'Manual'"):
            an_event(kind, source=value)


@pytest.mark.parametrize("kind", [CouponRewarded, CouponRedeemed])
def test_a_coupon_code_is_shown_masked_and_its_absence_as_it_is(kind: type[HostEvent]) -> None:
    assert f"coupon_code={mask('DIWALI10-XK2')}," in repr(an_event(kind, coupon_code="DIWALI10-XK2"))
    assert "coupon_code=None," in repr(an_event(kind, coupon_code=None))


@pytest.mark.parametrize("field", ["discount_amount", "cashback_points"])
def test_an_amount_may_be_missing_or_a_decimal(field: str) -> None:
    assert getattr(an_event(CouponRedeemed, **{field: None}), field) is None
    assert getattr(an_event(CouponRedeemed, **{field: Decimal("49.90")}), field) == 49.9
