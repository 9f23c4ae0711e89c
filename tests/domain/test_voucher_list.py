from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.events import AuditedEvent, Event, ListCreated, ListEdited
from partner_vouchers.domain.lifecycle import State, Status
from partner_vouchers.domain.stock import PercentUsed
from partner_vouchers.domain.voucher_list import VoucherList, new_list, new_tag
from partner_vouchers.errors import (
    ActionNotAllowed,
    ExpiryNotInFuture,
    InvalidInput,
    InvalidTag,
    NaiveDatetime,
)
from tests.domain.examples import EXPIRY, NAMES, NOW, TEXTS, a_list, a_list_that_is


def create(**changed: Any) -> tuple[VoucherList, tuple[Event, ...]]:
    fields: dict[str, Any] = {
        "id": "1837",
        "partner": "Puma",
        "tag": "Winter_Sale_500",
        "name": "Winter Sale",
        "description": "₹500 off",
        "expires_at": EXPIRY,
        "now": NOW,
    }
    return new_list(**{**fields, **changed})


def changes_in(events: tuple[Event, ...]) -> dict[str, tuple[object, object]]:
    """Return what the only event says: each field, from what and to what."""
    (event,) = events
    assert isinstance(event, AuditedEvent)
    assert event.occurred_at == NOW
    return {change.field: (change.before, change.after) for change in event.changes}


# --- tags ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_tag,stored",
    [
        pytest.param("Winter_Sale_500", "winter_sale_500", id="ASCII"),
        pytest.param("WINTER-10%-OFF!#", "winter-10%-off!#", id="special characters"),
        pytest.param("ÄPFEL_ЗИМА", "äpfel_зима", id="not ASCII"),
        pytest.param("ΔΊΑΣ", "δίας", id="final sigma"),
        pytest.param("İSTANBUL", "i̇stanbul", id="becomes longer"),
        pytest.param("सेल_🎁", "सेल_🎁", id="no case"),
    ],
)
def test_a_tag_is_kept_in_lower_case(given_tag: str, stored: str) -> None:
    assert new_tag(given_tag) == stored


WHITE_SPACE = " \t\n\r\v\f\x1c\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000"


@pytest.mark.parametrize("white_space", WHITE_SPACE, ids=ascii)
def test_a_tag_has_no_white_space_of_any_kind(white_space: str) -> None:
    for tag in (f"winter{white_space}sale", f"{white_space}winter", f"winter{white_space}", white_space):
        with pytest.raises(InvalidTag) as refused:
            new_tag(tag)
        assert refused.value.field == "tag"


@given(text=st.text())
def test_a_stored_tag_is_a_valid_tag_and_stays_as_it_is(text: str) -> None:
    try:
        tag = new_tag(text)
    except InvalidTag:
        return
    assert new_tag(tag) == tag
    assert tag.split() == [tag]


# --- creation --------------------------------------------------------------------------------------


def test_the_event_of_a_creation_says_all_that_the_list_is() -> None:
    _, events = create(low_stock_at=PercentUsed(80))

    assert isinstance(events[0], ListCreated)
    assert events[0].list_id == "1837"
    assert changes_in(events) == {
        "partner": (None, "Puma"),
        "tag": (None, "winter_sale_500"),
        "name": (None, "Winter Sale"),
        "description": (None, "₹500 off"),
        "expires_at": (None, "2027-03-31T23:59:59+00:00"),
        "state": (None, "Active"),
        "low_stock_at": (None, "80% used"),
    }


# --- edits -----------------------------------------------------------------------------------------


def test_an_edit_says_from_what_to_what() -> None:
    found = a_list(low_stock_at=100)

    edited, events = found.edit(
        NOW,
        name="Spring Sale",
        description="₹600 off",
        expires_at=EXPIRY + timedelta(days=1),
        low_stock_at=PercentUsed(90),
    )

    assert isinstance(events[0], ListEdited)
    assert changes_in(events) == {
        "name": ("Winter Sale", "Spring Sale"),
        "description": ("₹500 off on orders above ₹2000", "₹600 off"),
        "expires_at": ("2027-03-31T23:59:59+00:00", "2027-04-01T23:59:59+00:00"),
        "low_stock_at": (100, "90% used"),
    }
    assert edited == evolve(
        found,
        name="Spring Sale",
        description="₹600 off",
        expires_at=EXPIRY + timedelta(days=1),
        low_stock_at=PercentUsed(90),
        version=2,
        updated_at=NOW,
    )


