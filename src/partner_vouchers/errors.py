"""Every error that the library raises.

One root, `PartnerVouchersError`. Each class has a stable `code` for programs, attributes that carry
the facts, and a message that says what to do next. Errors of drivers never leak: an adapter turns
them into a `StorageError`. A voucher code is a secret and never stands in an error.

Example:
    >>> try:
    ...     raise UnknownPartner(name="Puma")
    ... except PartnerVouchersError as error:
    ...     print(error.code, "|", error)
    unknown_partner | there is no partner 'Puma'; add it with partners.add('Puma')
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, TypeVar, dataclass_transform

_E = TypeVar("_E", bound="PartnerVouchersError")


@dataclass_transform(kw_only_default=True, eq_default=False)
def _error(cls: type[_E]) -> type[_E]:
    return dataclass(eq=False, kw_only=True, repr=False)(cls)


def _rebuild(cls: Callable[..., Exception], attributes: dict[str, Any]) -> Exception:
    return cls(**attributes)


class PartnerVouchersError(Exception):
    """The root of all errors of this library.

    Attributes:
        code: a stable name of the error for programs; it never changes between versions.
    """

    code: ClassVar[str] = "partner_vouchers_error"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions travel between processes by pickle, which knows only positional arguments.
        return _rebuild, (type(self), {k: v for k, v in vars(self).items() if not k.startswith("__")})


# --- what the caller passed in -------------------------------------------------------------------


@_error
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


@_error
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


@_error
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


# --- what is not there, or is there already --------------------------------------------------------


@_error
class UnknownPartner(PartnerVouchersError):
    """There is no partner of this name (names are case-sensitive)."""

    code: ClassVar[str] = "unknown_partner"
    name: str

    def __str__(self) -> str:
        return f"there is no partner {self.name!r}; add it with partners.add({self.name!r})"


@_error
class PartnerExists(PartnerVouchersError):
    """A partner of exactly this name exists."""

    code: ClassVar[str] = "partner_exists"
    name: str

    def __str__(self) -> str:
        return f"partner {self.name!r} exists already; use it, or choose another name"


@_error
class UnknownList(PartnerVouchersError):
    """There is no voucher list with this id, or it was deleted."""

    code: ClassVar[str] = "unknown_list"
    list_id: str

    def __str__(self) -> str:
        return f"there is no voucher list {self.list_id!r}; lists.find() shows those that exist"


@_error
class TagTaken(PartnerVouchersError):
    """Another list of the partner that is not archived has this tag.

    Attributes:
        partner: the partner's name.
        tag: the tag in its stored, lower-case form.
        list_id: the list that has it.
    """

    code: ClassVar[str] = "tag_taken"
    partner: str
    tag: str
    list_id: str

    def __str__(self) -> str:
        return (
            f"partner {self.partner!r} uses the tag {self.tag!r} for list {self.list_id}; "
            f"choose another tag, upload to that list, or archive it"
        )


@_error
class UnknownUpload(PartnerVouchersError):
    """There is no upload with this id."""

    code: ClassVar[str] = "unknown_upload"
    upload_id: str

    def __str__(self) -> str:
        return f"there is no upload {self.upload_id!r}; uploads.of_list(list_id) shows a list's uploads"


@_error
class OriginalNotKept(PartnerVouchersError):
    """The original file of an upload is not in the storage, because it was over the size limit or never read whole."""

    code: ClassVar[str] = "original_not_kept"
    upload_id: str

    def __str__(self) -> str:
        return f"the original file of upload {self.upload_id} was not kept, because it was never read whole"


@_error
class NotLinked(PartnerVouchersError):
    """A list is not linked to a campaign."""

    code: ClassVar[str] = "not_linked"
    list_id: str
    campaign_id: str

    def __str__(self) -> str:
        return f"list {self.list_id} is not linked to campaign {self.campaign_id!r}"


@_error
class CampaignNotLinked(PartnerVouchersError):
    """No voucher list is linked to the campaign."""

    code: ClassVar[str] = "campaign_not_linked"
    campaign_id: str

    def __str__(self) -> str:
        return (
            f"no voucher list is linked to campaign {self.campaign_id!r}; "
            f"link one with campaigns.link(list_id, {self.campaign_id!r})"
        )


@_error
class UnknownEligibilityRule(PartnerVouchersError):
    """A campaign link names an eligibility rule that this program has not registered.

    Attributes:
        name: the name on the link.
        registered: the names that were registered.
    """

    code: ClassVar[str] = "unknown_eligibility_rule"
    name: str
    registered: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(self.registered) or "none"
        return (
            f"eligibility rule {self.name!r} is not registered (registered: {known}); "
            f"pass it as PartnerVouchers(..., eligibility={{{self.name!r}: rule}})"
        )


# --- what the state of a list does not allow ---------------------------------------------------------


@_error
class ActionNotAllowed(PartnerVouchersError):
    """The status of the list does not allow this action; nothing was changed.

    Attributes:
        list_id: the list.
        status: its status at the call, such as `"Expired"`.
        action: what was asked for, such as `"pause"`.
        allowed: the actions that the status does allow.
    """

    code: ClassVar[str] = "action_not_allowed"
    list_id: str
    status: str
    action: str
    allowed: tuple[str, ...]

    def __str__(self) -> str:
        allowed = ", ".join(self.allowed) or "nothing"
        return f"list {self.list_id} is {self.status}: {self.action} is not allowed; allowed: {allowed}"


@_error
class StaleVersion(PartnerVouchersError):
    """The list was changed by somebody else since it was read; nothing was changed now.

    Attributes:
        list_id: the list.
        expected: the version that the caller had.
        actual: the version that is stored.
    """

    code: ClassVar[str] = "stale_version"
    list_id: str
    expected: int
    actual: int

    def __str__(self) -> str:
        return (
            f"list {self.list_id} is at version {self.actual}, not {self.expected}; "
            f"read it again with lists.get and repeat the change"
        )


@_error
class ListLinked(PartnerVouchersError):
    """A list cannot be deleted while campaigns are linked to it."""

    code: ClassVar[str] = "list_linked"
    list_id: str
    campaign_ids: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"list {self.list_id} is linked to {', '.join(self.campaign_ids)}; "
            f"unlink it with campaigns.unlink before deleting it"
        )


@_error
class ListDistributed(PartnerVouchersError):
    """A list cannot be deleted once a code of it was given out."""

    code: ClassVar[str] = "list_distributed"
    list_id: str
    distributed: int

    def __str__(self) -> str:
        return (
            f"{self.distributed} codes of list {self.list_id} were given out or are reserved; "
            f"archive it instead of deleting it"
        )


# --- uploads -------------------------------------------------------------------------------------------


@_error
class UploadRunning(PartnerVouchersError):
    """Another upload to the same list is running.

    Attributes:
        list_id: the list.
        upload_id: the upload that runs, or None where it has no entry yet.
    """

    code: ClassVar[str] = "upload_running"
    list_id: str
    upload_id: str | None

    def __str__(self) -> str:
        upload = "another upload" if self.upload_id is None else f"upload {self.upload_id}"
        return (
            f"{upload} to list {self.list_id} is running; wait for it, "
            f"or call uploads.recover() if its process was killed"
        )


@_error
class FileAlreadyUploaded(PartnerVouchersError):
    """The same bytes were completely uploaded to the same list before.

    Attributes:
        list_id: the list.
        upload_id: the earlier upload.
        filename: its file name.
        uploaded_at: when it was started, in UTC.
    """

    code: ClassVar[str] = "file_already_uploaded"
    list_id: str
    upload_id: str
    filename: str
    uploaded_at: datetime

    def __str__(self) -> str:
        return (
            f"this file was uploaded to list {self.list_id} before, as {self.filename!r} "
            f"at {self.uploaded_at.isoformat()} (upload {self.upload_id}); pass force=True to upload it again"
        )


@_error
class UploadInterrupted(PartnerVouchersError):
    """An upload lost its lease: another process took it for dead and finished or rolled it back."""

    code: ClassVar[str] = "upload_interrupted"
    upload_id: str

    def __str__(self) -> str:
        return (
            f"upload {self.upload_id} was taken over by another process, because this one was silent for too long; "
            f"look at uploads.get({self.upload_id!r}) for its outcome"
        )


# --- assignment ------------------------------------------------------------------------------------------


@_error
class NoCodeAvailable(PartnerVouchersError):
    """No linked list can give a code now.

    Attributes:
        campaign_id: the campaign asked for, or None where a list was asked directly.
        lists: for each list that was tried, its id and why it gave nothing:
            `"exhausted"`, `"not eligible"`, or its status.
    """

    code: ClassVar[str] = "no_code_available"
    campaign_id: str | None
    lists: tuple[tuple[str, str], ...]

    def _reasons(self) -> str:
        return ", ".join(f"list {list_id}: {reason}" for list_id, reason in self.lists)

    def __str__(self) -> str:
        return f"no code can be given out ({self._reasons()})"


class CodesExhausted(NoCodeAvailable):
    """Every active list has given out all its codes."""

    code = "codes_exhausted"

    def __str__(self) -> str:
        return f"no code is left ({self._reasons()}); upload more codes to one of these lists"


class NoActiveList(NoCodeAvailable):
    """None of the lists is active."""

    code = "no_active_list"

    def __str__(self) -> str:
        return f"no list is active ({self._reasons()}); activate or extend one, or link another"


class NotEligible(NoCodeAvailable):
    """The eligibility rules of the links turned the user away."""

    code = "not_eligible"

    def __str__(self) -> str:
        return f"the user is not eligible ({self._reasons()})"


@_error
class IdempotencyConflict(PartnerVouchersError):
    """An idempotency key came again with other arguments.

    Attributes:
        key: the idempotency key.
    """

    code: ClassVar[str] = "idempotency_conflict"
    key: str

    def __str__(self) -> str:
        return (
            f"idempotency key {self.key!r} was used with other arguments; "
            f"use a key of its own for each request, or repeat the first request unchanged"
        )


# --- messages --------------------------------------------------------------------------------------------


@_error
class MessageError(PartnerVouchersError):
    """A message template is wrong, or rendering it failed.

    Attributes:
        reason: what is wrong.
        line: the line of the template, from 1, or None where it is not known.
        column: the column in that line, from 1, or None where it is not known.
    """

    code: ClassVar[str] = "message_error"
    reason: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        where = "" if self.line is None else f"line {self.line}: "
        return f"message template: {where}{self.reason}"


@_error
class LinkedContentFailed(MessageError):
    """A message needs linked content that could not be had.

    Attributes:
        name: the name of the linked content in the template.
        cause: what its source said, or None where the source raised an error of its own kind.
    """

    code: ClassVar[str] = "linked_content_failed"
    name: str
    cause: PartnerVouchersError | None = None


# --- linked content --------------------------------------------------------------------------------------


@_error
class LinkedContentError(PartnerVouchersError):
    """A source of linked content could not give what it was asked for.

    Attributes:
        reason: what happened, and what to do.
    """

    code: ClassVar[str] = "linked_content_error"
    reason: str

    def __str__(self) -> str:
        return self.reason


class NoLinkedContent(LinkedContentError):
    """A source has nothing for this user, so that a template may put a default in its place."""

    code = "no_linked_content"


@_error
class ParameterMissing(LinkedContentError):
    """A mandatory parameter of linked content was not given, or is empty; the source was not asked.

    Attributes:
        parameter: the name of the parameter.
    """

    code: ClassVar[str] = "parameter_missing"
    parameter: str
    reason: str = "a mandatory parameter is missing"

    def __str__(self) -> str:
        return f"the parameter {self.parameter!r} is mandatory; pass it in `parameters=`"


@_error
class VoucherifyError(LinkedContentError):
    """Voucherify refused a request, or its answer cannot be used.

    What Voucherify wrote may name a voucher code, so it stands in attributes and never in the text of the error.

    Attributes:
        status: the HTTP status.
        key: the kind of error in Voucherify's words, such as `"not_found"`, or None.
        message: Voucherify's short description, or None.
        details: Voucherify's longer description, or None.
        request_id: what to tell Voucherify's support, or None.
    """

    code: ClassVar[str] = "voucherify_error"
    status: int
    key: str | None = None
    message: str | None = None
    details: str | None = None
    request_id: str | None = None

    def __str__(self) -> str:
        request = "" if self.request_id is None else f", request {self.request_id}"
        return f"Voucherify answered {self.status} {self.key or 'without a key'}{request}: {self.reason}"


class VoucherifyCredentialsRefused(VoucherifyError):
    """Voucherify did not accept the App ID and App Token, or they may not publish."""

    code = "voucherify_credentials_refused"


class VoucherifyNothingToPublish(VoucherifyError, NoLinkedContent):
    """The campaign has no voucher left that Voucherify could publish."""

    code = "voucherify_nothing_to_publish"


class VoucherifyNotFound(VoucherifyError):
    """Voucherify knows no campaign or voucher of this name."""

    code = "voucherify_not_found"


@_error
class VoucherifyRateLimited(VoucherifyError):
    """Voucherify has had too many calls, also after waiting; nothing was published.

    Attributes:
        retry_after: how many seconds Voucherify asked to wait, or None.
    """

    code: ClassVar[str] = "voucherify_rate_limited"
    retry_after: float | None = None


@_error
class VoucherifyUnreachable(LinkedContentError):
    """There was no answer from Voucherify.

    Attributes:
        sent: whether the request may have been carried out, so that a code may have been published.
    """

    code: ClassVar[str] = "voucherify_unreachable"
    sent: bool


# --- storage ---------------------------------------------------------------------------------------------


@_error
class StorageError(PartnerVouchersError):
    """The storage failed. Unless the message says otherwise, nothing of the call was stored.

    Attributes:
        reason: what happened, and what to do.
    """

    code: ClassVar[str] = "storage_error"
    reason: str

    def __str__(self) -> str:
        return self.reason


class StorageBusy(StorageError):
    """Others held the storage's lock for longer than the time-out; the call can be repeated."""

    code = "storage_busy"


