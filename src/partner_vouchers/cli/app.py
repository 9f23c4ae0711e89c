"""The command with its subcommands, and how errors become exit codes."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import typer

# Importing a module adds its commands.
from partner_vouchers.cli import campaigns, codes, events, lists, operate, redemptions, templates, uploads  # noqa: F401
from partner_vouchers.cli.context import Exit
from partner_vouchers.cli.output import warn
from partner_vouchers.cli.root import app
from partner_vouchers.cli.root import events as _events
from partner_vouchers.cli.root import templates as _templates
from partner_vouchers.cli.wording import exit_code_of, message_of
from partner_vouchers.errors import PartnerVouchersError

__all__ = ["app", "run"]

_PANELS = ("Operation", "Lists", "Files", "Campaigns", "Codes")
"""The headings of the help, in their order."""

app.registered_commands.sort(key=lambda each: _PANELS.index(str(each.rich_help_panel)))
app.add_typer(_events, name="events", rich_help_panel="Events and messages")
app.add_typer(_templates, name="template", rich_help_panel="Events and messages")

_SILENCE = logging.NullHandler()

# Made once, because `app(...)` makes the whole command again in each call.
_command = cache(typer.main.get_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code.

    Args:
        arguments: those of the process where None.
    """
    if sys.stdout is None:
        # The caller closed it.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal may not know the ₹ sign; better a question mark than no answer.
            stream.reconfigure(errors="replace")
    # What a person must know is said by the commands.
    logging.getLogger("partner_vouchers").addHandler(_SILENCE)
    try:
        result = _command(app)(args=None if arguments is None else list(arguments), standalone_mode=False)
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
        reason = error.strerror or str(error)
        named = f"cannot use {str(error.filename)!r} ({reason}); check the path and its permissions"
        warn(f"error: {named if error.filename else reason}")
        return Exit.STORAGE
    except Exception as error:
        # A wrong argument: Typer carries a copy of Click, or uses it, as its version has it.
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            # Without a message it has shown the help.
            if message := error.format_message().replace("Value error, ", "").rstrip("."):
                warn(f"error: {message}{' See' if message.endswith('?') else '; see'} --help")
            return int(error.exit_code)
        raise
    if result == Exit.INTERRUPTED:
        # Typer turns Ctrl-C into this code.
        warn(
            "Stopped. `partner-vouchers uploads --recover` resumes or rolls back an upload that was not complete."
        )
    return result if isinstance(result, int) else Exit.OK
