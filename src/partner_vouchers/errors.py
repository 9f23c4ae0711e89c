"""Every error that the library raises.

All errors have one root, `PartnerVouchersError`. Each class has a stable `code` for programs, attributes that carry
the facts, and a message that says what to do next. Driver errors never leak: an adapter turns them into a
`StorageError`. A voucher code is a secret: an error about a code carries it masked.

Example:
    >>> try:
    ...     raise UnknownPartner(name="Puma")
    ... except PartnerVouchersError as error:
    ...     print(error.code, "|", error)
    unknown_partner | there is no partner 'Puma'; add it with partners.add('Puma')
"""

from __future__ import annotations

import copyreg
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, dataclass_transform

_OPTIONAL_PART = re.compile(r"\[(.*?\{(\w+).*?)\]")


class _Attributes(dict[str, Any]):
    """The names that a template can use: every attribute and property of an error."""

    def __init__(self, error: PartnerVouchersError) -> None:
        self._error = error

    def __missing__(self, name: str) -> Any:
        return _shown(getattr(self._error, name))


def _shown(value: Any) -> Any:
    """Return a value as a message shows it."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value


@dataclass_transform(kw_only_default=True, eq_default=False)
class PartnerVouchersError(Exception):
    """The root of all errors of this library.

    The annotated attributes of a subclass are its keyword arguments. Errors can be pickled and copied.

    Attributes:
        code: a stable name of the error for programs; it never changes between versions. It is the name of the class
            in snake case. A class that a host derives has that of its base, unless it sets its own.
        template: the message, with attributes and properties of the error in braces. A part in square brackets is left
            out if the first attribute in it is None or an empty tuple.
    """

    code: ClassVar[str] = "partner_vouchers_error"
    template: ClassVar[str] = "the library failed"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__module__ == __name__ and "code" not in vars(cls):
            cls.code = re.sub("(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        dataclass(eq=False, kw_only=True, repr=False)(cls)

    def __str__(self) -> str:
        def said(part: re.Match[str]) -> str:
            return "" if getattr(self, part[2]) in (None, ()) else part[1]

        return _OPTIONAL_PART.sub(said, self.template).format_map(_Attributes(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception would be rebuilt from positional arguments, which these errors do not have.
        return copyreg.__newobj__, (type(self),), vars(self).copy()  # type: ignore[attr-defined]


# --- arguments


class InvalidInput(PartnerVouchersError):
    """An argument breaks a rule.

    Attributes:
        field: the name of the argument.
        reason: which rule it breaks, and what would be right.
    """

    template = "{field}: {reason}"
    field: str
    reason: str


class InvalidPartnerName(InvalidInput):
    """A partner's name is empty, too long, or contains a control character."""


class InvalidTag(InvalidInput):
    """A list tag is empty, too long, or contains white space or a control character."""


class NaiveDatetime(InvalidInput):
    """A date and time has no time zone."""


class ExpiryNotInFuture(InvalidInput):
    """An expiry is now or in the past."""


class InvalidIdempotencyKey(InvalidInput):
    """An idempotency key is empty, longer than 255 characters, or contains a control character."""


class InvalidCursor(InvalidInput):
    """A page's `after` is not the `next` of an earlier page of the same query."""


class InvalidEvent(PartnerVouchersError):
    """The properties of a promo event do not match its wire form.

    Attributes:
        event_name: the wire name of the event.
        faults: for each wrong property, its wire name and what is wrong with it. An attribute that the form does not
            contain is named as the attribute of the event.
    """

    template = "this is not the event {event_name!r}: {_faults}"
    event_name: str
    faults: tuple[tuple[str, str], ...]

    @property
    def _faults(self) -> str:
        return "; ".join(f"{name!r} {reason}" for name, reason in self.faults)


class SourceUnreadable(PartnerVouchersError):
    """The file to upload cannot be opened or read.

    Attributes:
        filename: the path or the name of the file.
        reason: the operating system's message.
    """

    template = "cannot read {filename!r} ({reason}); check the path and its permissions"
    filename: str
    reason: str


