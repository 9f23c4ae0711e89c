"""Commands for files: check, upload, export, reconcile."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from partner_vouchers.cli.context import (
    DEFAULT_ACTOR,
    DEFAULT_DATABASE,
    Actor,
    AsJson,
    Database,
    Exit,
    Reveal,
    Yes,
    confirm,
    opened,
)
from partner_vouchers.cli.lists import ListId
from partner_vouchers.cli.output import print_facts, print_json, print_table, say, warn
from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.uploads import UploadStatus
from partner_vouchers.errors import InvalidInput
from partner_vouchers.usecases.importing import UploadProgress

File = Annotated[str, typer.Argument(metavar="FILE", help="A .csv file; - for the standard input.")]
_FIRST = 10


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (validate, upload, uploads, export):
        app.command(rich_help_panel="Files")(command)


def validate(
    list_id: ListId,
    file: File,
    encoding: Annotated[
        str | None, typer.Option(help="The encoding of the file; found out by default.")
    ] = None,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    reveal: Reveal = False,
) -> int:
    """Check a file without storing anything.

    Example: `partner-vouchers validate 1 codes.csv`
    """
    with opened(db) as vouchers, open_source(file) as (source, name), show_progress() as progress:
        found = vouchers.uploads.validate(
            list_id, source, filename=name, progress=progress, **given(encoding=encoding)
        )
    if json:
        print_json(found, reveal=reveal)
    else:
        print_facts(
            {
                "Rows": found.total,
                "Acceptable": found.acceptable,
                "Errors": found.error_count,
                "Refused because": found.failure and found.failure.message,
                **{f"  {kind}": count for kind, count in found.errors.items()},
            }
        )
        _print_rows([(fault.line, fault.raw, fault.message) for fault in found.sample[:_FIRST]], reveal)
    return Exit.FAULTS if found.failure or found.error_count else Exit.OK


def upload(
    list_id: ListId,
    file: File,
    error_file: Annotated[
        Path | None, typer.Option(help="Where to write the refused rows; FILE-errors.csv by default.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="The encoding of the file; found out by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Upload a file that was uploaded before.")] = False,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    reveal: Reveal = False,
    actor: Actor = DEFAULT_ACTOR,
) -> int:
    """Upload a file of codes to a list. Its codes become available all at once.

    Example: `partner-vouchers upload 1 codes.csv`
    """
    require_new(error_file)
    with opened(db) as vouchers:
        with open_source(file) as (source, name), show_progress() as progress:
            entry = vouchers.uploads.add(
                list_id,
                source,
                filename=name,
                uploaded_by=actor,
                force=force,
                progress=progress,
                **given(encoding=encoding),
            )
        written = None
        if entry.error_count:
            written = error_file or _free(f"{Path(name).stem}-errors")
            with vouchers.uploads.error_file(entry.id) as stream:
                write_file(stream, written)
        if json:
            print_json(entry, reveal=reveal)
        else:
            say(
                f"{entry.status.value}: {entry.accepted:,} of {entry.total:,} codes accepted, "
                f"{entry.error_count:,} errors."
            )
            if entry.failure:
                warn(f"The file was refused: {entry.failure.message}")
            _print_rows(
                [
                    (fault.line, fault.raw, fault.message)
                    for fault in vouchers.uploads.errors(entry.id, limit=_FIRST)
                ],
                reveal,
            )
            for kind, count in entry.warnings.items():
                say(f"Warning: {count:,} × {kind.value.replace('_', ' ')}.")
        if written:
            warn(
                f"The refused rows are in {written}. Correct them there, and upload that file to the same list."
            )
    return Exit.FAULTS if entry.status is UploadStatus.FAILED or entry.error_count else Exit.OK


def uploads(
    list_id: Annotated[str | None, typer.Option("--list", help="Only uploads to this list.")] = None,
    status: Annotated[str | None, typer.Option(help="In Progress, Completed or Failed.")] = None,
    original: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Write the original file of this upload to the standard output."),
    ] = None,
    errors: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Write the error file of this upload to the standard output."),
    ] = None,
    withdraw: Annotated[
        str | None, typer.Option(metavar="ID", help="Take back the codes of this upload that nobody has.")
    ] = None,
    recover: Annotated[
        bool, typer.Option("--recover", help="Complete or roll back what a killed process left in progress.")
    ] = False,
    limit: Annotated[int, typer.Option(help="How many entries at the most.")] = 50,
    after: Annotated[str | None, typer.Option(help="The cursor of the next page.")] = None,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    yes: Yes = False,
    actor: Actor = DEFAULT_ACTOR,
) -> None:
    """Show the upload log, download files, withdraw, recover.

    Example: `partner-vouchers uploads --list 1`
    """
    with opened(db) as vouchers:
        if original or errors:
            stream = (
                vouchers.uploads.original_file(original, actor=actor)
                if original
                else vouchers.uploads.error_file(str(errors), actor=actor)
            )
            with stream:
                shutil.copyfileobj(stream, sys.stdout.buffer)
            return
        if withdraw:
            confirm(f"Take back the codes of upload {withdraw} that nobody has?", yes=yes)
            taken = vouchers.uploads.withdraw(withdraw, actor=actor)
            print_json(taken) if json else say(f"{taken.withdrawn:,} codes were taken back.")
            return
        if recover:
            done = vouchers.uploads.recover()
            print_json(done) if json else say(
                f"{len(done):,} interrupted uploads were completed or rolled back."
            )
            return
        page = vouchers.uploads.find(list_id=list_id, status=status, after=after, limit=limit)
        if json:
            print_json(page)
            return
        print_table(
            [
                "Upload",
                "List",
                "Timestamp",
                "Status",
                "Uploaded by",
                "File name",
                "#Uploaded",
                "#Total",
                "#Errors",
                "Reason",
            ],
            [
                (
                    each.id,
                    each.list_id,
                    each.started_at,
                    each.status,
                    each.uploaded_by,
                    each.filename,
                    each.accepted,
                    each.total,
                    each.error_count,
                    each.failure and each.failure.message,
                )
                for each in page
            ],
            empty="There is no upload.",
        )
        if page.next:
            say(f"There are more: --after {page.next}")


def export(
    list_id: ListId,
    remaining: Annotated[
        bool, typer.Option("--remaining", help="The codes that are left, instead of those given out.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; the standard output by default.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Do not protect cells against spreadsheets.")] = False,
    db: Database = DEFAULT_DATABASE,
    actor: Actor = DEFAULT_ACTOR,
) -> None:
    """Write the whole codes of a list as CSV. The audit log keeps who did.

    Example: `partner-vouchers export 1 --remaining -o left.csv`
    """
    require_new(output)
    with (
        opened(db) as vouchers,
        vouchers.codes.export(list_id, remaining=remaining, raw=raw, actor=actor) as stream,
    ):
        if output is None:
            shutil.copyfileobj(stream, sys.stdout.buffer)
        else:
            write_file(stream, output)
            warn(f"Written to {output}.")


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


@contextmanager
def open_source(file: str) -> Iterator[tuple[Path | BinaryIO, str]]:
    """Return what the library reads a file from, and its name."""
    if file == "-":
        yield sys.stdin.buffer, "standard-input.csv"
    else:
        yield Path(file), Path(file).name


@contextmanager
def show_progress() -> Iterator[Callable[[UploadProgress], None] | None]:
    """Show how far a file is, on a terminal."""
    shown = Console(stderr=True)
    if not shown.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True) as bar:
        task = bar.add_task("Reading", total=None)

        def update(progress: UploadProgress) -> None:
            bar.update(
                task,
                completed=progress.bytes_read,
                total=progress.bytes_total,
                description=f"{progress.rows:,} rows",
            )

        yield update


def require_new(path: Path | None) -> None:
    """Refuse a file that exists, before any work is done for it.

    Raises:
        InvalidInput: it exists.
    """
    if path is not None and path.exists():
        raise InvalidInput(field="file", reason=f"{path} exists; name another file, or move it away")


def write_file(stream: BinaryIO, path: Path) -> None:
    """Write a stream to a new file."""
    with path.open("xb") as file:
        shutil.copyfileobj(stream, file)


def _free(stem: str) -> Path:
    """Return a name of a .csv file that is free."""
    names = (Path(f"{stem}{'' if number == 1 else f'-{number}'}.csv") for number in count(1))
    return next(name for name in names if not name.exists())


def _print_rows(rows: list[tuple[int, str, str]], reveal: bool) -> None:
    if rows:
        print_table(
            ["#Line", "Row", "Error"],
            [(line, raw if reveal else mask(raw), message) for line, raw, message in rows],
            empty="",
        )
