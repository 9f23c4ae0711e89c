"""Events: the facts that the rest of a host's systems hear of.

Here are the library's own events. The promo events are in `promo_events`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from attrs import frozen


@frozen(kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        event_name: a stable name of its class for programs. That of an event of the library is made of the name of the
            class: `ListExpiringSoon` is `list.expiring_soon`.
        occurred_at: when, in UTC.
    """

    event_name: ClassVar[str]

    occurred_at: datetime

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__ and "event_name" not in vars(cls):
            words = re.findall("[A-Z][a-z]*", cls.__name__)
            cls.event_name = ".".join((words[0], "_".join(words[1:]))).lower()

    @property
    def ordering_key(self) -> str:
        """The user or list that the event concerns; the events of one user, or of one list, reach a sink in order."""
        return ""


def user_key(user_id: str) -> str:
    """Return the `Event.ordering_key` of a user's events."""
    return f"user:{user_id}"


def list_key(list_id: str) -> str:
    """Return the `Event.ordering_key` of the events of a voucher list."""
    return f"list:{list_id}"


Value = str | int | float | bool | None
"""The types that a changed field can have, which are those of JSON."""


@frozen
class FieldChange:
    """One field of a change: what it was, and what it is now.

    Attributes:
        field: the name of the field.
        before: its value before, None where it did not exist.
        after: its value now, None where it does not exist any more.
    """

    field: str
    before: Value
    after: Value


def changes_between(before: object, after: object, names: Iterable[str]) -> tuple[FieldChange, ...]:
    """Return which attributes of an object differ from those of another; of None every attribute is None."""
    pairs = ((name, _plain(before, name), _plain(after, name)) for name in names)
    return tuple(FieldChange(name, old, new) for name, old, new in pairs if old != new)


def _plain(found: object, name: str) -> Value:
    match None if found is None else getattr(found, name):
        case StrEnum() as value:
            return value.value
        case None | str() | int() | float() as value:
            return value
        case datetime() as value:
            return value.isoformat()
        case timedelta() as value:
            return value.total_seconds()
        case value:
            return str(value)


@frozen(kw_only=True)
class AuditedEvent(Event):
    """A change made by a person or a program: an event that the audit log keeps too.

    Attributes:
        list_id: the voucher list concerned, or None.
        changes: what was changed, from what to what.
    """

    list_id: str | None = None
    changes: tuple[FieldChange, ...] = ()

    @property
    def ordering_key(self) -> str:
        """The list, where it concerns one."""
        return "" if self.list_id is None else list_key(self.list_id)


class PartnerAdded(AuditedEvent):
    """A partner was added."""


class ListCreated(AuditedEvent):
    """A voucher list was created."""


class ListEdited(AuditedEvent):
    """A voucher list's name, description, expiry or stock threshold was changed."""


class ListPaused(AuditedEvent):
    """A voucher list was paused."""


class ListActivated(AuditedEvent):
    """A voucher list was activated."""


class ListArchived(AuditedEvent):
    """A voucher list was archived for good."""


class ListDeleted(AuditedEvent):
    """A voucher list of which no code was given out was deleted."""


class CampaignLinked(AuditedEvent):
    """A voucher list was linked to a campaign, or the link was changed."""


class CampaignUnlinked(AuditedEvent):
    """A voucher list was unlinked from a campaign."""


@frozen(kw_only=True)
class LimitsSet(AuditedEvent):
    """The limits of a campaign were replaced.

    Attributes:
        campaign_id: the campaign.
    """

    event_name: ClassVar[str] = "campaign.limits_set"

    campaign_id: str = ""


class UploadCompleted(AuditedEvent):
    """An upload ended, and its valid codes became available."""


class UploadFailed(AuditedEvent):
    """An upload was refused as a whole."""


class UploadWithdrawn(AuditedEvent):
    """The codes of an upload that no user had were taken back."""


class CodeRevealed(AuditedEvent):
    """A whole code was shown to a person. It is kept in the audit log alone."""


