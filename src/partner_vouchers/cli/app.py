"""The command with its subcommands, and how errors become exit codes."""

from __future__ import annotations

import io
import logging
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
from partner_vouchers.cli.wording import exit_code_of, message_of
from partner_vouchers.errors import PartnerVouchersError

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


_SILENCE = logging.NullHandler()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code.

    Args:
        arguments: those of the process where None.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal may not know the ₹ sign; better a question mark than no answer.
            stream.reconfigure(errors="replace")
    # What a person must know is said by the commands.
    logging.getLogger("partner_vouchers").addHandler(_SILENCE)
    try:
        result = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        sys.stdout.flush()
    except PartnerVouchersError as error:
        warn(f"error: {message_of(error)}")
        return exit_code_of(error)
    except typer.Exit as ended:
        return ended.exit_code
    except (typer.Abort, KeyboardInterrupt):
        result = Exit.INTERRUPTED
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
            # Without a message it has shown the help.
            if message := error.format_message().replace("Value error, ", "").rstrip("."):
                warn(f"error: {message}; see --help")
            return int(error.exit_code)
        raise
    if result == Exit.INTERRUPTED:
        # Typer turns Ctrl-C into this code.
        warn(
            "Stopped. `partner-vouchers uploads --recover` resumes or rolls back an upload that was not complete."
        )
    return result if isinstance(result, int) else Exit.OK
