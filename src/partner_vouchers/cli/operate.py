"""Commands for operating a storage: demo, migrate, doctor, page, version."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated

import typer

from partner_vouchers.cli.context import (
    DEFAULT_DATABASE,
    AsJson,
    Database,
    Exit,
    is_postgres,
    open_storage,
    opened,
)
from partner_vouchers.cli.demo import run_demo
from partner_vouchers.cli.doctor import examine
from partner_vouchers.cli.output import print_json, print_table, say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (demo, migrate, doctor, version):
        app.command(rich_help_panel="Operation")(command)


def demo(
    directory: Annotated[
        Path | None, typer.Option(help="Work in this directory, and keep the files.")
    ] = None,
    rows: Annotated[int, typer.Option(min=100, max=1_000_000, help="Rows of the sample file.")] = 100_000,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the files of the temporary directory.")] = False,
) -> None:
    """Run the main job on a sample file, and show what comes of it.

    Example: `partner-vouchers demo`
    """
    run_demo(directory, rows, keep=keep)


def migrate(db: Database = DEFAULT_DATABASE) -> None:
    """Create the tables, or bring them to the version of this library.

    Example: `partner-vouchers migrate --db postgresql://shop@db.example/shop`
    """
    if is_postgres(db):
        storage = open_storage(db)
        storage.migrate()  # type: ignore[attr-defined]
    with opened(db, create=True) as vouchers:
        vouchers.check()
    say("The storage is up to date.")


def doctor(
    days: Annotated[
        int, typer.Option(help="Warn of lists that run dry or expire within this many days.")
    ] = 7,
    minutes: Annotated[int, typer.Option(help="Warn of uploads and events that are older, in minutes.")] = 15,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
) -> int:
    """Look for what needs attention, and say what to do.

    Example: `partner-vouchers doctor`
    """
    findings = examine(db, days=timedelta(days=days), patience=timedelta(minutes=minutes))
    if json:
        print_json(findings)
    else:
        print_table(
            ["What", "Where", "What to do"],
            [(each.problem, each.subject, each.advice) for each in findings],
            empty="Nothing needs attention.",
        )
    return Exit.FINDINGS if findings else Exit.OK


def version() -> None:
    """Show the version.

    Example: `partner-vouchers version`
    """
    say(version_of("partner-vouchers"))
