"""What all commands share: their options, the storage, and the exit codes."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports import Storage
from partner_vouchers.vouchers import PartnerVouchers


class Exit(IntEnum):
    """The exit codes of all commands; stable.

    `OK`: done. `REFUSED`: the library refused the request, and nothing was changed. `USAGE`: the arguments are wrong.
    `FAULTS`: a file was refused, or some of its rows were. `NO_CODE`: no code could be given. `STORAGE`: the storage
    cannot be used. `FINDINGS`: `doctor` or `template check` found something. `INTERRUPTED`: Ctrl-C.
    """

    OK = 0
    REFUSED = 1
    USAGE = 2
    FAULTS = 3
    NO_CODE = 4
    STORAGE = 5
    FINDINGS = 6
    INTERRUPTED = 130


Database = Annotated[
    str,
    typer.Option(
        "--db",
        envvar="PARTNER_VOUCHERS_DB",
        metavar="FILE|URL",
        help="An SQLite file, or the address of a PostgreSQL database (postgresql://…).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show whole codes. The audit log keeps who did.")]
Actor = Annotated[
    str,
    typer.Option("--actor", envvar="PARTNER_VOUCHERS_ACTOR", help="Who makes the change, for the audit log."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

_PATIENCE = 10.0
"""Seconds to wait for a server, and for a lock of others: a person sits in front of it."""

DEFAULT_DATABASE = "vouchers.db"


def is_postgres(database: str) -> bool:
    """Return whether the address of a database names a PostgreSQL server."""
    return database.startswith(("postgresql://", "postgres://"))


def open_storage(database: str, *, create: bool = False) -> Storage:
    """Return the storage at an address.

    Args:
        database: an SQLite file, or the address of a PostgreSQL database.
        create: whether a file that does not exist may be created.

    Raises:
        InvalidInput: the file does not exist, or the extra `postgres` is missing.
    """
    if is_postgres(database):
        try:
            from partner_vouchers.adapters.postgres import PostgresStorage
        except ModuleNotFoundError:
            raise InvalidInput(
                field="--db", reason="PostgreSQL needs an extra: pip install 'partner-vouchers[postgres]'"
            ) from None
        return PostgresStorage(database, max_connections=4, timeout=_PATIENCE)
    if "://" in database:
        scheme = database.partition("://")[0]
        raise InvalidInput(
            field="--db",
            reason=f"a database at {scheme}:// is not known; name an SQLite file, or postgresql://…",
        )
    from partner_vouchers.adapters.sqlite import SQLiteStorage

    if not create and not Path(database).exists():
        raise InvalidInput(
            field="--db",
            reason=f"there is no file {str(Path(database).absolute())!r}; name another one with --db, "
            "or create it with `partner-vouchers migrate`",
        )
    return SQLiteStorage(database)


@contextmanager
def opened(database: str, *, create: bool = False) -> Iterator[PartnerVouchers]:
    """Open the library on a database, and close its storage afterwards."""
    storage = open_storage(database, create=create)
    try:
        yield PartnerVouchers(storage)
    finally:
        close = getattr(storage, "close", None)
        if close is not None:
            close()


def default_actor() -> str:
    """Return the name of the person at this terminal."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "partner-vouchers"


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone.

    Raises:
        typer.Abort: the answer is no.
        InvalidInput: there is no terminal to ask.
    """
    if yes:
        return
    if not typer.get_text_stream("stdin").isatty():
        raise InvalidInput(field="--yes", reason=f"add it, since there is no terminal to ask at: {question}")
    typer.confirm(question, abort=True)


DEFAULT_ACTOR = default_actor()