# --- partners and lists


class UnknownPartner(PartnerVouchersError):
    """There is no partner with this name (names are case-sensitive)."""

    template = "there is no partner {name!r}; add it with partners.add({name!r})"
    name: str


class PartnerExists(PartnerVouchersError):
    """A partner with exactly this name exists."""

    template = "partner {name!r} already exists; partners.ensure({name!r}) returns it"
    name: str


class UnknownList(PartnerVouchersError):
    """There is no voucher list with this id, or it was deleted."""

    template = "there is no voucher list {list_id!r}; lists.find() shows all lists"
    list_id: str


class TagTaken(PartnerVouchersError):
    """Another list of the partner that is not archived has this tag.

    Attributes:
        partner: the partner's name.
        tag: the tag in its stored, lower-case form.
        list_id: the list that has the tag.
    """

    template = (
        "partner {partner!r} uses the tag {tag!r} for list {list_id}; "
        "choose another tag, upload to that list, or archive it"
    )
    partner: str
    tag: str
    list_id: str


class ActionNotAllowed(PartnerVouchersError):
    """The status of the list does not allow this action; nothing was changed.

    Attributes:
        list_id: the list.
        status: its status at the call, such as `"Expired"`.
        action: the requested action, such as `"pause"`.
        allowed: the actions that the status allows.
    """

    template = "list {list_id} is {status}: {action} is not allowed; allowed: {allowed}"
    list_id: str
    status: str
    action: str
    allowed: tuple[str, ...]


class StaleVersion(PartnerVouchersError):
    """The list was changed since you read it; nothing was changed now.

    Attributes:
        list_id: the list.
        expected: the version that you passed.
        actual: the version that is stored.
    """

    template = (
        "list {list_id} has version {actual}, not {expected}: it was changed in the meantime; "
        "read it again with lists.get and repeat the change"
    )
    list_id: str
    expected: int
    actual: int


class ListLinked(PartnerVouchersError):
    """A list cannot be deleted while campaigns are linked to it."""

    template = (
        "list {list_id} is linked to {campaign_ids}; unlink it with campaigns.unlink before you delete it"
    )
    list_id: str
    campaign_ids: tuple[str, ...]


class ListDistributed(PartnerVouchersError):
    """A list cannot be deleted once one of its codes was given out or reserved."""

    template = (
        "codes of list {list_id} were given out or reserved ({distributed} at present); "
        "archive it instead of deleting it"
    )
    list_id: str
    distributed: int


# --- uploads


class UnknownUpload(PartnerVouchersError):
    """There is no upload with this id."""

    template = "there is no upload {upload_id!r}; uploads.find() shows the upload log"
    upload_id: str


class OriginalNotKept(PartnerVouchersError):
    """The original file of an upload is not in the storage, because it was too large or never read whole."""

    template = "the original file of upload {upload_id} was not kept, because it was never read whole"
    upload_id: str


class UploadRunning(PartnerVouchersError):
    """Another upload to the same list is running.

    Attributes:
        list_id: the list.
        upload_id: the running upload, or None where it has no entry yet.
    """

    template = (
        "another upload[ ({upload_id})] to list {list_id} is running; wait for it, "
        "or call uploads.recover() if its process was killed"
    )
    list_id: str
    upload_id: str | None


class FileAlreadyUploaded(PartnerVouchersError):
    """The same bytes were completely uploaded to the same list before.

    Attributes:
        list_id: the list.
        upload_id: the earlier upload.
        filename: its file name.
        uploaded_at: when it was started, in UTC.
    """

    template = (
        "this file was already uploaded to list {list_id}, as {filename!r} at {uploaded_at} "
        "(upload {upload_id}); pass force=True to upload it again"
    )
    list_id: str
    upload_id: str
    filename: str
    uploaded_at: datetime


class UploadInterrupted(PartnerVouchersError):
    """An upload lost its lease: another process took it over and completed it or rolled it back."""

    template = (
        "another process took over upload {upload_id}, because this one did not renew its lease in time; "
        "see uploads.get({upload_id!r}) for the outcome"
    )
    upload_id: str


