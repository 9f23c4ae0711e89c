"""Voucher lists: codes of one partner under one tag, with an expiry and a status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, tzinfo
from enum import Enum
from functools import partial
from typing import Final, TypeVar

from attrs import evolve, field, frozen

from partner_vouchers.domain.events import (
    Event,
    FieldChange,
    ListActivated,
    ListArchived,
    ListCreated,
    ListDeleted,
    ListEdited,
    ListPaused,
    changes_between,
)
from partner_vouchers.domain.expiry import expiry_instant, new_expiry, require_future
from partner_vouchers.domain.lifecycle import ACTIVE, Action, State, Status, allowed_actions
from partner_vouchers.domain.stock import Counts, LowStock, StockLevel, new_low_stock
from partner_vouchers.domain.text import require_name, require_text
from partner_vouchers.errors import (
    ActionNotAllowed,
    InvalidInput,
    InvalidTag,
    ListDistributed,
    ListLinked,
    StaleVersion,
)

T = TypeVar("T")


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"


_LONGEST_NOTICE = timedelta(days=3650)
# See `ACTIVE`.
_ACTIVE, _ARCHIVED = State.ACTIVE, State.ARCHIVED

UNCHANGED: Final = Unchanged.UNCHANGED
"""Stands for an argument of an edit that leaves the field as it is, where None would clear it."""


@frozen
class ListSnapshot:
    """A list as it was when a code of it was given out.

    Attributes:
        list_id: the list.
        version: the version of the list that said so.
        partner: the partner.
        tag: the list's tag.
        name: its name.
        description: its usage conditions.
        expires_at: its expiry, in UTC.
    """

    list_id: str
    version: int
    partner: str
    tag: str
    name: str
    description: str
    expires_at: datetime


@frozen(kw_only=True)
class VoucherList:
    """A voucher list as it is stored.

    A change is a method that returns the changed list, its `version` raised by one, and the events that it
    caused; the list itself stays as it is.

    Attributes:
        id: given by the storage, never used again.
        partner: the name of the partner.
        tag: lower case, without white space.
        name: used in communication.
        description: the usage conditions.
        expires_at: the last instant at which a code is given out, in UTC.
        state: the stored part of the status; `status_at` adds the expiry.
        low_stock_at: when the list is running low, or None for never.
        expiring_soon: how long before the expiry `list.expiring_soon` is written, or None for never.
        scope: where its codes must be unique, as the duplicate policy said when it was created.
        counts: the counters, kept by the storage.
        notified: the stock level of the last event about the stock, kept by the storage.
        used_before: how many codes were used before the latest upload, kept by the storage.
        campaigns: how many campaigns it is linked to, kept by the storage.
        created_at: in UTC.
        updated_at: the last change of the list or its codes by a person, in UTC.
        version: raised by each change of the list; guards against lost updates.
        snapshot: what the list says, for a code that is assigned now.
    """

    id: str
    partner: str
    tag: str
    name: str
    description: str
    expires_at: datetime
    state: State = State.ACTIVE
    low_stock_at: LowStock | None = None
    expiring_soon: timedelta | None = None
    scope: str = ""
    counts: Counts = field(factory=Counts)
    notified: StockLevel = StockLevel.ENOUGH
    used_before: int = 0
    campaigns: int = 0
    created_at: datetime
    updated_at: datetime
    version: int = 1
    # Not a cached property: it would make each access to any attribute slow, since attrs adds a `__getattr__` for it.
    snapshot: ListSnapshot = field(init=False, eq=False, repr=False)

    def status_at(self, now: datetime) -> Status:
        """Return the status of the list at `now`."""
        if self.state is _ARCHIVED:
            return Status.ARCHIVED
        if now > self.expires_at:
            return Status.EXPIRED
        return ACTIVE if self.state is _ACTIVE else Status.PAUSED

    def expires_soon_at(self, now: datetime) -> bool:
        """Return whether the list expires soon at `now`, as `expiring_soon` says, and is not archived."""
        if self.expiring_soon is None or self.state is State.ARCHIVED:
            return False
        return self.expires_at - self.expiring_soon <= now <= self.expires_at

    @snapshot.default
    def _make_snapshot(self) -> ListSnapshot:
        return ListSnapshot(
            self.id, self.version, self.partner, self.tag, self.name, self.description, self.expires_at
        )

    @property
    def search_text(self) -> str:
        """The text in which a text filter is looked for, folded so that case does not matter."""
        return "\n".join((self.partner, self.tag, self.name, self.description)).casefold()

    def require_allowed(self, action: Action, now: datetime) -> None:
        """Check that the status of the list at `now` allows `action`.

        Raises:
            ActionNotAllowed: it does not.
        """
        status = self.status_at(now)
        allowed = tuple(each.value for each in allowed_actions(status))
        if action.value not in allowed:
            raise ActionNotAllowed(list_id=self.id, status=status.value, action=action.value, allowed=allowed)

    def require_not_archived(self, action: str) -> None:
        """Check that the list is not archived, for actions that are not in the table: delete, link and withdraw.

        Raises:
            ActionNotAllowed: the list is archived.
        """
        if self.state is State.ARCHIVED:
            raise ActionNotAllowed(list_id=self.id, status=Status.ARCHIVED.value, action=action, allowed=())

    def require_version(self, expected: int | None) -> None:
        """Check that the list is still what a caller read; None does not check.

        Raises:
            StaleVersion: it was changed since.
            InvalidInput: `expected` is not a whole number.
        """
        if expected is None:
            return
        if isinstance(expected, bool) or not isinstance(expected, int):
            raise InvalidInput(
                field="version", reason=f"must be the `version` of a list, not {type(expected).__name__}"
            )
        if expected != self.version:
            raise StaleVersion(list_id=self.id, expected=expected, actual=self.version)

    def edit(
        self,
        now: datetime,
        *,
        name: str | Unchanged = UNCHANGED,
        description: str | Unchanged = UNCHANGED,
        expires_at: datetime | date | Unchanged = UNCHANGED,
        zone: tzinfo | None = None,
        low_stock_at: LowStock | Unchanged | None = UNCHANGED,
        expiring_soon: timedelta | Unchanged | None = UNCHANGED,
    ) -> tuple[VoucherList, tuple[Event, ...]]:
        """Change what may be changed. An Expired list that is extended returns to what it was.

        A value that equals the present one is not a change, and is not validated as one: a form of an Expired list
        can be saved with its old expiry and a new name.

        Returns:
            the changed list and its event; the same list and no event where nothing differs.

        Raises:
            ActionNotAllowed: the list is archived.
            InvalidInput: a value breaks its rule (see the rules of `new_list`).
        """
        self.require_allowed(Action.EDIT, now)
        if zone is not None and expires_at is UNCHANGED:
            raise InvalidInput(field="zone", reason="belongs to a bare date; pass the date as expires_at")
        changed = evolve(
            self,
            name=_edited(name, self.name, partial(require_name, "name")),
            description=_edited(description, self.description, partial(require_text, "description")),
            expires_at=self._edited_expiry(expires_at, zone, now),
            low_stock_at=_edited(low_stock_at, self.low_stock_at, new_low_stock),
            expiring_soon=_edited(expiring_soon, self.expiring_soon, new_expiring_soon),
        )
        changes = _differences(self, changed)
        if not changes:
            return self, ()
        return changed._next(now), (ListEdited(occurred_at=now, list_id=self.id, changes=changes),)

    def pause(self, now: datetime) -> tuple[VoucherList, tuple[Event, ...]]:
        """Make the codes unavailable until the list is activated.

        Raises:
            ActionNotAllowed: the list is not Active.
        """
        return self._to_state(State.PAUSED, Action.PAUSE, ListPaused, now)

    def activate(self, now: datetime) -> tuple[VoucherList, tuple[Event, ...]]:
        """Make the codes of a paused list available again.

        Raises:
            ActionNotAllowed: the list is not Paused; an Expired one must be extended by `edit`.
        """
        return self._to_state(State.ACTIVE, Action.ACTIVATE, ListActivated, now)

    def archive(self, now: datetime) -> tuple[VoucherList, tuple[Event, ...]]:
        """Close the list for good. Its tag and its codes are free to be used again.

        Raises:
            ActionNotAllowed: the list is archived already.
        """
        return self._to_state(State.ARCHIVED, Action.ARCHIVE, ListArchived, now)

    def delete(
        self, now: datetime, campaign_ids: tuple[str, ...], *, was_used: bool = False
    ) -> tuple[Event, ...]:
        """Decide whether the list may be deleted: only as long as no code was assigned or reserved.

        It takes the campaigns that the list is linked to, and whether a code was used, also if it came back.
        It returns the events of the deletion.

        Raises:
            ActionNotAllowed: the list is archived: it is kept for the record.
            ListLinked: a campaign is linked to it.
            ListDistributed: a code was given out, is reserved, or was used without having been given out.
        """
        self.require_not_archived("delete")
        if campaign_ids:
            raise ListLinked(list_id=self.id, campaign_ids=campaign_ids)
        given = self.counts.used
        if given or was_used:
            raise ListDistributed(list_id=self.id, distributed=given)
        return (ListDeleted(occurred_at=now, list_id=self.id, changes=_differences(self, None)),)

    def _edited_expiry(
        self, expires_at: datetime | date | Unchanged, zone: tzinfo | None, now: datetime
    ) -> datetime:
        if expires_at is UNCHANGED:
            return self.expires_at
        instant = expiry_instant(expires_at, zone)
        return instant if instant == self.expires_at else require_future(instant, now)

    def _to_state(
        self,
        state: State,
        action: Action,
        event: type[ListPaused | ListActivated | ListArchived],
        now: datetime,
    ) -> tuple[VoucherList, tuple[Event, ...]]:
        self.require_allowed(action, now)
        changed = evolve(self, state=state)
        return changed._next(now), (
            event(occurred_at=now, list_id=self.id, changes=_differences(self, changed)),
        )

    def _next(self, now: datetime) -> VoucherList:
        return evolve(self, version=self.version + 1, updated_at=now)


def new_tag(value: object) -> str:
    """Return a list tag in its stored form, lower case.

    Raises:
        InvalidTag: it is not a string, is empty or too long, or contains white space or a control character.
    """
    tag = require_name("tag", value, InvalidTag).lower()
    # Lower case may be longer: İ becomes two characters.
    require_name("tag", tag, InvalidTag)
    if any(character.isspace() for character in tag):
        raise InvalidTag(field="tag", reason="must not contain white space; use _ or - between words")
    return tag


def new_list(
    *,
    id: str,
    partner: str,
    tag: str,
    name: str,
    description: str,
    expires_at: datetime | date,
    zone: tzinfo | None = None,
    low_stock_at: LowStock | None = None,
    expiring_soon: timedelta | None = None,
    now: datetime,
) -> tuple[VoucherList, tuple[Event, ...]]:
    """Return a new, active list and the event of its creation.

    Raises:
        InvalidTag: the tag is empty or contains white space.
        NaiveDatetime: the expiry has no time zone.
        ExpiryNotInFuture: the expiry is not after `now`.
        InvalidInput: another value breaks its rule.
    """
    created = VoucherList(
        id=id,
        partner=partner,
        tag=new_tag(tag),
        name=require_name("name", name),
        description=require_text("description", description),
        expires_at=new_expiry(expires_at, zone, now),
        low_stock_at=new_low_stock(low_stock_at),
        expiring_soon=new_expiring_soon(expiring_soon),
        created_at=now,
        updated_at=now,
    )
    return created, (ListCreated(occurred_at=now, list_id=id, changes=_differences(None, created)),)


def new_expiring_soon(value: object) -> timedelta | None:
    """Return how long before its expiry a list expires soon, or None for never.

    Raises:
        InvalidInput: it is no timedelta above zero and of at most ten years.
    """
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise InvalidInput(
            field="expiring_soon", reason="must be a timedelta such as timedelta(days=7), or None"
        )
    if not timedelta(0) < value <= _LONGEST_NOTICE:
        raise InvalidInput(field="expiring_soon", reason="must be more than zero and at most 3,650 days")
    return value


def _edited(value: object, present: T, check: Callable[[object], T]) -> T:
    # To Python, True equals 1.
    is_same = value is UNCHANGED or (type(value) is type(present) and value == present)
    return present if is_same else check(value)


_RECORDED = ("partner", "tag", "name", "description", "expires_at", "state", "low_stock_at", "expiring_soon")


def _differences(before: VoucherList | None, after: VoucherList | None) -> tuple[FieldChange, ...]:
    return changes_between(before, after, _RECORDED)
