"""Redemptions: that a code was used, as this business or the partner recorded it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.events import CodeRedeemed, CodeRedemptionReverted
from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.errors import (
    AlreadyRedeemed,
    AmbiguousCode,
    InvalidInput,
    NotDistributed,
    NotTheirCode,
    RedemptionReverted,
    UnknownRedemption,
)

AHEAD = timedelta(hours=24)
"""How far ahead of the clock a redemption may be dated, for clocks and zones that differ."""

MAX_AMOUNT_DIGITS = 28
"""How many digits an amount may have."""


@frozen(kw_only=True)
class Redemption:
    """A code that was used.

    Attributes:
        assignment_id: the assignment of the code.
        number: 1 for the first redemption of the code, 2 for one after that was reverted, and so on.
        code: the voucher code, masked in the repr.
        list_id: the list that the code came from.
        campaign_id: the campaign that gave it, or None.
        user_id: who held the code.
        order_id: the order in which it was used; None where a partner's file did not say.
        redeemed_at: when it was used, in UTC.
        recorded_at: when this was recorded, in UTC.
        amount: the discount or the value of the order, as the caller means it; None where it was not given.
        late: whether it was used after the expiry of its list.
        reverted_at: when it was undone, in UTC, or None.
    """

    assignment_id: str
    number: int = 1
    code: str = field(repr=mask)
    list_id: str
    campaign_id: str | None = None
    user_id: str
    order_id: str | None
    redeemed_at: datetime
    recorded_at: datetime
    amount: Decimal | None = None
    late: bool = False
    reverted_at: datetime | None = None

    @property
    def event(self) -> CodeRedeemed:
        """The event `code.redeemed` of this redemption."""
        amount = None if self.amount is None else str(self.amount)
        return CodeRedeemed(
            occurred_at=self.recorded_at,
            redeemed_at=self.redeemed_at,
            amount=amount,
            late=self.late,
            **self._about(),
        )

    @property
    def reverted_event(self) -> CodeRedemptionReverted:
        """The event `code.redemption_reverted` of a redemption that was undone."""
        return CodeRedemptionReverted(occurred_at=self.reverted_at or self.recorded_at, **self._about())

    def _about(self) -> dict[str, Any]:
        names = "assignment_id", "list_id", "campaign_id", "user_id", "order_id"
        return {"masked_code": mask(self.code)} | {name: getattr(self, name) for name in names}


class EntryState(StrEnum):
    """The state of one code of one list."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    HELD = "held"
    REVOKED = "revoked"
    RETIRED = "retired"


@frozen(kw_only=True)
class Entry:
    """One code of one list, as a look-up by code finds it. Withdrawn codes are in no list.

    Attributes:
        id: the id of the entry, which is that of its assignment; a greater one of the same list is newer.
        list_id: the list.
        partner: the list's partner.
        expires_at: the list's expiry.
        archived: whether the list is archived.
        state: what became of it. `RETIRED` is a code that was used although no user was given it.
        user_id: who holds or held it, or None.
        campaign_id: the campaign that gave it, or None.
        redemptions: its redemptions by number, also reverted ones. At most the last one is not reverted.
    """

    id: str
    list_id: str
    partner: str
    expires_at: datetime
    archived: bool
    state: EntryState
    user_id: str | None = None
    campaign_id: str | None = None
    redemptions: tuple[Redemption, ...] = ()

    @property
    def redemption(self) -> Redemption | None:
        """The redemption of the code that is not reverted, or None."""
        last = self.redemptions[-1] if self.redemptions else None
        return last if last is not None and last.reverted_at is None else None

    def has_order(self, order_id: str | None) -> bool:
        """Return whether it was redeemed with this order, also where that was reverted; no order is none."""
        return order_id is not None and any(each.order_id == order_id for each in self.redemptions)

    def reverted(self, order_id: str) -> bool:
        """Return whether a redemption with this order was reverted."""
        return any(each.order_id == order_id and each.reverted_at is not None for each in self.redemptions)

    def redeemed(
        self, code: str, order_id: str | None, redeemed_at: datetime, amount: Decimal | None, now: datetime
    ) -> Redemption:
        """Return the next redemption of a code that a user holds."""
        return Redemption(
            assignment_id=self.id,
            number=len(self.redemptions) + 1,
            code=code,
            list_id=self.list_id,
            campaign_id=self.campaign_id,
            user_id=self.user_id or "",
            order_id=order_id,
            redeemed_at=redeemed_at,
            recorded_at=now,
            amount=amount,
            late=redeemed_at > self.expires_at,
        )


