"""Files at the command line: what is read, how far it is, and what is written."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from partner_vouchers.cli.output import warn
from partner_vouchers.errors import InvalidInput
from partner_vouchers.usecases.importing import UploadProgress

File = Annotated[str, typer.Argument(metavar="FILE", help="A .csv file; - for the standard input.")]


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


def require_new(option: str, path: Path | None) -> None:
    """Refuse a file that exists, before any work is done for it.

    Raises:
        InvalidInput: it exists.
    """
    if path is not None and path.exists():
        raise InvalidInput(field=option, reason=f"{path} exists; name another file, or move it away")


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, which only its owner can read, since it gets whole codes. An error removes it."""
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb"
    ) as file:
        try:
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def write_error_file(stream: BinaryIO, path: Path | None, source: str, otherwise: str) -> Path | None:
    """Write an error file, and return its name; None, after a warning, if it cannot be written.

    Args:
        stream: the error file.
        path: the name that was asked for; by default one that is free, beside no other file.
        source: the name of the file with the errors.
        otherwise: how else to get the rows.
    """
    names = (
        Path(f"{Path(source).stem}-errors{'' if number == 1 else f'-{number}'}.csv") for number in count(1)
    )
    written = path or next(name for name in names if not name.exists())
    try:
        with stream, new_file(written) as file:
            shutil.copyfileobj(stream, file)
    except OSError as error:
        warn(f"error: {written}: {error.strerror or error}; {otherwise}")
        return None
    return written
