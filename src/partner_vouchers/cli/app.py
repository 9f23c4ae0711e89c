"""The command with its subcommands, and how errors become exit codes."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

import typer

from partner_vouchers.cli import (
    campaigns,
    codes,
    events,
    lists,
    operate,
    redemptions,
    reservations,
    revocations,
    templates,
    uploads,
)
from partner_vouchers.cli.context import Exit
from partner_vouchers.cli.output import warn
from partner_vouchers.errors import (
    CampaignNotLinked,
    FileAlreadyUploaded,
    InvalidInput,
    NoCodeAvailable,
    NotLinked,
    PartnerVouchersError,
    SourceUnreadable,
    StaleVersion,
    StorageError,
    UnknownList,
    UnknownPartner,
    UnknownUpload,
    UploadRunning,
)

app: typer.Typer = typer.Typer(
    name="partner-vouchers",
    help="Give each user who earned one a voucher code, exactly once.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _room in (
    operate,
    lists,
    uploads,
    campaigns,
    codes,
    reservations,
    revocations,
    redemptions,
    events,
    templates,
):
    _room.register(app)


_ADVICE: dict[type[PartnerVouchersError], str] = {
    CampaignNotLinked: "link a list with `partner-vouchers link`",
    FileAlreadyUploaded: "pass --force to upload it again",
    NotLinked: "`partner-vouchers show LIST` shows its campaigns",
    StaleVersion: "somebody else changed it meanwhile; try again",
    UnknownList: "`partner-vouchers lists` shows all lists",
    UnknownPartner: "`partner-vouchers partners` shows all partners",
    UnknownUpload: "`partner-vouchers uploads` shows all uploads",
    UploadRunning: "wait for it, or run `partner-vouchers uploads --recover` if its process was killed",
}
"""What to do after an error, where the library's own advice names a method."""


def message_of(error: PartnerVouchersError) -> str:
    """Return the message of an error for the person at the terminal."""
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


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code.

    Args:
        arguments: those of the process where None.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal may not know the ₹ sign; better a question mark than no answer.
            stream.reconfigure(errors="replace")
    try:
        result = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        sys.stdout.flush()
    except PartnerVouchersError as error:
        warn(f"error: {message_of(error)}")
        return exit_code_of(error)
    except typer.Exit as ended:
        return ended.exit_code
    except (typer.Abort, KeyboardInterrupt):
        warn(
            "Stopped. `partner-vouchers uploads --recover` resumes or rolls back an upload that was not complete."
        )
        return Exit.INTERRUPTED
    except SystemExit as ended:
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        # The reader of a pipe has what it wanted.
        return Exit.OK
    except OSError as error:
        warn(f"error: {error}")
        return Exit.STORAGE
    except Exception as error:
        # A wrong argument: Typer carries a copy of Click, or uses it, as its version has it.
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            warn(f"error: {error.format_message().rstrip('.')}; see --help")
            return int(error.exit_code)
        raise
    return result if isinstance(result, int) else Exit.OK