def narrowed(
    entries: Sequence[Entry],
    *,
    partner: str | None = None,
    list_id: str | None = None,
    user_id: str | None = None,
    order_id: str | None = None,
) -> list[Entry]:
    """Return the entries of a code that a redemption may be about.

    Of one list the newest entry counts. The entries are narrowed down by partner, list and user, then to the only one
    that is held, then to the only one in a list that is not archived. Where that leaves one, but another was redeemed
    with this order, it is that other one: the code may have been given again since.
    """
    if len(entries) == 1:
        left = list(entries)
    else:
        newest: dict[str, Entry] = {}
        for entry in entries:
            known = newest.get(entry.list_id)
            if known is None or int(known.id) < int(entry.id):
                newest[entry.list_id] = entry
        left = sorted(newest.values(), key=lambda each: int(each.id))
    left = [entry for entry in left if partner in (None, entry.partner) and list_id in (None, entry.list_id)]
    if len(left) > 1:
        left = _narrow(left, lambda entry: user_id is not None and entry.user_id == user_id)
        with_order = [entry for entry in left if entry.has_order(order_id)]
        left = _narrow(left, lambda entry: entry.state is EntryState.HELD, only_one=True)
        left = _narrow(left, lambda entry: not entry.archived, only_one=True)
        if len(left) == len(with_order) == 1:
            return with_order
    return left


def choose_entry(
    code: str,
    entries: Sequence[Entry],
    *,
    partner: str | None = None,
    list_id: str | None = None,
    user_id: str | None = None,
    order_id: str | None = None,
) -> Entry:
    """Return the entry of a code that a redemption is about; see `narrowed`.

    It is one that a user holds, or one that was redeemed before it was revoked, also where that redemption had this
    order and was reverted.

    Raises:
        NotDistributed: no list that fits has given the code to a user.
        NotTheirCode: the code is held by other users than `user_id`.
        AmbiguousCode: several entries are left.
    """
    left = narrowed(entries, partner=partner, list_id=list_id, user_id=user_id, order_id=order_id)
    held = [
        entry
        for entry in left
        if entry.state is EntryState.HELD or entry.redemption is not None or entry.has_order(order_id)
    ]
    if not held:
        raise NotDistributed(masked=mask(code), lists=tuple(entry.list_id for entry in left))
    if len(left) > 1:
        raise AmbiguousCode(
            masked=mask(code), candidates=tuple((entry.list_id, entry.partner) for entry in left)
        )
    if user_id is not None and held[0].user_id != user_id:
        raise NotTheirCode(masked=mask(code), list_id=held[0].list_id)
    return held[0]


def known_redemption(code: str, entry: Entry, order_id: str) -> Redemption | None:
    """Return the redemption that a request to record one repeats, or None where it is a new one.

    A redemption without an order is completed by the first order that is told.

    Raises:
        RedemptionReverted: the redemption with this order was reverted.
        AlreadyRedeemed: the code was redeemed with another order.
    """
    if entry.reverted(order_id):
        raise RedemptionReverted(masked=mask(code), assignment_id=entry.id)
    known = entry.redemption
    if known is not None and known.order_id not in (None, order_id):
        raise AlreadyRedeemed(masked=mask(code), assignment_id=entry.id, redeemed_at=known.redeemed_at)
    return known


def redemption_to_revert(
    code: str,
    entries: Sequence[Entry],
    order_id: str,
    *,
    partner: str | None = None,
    list_id: str | None = None,
    user_id: str | None = None,
) -> Redemption:
    """Return the redemption of a code with an order, reverted or not.

    Entries that were redeemed with this order come before all others.

    Raises:
        UnknownRedemption: the code was not redeemed with this order.
        NotTheirCode: another user redeemed the code with it.
        AmbiguousCode: several entries were redeemed with it.
    """
    fitting = [
        (entry, each)
        for entry in sorted(entries, key=lambda each: int(each.id))
        if partner in (None, entry.partner) and list_id in (None, entry.list_id)
        for each in entry.redemptions
        if each.order_id == order_id
    ]
    theirs = [found for found in fitting if user_id in (None, found[1].user_id)]
    if fitting and not theirs:
        raise NotTheirCode(masked=mask(code), list_id=fitting[0][0].list_id)
    if not theirs:
        raise UnknownRedemption(masked=mask(code))
    if len(theirs) > 1:
        raise AmbiguousCode(
            masked=mask(code), candidates=tuple((entry.list_id, entry.partner) for entry, _ in theirs)
        )
    return theirs[0][1]


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
