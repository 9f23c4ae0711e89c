"""Lists, codes and texts that the tests of the domain share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.lifecycle import State, Status
from partner_vouchers.domain.redemption import Entry, EntryState, Redemption
from partner_vouchers.domain.stock import Counts
from partner_vouchers.domain.voucher_list import VoucherList

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EXPIRY = datetime(2027, 3, 31, 23, 59, 59, tzinfo=UTC)
CREATED = NOW - timedelta(days=30)
MICROSECOND = timedelta(microseconds=1)


def a_list(**changed: Any) -> VoucherList:
    """Return a list that is Active at `NOW` and has a thousand codes."""
    fields: dict[str, Any] = {
        "id": "1837",
        "partner": "Puma",
        "tag": "winter_sale_500",
        "name": "Winter Sale",
        "description": "₹500 off on orders above ₹2000",
        "expires_at": EXPIRY,
        "counts": Counts(uploaded=1000),
        "created_at": CREATED,
        "updated_at": CREATED,
    }
    return VoucherList(**{**fields, **changed})


def a_list_that_is(status: Status, **changed: Any) -> VoucherList:
    """Return a list that has `status` at `NOW`."""
    match status:
        case Status.ACTIVE:
            return a_list(state=State.ACTIVE, **changed)
        case Status.PAUSED:
            return a_list(state=State.PAUSED, **changed)
        case Status.EXPIRED:
            return a_list(expires_at=NOW - MICROSECOND, **changed)
        case Status.ARCHIVED:
            return a_list(state=State.ARCHIVED, **changed)


def an_assignment(**changed: Any) -> Assignment:
    """Return the code that `user-42` was given at `NOW`."""
    fields: dict[str, Any] = {
        "id": "a1",
        "code": "PM500FF",
        "user_id": "user-42",
        "campaign_id": "CMP123456",
        "ordinal": 1,
        "assigned_at": NOW,
        "snapshot": a_list().snapshot,
    }
    return Assignment(**{**fields, **changed})


CODE = "PM500FF-2026"


def entry(
    id: int,
    list_id: int,
    state: str,
    user_id: str | None = None,
    partner: str = "Puma",
    archived: bool = False,
    redemptions: tuple[Redemption, ...] = (),
) -> Entry:
    """Return what is known of a code in a list."""
    return Entry(
        id=str(id),
        list_id=str(list_id),
        partner=partner,
        archived=archived,
        state=EntryState(state),
        user_id=user_id,
        expires_at=EXPIRY,
        redemptions=redemptions,
    )


def use(order_id: str | None, *, reverted: bool = False, number: int = 1, assignment: int = 1) -> Redemption:
    """Return that a code was used."""
    return Redemption(
        assignment_id=str(assignment),
        number=number,
        code=CODE,
        list_id=str(assignment),
        user_id="asha",
        order_id=order_id,
        redeemed_at=NOW,
        recorded_at=NOW,
        reverted_at=NOW if reverted else None,
    )


INSTANTS = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
"""Any instant from 1970 on, in UTC."""

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(
    lambda text: text.strip() != ""
)
"""Any valid name."""

TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]))
"""Any valid description of one line."""

SECRET_CODES = st.text("ЖЩЫЭЮЯЁЪ", min_size=1, max_size=20)
"""Codes in letters that no label, key or message has, so that they are found wherever they leak."""

COUNTS = st.builds(
    lambda available, distributed, reserved, withdrawn: Counts(
        available + distributed + reserved + withdrawn, distributed, reserved, withdrawn
    ),
    *[st.integers(0, 1000)] * 4,
)
"""Any counters of a list."""