# --- campaigns and codes


class NotLinked(PartnerVouchersError):
    """A list is not linked to a campaign."""

    template = (
        "list {list_id} is not linked to campaign {campaign_id!r}; campaigns.of_list shows its campaigns"
    )
    list_id: str
    campaign_id: str


class CampaignNotLinked(PartnerVouchersError):
    """No voucher list is linked to the campaign."""

    template = (
        "no voucher list is linked to campaign {campaign_id!r}; "
        "link one with campaigns.link(list_id, {campaign_id!r})"
    )
    campaign_id: str


class UnknownEligibilityRule(PartnerVouchersError):
    """A campaign link names an eligibility rule that this program has not registered.

    Attributes:
        name: the name on the link.
        registered: the registered names.
    """

    template = (
        "eligibility rule {name!r} is not registered (registered: {registered}); "
        "pass it as PartnerVouchers(..., eligibility={{{name!r}: rule}})"
    )
    name: str
    registered: tuple[str, ...]


class NoCodeAvailable(PartnerVouchersError):
    """None of the lists can give a code now.

    Attributes:
        campaign_id: the requested campaign, or None where a list was requested directly.
        lists: for each list that was tried, its id and why it gave nothing:
            `"exhausted"`, `"not eligible"`, or its status.
    """

    template = "no code can be given out ({_reasons}); activate a list, upload codes, or link another list"
    campaign_id: str | None
    lists: tuple[tuple[str, str], ...]

    @property
    def _reasons(self) -> str:
        return ", ".join(f"list {list_id}: {reason}" for list_id, reason in self.lists)


class CodesExhausted(NoCodeAvailable):
    """Every active list has given out all its codes."""

    template = "no code is left ({_reasons}); upload more codes to one of these lists"


class NoActiveList(NoCodeAvailable):
    """None of the lists is active."""

    template = "no list is active ({_reasons}); activate or extend one, or link another"


class NotEligible(NoCodeAvailable):
    """The user meets the eligibility rule of none of the links."""

    template = "the user is not eligible ({_reasons}); link a list with another rule, or without one"


class IdempotencyConflict(PartnerVouchersError):
    """An idempotency key was used before with other arguments.

    Attributes:
        key: the idempotency key.
    """

    template = (
        "idempotency key {key!r} was used with other arguments; "
        "use a new key for each request, or repeat the first request unchanged"
    )
    key: str


# --- limits, reservations, revocations and redemptions


class LimitReached(NoCodeAvailable):
    """A limit of the campaign is used up.

    Attributes:
        per: `"user"` or `"campaign"`: whose codes the limit counts.
        limit: how many codes it allows.
        used: how many codes count in the present period.
        period: `"day"`, `"week"` or `"month"`, or None.
        zone: the name of the time zone of the period, or None.
        frees_at: when the period ends, in UTC; None for a limit without a period.
    """

    template = (
        "campaign {campaign_id!r} gives {limit} codes per {per}[ and {period} ({zone})], "
        "and {used} are used; {_next}"
    )
    lists: tuple[tuple[str, str], ...] = ()
    per: str
    limit: int
    used: int
    period: str | None = None
    zone: str | None = None
    frees_at: datetime | None = None

    @property
    def _next(self) -> str:
        if self.frees_at is None:
            return "raise the limit with campaigns.set_limits, or revoke a code"
        return f"ask again from {_shown(self.frees_at)} on"


class UnknownReservation(PartnerVouchersError):
    """There is no reservation with this id. Released and expired ones are removed after 30 days."""

    template = "there is no reservation {reservation_id!r}; codes.reservations shows the open ones"
    reservation_id: str


class ReservationReleased(PartnerVouchersError):
    """The reservation was released, so it cannot be confirmed."""

    template = "reservation {reservation_id} was released; reserve another code"
    reservation_id: str


