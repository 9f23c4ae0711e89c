"""Each promo event in each of its wire forms, as the golden files have it, and back."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.promo_events import (
    PROMO_EVENTS,
    CouponRedeemed,
    CouponRewarded,
    PointsCredited,
    PointsDebited,
    PromoEvent,
    VoucherRewarded,
)
from partner_vouchers.domain.properties import WireForm
from partner_vouchers.errors import InvalidEvent, InvalidInput, NaiveDatetime
from partner_vouchers.serialization import to_dict
from partner_vouchers.wire.promo_events import EVENTS_BY_NAME, event_from_properties
from partner_vouchers.wire.stored_events import event_from_json, event_to_json
from partner_vouchers.wire.wording import to_json
from tests.support.promo import AT, an_event, any_event

GOLDEN = Path(__file__).parent / "golden"
FORMS = [
    pytest.param(kind, form, id=f"{kind.event_name}, {form}")
    for kind in PROMO_EVENTS
    for form in kind.table.forms
]


def golden_file(kind: type[PromoEvent], form: WireForm) -> Path:
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("_")
    return GOLDEN / f"{snake}.{form.replace(' ', '_')}.json"


def untold(event: PromoEvent, form: WireForm) -> dict[str, Any]:
    """Return what a reader of this form must know from elsewhere."""
    told = {row.attribute for _, row in event.table.of_form(form)}
    return {
        row.attribute: getattr(event, row.attribute)
        for row in event.table.rows
        if row.attribute not in told
        and not row.constant
        and row.attribute != "occurred_at"
        and getattr(event, row.attribute) is not None
    }


def read(kind: type[PromoEvent], properties: Mapping[str, object], form: str | None = None) -> PromoEvent:
    return event_from_properties(kind, properties, user_id="user-42", occurred_at=AT, form=form)


def faults(
    kind: type[PromoEvent], properties: Mapping[str, object], form: str | None = None
) -> dict[str, str]:
    with pytest.raises(InvalidEvent) as caught:
        read(kind, properties, form)
    assert caught.value.event_name == kind.event_name
    return dict(caught.value.faults)


# --- there and back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind,form", FORMS)
def test_an_event_stands_on_the_wire_as_in_its_golden_file(kind: type[PromoEvent], form: WireForm) -> None:
    properties = an_event(kind).properties(form)
    text = json.dumps(properties, ensure_ascii=False, indent=2) + "\n"
    assert text == golden_file(kind, form).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind,form", FORMS)
def test_a_golden_file_is_read_as_its_event(kind: type[PromoEvent], form: WireForm) -> None:
    event = an_event(kind)
    found = event_from_properties(
        kind,
        json.loads(golden_file(kind, form).read_text(encoding="utf-8")),
        user_id="user-42",
        occurred_at=None if "eventTimestamp" in kind.property_names(form) else AT,
        form=form,
        **untold(event, form),
    )
    assert found == event


def test_no_golden_file_is_left_over() -> None:
    expected = {golden_file(kind, form) for kind in PROMO_EVENTS for form in kind.table.forms}
    assert set(GOLDEN.iterdir()) == expected


@given(data=st.data())
def test_any_event_comes_back_through_json(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(PROMO_EVENTS))
    form, event = data.draw(st.sampled_from(kind.table.forms)), data.draw(any_event(kind))
    properties = json.loads(json.dumps(event.properties(form)))
    given = {"user_id": event.user_id, "occurred_at": event.occurred_at, **untold(event, form)}
    found = event_from_properties(kind, properties, form=form, **given)
    assert found == event
    # 20 == 20.0, but they are not the same to a reader.
    assert repr(found.properties(form)) == repr(event.properties(form))


@given(data=st.data())
def test_the_json_text_of_any_event_has_its_properties(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(PROMO_EVENTS))
    form, event = data.draw(st.sampled_from(kind.table.forms)), data.draw(any_event(kind))
    assert kind.table.json_writer(form)(event) == to_json(event.properties(form))


def test_an_event_is_found_by_its_wire_name() -> None:
    assert EVENTS_BY_NAME["CT Coupon Redeemed"] is CouponRedeemed
    assert len(EVENTS_BY_NAME) == 6


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind,form", FORMS)
def test_each_missing_property_is_named(kind: type[PromoEvent], form: WireForm) -> None:
    needed = {name for name, row in kind.table.of_form(form) if not row.optional}
    told = {name: reason for name, reason in faults(kind, {}, form).items() if reason == "is missing"}
    assert set(told) == needed


def test_what_the_form_does_not_tell_is_named() -> None:
    properties = an_event().properties(WireForm.TITLE_CASE)
    assert faults(VoucherRewarded, properties, WireForm.TITLE_CASE) == {
        "voucher_code": "is not told by the form 'title case': pass it by name",
        "list_expiry": "is not told by the form 'title case': pass it by name",
    }


def test_the_instant_is_needed_where_the_form_has_none() -> None:
    event = an_event(PointsDebited)
    with pytest.raises(InvalidEvent, match="'occurred_at' is not told by the form 'title case'"):
        event_from_properties(PointsDebited, event.properties(), user_id="user-42")


def test_an_instant_that_is_given_is_finer_than_the_one_in_the_properties() -> None:
    at = AT + timedelta(microseconds=1)
    found = event_from_properties(VoucherRewarded, an_event().properties(), user_id="user-42", occurred_at=at)
    assert found.occurred_at == at


def test_unknown_properties_are_named_with_what_was_meant() -> None:
    properties = {**an_event().properties(), "voucherCod": "X", "campaignID": "X", "Zzz": 1}
    assert faults(VoucherRewarded, properties) == {
        "voucherCod": "is no property of it: did you mean 'voucherCode'?",
        "campaignID": "belongs to the form 'legacy'",
        "Zzz": "is no property of it",
    }


@pytest.mark.parametrize(
    "kind,name,values",
    [
        (VoucherRewarded, "voucherListId", [1837, ""]),
        (VoucherRewarded, "campaignId", [None, ""]),
        (VoucherRewarded, "partner", [["Puma"], True, "a\0b", "Pu\nma"]),
        (VoucherRewarded, "source", ["Manual"]),
        (VoucherRewarded, "CT Source", ["API"]),
        # Beyond the year 9999.
        (VoucherRewarded, "eventTimestamp", [1708351200000000]),
        (VoucherRewarded, "listExpiry", ["2024-03-31T23:59:59+05:30", "٢٠٢٤-03-31T23:59:59Z"]),
        (CouponRewarded, "Coupon Start Date", ["2024-02-01 00:00:00", "1-2-2024 00:00:00"]),
        (CouponRewarded, "Coupon Name", ["a\nb"]),
        (CouponRedeemed, "Cashback Points", [2**53 + 1]),
        (PointsCredited, "Points", [None]),
        (PointsCredited, "Source", ["Gift"]),
    ],
)
def test_what_does_not_fit_is_refused_by_its_wire_name(
    kind: type[PromoEvent], name: str, values: list[object]
) -> None:
    for value in values:
        assert list(faults(kind, {**an_event(kind).properties(), name: value})) == [name], value


def test_all_that_is_wrong_is_told_at_once_and_no_value_is_repeated() -> None:
    properties = {
        **an_event().properties(),
        "voucherCode": 500500,
        "SECRET-CODE": "PM500FF",
        "source": "PM500FF",
    }
    del properties["partner"]
    with pytest.raises(InvalidEvent) as caught:
        read(VoucherRewarded, properties)
    assert set(dict(caught.value.faults)) == {"voucherCode", "SECRET-CODE", "source", "partner"}
    assert "500" not in str(caught.value)


@pytest.mark.parametrize("properties", [None, "{}", [("partner", "Puma")], 1])
def test_properties_are_a_mapping(properties: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^properties: must be a mapping"):
        read(VoucherRewarded, properties)


@pytest.mark.parametrize(
    "wrong,error",
    [
        ({"user_id": ""}, InvalidInput),
        ({"user_id": 42}, InvalidInput),
        ({"occurred_at": AT.replace(tzinfo=None)}, NaiveDatetime),
        ({"form": "camel case"}, InvalidInput),
        ({"partner": "Puma"}, InvalidInput),
        ({"voucher_code": "X"}, InvalidInput),
        ({"colour": "red"}, InvalidInput),
        ({"ct_source": "Promo Module"}, InvalidInput),
        ({"list_name": 42}, InvalidInput),
    ],
    ids=str,
)
def test_arguments_are_checked(wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        event_from_properties(VoucherRewarded, an_event().properties(), **{"user_id": "user-42", **wrong})


def test_what_is_added_by_name_must_fit() -> None:
    properties = an_event().properties(WireForm.LEGACY)
    for expiry in (AT.replace(tzinfo=None), "2024-03-31T23:59:59Z"):
        with pytest.raises(InvalidInput, match=r"^list_expiry: "):
            event_from_properties(
                VoucherRewarded, properties, user_id="u", occurred_at=AT, form="legacy", list_expiry=expiry
            )


@pytest.mark.parametrize("code", ["", None, "a\nb", 5], ids=repr)
def test_a_code_that_is_added_by_name_must_fit(code: Any) -> None:
    event = an_event()
    added = {**untold(event, WireForm.TITLE_CASE), "voucher_code": code}
    with pytest.raises(InvalidInput, match=r"^voucher_code: "):
        event_from_properties(
            VoucherRewarded,
            event.properties(WireForm.TITLE_CASE),
            user_id="u",
            occurred_at=AT,
            form="title case",
            **added,
        )


# --- lenient reading -----------------------------------------------------------------------------------------

NEWER = {
    "Redeemed Type": "Full",
    "Event Timestamp": 1708351200,
    "Points Expiry": "31-03-2024 23:59:59",
    "Sale Channel": "Online",
    "Location ID": None,
    "Sale Amount": 99.5,
    "Coupon Code": "SECRET-CODE",
    "Coupon ID": "CPN-1",
    "First": True,
}


@pytest.mark.parametrize("kind,form", FORMS)
def test_further_properties_are_kept_on_request(kind: type[PromoEvent], form: WireForm) -> None:
    event = an_event(kind)
    properties = event.properties(form)
    newer = {name: value for name, value in NEWER.items() if name not in kind.property_names(form)}
    arguments: dict[str, Any] = {
        "user_id": "user-42",
        "occurred_at": None if "eventTimestamp" in kind.property_names(form) else AT,
        "form": form,
        **untold(event, form),
    }
    with pytest.raises(InvalidEvent):
        event_from_properties(kind, {**properties, **newer}, **arguments)
    found = event_from_properties(kind, {**properties, **newer}, unknown="ignore", **arguments)
    assert found == evolve(event, extra=newer)
    assert found.extra == newer
    assert found.properties(form) == properties
    assert "SECRET-CODE" not in repr(found)
    assert "SECRET-CODE" not in str(to_dict(found))
    assert hash(found) == hash(event)


def test_lenient_reading_still_refuses_what_is_wrong() -> None:
    properties = an_event(PointsDebited).properties()
    arguments: dict[str, Any] = {"user_id": "user-42", "occurred_at": AT, "unknown": "ignore"}
    with pytest.raises(InvalidEvent) as refused:
        event_from_properties(
            PointsDebited, {**properties, "Points": "20", "Nested": {"a": 1}, "Control": "\0"}, **arguments
        )
    assert [name for name, _ in refused.value.faults] == ["Points", "Nested", "Control"]
    with pytest.raises(InvalidInput, match="unknown"):
        event_from_properties(PointsDebited, properties, **{**arguments, "unknown": "accept"})


@pytest.mark.parametrize(
    "extra",
    [
        5,
        {"Nested": {}},
        {1: "one"},
        {"a": float("nan")},
        {"a": 2**60},
        {"a": "SECRET\ud800"},
        {"a": "SECRET\0"},
        {"SECRET\ud800": 1},
    ],
)
def test_a_further_property_that_no_storage_can_keep_is_refused(extra: Any) -> None:
    with pytest.raises(InvalidInput, match="extra") as refused:
        evolve(an_event(PointsDebited), extra=extra)
    assert "SECRET" not in "".join(traceback.format_exception(refused.value))


def test_further_properties_survive_the_outbox() -> None:
    event = evolve(
        an_event(PointsDebited), extra={"Sale Channel": "Online", "Sale Amount": 99.5, "None": None}
    )
    assert event_from_json(event.event_name, event_to_json(event)) == event
    assert "extra" not in event_to_json(an_event(PointsDebited))
