"""Begin and end transactions: for writing, and for reading."""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import Protocol

from partner_vouchers.adapters.sql.campaigns import Catalog
from partner_vouchers.adapters.sql.context import SqlContext
from partner_vouchers.adapters.sqlite.driver import Database, retry_while_busy, translated
from partner_vouchers.adapters.sqlite.session import SQLiteSession
from partner_vouchers.adapters.sqlite.transaction import SQLiteTransaction
from partner_vouchers.errors import StorageBusy, StorageError


class TransactionContext(SqlContext[SQLiteTransaction]):
    """Opens a transaction, and undoes it unless it was committed. Subclasses say how it begins and ends."""

    driver_error = sqlite3.Error
    _write = True

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def _begin(self) -> Database:
        raise NotImplementedError

    def _new_transaction(self) -> SQLiteTransaction:
        session = SQLiteSession(self._begin(), self._write)
        return SQLiteTransaction(session, self._catalog, self._commit)

    def _translated(self, error: Exception) -> StorageError:
        return translated(error) if isinstance(error, sqlite3.Error) else StorageError(reason=str(error))


class Turn:
    """The queue of the writers of this process, so that they do not fight one another for SQLite's lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._pid = os.getpid()

    def take(self, timeout: float) -> None:
        """Wait for the turn.

        Raises:
            StorageBusy: it did not come within `timeout` seconds.
            StorageError: this thread has it, so it would never come.
        """
        if self._pid != os.getpid():
            # Another thread of the parent may have had the turn at the fork; it does not exist here.
            self.__init__()  # type: ignore[misc]
        thread = threading.get_ident()
        if self._owner == thread:
            raise StorageError(
                reason="a write transaction of this thread is open already; end it first, or call "
                "vouchers.using(connection) to take part in a transaction of your own"
            )
        if not (self._lock.acquire(blocking=False) or self._lock.acquire(timeout=timeout)):
            raise StorageBusy(reason=f"other threads wrote for {timeout:g} s; nothing was stored, call again")
        self._owner = thread

    def give_back(self) -> None:
        """Let the next one write."""
        self._owner = None
        self._lock.release()


class Lender(Protocol):
    """Lends connections that are outside of any transaction."""

    def borrow(self) -> sqlite3.Connection: ...

    def give_back(self, connection: sqlite3.Connection) -> None: ...


class OneConnection:
    """Lends one and the same connection, which stays with whoever opened it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def borrow(self) -> sqlite3.Connection:
        """Return the connection."""
        return self._connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Do nothing."""


class WriteContext(TransactionContext):
    """A transaction that writes."""

    def __init__(self, turn: Turn, connections: Lender, catalog: Catalog, timeout: float) -> None:
        super().__init__(catalog)
        self._turn = turn
        self._connections = connections
        self._timeout = timeout
        self._connection: sqlite3.Connection | None = None

    def _begin(self) -> Database:
        self._turn.take(self._timeout)
        try:
            connection = self._connection = self._connections.borrow()
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                retry_while_busy(connection, "BEGIN IMMEDIATE", self._timeout)
        except BaseException:
            self._end()
            raise
        return connection

    def _do_commit(self) -> None:
        if self._connection is not None:
            self._connection.execute("COMMIT")

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                end_transaction(connection)
                self._connections.give_back(connection)
        finally:
            self._turn.give_back()


class ReadContext(TransactionContext):
    """A transaction that reads one state of the database, and blocks nobody."""

    _write = False

    def __init__(self, connections: Lender, catalog: Catalog, timeout: float) -> None:
        super().__init__(catalog)
        self._connections = connections
        self._timeout = timeout
        self._connection: sqlite3.Connection | None = None

    def _begin(self) -> Database:
        connection = self._connection = self._connections.borrow()
        try:
            connection.execute("BEGIN")
            # The snapshot is taken by the first read, which is also the only one that can find the file locked.
            retry_while_busy(connection, "SELECT 1 FROM pv_settings", self._timeout)
        except BaseException:
            self._end()
            raise
        return connection

    def _do_commit(self) -> None:
        """There is nothing to make durable."""

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            end_transaction(connection)
            self._connections.give_back(connection)


def end_transaction(connection: sqlite3.Connection) -> None:
    """Undo what was not committed; some errors, such as a full disk, have done so already."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