class ReservationExpired(PartnerVouchersError):
    """The reservation has run out, so it cannot be confirmed."""

    template = "reservation {reservation_id} has run out; reserve another code"
    reservation_id: str


class AlreadyConfirmed(PartnerVouchersError):
    """The reservation was confirmed, so it cannot be released."""

    template = "reservation {reservation_id} was confirmed; take the code back with codes.revoke"
    reservation_id: str


class UnknownAssignment(PartnerVouchersError):
    """There is no assignment with this id."""

    template = "there is no assignment {assignment_id!r}; codes.of_user and codes.holders show assignments"
    assignment_id: str


class AssignmentRevoked(PartnerVouchersError):
    """The idempotency key belongs to an assignment that was revoked since.

    Attributes:
        assignment_id: the assignment.
        revoked_at: when it was revoked, in UTC.
    """

    template = (
        "the code of this request was revoked at {revoked_at} (assignment {assignment_id}); "
        "use a new key to give another code"
    )
    assignment_id: str
    revoked_at: datetime


class AlreadyRevoked(PartnerVouchersError):
    """The assignment was revoked without restock, so its code is retired and cannot return to the pool."""

    template = (
        "assignment {assignment_id} was revoked without restock; its code is retired and is never given again"
    )
    assignment_id: str


class RestockNotAllowed(PartnerVouchersError):
    """The code can never return to the pool; nothing was changed.

    Attributes:
        assignment_id: the assignment.
        reason: why.
    """

    template = "the code of assignment {assignment_id} cannot return to the pool: {reason}; revoke it without restock"
    assignment_id: str
    reason: str


class CodeMayBeKnown(PartnerVouchersError):
    """The user may know the code, so it does not return to the pool without `force=True`; nothing was changed.

    Attributes:
        assignment_id: the assignment.
        reason: why the user may know it.
    """

    template = (
        "the user may know the code of assignment {assignment_id}: {reason}; "
        "revoke it without restock, or pass force=True"
    )
    assignment_id: str
    reason: str


class RedemptionError(PartnerVouchersError):
    """A redemption cannot be recorded or reverted; nothing was changed.

    Attributes:
        masked: the voucher code, masked.
    """

    template = "the redemption of code {masked} cannot be recorded"
    masked: str


class NotDistributed(RedemptionError):
    """No user holds the code.

    Attributes:
        lists: the lists that contain the code.
    """

    template = "no user holds the code {masked}; check the code[, or see list {lists}]"
    lists: tuple[str, ...] = ()


class NotTheirCode(RedemptionError):
    """Another user holds the code."""

    template = "another user holds the code {masked} of list {list_id}; check the user, or leave out user_id"
    list_id: str


class AmbiguousCode(RedemptionError):
    """The code belongs to several lists.

    Attributes:
        candidates: for each list its id and its partner.
    """

    template = "the code {masked} belongs to several lists ({_candidates}); pass partner= or list_id="
    candidates: tuple[tuple[str, str], ...]

    @property
    def _candidates(self) -> str:
        return ", ".join(f"list {list_id} of {partner!r}" for list_id, partner in self.candidates)


class AlreadyRedeemed(RedemptionError):
    """The code was redeemed with another order.

    Attributes:
        assignment_id: the assignment.
        redeemed_at: when it was redeemed, in UTC.
    """

    template = (
        "the code {masked} was redeemed with another order at {redeemed_at} "
        "(assignment {assignment_id}); revert that redemption first"
    )
    assignment_id: str
    redeemed_at: datetime


class RedemptionReverted(RedemptionError):
    """The redemption with this order was reverted, and the same order cannot redeem the code again."""

    template = (
        "this order's redemption of {masked} was reverted (assignment {assignment_id}); use a new order id"
    )
    assignment_id: str


class UnknownRedemption(RedemptionError):
    """The code was not redeemed with this order."""

    template = "the code {masked} was not redeemed with this order; check the order id"


