"""Files at the command line: what is read, how far it is, and what is written."""

from __future__ import annotations

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


def free_name(stem: str) -> Path:
    """Return a name of a .csv file that is free."""
    names = (Path(f"{stem}{'' if number == 1 else f'-{number}'}.csv") for number in count(1))
    return next(name for name in names if not name.exists())
