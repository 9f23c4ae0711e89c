"""Errors of the library in the words of the page, for people who do not write programs."""

from __future__ import annotations

from typing import Final

from partner_vouchers.errors import (
    ActionNotAllowed,
    AlreadyConfirmed,
    AlreadyRevoked,
    AmbiguousCode,
    CampaignNotLinked,
    CodeMayBeKnown,
    FileAlreadyUploaded,
    InvalidInput,
    ListLinked,
    NotLinked,
    NotTheirCode,
    OriginalNotKept,
    PartnerExists,
    PartnerVouchersError,
    ReconciliationInterrupted,
    ReservationExpired,
    ReservationReleased,
    RestockNotAllowed,
    StaleVersion,
    StorageError,
    TagTaken,
    UnknownAssignment,
    UnknownEligibilityRule,
    UnknownList,
    UnknownPartner,
    UnknownReport,
    UnknownReservation,
    UnknownUpload,
    Unsupported,
    UploadInterrupted,
    UploadRunning,
)

_MISSING: Final = (UnknownList, UnknownUpload, UnknownAssignment, UnknownReport, UnknownReservation)

# The library's own messages name its functions. `{error.x}` is an attribute of the error.
_TEXTS: Final[dict[type[PartnerVouchersError], str]] = {
    UnknownList: "There is no list {error.list_id}. It may have been deleted.",
    UnknownUpload: "There is no upload {error.upload_id}.",
    UnknownReport: "There is no report {error.report_id}.",
    ReconciliationInterrupted: "The same file was uploaded again and is being reconciled. Open its report later.",
    UnknownAssignment: "No user was given this code.",
    PartnerExists: "There is a partner {error.name} already. Choose it from the list.",
    UnknownPartner: "Choose a partner from the list, or add a new one.",
    UnknownEligibilityRule: "Your backend has no rule with this name. Leave it empty, or ask its developers.",
    TagTaken: "List {error.list_id} of this partner has this tag. Choose another one.",
    ActionNotAllowed: "The list is {error.status}, so this is not possible: {error.action}.",
    ListLinked: "Campaigns are linked to this list. Unlink them before you delete it.",
    NotLinked: "This list is not linked to campaign {error.campaign_id}.",
    CampaignNotLinked: "No list is linked to campaign {error.campaign_id}. Link one.",
    NotTheirCode: "Another user holds this code.",
    AmbiguousCode: "Several lists contain this code, so it is not clear which one is meant.",
    StaleVersion: "Another person changed this list meanwhile. Open it again.",
    OriginalNotKept: "The original file was not kept, because it was never read whole.",
    UploadRunning: (
        "Another upload to this list is in progress. Wait until it is complete. "
        "If its process was stopped, use Recover on the Uploads tab."
    ),
    UploadInterrupted: "Another process took this upload over. The list of uploads shows how it ended.",
    FileAlreadyUploaded: (
        "This file was already uploaded to this list, as {error.filename} (upload {error.upload_id}). "
        "To upload it again, tick the box below and choose the file once more."
    ),
    CodeMayBeKnown: "The user may know this code already ({error.reason}), so it was not returned to the list.",
    RestockNotAllowed: "This code cannot return to the list: {error.reason}.",
    UnknownReservation: "There is no such reservation. It may have ended long ago.",
    ReservationExpired: "This reservation has run out, so another user may have its code by now.",
    ReservationReleased: "This reservation was released, so another user may have its code by now.",
    AlreadyConfirmed: "This reservation was confirmed: the user has the code. Revoke it to take it back.",
    AlreadyRevoked: "This code was revoked before and is never given out again.",
    Unsupported: "The storage of your backend does not keep {error.ability}.",
    StorageError: "The storage cannot be used right now. Nothing was changed. Try again.",
}


def explain(error: PartnerVouchersError) -> str:
    """Return an error in the words of the page; nothing of the storage's internals is in it."""
    for each in type(error).__mro__:
        if each in _TEXTS:
            return _TEXTS[each].format(error=error)
    if isinstance(error, InvalidInput):
        return f"{error.field.replace('_', ' ').capitalize()}: {error.reason}."
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def status_code_of(error: PartnerVouchersError) -> int:
    """Return the HTTP status of the answer to an error."""
    if isinstance(error, _MISSING):
        return 404
    if isinstance(error, Unsupported):
        return 501
    if isinstance(error, StorageError):
        return 503
    return 422 if isinstance(error, InvalidInput) else 409


def faults_of(error: PartnerVouchersError) -> dict[str, str]:
    """Return an error as what a form shows: by field, or under `""` what is about the whole form."""
    if isinstance(error, InvalidInput):
        return {error.field: error.reason}
    fields = {TagTaken: "tag", UnknownPartner: "partner", UnknownEligibilityRule: "eligibility"}
    return {fields.get(type(error), ""): explain(error)}
