"""What the caller passed in breaks a rule."""

from typing import ClassVar

from partner_vouchers.errors.base import PartnerVouchersError, structured


@structured
class InvalidInput(PartnerVouchersError):
    """An argument breaks a rule.

    Attributes:
        field: the name of the argument.
        reason: which rule it breaks, and what would be right.
    """

    code: ClassVar[str] = "invalid_input"
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class InvalidPartnerName(InvalidInput):
    """A partner's name is empty or holds a control character."""

    code = "invalid_partner_name"


class InvalidTag(InvalidInput):
    """A list tag is empty or holds white space or a control character."""

    code = "invalid_tag"


class NaiveDatetime(InvalidInput):
    """A date and time came without its time zone."""

    code = "naive_datetime"


class ExpiryNotInFuture(InvalidInput):
    """An expiry is now or in the past."""

    code = "expiry_not_in_future"


class InvalidIdempotencyKey(InvalidInput):
    """An idempotency key is empty or longer than 255 characters."""

    code = "invalid_idempotency_key"


class InvalidCursor(InvalidInput):
    """A page's `after` is not the `next` of an earlier page of the same query."""

    code = "invalid_cursor"


@structured
class InvalidEvent(PartnerVouchersError):
    """The properties of a promo event are not those of its wire form.

    Attributes:
        event_name: the wire name of the event.
        faults: for each property that is wrong, its wire name and what is wrong with it. What a form does not tell
            is named as the attribute of the event.
    """

    code: ClassVar[str] = "invalid_event"
    event_name: str
    faults: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        faults = "; ".join(f"{name!r} {reason}" for name, reason in self.faults)
        return f"this is not the event {self.event_name!r}: {faults}"


@structured
class SourceUnreadable(PartnerVouchersError):
    """The file to upload cannot be opened or read.

    Attributes:
        filename: the name of the file.
        reason: what the operating system said.
    """

    code: ClassVar[str] = "source_unreadable"
    filename: str
    reason: str

    def __str__(self) -> str:
        return f"cannot read {self.filename!r} ({self.reason}); check the path and its permissions"