class RedemptionFileRefused(PartnerVouchersError):
    """A partner's file of redemptions was refused as a whole; nothing was recorded.

    Attributes:
        kind: why, as the value of a `FileFaultKind`.
        reason: what is wrong and what to do, for people.
        line: the line of the file, from 1, or None where it concerns the whole file.
    """

    template = "the file was refused and nothing was recorded: {reason}[ (line {line})]"
    kind: str
    reason: str
    line: int | None = None


class ReconciliationInterrupted(PartnerVouchersError):
    """A reconciliation lost its lease: another process uploaded the same file and goes on with it."""

    template = (
        "another process took over the reconciliation {report_id}, because this one did not renew its lease in time; "
        "see redemptions.report({report_id!r}) for the outcome"
    )
    report_id: str


class UnknownReport(PartnerVouchersError):
    """There is no reconciliation report with this id."""

    template = "there is no reconciliation report {report_id!r}; redemptions.upload returns the id"
    report_id: str


# --- delivery of events


class SinkUnavailable(PartnerVouchersError):
    """A sink could not be reached, is overloaded, or did not respond; the events will be sent again.

    Attributes:
        sink: the name of the sink.
        reason: what happened.
        retry_after: how many seconds the receiver asked to wait, or None.
        sender_refused: whether no event is to blame: the receiver refuses the sender or the address (a wrong secret, a
            changed endpoint), or nothing could be sent to it.
    """

    template = "the sink {sink!r} is not available: {reason}[; it asks to wait {retry_after:g} s]"
    sink: str
    reason: str
    retry_after: float | None = None
    sender_refused: bool = False


class UnknownSink(PartnerVouchersError):
    """No event was ever delivered to a sink with this name.

    Attributes:
        sink: the name.
        known: the names of the sinks that the storage knows.
    """

    template = "there is no sink {sink!r} (known: {known}); correct the name, or deliver to it first"
    sink: str
    known: tuple[str, ...]


# --- messages and linked content


class MessageError(PartnerVouchersError):
    """A message template is wrong, or rendering it failed.

    Attributes:
        reason: what is wrong.
        line: the line of the template, from 1, or None where it is not known.
        column: the column in that line, from 1, or None where it is not known.
    """

    template = "message template: [line {line}: ]{reason}"
    reason: str
    line: int | None = None
    column: int | None = None


class LinkedContentFailed(MessageError):
    """A message needs linked content that its source could not provide.

    Attributes:
        name: the name of the linked content in the template.
        cause: the error of its source, or None where the source raised an error of another library.
    """

    name: str
    cause: PartnerVouchersError | None = None


class LinkedContentError(PartnerVouchersError):
    """A source of linked content could not provide the content.

    Attributes:
        reason: what happened, and what to do.
    """

    template = "{reason}"
    reason: str


class NoLinkedContent(LinkedContentError):
    """A source has nothing for this user, so that a template can show a default instead."""


class ParameterMissing(LinkedContentError):
    """A mandatory parameter of linked content is missing or empty; the source was not called.

    Attributes:
        parameter: the name of the parameter.
    """

    template = "the parameter {parameter!r} is mandatory; pass it in `parameters=`"
    parameter: str
    reason: str = "a mandatory parameter is missing"


class VoucherifyError(LinkedContentError):
    """Voucherify refused a request, or its response cannot be used.

    Voucherify's texts may contain a voucher code, so they are kept in attributes and never in the message.

    Attributes:
        status: the HTTP status.
        key: Voucherify's name for the error, such as `"not_found"`, or None.
        message: Voucherify's short description, or None.
        details: Voucherify's longer description, or None.
        request_id: the id to quote to Voucherify's support, or None.
    """

    template = "Voucherify responded with {status}[ {key}][, request {request_id}]: {reason}"
    status: int
    key: str | None = None
    message: str | None = None
    details: str | None = None
    request_id: str | None = None


class VoucherifyCredentialsRefused(VoucherifyError):
    """Voucherify did not accept the App ID and App Token, or they may not publish."""


class VoucherifyNothingToPublish(VoucherifyError, NoLinkedContent):
    """The campaign has no voucher left that Voucherify could publish."""


