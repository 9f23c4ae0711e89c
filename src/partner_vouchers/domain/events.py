"""What happened: the facts that the rest of a host's systems hear of.

`VoucherRewarded` is the event `CT Partner Voucher Rewarded` of CleverTap's promo module; the metadata
`wire` of a field is the exact name of its property there. The others are the library's own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from attrs import field, frozen

from partner_vouchers.domain.codes import mask

CT_SOURCE = "Promo Module"
"""The system property `CT Source` of the event `CT Partner Voucher Rewarded`."""


@frozen(kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        occurred_at: when, in UTC.
    """

    event_name: ClassVar[str]

    occurred_at: datetime

    @property
    def ordering_key(self) -> str:
        """What the event concerns: the events of one user, or of one list, reach a sink in order."""
        return ""


@frozen(kw_only=True)
class VoucherRewarded(Event):
    """A user was given a voucher code: `CT Partner Voucher Rewarded`.

    Attributes:
        user_id: who was given it; the identity of the event, not one of its properties.
        campaign_id: the campaign that gave it, or None where it was asked of a list.
        source: `"Campaign"` or `"API"`.
        voucher_code: the code, masked in the repr.
        list_id: the list that it came from.
        list_tag: the tag, name, description and expiry of that list at the time.
        list_name: see `list_tag`.
        list_description: see `list_tag`.
        list_expiry: see `list_tag`.
        partner: whose code it is.
    """

    event_name: ClassVar[str] = "CT Partner Voucher Rewarded"

    user_id: str
    campaign_id: str | None
    source: str
    voucher_code: str = field(repr=mask)
    list_id: str
    list_tag: str
    list_name: str
    list_description: str
    list_expiry: datetime
    partner: str

    @property
    def ordering_key(self) -> str:
        """The user."""
        return user_key(self.user_id)

    @classmethod
    def property_names(cls) -> tuple[str, ...]:
        """Return the wire names of all properties that the event may have."""
        return (
            "CT Source",
            "campaignId",
            "eventTimestamp",
            "listDescription",
            "listExpiry",
            "listTag",
            "partner",
            "source",
            "voucherCode",
            "voucherListId",
        )

    def properties(self) -> dict[str, str | int]:
        """Return the properties of the event under their current wire names.

        A property without a value is left out.

        Example:
            >>> from datetime import UTC, datetime
            >>> event = VoucherRewarded(
            ...     occurred_at=datetime(2024, 2, 19, 14, 0, tzinfo=UTC), user_id="user-42",
            ...     campaign_id="CMP123456", source="Campaign", voucher_code="PM500FF", list_id="1837",
            ...     list_tag="winter_sale_500", list_name="Winter Sale", list_description="₹500 off",
            ...     list_expiry=datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC), partner="Puma",
            ... )
            >>> event.properties()["listExpiry"], event.properties()["eventTimestamp"]
            ('2024-03-31T23:59:59Z', 1708351200)
        """
        found: dict[str, str | int] = {
            "CT Source": CT_SOURCE,
            "eventTimestamp": int(self.occurred_at.timestamp()),
            "listDescription": self.list_description,
            "listExpiry": iso_utc(self.list_expiry),
            "listTag": self.list_tag,
            "partner": self.partner,
            "source": self.source,
            "voucherCode": self.voucher_code,
            "voucherListId": self.list_id,
        }
        if self.campaign_id is not None:
            found["campaignId"] = self.campaign_id
        return found


def user_key(user_id: str) -> str:
    """Return the `Event.ordering_key` of a user's events."""
    return f"user:{user_id}"


def list_key(list_id: str) -> str:
    """Return the `Event.ordering_key` of the events of a voucher list."""
    return f"list:{list_id}"


def iso_utc(instant: datetime) -> str:
    """Return an instant as on the wire, such as `2024-03-31T23:59:59Z`: whole seconds, UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Value = str | int | float | bool | None
"""What a changed field may hold, which is what JSON can say."""


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


@frozen(kw_only=True)
class Recorded(Event):
    """A change made by somebody: an event that the audit log keeps too.

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


class PartnerAdded(Recorded):
    """A partner was added."""

    event_name = "partner.added"


class ListCreated(Recorded):
    """A voucher list was created."""

    event_name = "list.created"


class ListEdited(Recorded):
    """A voucher list's name, description, expiry or stock threshold was changed."""

    event_name = "list.edited"


class ListPaused(Recorded):
    """A voucher list was paused."""

    event_name = "list.paused"


class ListActivated(Recorded):
    """A voucher list was activated."""

    event_name = "list.activated"


class ListArchived(Recorded):
    """A voucher list was archived for good."""

    event_name = "list.archived"


class ListDeleted(Recorded):
    """A voucher list of which no code was given out was deleted."""

    event_name = "list.deleted"


class CampaignLinked(Recorded):
    """A voucher list was linked to a campaign, or the link was changed."""

    event_name = "campaign.linked"


class CampaignUnlinked(Recorded):
    """A voucher list was unlinked from a campaign."""

    event_name = "campaign.unlinked"


class UploadCompleted(Recorded):
    """An upload ended, and its valid codes became available."""

    event_name = "upload.completed"


class UploadFailed(Recorded):
    """An upload was refused as a whole."""

    event_name = "upload.failed"


class UploadWithdrawn(Recorded):
    """The codes of an upload that nobody had were taken back."""

    event_name = "upload.withdrawn"


@frozen(kw_only=True)
class StockEvent(Event):
    """The stock of a list fell to a level; once each time that it does.

    Attributes:
        list_id: the voucher list.
        partner: its partner.
        list_tag: its tag.
        available: how many codes are left.
    """

    list_id: str
    partner: str
    list_tag: str
    available: int

    @property
    def ordering_key(self) -> str:
        """The list."""
        return list_key(self.list_id)


class StockLow(StockEvent):
    """The list fell to its stock threshold."""

    event_name = "list.running_low"


class StockExhausted(StockEvent):
    """The last code of the list was given out, or a code was asked of a list that has none."""

    event_name = "list.exhausted"


@frozen(kw_only=True)
class ListExpired(Event):
    """A voucher list has expired. Nobody did it: it is told when a delivery finds out.

    Attributes:
        list_id: the voucher list.
        partner: its partner.
        list_tag: its tag.
    """

    event_name: ClassVar[str] = "list.expired"

    list_id: str
    partner: str
    list_tag: str

    @property
    def ordering_key(self) -> str:
        """The list."""
        return list_key(self.list_id)
