"""What the repositories need of a connection: statements of this storage, and its locks."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, ClassVar, ParamSpec, TypeVar

import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus
from psycopg.rows import TupleRow, tuple_row

from partner_vouchers.adapters.postgres.errors import translated
from partner_vouchers.adapters.postgres.loaders import with_loaders
from partner_vouchers.adapters.postgres.names import STATEMENTS, Names, lock_number
from partner_vouchers.adapters.postgres.pipeline import OwnConnection, Pipeline, command, failure_of
from partner_vouchers.adapters.sql.session import Value
from partner_vouchers.errors import StorageBusy

Connection = psycopg.Connection[Any]

_QUEUE_SECONDS, _ASIDE_SECONDS, _LOOK_SECONDS = 0.4, 0.8, 0.05
"""How long to queue for the lock of a list, then to let others pass, looking how often whether it is free."""
_QUEUE = "partner_vouchers_queue"
_COPY_BYTES = 128 * 1024

MOST_LOCKS = 1_000
"""Up to how many locks are taken at once: the server has room for some thousands of them."""

# Locks depend on the oid of a table, so two names of the same tables share them.
TABLES = "'pv_settings'::regclass::oid::bigint"
KEY = f"(%s::bigint # {TABLES})"


Arguments = ParamSpec("Arguments")
T = TypeVar("T")


def translating(method: Callable[Arguments, T]) -> Callable[Arguments, T]:
    """Let a method raise errors of this library, which do not refer to those of the driver."""

    @wraps(method)
    def call(*arguments: Arguments.args, **options: Arguments.kwargs) -> T:
        try:
            return method(*arguments, **options)
        except psycopg.Error as error:
            failure = translated(error)
        raise failure

    return call


class Copy:
    """Rows on their way to the server.

    When a copy fails, the driver's own class logs the server's message, which quotes rows. To abort this one, close the
    connection.
    """

    def __init__(self, connection: Connection, statement: bytes) -> None:
        self._connection = connection
        connection.pgconn.send_query(statement)
        (answer,) = connection.wait(generators.execute(connection.pgconn))
        if answer.status != ExecStatus.COPY_IN:
            raise failure_of(answer)

    def write(self, rows: str) -> None:
        """Send whole rows.

        Raises:
            StorageError: the server or the connection failed.
        """
        data = memoryview(rows.encode())
        for start in range(0, len(data), _COPY_BYTES):
            self._wait(generators.copy_to(self._connection.pgconn, data[start : start + _COPY_BYTES]))

    def end(self) -> None:
        """Have the server take the rows.

        Raises:
            StorageError: the server or the connection failed.
        """
        self._wait(generators.copy_end(self._connection.pgconn, None))

    @translating
    def _wait(self, work: Generator[Any, Any, Any]) -> None:
        self._connection.wait(work)


class Session:
    """A connection within a transaction (`sql.session.Session`).

    Attributes:
        connection: the connection.
        names: the names of the tables.
        writes: whether the transaction may write; one that only reads takes no locks.
        joined: whether it is a host's, which may stay open for as long as it likes.
    """

    statements: ClassVar[Mapping[str, str]] = STATEMENTS

    def __init__(self, connection: Connection, names: Names, *, writes: bool, joined: bool) -> None:
        self.connection: Connection = connection
        self.names: Names = names
        self.writes: bool = writes
        self.joined: bool = joined
        self._shared: set[int] = set()
        self._pipeline = Pipeline(connection) if isinstance(connection, OwnConnection) else None
        self._known_cursor: psycopg.Cursor[TupleRow] | None = None
        self._statements = names.sql

    @property
    def _cursor(self) -> psycopg.Cursor[TupleRow]:
        if self._known_cursor is None:
            # A host's connection, of which its pool may consist too, may have other ideas of rows and cursors.
            self._known_cursor = with_loaders(psycopg.Cursor(self.connection, row_factory=tuple_row))
        return self._known_cursor

    @translating
    def execute(
        self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> psycopg.Cursor[TupleRow]:
        """Execute a statement; its rows must be fetched before the next one.

        Raises:
            StorageError: the server or the connection failed.
        """
        self._flush()
        return self._cursor.execute(self._statements(statement), parameters)

    @translating
    def fetch(self, statement: str, *parameters: Value) -> list[TupleRow]:
        """Execute a statement that is often executed, and return its rows.

        Raises:
            StorageError: the server or the connection failed.
        """
        if self._pipeline is None:
            return self.execute(statement, parameters).fetchall()
        return self._pipeline.fetch(self._statements(statement), parameters)

    @translating
    def queue(self, statement: str, *parameters: Value) -> None:
        """Execute a statement whose answer is not needed: with the next one, or with the commit.

        Raises:
            StorageError: the server or the connection failed. If the statement is queued, the next one raises it.
        """
        if self._pipeline is None:
            self.execute(statement, parameters)
        else:
            self._pipeline.queue(self._statements(statement), parameters)

    def change(self, statement: str, *parameters: Value) -> int:
        return self.execute(statement, parameters).rowcount

    def queue_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        for row in rows:
            self.queue(statement, *row)

    def insert_columns(self, statement: str, *columns: Sequence[Value]) -> None:
        if columns[0]:
            self.execute(statement, list(map(list, columns)))

    def commit(self) -> bytes | None:
        """Commit a transaction of our own, and return the command tag.

        Raises:
            StorageError: a statement before the commit failed, and nothing was stored.
            psycopg.Error: the commit failed, or the connection was lost meanwhile.
        """
        return command(self.connection, b"COMMIT") if self._pipeline is None else self._pipeline.commit()

    @translating
    def run(self, statement: str) -> None:
        """Execute a statement that has neither parameters nor names in it."""
        self._flush()
        self._cursor.execute(statement.encode(), prepare=False)

    @translating
    def begin_copy(self, statement: str) -> Copy:
        """Begin to copy rows in the server's text format. Nothing else can be executed before `Copy.end`.

        Raises:
            StorageError: the server or the connection failed.
        """
        self._flush()
        return Copy(self.connection, self._statements(statement))

    # After waiting for one of these locks, read the tables with a later statement: the one that waits sees
    # them as they were before.

    def lock(self, *about: str) -> None:
        """Wait until no other transaction has the lock about something, and take it until the end of this one."""
        if self.writes:
            self.queue(f"SELECT pg_advisory_xact_lock({KEY})", lock_number(*about))

    def share(self, *about: str) -> None:
        if self.writes:
            self.queue(f"SELECT pg_advisory_xact_lock_shared({KEY})", lock_number(*about))

    def try_lock(self, *about: str) -> bool:
        """Take the lock about something until the end of the transaction, where no other transaction has it."""
        return self._try(lock_number(*about))

    def lock_many(self, about: Iterable[Sequence[str]]) -> None:
        # Of more than the server has room for, a request that races with another fails on the constraint of the
        # table, with nothing stored.
        keys = {lock_number(*each) for each in about} if self.writes else set()
        if 0 < len(keys) <= MOST_LOCKS:
            sql = f"SELECT pg_advisory_xact_lock(k # {TABLES}) FROM unnest(%s::bigint[]) AS k"
            self.execute(sql, (sorted(keys),))

    def lock_database(self) -> None:
        """Wait for all other migrations in this database, and make new ones wait."""
        self.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number("migration"),))

    def share_list(self, number: int) -> None:
        """Keep a list from being changed until the end of the transaction, as others may do at the same time."""
        if self.writes and number not in self._shared:
            self.queue(f"SELECT pg_advisory_xact_lock_shared({KEY})", lock_number("list", str(number)))
            self._shared.add(number)

    def lock_list(self, number: int) -> None:
        """Wait until no other transaction takes codes of a list, or changes it, and keep it so until the end.

        Later callers queue behind a waiting one, and it may wait for a host's transaction. So the place in
        it leaves the queue from time to time.

        Raises:
            StorageBusy: others had the list for as long as the connection's `lock_timeout`, or 30 seconds.
        """
        key = lock_number("list", str(number))
        if not self.writes or self._try(key):
            return
        ((patience,),) = self.fetch(
            "SELECT setting::integer / 1000.0 FROM pg_settings WHERE name = 'lock_timeout'"
        )
        deadline = time.monotonic() + (float(patience) or 30.0)
        while True:
            self.run(f"SAVEPOINT {_QUEUE}; SET LOCAL lock_timeout = {int(_QUEUE_SECONDS * 1000)}")
            try:
                self.fetch(f"SELECT pg_advisory_xact_lock({KEY})", key)
            except StorageBusy:
                self.run(f"ROLLBACK TO SAVEPOINT {_QUEUE}")
                aside = time.monotonic() + _ASIDE_SECONDS
                while time.monotonic() < aside:
                    if time.monotonic() >= deadline:
                        raise
                    getattr(self.connection, "sleep", time.sleep)(_LOOK_SECONDS)
                    if self._try(key):
                        return
            else:
                self.run(f"SET LOCAL lock_timeout = {int(patience * 1000)}; RELEASE SAVEPOINT {_QUEUE}")
                return

    def _flush(self) -> None:
        if self._pipeline is not None:
            self._pipeline.flush()

    def _try(self, number: int) -> bool:
        sql = f"SELECT pg_try_advisory_xact_lock({KEY})"
        return bool(self.fetch(sql, number)[0][0])