class VoucherifyNotFound(VoucherifyError):
    """Voucherify has no campaign or voucher with this name."""


class VoucherifyRateLimited(VoucherifyError):
    """Voucherify received too many calls, also after a wait; nothing was published.

    Attributes:
        retry_after: how many seconds Voucherify asked to wait, or None.
    """

    retry_after: float | None = None


class VoucherifyOutcomeUnknown(VoucherifyError):
    """Voucherify failed, or its response has no readable voucher. A code may have been published to the customer.

    If customers can join the campaign only once, rendering the message again is safe and yields the same code.
    """


class VoucherifyUnreachable(LinkedContentError):
    """Voucherify did not respond.

    Attributes:
        sent: whether the request was sent, so that a code may have been published.
    """

    sent: bool


# --- storages and transactions


class StorageError(PartnerVouchersError):
    """The storage failed. Unless the message says otherwise, nothing of the call was stored.

    Attributes:
        reason: what happened, and what to do.
    """

    template = "{reason}"
    reason: str


class Unsupported(StorageError):
    """The storage does not have this ability: a host's own storage may leave out some of them.

    Attributes:
        ability: the ability, such as `"reservations"`.
    """

    template = (
        "this storage does not support {ability}; use one of partner_vouchers.adapters, or add it to yours"
    )
    ability: str
    reason: str = "the storage does not have this ability"


class StorageBusy(StorageError):
    """Others held the storage's lock for longer than the timeout; you can repeat the call."""


class TransactionConflict(StorageBusy):
    """The transaction conflicted with another one and was rolled back; nothing was stored.

    The library repeats its own transactions, but not a host's: roll that back and begin it again.

    Attributes:
        attempts: how many transactions the library tried for the call.
    """

    attempts: int = 1


class StorageFull(StorageError):
    """The disk is full; free some space and repeat the call."""


class StorageUnavailable(StorageError):
    """The server cannot be reached, or ended the connection; nothing was stored, and you can repeat the call."""


class ConnectionLost(StorageUnavailable):
    """The connection was lost before the transaction was committed; nothing was stored.

    The library repeats its own transactions, but not a host's: begin that again on another connection.

    Attributes:
        attempts: how many transactions the library tried for the call.
    """

    attempts: int = 1


class CommitOutcomeUnknown(StorageError):
    """The connection was lost while the transaction was committed: all of it was stored, or nothing.

    A repeat with the same idempotency key returns the stored result, or does the work if nothing was stored.
    """


class StorageForked(StorageError):
    """The storage cannot be used in this process, which was forked from the one that opened it."""


class StorageReplaced(StorageError):
    """The database file was deleted or replaced while it was open; no code was given from it."""


class StorageNotMigrated(StorageError):
    """The tables are missing, older than this library, or copied from another server; `migrate()` repairs it."""


class NotAPartnerVouchersStorage(StorageError):
    """The file is not a database, or a database of another program."""


class SchemaTooNew(StorageError):
    """The storage was upgraded by a newer version of this library.

    Attributes:
        found: the version of the stored schema.
        supported: the newest version that this library supports.
    """

    template = (
        "the storage has schema version {found}, this library supports versions up to {supported}; "
        "upgrade partner_vouchers"
    )
    found: int
    supported: int
    reason: str = "the schema is newer than this library"


class DuplicatePolicyMismatch(StorageError):
    """The storage was set up with another duplicate policy.

    Attributes:
        stored: the name of the policy that the storage was set up with.
        given: the name of the policy that you passed.
    """

    template = (
        "the storage was set up with the duplicate policy {stored!r}, not {given!r}; "
        "open it with {stored!r}, or set up a new storage"
    )
    stored: str
    given: str
    reason: str = "the storage has another duplicate policy"


class HostTransactionError(PartnerVouchersError):
    """Something cannot be done in a host's own transaction, or there is no such transaction.

    Attributes:
        reason: what is wrong, and what to do.
    """

    code = "host_transaction"
    template = "{reason}"
    reason: str
