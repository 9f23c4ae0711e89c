"""Begin and end transactions: for writing, and for reading."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import ClassVar

from partner_vouchers.adapters.sql.campaigns import Catalog
from partner_vouchers.adapters.sql.context import SqlContext
from partner_vouchers.adapters.sqlite.connections import Connection, Connections
from partner_vouchers.adapters.sqlite.driver import retry_while_busy, translated
from partner_vouchers.adapters.sqlite.files import Files
from partner_vouchers.adapters.sqlite.session import SQLiteSession
from partner_vouchers.adapters.sqlite.transaction import SQLiteTransaction
from partner_vouchers.errors import (
    PartnerVouchersError,
    StorageBusy,
    StorageError,
    StorageForked,
    StorageReplaced,
)
from partner_vouchers.locks import AlreadyOwner, Place, Recoverable, Token


class TransactionContext(Recoverable, SqlContext[SQLiteTransaction]):
    """Opens a transaction, and rolls it back unless it was committed. Subclasses say how it begins and ends."""

    driver_error: ClassVar[type[Exception]] = sqlite3.Error
    _catalog: Catalog

    def _begin(self) -> SQLiteSession:
        raise NotImplementedError

    def _new_transaction(self) -> SQLiteTransaction:
        try:
            return SQLiteTransaction(self._begin(), self._catalog, self._commit)
        except BaseException as error:
            failure = self._failure(error)
            with suppress(sqlite3.Error):
                self._end()
            if failure is None:
                raise
        raise failure

    def leave(self, error: BaseException | None) -> None:
        """End the transaction, and turn an error of the driver into one of the library."""
        failure = self._failure(error)
        SqlContext.__exit__(self, None, failure or error, None if error is None else error.__traceback__)
        if failure is not None:
            raise failure from None

    def _failure(self, error: BaseException | None) -> StorageError | None:
        """Return what is wrong with the storage itself, while the transaction is still open."""
        return None

    def _translated(self, error: Exception) -> StorageError:
        return translated(error) if isinstance(error, sqlite3.Error) else StorageError(reason=str(error))


class ReadContext(TransactionContext):
    """A transaction on a connection of the storage that reads one state of the database, and blocks nobody."""

    _connection: Connection | None = None
    _files: Files = ()
    _checked = False

    def __init__(self, pool: Connections, catalog: Catalog, connection: Connection | None = None) -> None:
        """Prepare a transaction.

        Args:
            pool: the connections of the storage.
            catalog: what the storage remembers of its lists.
            connection: the connection to use, which stays with whoever opened it; by default one of the pool.
        """
        self._pool = pool
        self._catalog = catalog
        self._given = connection
        self._generation = pool.generation

    def _begin(self) -> SQLiteSession:
        connection = self._connection = self._given or self._pool.borrow(self.token)
        self._files = connection.files
        session = self._pool.session(connection)
        session.writes = False
        session.execute("BEGIN")
        # The snapshot is taken by the first read, which is also the only one that can find the file locked.
        retry_while_busy(connection, "SELECT 1 FROM pv_settings", self._pool.timeout)
        return session

    def _do_commit(self) -> None:
        """There is nothing to make durable."""
        self._require_this_process()

    def _end(self) -> None:
        # In a child the connection is not ours any more.
        connection = self._connection
        if connection is not None and self._pool.generation == self._generation:
            self._roll_back(connection)
            if connection is not self._given:
                self._pool.give_back(connection)
        self._connection = None

    def _failure(self, error: BaseException | None) -> StorageError | None:
        if not (error is None or isinstance(error, PartnerVouchersError | sqlite3.Error)):
            return None
        if self._pool.generation != self._generation:
            return None if self._checked else _forked()
        if self._files and not (self._checked and (error is None or self._is_committed)):
            # Also what was only read may come from a file that is not there any more.
            try:
                self._pool.file.require_same(self._files)
            except StorageReplaced as replaced:
                return replaced
        return None

    def _roll_back(self, connection: Connection) -> None:
        """Undo what was not committed; some errors, such as a full disk, have done so already."""
        if connection.in_transaction:
            self._pool.session(connection).execute("ROLLBACK")

    @property
    def _is_committed(self) -> bool:
        return self._tx is not None and self._tx.expired

    def _require_this_process(self) -> None:
        if self._pool.generation != self._generation:
            raise _forked()


class WriteContext(ReadContext):
    """A transaction that writes."""

    _place: Place | None = None

    def _begin(self) -> SQLiteSession:
        pool, token = self._pool, self.token
        self._queue(token)
        if pool.writing is not None:
            pool.discard(pool.writing)
        connection = pool.writing = self._connection = self._given or pool.borrow(token)
        self._files = connection.files
        session = pool.session(connection)
        session.writes = True
        try:
            session.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            retry_while_busy(connection, "BEGIN IMMEDIATE", pool.timeout)
        return session

    def leave(self, error: BaseException | None) -> None:
        if error is None and self._checked and self._tx is not None and self._tx.expired:
            # After the commit, no error may say that nothing was stored.
            try:
                self._end()
            except sqlite3.Error:
                return
        else:
            super().leave(error)

    def _queue(self, token: Token) -> None:
        """Wait until this transaction may begin."""
        place = self._place = Place(token)
        queue_for(self._pool, place)

    def _do_commit(self) -> None:
        if self._pool.generation != self._generation:
            raise _forked()
        if self._tx is not None:
            self._pool.file.require_same(self._files)
            self._checked = True
            self._tx.session.execute("COMMIT")

    def _end(self) -> None:
        pool, place = self._pool, self._place
        if place is None or pool.generation != self._generation:
            return
        try:
            connection = self._connection
            if connection is not None:
                self._roll_back(connection)
                pool.writing = None
                if connection is not self._given:
                    pool.give_back(connection)
        finally:
            pool.writers.release(place)


def queue_for(pool: Connections, place: Place) -> None:
    """Wait for a place to become the first among the writers of this process.

    Raises:
        StorageBusy: others wrote until the timeout.
        StorageError: this thread writes already.
    """
    try:
        is_first = pool.writers.acquire(place, pool.timeout)
    except AlreadyOwner:
        raise StorageError(
            reason="a write transaction of this thread is open already; end it first, or call "
            "vouchers.using(connection) to take part in a transaction of your own"
        ) from None
    if not is_first:
        raise StorageBusy(
            reason=f"other threads wrote for {pool.timeout:g} s; nothing was stored, call again"
        )


def _forked() -> StorageForked:
    return StorageForked(
        reason="this process was forked while the transaction was open; only its parent can go on"
    )
