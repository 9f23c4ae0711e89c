"""Errors of the library in the words of the command line, and as exit codes."""

from __future__ import annotations

import re

from partner_vouchers import errors
from partner_vouchers.cli.context import Exit
from partner_vouchers.errors import InvalidInput, PartnerVouchersError

_ADVICE: dict[type[PartnerVouchersError], str] = {
    errors.AlreadyConfirmed: "take the code back with `partner-vouchers revoke`",
    errors.AmbiguousCode: "name one with --partner or --list",
    errors.CampaignNotLinked: "link a list with `partner-vouchers link`",
    errors.CodeMayBeKnown: "leave --restock out, or add --force",
    errors.FileAlreadyUploaded: "pass --force to take it again",
    errors.ListLinked: "unlink it with `partner-vouchers unlink` before you delete it",
    errors.NotLinked: "`partner-vouchers show LIST` shows its campaigns",
    errors.NotTheirCode: "check --user, or leave it out",
    errors.PartnerExists: "use it, or choose another name",
    errors.ReconciliationInterrupted: "reconcile the file again to see the outcome",
    errors.StaleVersion: "it was changed meanwhile; try again",
    errors.StorageNotMigrated: "run `partner-vouchers migrate` once, and again after each upgrade",
    errors.UnknownAssignment: "`partner-vouchers user` and `holders` show assignments",
    errors.UnknownEligibilityRule: "rules exist in your backend only: link and assign there",
    errors.UnknownList: "`partner-vouchers lists` shows all lists",
    errors.UnknownPartner: "`partner-vouchers partners` shows all partners",
    errors.UnknownReport: "reconcile the file again to see its report",
    errors.UnknownReservation: "it may have ended long ago",
    errors.UnknownUpload: "`partner-vouchers uploads` shows all uploads",
    errors.UploadInterrupted: "`partner-vouchers uploads` shows the outcome",
    errors.UploadRunning: "wait for it, or run `partner-vouchers uploads --recover` if its process was killed",
}
"""What to do after an error, where the library's own advice names a method."""


_OPTIONS = {
    "campaign_id": "--campaign",
    "expires_at": "--expires",
    "expiring_soon": "--expiring-soon",
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

_SAME_NAME = {"after", "encoding", "limit", "sort"}
"""The arguments whose option has the same name; their messages name no other."""

_ARGUMENT = re.compile(rf"('[^']*'|`[^`]*`)|\b(?:{'|'.join(_OPTIONS)})\b")
"""An argument of the library, or something quoted, which may contain the same word."""


def message_of(error: PartnerVouchersError) -> str:
    """Return the message of an error for the person at the terminal."""
    if isinstance(error, InvalidInput):
        # The reason of `sort` names columns, of which some are called as an argument.
        named = error.field in _SAME_NAME
        return (
            f"--{error}" if named else _ARGUMENT.sub(lambda found: found[1] or _OPTIONS[found[0]], str(error))
        )
    message, advice = str(error), _ADVICE.get(type(error))
    return message if advice is None else f"{message.split('; ')[0]}; {advice}"


def exit_code_of(error: PartnerVouchersError) -> Exit:
    """Return the exit code of an error."""
    match error:
        case errors.NoCodeAvailable():
            return Exit.NO_CODE
        case errors.RedemptionFileRefused():
            return Exit.FAULTS
        case errors.StorageError() | errors.SourceUnreadable():
            return Exit.STORAGE
        case InvalidInput():
            return Exit.USAGE
        case _:
            return Exit.REFUSED
