"""Commands for files of codes: check, upload, export."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from partner_vouchers.cli.context import After, Exit, Limit, ListId, OfList, Terminal, command
from partner_vouchers.cli.files import (
    File,
    new_file,
    open_source,
    require_new,
    show_progress,
    write_error_file,
)
from partner_vouchers.cli.output import print_facts, print_json, print_table, say, warn
from partner_vouchers.cli.root import app
from partner_vouchers.domain.uploads import RowFault, UploadStatus

_PANEL = "Files"
_FIRST = 10
Encoding = Annotated[str, typer.Option(help="The encoding; a byte order mark in the file overrides it.")]
Force = Annotated[bool, typer.Option("--force", help="Take a file that was uploaded before.")]


@command(app, _PANEL, "json reveal")
def validate(
    at: Terminal, list_id: ListId, file: File, encoding: Encoding = "utf-8", force: Force = False
) -> int:
    """Check a file without storing anything.

    Example: `partner-vouchers validate 1 codes.csv`
    """
    with open_source(file) as (source, name), show_progress() as progress:
        found = at.vouchers.uploads.validate(
            list_id, source, filename=name, encoding=encoding, force=force, progress=progress
        )
    if at.json:
        print_json(found, reveal=at.reveal)
    else:
        print_facts(
            {
                "Rows": found.total,
                "Acceptable": found.acceptable,
                "Errors": found.error_count,
                **({"Refused because": str(found.failure)} if found.failure else {}),
                **{f"  {kind}": count for kind, count in found.errors.items()},
            }
        )
        _print_rows(at, found.sample[:_FIRST])
    return Exit.FAULTS if found.failure or found.error_count else Exit.OK


@command(app, _PANEL, "json reveal actor")
def upload(
    at: Terminal,
    list_id: ListId,
    file: File,
    error_file: Annotated[
        Path | None, typer.Option(help="Where to write the refused rows; FILE-errors.csv by default.")
    ] = None,
    encoding: Encoding = "utf-8",
    force: Force = False,
) -> int:
    """Upload a file of codes to a list. Its codes become available all at once.

    Example: `partner-vouchers upload 1 codes.csv`
    """
    require_new("--error-file", error_file)
    with open_source(file) as (source, name), show_progress() as progress:
        entry = at.vouchers.uploads.add(
            list_id,
            source,
            filename=name,
            uploaded_by=at.actor,
            force=force,
            encoding=encoding,
            progress=progress,
        )
    at.answer(
        entry,
        f"{entry.status.value}: {entry.accepted:,} of {entry.total:,} codes accepted, "
        f"{entry.error_count:,} errors.",
    )
    if not at.json:
        if entry.failure:
            warn(f"The file was refused: {entry.failure}")
        _print_rows(at, at.vouchers.uploads.errors(entry.id, limit=_FIRST))
        for kind, count in entry.warnings.items():
            say(f"Warning: {count:,} × {kind.value.replace('_', ' ')}.")
    if entry.error_count:
        written = write_error_file(
            at.vouchers.uploads.error_file(entry.id),
            error_file,
            name,
            f"`partner-vouchers uploads --errors {entry.id}` prints the refused rows",
        )
        if written is None:
            return Exit.STORAGE
        warn(f"The refused rows are in {written}. Correct them there, and upload that file to the same list.")
    return Exit.FAULTS if entry.status is UploadStatus.FAILED or entry.error_count else Exit.OK


@command(app, _PANEL, "json yes actor")
def uploads(
    at: Terminal,
    list_id: OfList = None,
    status: Annotated[
        UploadStatus | None, typer.Option(case_sensitive=False, help="Only uploads with this status.")
    ] = None,
    original: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Write the original file of this upload to the standard output."),
    ] = None,
    errors: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Write the error file of this upload to the standard output."),
    ] = None,
    withdraw: Annotated[
        str | None, typer.Option(metavar="ID", help="Take back the codes of this upload that no user has.")
    ] = None,
    recover: Annotated[
        bool, typer.Option("--recover", help="Complete or roll back what a killed process left in progress.")
    ] = False,
    limit: Limit = 50,
    after: After = None,
) -> None:
    """Show the upload log, download files, withdraw, recover.

    Example: `partner-vouchers uploads --list 1`
    """
    group = at.vouchers.uploads
    if original or errors:
        with (
            group.original_file(original, actor=at.actor)
            if original
            else group.error_file(str(errors), actor=at.actor)
        ) as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer)
    elif withdraw:
        at.confirm(f"Take back the codes of upload {withdraw} that no user has?")
        taken = group.withdraw(withdraw, actor=at.actor)
        at.answer(taken, f"{taken.withdrawn:,} codes were taken back.")
    elif recover:
        done = group.recover()
        at.answer(done, f"Interrupted uploads that were completed or rolled back: {len(done):,}.")
    else:
        at.table(
            group.find(list_id=list_id, status=status, after=after, limit=limit),
            {
                "Upload": "id",
                "List": "list_id",
                "Timestamp": "started_at",
                "Status": "status",
                "Uploaded by": "uploaded_by",
                "File name": "filename",
                "#Uploaded": "accepted",
                "#Total": "total",
                "#Errors": "error_count",
                "Reason": "failure",
            },
            empty="There is no upload.",
        )


@command(app, _PANEL, "actor")
def export(
    at: Terminal,
    list_id: ListId,
    remaining: Annotated[
        bool, typer.Option("--remaining", help="The codes that are left, instead of those given out.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; the standard output by default.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Do not protect cells against spreadsheets.")] = False,
) -> None:
    """Write the whole codes of a list as CSV. The audit log keeps who did.

    Example: `partner-vouchers export 1 --remaining -o left.csv`
    """
    require_new("--output", output)
    with (
        # First, so that the audit log names no download of which nothing could be written.
        nullcontext(sys.stdout.buffer) if output is None else new_file(output) as target,
        at.vouchers.codes.export(list_id, remaining=remaining, raw=raw, actor=at.actor) as stream,
    ):
        shutil.copyfileobj(stream, target)
    if output is not None:
        warn(f"Written to {output}.")


def _print_rows(at: Terminal, faults: Iterable[RowFault]) -> None:
    if rows := [(fault.line, at.code(fault.raw), fault.message) for fault in faults]:
        print_table(["#Line", "Row", "Error"], rows, empty="")
