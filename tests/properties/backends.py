"""Storages, as things that a test can open and throw away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.support.scratch import scratch


class InMemory:
    """A `MemoryStorage`."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()

    @contextmanager
    def host_transaction(self) -> Iterator[object]:
        """Open a transaction of the host's and roll it back at the end."""
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
        """Open a transaction of the host's and roll it back at the end."""
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
