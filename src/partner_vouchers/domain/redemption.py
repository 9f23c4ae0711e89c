"""Redemptions: that a code was used, as this business or the partner recorded it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from attrs import field, frozen

from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.errors import AmbiguousCode, InvalidInput, NotDistributed, NotTheirCode

AHEAD = timedelta(hours=24)
"""How far ahead of the clock a redemption may be dated, for clocks and zones that differ."""

MAX_AMOUNT_DIGITS = 28
"""How many digits an amount may have."""


@frozen(kw_only=True)
class Redemption:
    """A code that was used.

    Attributes:
        assignment_id: the assignment of the code.
        code: the voucher code, masked in the repr.
        list_id: the list that the code came from.
        user_id: who held the code.
        order_id: the order in which it was used; None where a partner's file did not say.
        redeemed_at: when it was used, in UTC.
        recorded_at: when this was recorded, in UTC.
        amount: the discount or the value of the order, as the caller means it; None where it was not given.
        late: whether it was used after the expiry of its list.
        reverted_at: when it was undone, in UTC, or None.
    """

    assignment_id: str
    code: str = field(repr=mask)
    list_id: str
    user_id: str
    order_id: str | None
    redeemed_at: datetime
    recorded_at: datetime
    amount: Decimal | None = None
    late: bool = False
    reverted_at: datetime | None = None


class EntryState(StrEnum):
    """What became of one code of one list."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    HELD = "held"
    REVOKED = "revoked"
    RETIRED = "retired"
    WITHDRAWN = "withdrawn"


@frozen(kw_only=True)
class Entry:
    """One code of one list, as a look-up by code finds it.

    Attributes:
        id: the id of the entry, which is that of its assignment; a greater one of the same list is newer.
        list_id: the list.
        partner: the list's partner.
        archived: whether the list is archived.
        state: what became of it.
        user_id: who holds or held it, or None.
    """

    id: str
    list_id: str
    partner: str
    archived: bool
    state: EntryState
    user_id: str | None = None


def choose_entry(
    code: str,
    entries: Sequence[Entry],
    *,
    partner: str | None = None,
    list_id: str | None = None,
    user_id: str | None = None,
) -> Entry:
    """Return the entry of a code that a redemption is about.

    Of one list the newest entry counts. The entries are narrowed down by partner, list and user, then to the only one
    that is held, then to the only one in a list that is not archived.

    Raises:
        NotDistributed: no list that fits has given the code to anybody.
        NotTheirCode: the code is held by other users than `user_id`.
        AmbiguousCode: several entries are left.
    """
    newest: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda each: int(each.id)):
        newest[entry.list_id] = entry
    left = [
        entry
        for entry in newest.values()
        if partner in (None, entry.partner) and list_id in (None, entry.list_id)
    ]
    left = _narrow(left, lambda entry: user_id is not None and entry.user_id == user_id)
    left = _narrow(left, lambda entry: entry.state is EntryState.HELD, only_one=True)
    left = _narrow(left, lambda entry: not entry.archived, only_one=True)
    held = [entry for entry in left if entry.state is EntryState.HELD]
    if not held:
        raise NotDistributed(masked=mask(code), lists=tuple(entry.list_id for entry in left))
    if len(left) > 1:
        raise AmbiguousCode(
            masked=mask(code), candidates=tuple((entry.list_id, entry.partner) for entry in left)
        )
    if user_id is not None and held[0].user_id != user_id:
        raise NotTheirCode(masked=mask(code), list_id=held[0].list_id)
    return held[0]


def new_redeemed_at(value: object, now: datetime) -> datetime:
    """Return when a code was used, in UTC; `now` where it was not said.

    Raises:
        NaiveDatetime: the time has no zone.
        InvalidInput: it is no datetime, or more than 24 hours ahead of `now`.
    """
    if value is None:
        return now
    instant = require_aware("redeemed_at", value)
    if instant > now + AHEAD:
        raise InvalidInput(
            field="redeemed_at", reason=f"{instant.isoformat()} is more than 24 hours in the future"
        )
    return instant


def new_amount(value: object) -> Decimal | None:
    """Return an amount.

    Raises:
        InvalidInput: it is no finite Decimal of zero or more, or has more than 28 digits.
    """
    if value is None:
        return None
    if not isinstance(value, Decimal):
        raise InvalidInput(field="amount", reason='must be a Decimal, such as Decimal("9.90")')
    if not value.is_finite() or value.is_signed():
        raise InvalidInput(field="amount", reason="must be a finite number of zero or more")
    if len(value.as_tuple().digits) > MAX_AMOUNT_DIGITS or abs(value.adjusted()) > MAX_AMOUNT_DIGITS:
        raise InvalidInput(field="amount", reason=f"must have at most {MAX_AMOUNT_DIGITS} digits")
    return value


def _narrow(entries: list[Entry], fits: Callable[[Entry], bool], *, only_one: bool = False) -> list[Entry]:
    """Keep the entries that fit, where some do; with `only_one` where exactly one does."""
    found = [entry for entry in entries if fits(entry)]
    return found if found and (not only_one or len(found) == 1) else entries