def test_none_clears_the_threshold_and_nothing_leaves_it() -> None:
    found = a_list(low_stock_at=100)

    cleared, events = found.edit(NOW, low_stock_at=None)
    renamed, _ = found.edit(NOW, name="Spring Sale")

    assert cleared.low_stock_at is None
    assert changes_in(events) == {"low_stock_at": (100, None)}
    assert renamed.low_stock_at == 100


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"name": "Winter Sale"}, id="the same name"),
        pytest.param({"expires_at": EXPIRY}, id="the same expiry"),
        pytest.param(
            {"expires_at": EXPIRY.astimezone(timezone(timedelta(hours=5, minutes=30)))},
            id="the same expiry elsewhere",
        ),
        pytest.param({"expires_at": date(2027, 3, 31), "zone": UTC}, id="the same expiry as a date"),
        pytest.param({"low_stock_at": None}, id="the same threshold"),
    ],
)
def test_an_edit_of_nothing_changes_nothing(edit: dict[str, Any]) -> None:
    found = a_list()

    edited, events = found.edit(NOW, **edit)

    assert edited is found
    assert events == ()


def test_a_zone_without_a_date_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        a_list().edit(NOW, name="Spring", zone=UTC)
    assert refused.value.field == "zone"


def test_an_expiry_is_in_the_future_at_each_edit_of_it() -> None:
    with pytest.raises(ExpiryNotInFuture):
        a_list().edit(NOW, expires_at=NOW)
    with pytest.raises(NaiveDatetime):
        a_list().edit(NOW, expires_at=date(2027, 3, 31))


@given(name=NAMES, description=TEXTS, threshold=st.none() | st.integers(0, 10**6))
def test_an_edit_changes_what_it_says_and_says_what_it_changes(
    name: str, description: str, threshold: int | None
) -> None:
    found = a_list()

    edited, events = found.edit(NOW, name=name, description=description, low_stock_at=threshold)

    said = changes_in(events) if events else {}
    for field in ("name", "description", "low_stock_at"):
        before, after = getattr(found, field), getattr(edited, field)
        assert said.get(field, (after, after)) == (before, after)
    assert edited.version == found.version + len(events)


# --- versions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status,change,moved",
    [
        pytest.param(Status.ACTIVE, VoucherList.pause, ("Active", "Paused"), id="pause"),
        pytest.param(Status.PAUSED, VoucherList.activate, ("Paused", "Active"), id="activate"),
        pytest.param(Status.ACTIVE, VoucherList.archive, ("Active", "Archived"), id="archive an active list"),
        pytest.param(Status.PAUSED, VoucherList.archive, ("Paused", "Archived"), id="archive a paused list"),
        pytest.param(
            Status.EXPIRED, VoucherList.archive, ("Active", "Archived"), id="archive an expired list"
        ),
    ],
)
def test_a_change_of_state_changes_nothing_else(
    status: Status,
    change: Callable[[VoucherList, datetime], tuple[VoucherList, tuple[Event, ...]]],
    moved: tuple[str, str],
) -> None:
    found = a_list_that_is(status)

    changed, events = change(found, NOW)

    assert changes_in(events) == {"state": moved}
    assert changed == evolve(found, state=State(moved[1]), version=2, updated_at=NOW)


# --- deletion --------------------------------------------------------------------------------------


def test_an_archived_list_is_kept_for_the_record() -> None:
    with pytest.raises(ActionNotAllowed) as refused:
        a_list_that_is(Status.ARCHIVED).delete(NOW, ())
    assert (refused.value.status, refused.value.action, refused.value.allowed) == ("Archived", "delete", ())
