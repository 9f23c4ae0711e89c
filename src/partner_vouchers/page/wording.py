"""Errors of the library in the words of the page, for people who do not write programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from partner_vouchers import errors
from partner_vouchers.errors import InvalidInput, PartnerVouchersError

_MISSING: Final = (
    errors.UnknownList,
    errors.UnknownUpload,
    errors.UnknownAssignment,
    errors.UnknownReport,
    errors.UnknownReservation,
)

# The library's own messages name its functions. `{error.x}` is an attribute of the error.
_TEXTS: Final[dict[type[PartnerVouchersError], str]] = {
    errors.UnknownList: "There is no list {error.list_id}. It may have been deleted.",
    errors.UnknownUpload: "There is no upload {error.upload_id}.",
    errors.UnknownReport: "There is no report {error.report_id}.",
    errors.ReconciliationInterrupted: "The same file was uploaded again and is reconciled. Open its report later.",
    errors.UnknownAssignment: "No user was given this code.",
    errors.PartnerExists: "There is a partner {error.name} already. Choose it from the list.",
    errors.UnknownPartner: "Choose a partner from the list, or add a new one.",
    errors.UnknownEligibilityRule: "Your backend has no rule with this name. Leave it empty, or ask its developers.",
    errors.TagTaken: "List {error.list_id} of this partner has this tag. Choose another one.",
    errors.ActionNotAllowed: "The list is {error.status}, so this is not possible: {error.action}.",
    errors.ListLinked: "Campaigns are linked to this list. Unlink them before you delete it.",
    errors.NotLinked: "This list is not linked to campaign {error.campaign_id}.",
    errors.CampaignNotLinked: "No list is linked to campaign {error.campaign_id}. Link one.",
    errors.NotTheirCode: "Another user holds this code.",
    errors.AmbiguousCode: "Several lists contain this code, so it is not clear which one is meant.",
    errors.StaleVersion: "Another person changed this list meanwhile. Open it again.",
    errors.OriginalNotKept: "The original file was not kept, because it was never read whole.",
    errors.UploadRunning: (
        "Another upload to this list is in progress. Wait until it is complete. "
        "If its process was stopped, use Recover on the Uploads tab."
    ),
    errors.UploadInterrupted: "Another process took this upload over. The list of uploads shows how it ended.",
    errors.FileAlreadyUploaded: (
        "This file was already uploaded to this list, as {error.filename} (upload {error.upload_id}). "
        "To upload it again, tick the box below and choose the file once more."
    ),
    errors.CodeMayBeKnown: "The user may know this code already ({error.reason}), so it was not returned to the list.",
    errors.RestockNotAllowed: "This code cannot return to the list: {error.reason}.",
    errors.UnknownReservation: "There is no such reservation. It may have ended long ago.",
    errors.ReservationExpired: "This reservation has run out, so another user may have its code by now.",
    errors.ReservationReleased: "This reservation was released, so another user may have its code by now.",
    errors.AlreadyConfirmed: "This reservation was confirmed: the user has the code. Revoke it to take it back.",
    errors.AlreadyRevoked: "This code was revoked before and is never given out again.",
    errors.Unsupported: "The storage of your backend does not keep {error.ability}.",
    errors.StorageError: "The storage cannot be used right now. Nothing was changed. Try again.",
}


def explain(error: PartnerVouchersError) -> str:
    """Return an error in the words of the page; nothing of the storage's internals is in it."""
    for each in type(error).__mro__:
        if each in _TEXTS:
            return _TEXTS[each].format(error=error)
    if isinstance(error, InvalidInput):
        return f"{error.field.replace('_', ' ').capitalize()}: {error.reason}."
    return sentence(str(error))


def in_days(notice: timedelta | None) -> str:
    """Return a time in days, whole or not; empty for none."""
    return "" if notice is None else f"{notice / timedelta(days=1):g}"


def sentence(text: str) -> str:
    """Return a message of the library as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def status_code_of(error: PartnerVouchersError) -> int:
    """Return the HTTP status of the answer to an error."""
    if isinstance(error, _MISSING):
        return 404
    if isinstance(error, errors.Unsupported):
        return 501
    if isinstance(error, errors.StorageError):
        return 503
    return 422 if isinstance(error, InvalidInput) else 409


def faults_of(error: PartnerVouchersError) -> dict[str, str]:
    """Return an error as what a form shows: by field, or under `""` what is about the whole form."""
    if isinstance(error, InvalidInput):
        return {error.field: error.reason}
    fields = {
        errors.TagTaken: "tag",
        errors.UnknownPartner: "partner",
        errors.UnknownEligibilityRule: "eligibility",
    }
    return {fields.get(type(error), ""): explain(error)}
