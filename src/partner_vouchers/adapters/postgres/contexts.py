"""Begin and end transactions: for writing, for reading, and as a part of a host's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import psycopg
from psycopg import generators
from psycopg.pq import PipelineStatus, TransactionStatus

from partner_vouchers.adapters.postgres.bridge import BridgedConnection
from partner_vouchers.adapters.postgres.connections import Connections, PooledConnection
from partner_vouchers.adapters.postgres.driver import Connection, Session
from partner_vouchers.adapters.postgres.errors import is_lost, translated
from partner_vouchers.adapters.postgres.pipeline import OwnConnection, command
from partner_vouchers.adapters.postgres.pool import CANCEL_SECONDS, roll_back
from partner_vouchers.adapters.postgres.shared import Shared
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.adapters.sql.context import SqlContext
from partner_vouchers.adapters.sql.transaction import has_ended
from partner_vouchers.errors import (
    CommitOutcomeUnknown,
    HostTransactionError,
    StorageError,
    StorageUnavailable,
)

_WRITE = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_UNIT = "partner_vouchers_unit"
_ATTEMPTS = 4

UTF_8 = "utf-8"


class TransactionContext(SqlContext[PostgresTransaction]):
    """Opens a transaction, and undoes it unless it was committed. Subclasses say how it begins and ends."""

    driver_error: ClassVar[type[Exception]] = psycopg.Error

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def _begin(self) -> Session:
        raise NotImplementedError

    def _new_transaction(self) -> PostgresTransaction:
        try:
            return PostgresTransaction(self._begin(), self._shared, self._commit)
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Do what `__exit__` did not come to, because of an exception of a signal handler."""
        if self._tx is not None:
            self._tx.expire()
        with suppress(psycopg.Error):
            self._end()

    def _translated(self, error: Exception) -> StorageError:
        return translated(error) if isinstance(error, psycopg.Error) else StorageError(reason=str(error))

    @property
    def _session(self) -> Session:
        if self._tx is None:
            raise has_ended()
        return self._tx.session


class OwnContext(TransactionContext):
    """A transaction on a pooled connection."""

    def __init__(self, shared: Shared, connections: Connections, *, write: bool) -> None:
        super().__init__(shared)
        self._connections = connections
        self._write = write
        self._lent: PooledConnection | None = None

    def _begin(self) -> Session:
        # A pooled connection may have broken while it was idle. Nothing was done yet, so another one may be tried.
        for attempt in range(_ATTEMPTS):
            self._lent = self._connections.lend("transaction")
            connection = self._lent.connection
            try:
                begin_on(connection, write=self._write)
                session = Session(connection, self._shared.names, writes=self._write, joined=False)
                self._shared.require_migrated(session)
            except (psycopg.Error, StorageUnavailable) as error:
                if attempt == _ATTEMPTS - 1 or (isinstance(error, psycopg.Error) and not is_lost(error)):
                    raise
            else:
                return session
            self._end()
            self._connections.check()
        raise AssertionError("the last attempt returns or raises")

    def _do_commit(self) -> None:
        commit(self._session)

    def _end(self) -> None:
        if self._lent is not None:
            self._lent.end()
            self._lent = None


class OwnConnectionContext(TransactionContext):
    """A transaction on a connection that stays with its borrower."""

    def __init__(self, shared: Shared, connection: Connection) -> None:
        super().__init__(shared)
        self._connection = connection

    def _begin(self) -> Session:
        begin_on(self._connection, write=True)
        return Session(self._connection, self._shared.names, writes=True, joined=False)

    def _do_commit(self) -> None:
        commit(self._session)

    def _end(self) -> None:
        if not self._connection.closed:
            roll_back(self._connection)


