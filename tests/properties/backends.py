"""The storages, as things that a test can open and throw away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import Storage
from tests.support.postgres import a_storage, schemas
from tests.support.scratch import scratch

START = datetime(2026, 1, 1, tzinfo=UTC)


class Backend(Protocol):
    """A storage, and a way to take part in a transaction of a host's."""

    @property
    def storage(self) -> Storage: ...

    @contextmanager
    def host_transaction(self) -> Iterator[object]:
        """Open a transaction of the host's and roll it back at the end."""
        ...

    def close(self) -> None: ...


class InMemory:
    """A `MemoryStorage`."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()

    @contextmanager
    def host_transaction(self) -> Iterator[object]:
        with self.storage.begin() as tx:
            yield tx

    def close(self) -> None:
        """There is nothing to close."""


class InSQLite:
    """A `SQLiteStorage` in a file of its own."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._path = self._open.enter_context(scratch()) / "vouchers.db"
        self.storage = SQLiteStorage(self._path, synchronous="NORMAL")

    @contextmanager
    def host_transaction(self) -> Iterator[object]:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def close(self) -> None:
        self.storage.close()
        self._open.close()


class InPostgres:
    """A `PostgresStorage` in a schema of its own."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self.storage = self._open.enter_context(a_storage())

    @contextmanager
    def host_transaction(self) -> Iterator[object]:
        with schemas().pool.connection() as connection:
            yield connection
            connection.rollback()

    def close(self) -> None:
        self._open.close()


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def jump(self, days: int) -> None:
        self.now += timedelta(days=days)


def csv_file(codes: list[str] | tuple[str, ...]) -> bytes:
    """Return a file with one code in each row."""
    return "".join(f"{code}\n" for code in codes).encode()
