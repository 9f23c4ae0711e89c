"""The SQLite storage under the contract."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import Storage
from partner_vouchers.testing import HostConnection, StorageContract

NAME = "vouchers.db"


def opened(place: Path) -> SQLiteStorage:
    # Nobody cuts the power here.
    return SQLiteStorage(place / NAME, synchronous="NORMAL")


class TestSQLiteStorage(StorageContract):
    def new_storage(self, place: Path) -> SQLiteStorage:
        return opened(place)

    def reopen(self, storage: Storage, place: Path) -> SQLiteStorage:
        self.close(storage)
        return opened(place)

    def second_connection(self, storage: Storage, place: Path) -> SQLiteStorage:
        return opened(place)

    def second_process(self, storage: Storage, place: Path) -> Callable[[], Storage]:
        return partial(SQLiteStorage, place / NAME, synchronous="NORMAL")

    @contextmanager
    def host_connection(self, storage: Storage, place: Path) -> Iterator[HostConnection]:
        with storage.begin(write=False):
            """A host opens the storage before its own transaction."""
        with closing(sqlite3.connect(place / NAME, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield HostConnection(connection, commit=connection.commit, rollback=connection.rollback)
