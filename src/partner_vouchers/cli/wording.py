"""Errors of the library in the words of the command line, and as exit codes."""

from __future__ import annotations

import re

from partner_vouchers.cli.context import Exit
from partner_vouchers.errors import (
    AlreadyConfirmed,
    AmbiguousCode,
    CampaignNotLinked,
    CodeMayBeKnown,
    FileAlreadyUploaded,
    InvalidInput,
    ListLinked,
    NoCodeAvailable,
    NotLinked,
    NotTheirCode,
    PartnerExists,
    PartnerVouchersError,
    ReconciliationInterrupted,
    SourceUnreadable,
    StaleVersion,
    StorageError,
    UnknownAssignment,
    UnknownEligibilityRule,
    UnknownList,
    UnknownPartner,
    UnknownReport,
    UnknownReservation,
    UnknownUpload,
    UploadInterrupted,
    UploadRunning,
)

_ADVICE: dict[type[PartnerVouchersError], str] = {
    AlreadyConfirmed: "take the code back with `partner-vouchers revoke`",
    AmbiguousCode: "name one with --partner or --list",
    CampaignNotLinked: "link a list with `partner-vouchers link`",
    CodeMayBeKnown: "leave --restock out, or add --force",
    FileAlreadyUploaded: "upload it again with --force",
    ListLinked: "unlink it with `partner-vouchers unlink` before you delete it",
    NotLinked: "`partner-vouchers show LIST` shows its campaigns",
    NotTheirCode: "check --user, or leave it out",
    PartnerExists: "use it, or choose another name",
    ReconciliationInterrupted: "reconcile the file again to see the outcome",
    StaleVersion: "it was changed meanwhile; try again",
    UnknownAssignment: "`partner-vouchers user` and `holders` show assignments",
    UnknownEligibilityRule: "rules exist in your backend only: link and assign there",
    UnknownList: "`partner-vouchers lists` shows all lists",
    UnknownPartner: "`partner-vouchers partners` shows all partners",
    UnknownReport: "reconcile the file again to see its report",
    UnknownReservation: "it may have ended long ago",
    UnknownUpload: "`partner-vouchers uploads` shows all uploads",
    UploadInterrupted: "`partner-vouchers uploads` shows the outcome",
    UploadRunning: "wait for it, or run `partner-vouchers uploads --recover` if its process was killed",
}
"""What to do after an error, where the library's own advice names a method."""


_OPTIONS = {
    "campaign_id": "--campaign",
    "expires_at": "--expires",
    "idempotency_key": "--key",
    "list_id": "--list",
    "low_stock_at": "--low-stock",
    "order_id": "--order",
    "partner": "--partner",
    "secrets": "--secret",
    "redeemed_at": "--at",
    "ttl": "--minutes",
    "uploaded_by": "--actor",
    "user_id": "--user",
}
"""The arguments of the library, as people write them here."""

_ARGUMENT = re.compile(rf"('[^']*'|`[^`]*`)|\b(?:{'|'.join(_OPTIONS)})\b")
"""An argument of the library, or something quoted, which may contain the same word."""


def message_of(error: PartnerVouchersError) -> str:
    """Return the message of an error for the person at the terminal."""
    if isinstance(error, InvalidInput):
        return _ARGUMENT.sub(lambda found: found[1] or _OPTIONS[found[0]], str(error))
    message, advice = str(error), _ADVICE.get(type(error))
    return message if advice is None else f"{message.split('; ')[0]}; {advice}"


def exit_code_of(error: PartnerVouchersError) -> Exit:
    """Return the exit code of an error."""
    match error:
        case NoCodeAvailable():
            return Exit.NO_CODE
        case StorageError() | SourceUnreadable():
            return Exit.STORAGE
        case InvalidInput():
            return Exit.USAGE
        case _:
            return Exit.REFUSED