class HostContext(TransactionContext):
    """A part of a host's transaction: a savepoint, so that a call that fails leaves nothing behind."""

    def __init__(
        self, shared: Shared, connection: Connection, check: Callable[[Session], None], *, write: bool
    ) -> None:
        super().__init__(shared)
        self._connection = connection
        self._check = check
        self._write = write
        self._joined = self._open = False

    def _begin(self) -> Session:
        require_transaction(self._connection)
        if isinstance(self._connection, BridgedConnection):
            self._connection.enter()
        self._joined = True
        session = Session(self._connection, self._shared.names, writes=self._write, joined=True)
        session.run(f"SAVEPOINT {_UNIT}")
        self._open = True
        self._check(session)
        return session

    def _do_commit(self) -> None:
        # From here on there may be no savepoint to return to.
        self._open = False
        command(self._connection, b"RELEASE SAVEPOINT " + _UNIT.encode(), whole=True)

    def _end(self) -> None:
        try:
            # An exception of a signal handler may have left a statement under way. The driver stops it only for
            # `KeyboardInterrupt` and cancelled tasks.
            self._take_answer(cancel=True)
            if self._open and not self._connection.closed:
                # Not with a cursor: an exception may have left the lock of the driver's connection locked. And at
                # once: a task that is cancelled in between would leave the savepoint open.
                undo = f"ROLLBACK TO SAVEPOINT {_UNIT}; RELEASE SAVEPOINT {_UNIT}"
                command(self._connection, undo.encode(), whole=True)
        finally:
            self._open = False
            self._take_answer(cancel=False)
            if isinstance(self._connection, BridgedConnection):
                self._connection.leave()

    def _take_answer(self, *, cancel: bool) -> None:
        """Take the answer to a statement under way, so that the host can use its connection."""
        if self._joined and self._connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
            if cancel:
                self._connection.cancel_safe(timeout=CANCEL_SECONDS)
            self._connection.wait(generators.execute(self._connection.pgconn))


def require_transaction(connection: Connection) -> None:
    """Check that a host's connection has a transaction that the host will commit, or begins one by itself.

    Raises:
        HostTransactionError: it has none, or cannot be used otherwise.
    """
    if connection.closed:
        raise HostTransactionError(reason="the connection is closed; pass an open one")
    if connection.info.encoding != UTF_8:
        raise HostTransactionError(
            reason=f"the connection speaks {connection.info.encoding}, which lacks most characters; open it with "
            "client_encoding='UTF8'"
        )
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        raise HostTransactionError(
            reason="the connection is in pipeline mode, where an error arrives too late to undo a call; leave the "
            "`with connection.pipeline():` first"
        )
    match connection.info.transaction_status:
        case TransactionStatus.INTRANS:
            return
        case TransactionStatus.IDLE if not connection.autocommit:
            return
        case TransactionStatus.IDLE:
            raise HostTransactionError(
                reason="the connection has no open transaction, and would commit each statement by itself: open one "
                "with `with connection.transaction():`, or turn autocommit off"
            )
        case TransactionStatus.INERROR:
            raise HostTransactionError(
                reason="the transaction of the connection has failed; roll it back and begin another one"
            )
        case _:
            raise HostTransactionError(
                reason="the connection is busy with another statement; call when that has ended"
            )


def begin_on(connection: Connection, *, write: bool) -> None:
    """Begin a transaction on an idle connection.

    Raises:
        StorageError: the connection does not speak UTF-8.
    """
    if connection.info.encoding != UTF_8:
        raise StorageError(
            reason=f"the connections of the pool speak {connection.info.encoding}; open them with "
            "client_encoding='UTF8'"
        )
    if isinstance(connection, OwnConnection):
        connection.forget_old_plans()
    command(connection, _WRITE if write else _READ)


def commit(session: Session) -> None:
    """Commit.

    Raises:
        CommitOutcomeUnknown: the connection was lost before the server answered.
    """
    try:
        answer = session.commit()
    except psycopg.Error as error:
        if not session.writes or not is_lost(error):
            raise
        answer = None
    if answer is None:
        raise CommitOutcomeUnknown(
            reason="the connection to the server was lost while the transaction was committed: it was stored whole, "
            "or not at all. Call again: with an idempotency key a repeat returns what was stored"
        )
    if answer != b"COMMIT":
        # So the server answers where a statement failed before.
        raise psycopg.errors.InFailedSqlTransaction
