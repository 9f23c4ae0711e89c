"""Commands for operating a storage: demo, migrate, doctor, page, version."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from partner_vouchers import __version__
from partner_vouchers.cli.context import (
    DEFAULT_ACTOR,
    DEFAULT_DATABASE,
    Actor,
    AsJson,
    Database,
    Exit,
    is_postgres,
    open_storage,
    opened,
)
from partner_vouchers.cli.doctor import examine
from partner_vouchers.cli.output import print_json, print_table, say
from partner_vouchers.cli.root import app
from partner_vouchers.errors import InvalidInput

_PANEL = "Operation"


@app.command(rich_help_panel=_PANEL)
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
    # It loads what most commands do not need.
    from partner_vouchers.cli.demo import run_demo

    run_demo(directory, rows, keep=keep)


@app.command(rich_help_panel=_PANEL)
def migrate(db: Database = DEFAULT_DATABASE) -> None:
    """Create the tables, or bring them to the version of this library.

    Example: `partner-vouchers migrate --db postgresql://shop@db.example/shop`
    """
    if is_postgres(db):
        with closing(open_storage(db)) as storage:  # type: ignore[type-var]
            storage.migrate()  # type: ignore[attr-defined]
    with opened(db, create=True) as vouchers:
        vouchers.check()
    say("The storage is up to date.")


@app.command(rich_help_panel=_PANEL)
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


@app.command(rich_help_panel=_PANEL)
def page(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = 8000,
    actor: Actor = DEFAULT_ACTOR,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
) -> None:
    """Serve the page on this machine, until Ctrl-C. It asks for a password that is new each time.

    Example: `partner-vouchers page --db vouchers.db`
    """
    try:
        import uvicorn

        from partner_vouchers.page import basic_authentication, create_app
    except ModuleNotFoundError:
        raise InvalidInput(
            field="page", reason="it needs an extra: pip install 'partner-vouchers[page]'"
        ) from None
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise InvalidInput(
            field="--port", reason=f"{port} cannot be used ({os.strerror(error.errno or 0)}); name another"
        ) from None
    # A server has an operator, who reads its log.
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    password = secrets.token_urlsafe(12)
    with listening, opened(db) as vouchers:
        vouchers.check()
        served = create_app(vouchers, authorize=basic_authentication({actor: password}))
        server = uvicorn.Server(uvicorn.Config(served, log_level="warning", lifespan="off"))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        if json:
            print_json({"url": url, "name": actor, "password": password})
        else:
            say(f"Open {url} and sign in as {actor} with the password {password}")
        server.run(sockets=[listening])


@app.command(rich_help_panel=_PANEL)
def version(json: AsJson = False) -> None:
    """Show the version.

    Example: `partner-vouchers version`
    """
    print_json({"version": __version__}) if json else say(__version__)
