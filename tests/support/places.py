"""Where a storage is, said so that another process can open it too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.support.host import wait_until
from tests.support.postgres import Server, connections_of, schemas, server

Place = str
"""The path of a SQLite file, or `postgres:` with a schema and a connection string."""

SharedStorage = SQLiteStorage | PostgresStorage

_POSTGRES = "postgres:"


def in_postgres(schema: str, of: Server) -> Place:
    return f"{_POSTGRES}{schema}:{of.conninfo}"


def opened(place: Place | Path, *, synchronous: Literal["FULL", "NORMAL"] = "NORMAL") -> SharedStorage:
    """Open the storage at a place; a file is created. `synchronous` is for files."""
    name = os.fspath(place)
    if not name.startswith(_POSTGRES):
        return SQLiteStorage(name, synchronous=synchronous)
    schema, _, conninfo = name.removeprefix(_POSTGRES).partition(":")
    storage = PostgresStorage(conninfo, schema=schema)
    storage.migrate()
    return storage


def wait_until_gone(place: Place, program: str) -> None:
    """Wait until a server has ended what a program, which is dead, had asked of it last."""
    if not place.startswith(_POSTGRES):
        return
    _, _, conninfo = place.removeprefix(_POSTGRES).partition(":")
    wait_until(
        lambda: not connections_of(program, conninfo=conninfo),
        "the server does not notice that its client is dead",
    )


@contextmanager
def a_place(kind: str, directory: Path) -> Iterator[Place]:
    """Lend an empty place of a kind: `sqlite`, in a directory, or `postgres`."""
    if kind == "sqlite":
        yield str(directory / "vouchers.db")
        return
    with schemas().lend() as schema:
        yield in_postgres(schema, server())