class AssignmentTakenBack(AuditedEvent):
    """A code was taken back from a user. It is kept in the audit log alone; sinks receive `CodeRevoked`."""

    event_name = "assignment.revoked"


class CodesDownloaded(AuditedEvent):
    """A file with whole codes was downloaded by a person. It is kept in the audit log alone."""


@frozen(kw_only=True)
class ListEvent(Event):
    """Something that happened to a list by itself.

    Attributes:
        list_id: the voucher list.
        partner: its partner.
        list_tag: its tag.
    """

    list_id: str
    partner: str
    list_tag: str

    @property
    def ordering_key(self) -> str:
        """The list."""
        return list_key(self.list_id)


@frozen(kw_only=True)
class StockEvent(ListEvent):
    """The stock of a list fell to a level; once each time that it does.

    Attributes:
        available: how many codes are left.
    """

    available: int


class StockLow(StockEvent):
    """The list fell to its stock threshold."""

    event_name = "list.running_low"


class StockExhausted(StockEvent):
    """The last code of the list was given out, or a code was asked of a list that has none."""

    event_name = "list.exhausted"


class ListExpired(ListEvent):
    """A voucher list has expired. The delivery that finds out writes it."""


@frozen(kw_only=True)
class ListExpiringSoon(ListEvent):
    """A voucher list expires soon. The delivery that finds out writes it, once for each expiry.

    Attributes:
        expires_at: when it expires, in UTC.
    """

    expires_at: datetime


@frozen(kw_only=True)
class CodeEvent(Event):
    """Something that happened to one code.

    Attributes:
        assignment_id: the assignment of the code; None if no user was given it.
        list_id: the list that the code belongs to.
        campaign_id: the campaign that gave it, or None.
        user_id: who holds or held it; None if no user was given it.
        masked_code: the code, masked.
    """

    assignment_id: str | None
    list_id: str
    campaign_id: str | None
    user_id: str | None
    masked_code: str

    @property
    def ordering_key(self) -> str:
        """The user, or else the list."""
        return list_key(self.list_id) if self.user_id is None else user_key(self.user_id)


@frozen(kw_only=True)
class CodeRevoked(CodeEvent):
    """A code was taken back from a user.

    Attributes:
        reason: why, or None.
        restocked: whether the code returned to its list; otherwise it is retired.
    """

    reason: str | None
    restocked: bool


@frozen(kw_only=True)
class CodeRedeemed(CodeEvent):
    """A code was used.

    Attributes:
        order_id: the order, or None where a partner's file did not say.
        redeemed_at: when it was used, in UTC.
        amount: a decimal number as text, or None.
        late: whether it was used after the expiry of its list.
    """

    order_id: str | None
    redeemed_at: datetime
    amount: str | None
    late: bool


@frozen(kw_only=True)
class CodeRedemptionReverted(CodeEvent):
    """The redemption of a code was undone, because its order was cancelled.

    Attributes:
        order_id: the order, or None where it was never known.
    """

    order_id: str | None


@frozen(kw_only=True)
class CodeRedeemedUndistributed(CodeEvent):
    """A partner's file says that a code was used that no user was given. It was retired.

    Attributes:
        order_id: the order, or None where the file did not say.
        redeemed_at: when it was used, in UTC.
        report_id: the report of the file.
    """

    order_id: str | None
    redeemed_at: datetime
    report_id: str


class RedemptionsReconciled(AuditedEvent):
    """A partner's file of redemptions was reconciled with the record."""


@frozen(kw_only=True)
class UnreadableEvent(AuditedEvent):
    """An event that this version of the library does not know: a newer version wrote its type or a property of it.

    Attributes:
        name: the name of its type.
        user_id: the user it concerns; None where that is unknown.
    """

    event_name: ClassVar[str] = "unreadable event"

    name: str
    user_id: str | None = None

    @property
    def ordering_key(self) -> str:
        """The user or the list, where that is known; else the event has a key of its own."""
        return super().ordering_key if self.user_id is None else user_key(self.user_id)
