"""The storages and a sink of this library under the contracts of the kit, for tests of these and of the kit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import psycopg

from partner_vouchers import VoucherRewarded
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import EventSink, Storage
from partner_vouchers.testing import (
    EventSinkContract,
    FailingSink,
    HostConnection,
    StorageContract,
    UnsupportedHook,
    unsupported,
)
from partner_vouchers.testing.sinks import UNWANTED
from tests.support.postgres import schemas, server


class InMemory(StorageContract):
    def new_storage(self, place: Path) -> MemoryStorage:
        return MemoryStorage()

    def reopen(self, storage: Storage, place: Path) -> UnsupportedHook:
        return unsupported("what is in memory ends with its storage")

    def second_connection(self, storage: Storage, place: Path) -> UnsupportedHook:
        return unsupported("the data belongs to one object, which all threads share")

    def second_process(self, storage: Storage, place: Path) -> UnsupportedHook:
        return unsupported("processes share no memory")

    @contextmanager
    def host_connection(self, storage: Storage, place: Path) -> Iterator[HostConnection]:
        assert isinstance(storage, MemoryStorage)
        with storage.begin() as tx:
            yield HostConnection(tx, commit=tx.commit, rollback=partial(tx.unit.end, undo=True))


NAME = "vouchers.db"


def opened(place: Path) -> SQLiteStorage:
    # Nobody cuts the power here.
    return SQLiteStorage(place / NAME, synchronous="NORMAL")


class InSQLite(StorageContract):
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


class Lent:
    """The schemas of the storages that a test has made."""

    def __init__(self) -> None:
        self._schemas: dict[Path, tuple[str, ExitStack]] = {}

    def at(self, place: Path) -> str:
        if place not in self._schemas:
            # Of the many storages that one test makes, those that are over.
            self.give_back(lambda made: not made.exists())
            stack = ExitStack()
            self._schemas[place] = stack.enter_context(schemas().lend()), stack
        return self._schemas[place][0]

    def give_back(self, is_over: Callable[[Path], bool]) -> None:
        for place in [made for made in self._schemas if is_over(made)]:
            self._schemas.pop(place)[1].close()


LENT = Lent()


class InPostgres(StorageContract):
    def new_storage(self, place: Path) -> PostgresStorage:
        return PostgresStorage(server().conninfo, schema=LENT.at(place))

    def reopen(self, storage: Storage, place: Path) -> PostgresStorage:
        self.close(storage)
        return self.new_storage(place)

    def second_connection(self, storage: Storage, place: Path) -> PostgresStorage:
        return self.new_storage(place)

    def second_process(self, storage: Storage, place: Path) -> Callable[[], Storage]:
        return partial(PostgresStorage, server().conninfo, schema=LENT.at(place))

    @contextmanager
    def host_connection(self, storage: Storage, place: Path) -> Iterator[HostConnection]:
        with closing(psycopg.connect(server().conninfo)) as connection:
            yield HostConnection(connection, commit=connection.commit, rollback=connection.rollback)


class WithFailingSink(EventSinkContract):
    def new_sink(self, place: Path) -> FailingSink:
        return FailingSink(concurrency=4)

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        assert isinstance(sink, FailingSink)
        return [event.user_id for event in sink.events if isinstance(event, VoucherRewarded)]

    def unavailable_sink(self, place: Path) -> FailingSink:
        return FailingSink(outages=1)

    def rejecting_sink(self, place: Path) -> FailingSink:
        return FailingSink(rejects=lambda event: getattr(event, "user_id", None) == UNWANTED)