class StorageFull(StorageError):
    """The disk is full; the call can be repeated after space was made."""

    code = "storage_full"


class NotAPartnerVouchersStorage(StorageError):
    """The file is not a database, or a database that belongs to another program."""

    code = "not_a_partner_vouchers_storage"


@_error
class SchemaTooNew(PartnerVouchersError):
    """The storage was upgraded by a newer version of this library.

    Attributes:
        found: the version of the stored schema.
        supported: the newest version that this library knows.
    """

    code: ClassVar[str] = "schema_too_new"
    found: int
    supported: int

    def __str__(self) -> str:
        return (
            f"the storage has schema version {self.found}, this library knows up to {self.supported}; "
            f"upgrade partner_vouchers"
        )


@_error
class DuplicatePolicyMismatch(PartnerVouchersError):
    """The storage was set up with another duplicate policy.

    Attributes:
        stored: the name of the policy that the storage was set up with.
        given: the name of the policy passed now.
    """

    code: ClassVar[str] = "duplicate_policy_mismatch"
    stored: str
    given: str

    def __str__(self) -> str:
        return (
            f"the storage was set up with the duplicate policy {self.stored!r}, not {self.given!r}; "
            f"open it with {self.stored!r}, or set up a new storage"
        )


@_error
class HostTransactionError(PartnerVouchersError):
    """Something cannot be done in a host's own transaction, or there is none.

    Attributes:
        reason: what is wrong, and what to do.
    """

    code: ClassVar[str] = "host_transaction"
    reason: str

    def __str__(self) -> str:
        return self.reason


# --- delivery --------------------------------------------------------------------------------------------


@_error
class SinkUnavailable(PartnerVouchersError):
    """A receiver of events could not be reached, is overloaded, or did not answer; the events are tried again.

    Attributes:
        sink: the name of the sink.
        reason: what happened.
        retry_after: how many seconds the receiver asked to be left alone, or None.
    """

    code: ClassVar[str] = "sink_unavailable"
    sink: str
    reason: str
    retry_after: float | None = None

    def __str__(self) -> str:
        again = "" if self.retry_after is None else f"; it asks to wait {self.retry_after:g} s"
        return f"the sink {self.sink!r} is not available: {self.reason}{again}"
