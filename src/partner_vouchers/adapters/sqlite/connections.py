"""The connections of a process to a database file, which its threads share."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

from partner_vouchers.adapters.sqlite import forks
from partner_vouchers.adapters.sqlite.driver import retry_while_busy, translated
from partner_vouchers.adapters.sqlite.files import DatabaseFile, Files
from partner_vouchers.adapters.sqlite.session import SQLiteSession
from partner_vouchers.errors import StorageError
from partner_vouchers.locks import QueueLock, Recoverable, Token

_MOST_IDLE = 32

# Connections that a child inherited must be neither used nor closed: closing one could remove the write-ahead log
# under the parent's feet. They are kept here, so that they are never collected.
_INHERITED: list[tuple[Connection, SQLiteSession]] = []


class Connection(sqlite3.Connection):
    """A connection that knows who uses it.

    Attributes:
        token: of the context that uses it; None for an idle one.
        files: the files that it has open.
    """

    token: Token | None = None
    files: Files = ()

    def claim(self, token: Token) -> bool:
        """Note that the context of a token uses it, unless another one does; return whether that succeeded."""
        # One step, whatever other threads and signals do.
        return vars(self).setdefault("token", token) is token

    def release(self) -> None:
        """Note that no context uses it any more."""
        vars(self).pop("token", None)


class Connections:
    """The connections to a file. One never serves two threads at once.

    Attributes:
        file: the file.
        timeout: seconds to wait for other writers.
        writers: the queue of the writers of this process, so that they do not fight for SQLite's lock.
        writing: the connection of the transaction that writes. An owner of the lock who finds one here follows one
            whose end was never run, and closes it.
        generation: how many forks lie behind.
    """

    def __init__(
        self, path: str, synchronous: str, timeout: float, prepare: Callable[[Connection, float], None]
    ) -> None:
        self.file: DatabaseFile = DatabaseFile(path)
        self.timeout = timeout
        self.writers: QueueLock = QueueLock()
        self.writing: Connection | None = None
        self.generation: int = 0
        self._synchronous = synchronous
        self._prepare = prepare
        self._open: dict[Connection, SQLiteSession] = {}
        forks.register(self)

    def borrow(self, token: Token) -> Connection:
        """Return a connection outside of any transaction, for the context of a token.

        Raises:
            StorageError: the file cannot be opened.
        """
        forks.enter(token, self)
        for connection in list(self._open):
            # Another thread may have closed it since.
            if connection.claim(token) and connection in self._open:
                return connection
        return self._connect(token)

    def open(self, token: Token) -> Connection:
        """Return a new connection, for a context that changes its settings. It must be closed by `discard`.

        Raises:
            StorageError: the file cannot be opened.
        """
        forks.enter(token, self)
        return self._connect(token)

    def session(self, connection: Connection) -> SQLiteSession:
        """Return what transactions on a connection use, one after the other."""
        return self._open[connection]

    def give_back(self, connection: Connection) -> None:
        """Take a borrowed connection back; one whose transaction could not be ended is closed."""
        token = connection.token
        many = len(self._open) > _MOST_IDLE
        if connection.in_transaction or (
            many and [each.token for each in list(self._open)].count(None) >= _MOST_IDLE
        ):
            self.discard(connection)
        else:
            connection.release()
        if token is not None:
            forks.leave(token)

    def discard(self, connection: Connection) -> None:
        """Close a connection, and undo what was not committed."""
        if self._open.pop(connection, None) is not None:
            connection.close()
        if connection.token is not None:
            forks.leave(connection.token)

    def ensure_ready(self, token: Token, patience: float) -> None:
        """Open the file, and create or upgrade its tables, unless that was done before.

        Args:
            token: of the context that waits for it.
            patience: seconds to wait for other writers.

        Raises:
            StorageError: the file cannot be opened.
        """
        forks.require_unforked(self.file.path)
        if not self._open:
            forks.enter(token, self)
            self.give_back(self._connect(token, patience))

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._close_idle()
        if not self._open:
            self.file.forget()

    def close_for_fork(self) -> None:
        """Close the connections that nobody uses, while nobody begins to; the file is expected to stay the same."""
        self._close_idle()

    def forget(self) -> bool:
        """Drop inherited connections without closing them; return whether there were any."""
        inherited = list(self._open.items())
        for connection, _ in inherited:
            # Nothing that began before the fork goes on with them.
            connection.set_authorizer(_deny)
            connection.interrupt()
        _INHERITED.extend(inherited)
        self._open.clear()
        self.writers = QueueLock()
        self.writing = None
        self.generation += 1
        return bool(inherited)

    def _connect(self, token: Token, patience: float | None = None) -> Connection:
        timeout = self.timeout if patience is None else patience
        self._close_abandoned()
        forks.require_unforked(self.file.path)
        self.file.require_main()
        try:
            connection = sqlite3.connect(
                self.file.path, timeout=0, isolation_level=None, check_same_thread=False, factory=Connection
            )
        except sqlite3.Error as error:
            raise StorageError(reason=_why_not(self.file.path, error)) from error
        try:
            connection.token = token
            # To make a cursor for each statement takes longer.
            self._open[connection] = SQLiteSession(connection, connection.cursor().execute)
            # Of a new file only. A commit writes whole pages, and an assignment changes a few bytes on each of four.
            connection.execute("PRAGMA page_size = 2048")
            retry_while_busy(connection, "PRAGMA journal_mode = WAL", timeout)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            if self.file.id is None:
                self._prepare(connection, timeout)
            # Whoever opens the file first makes the index of its log anew, and locks others out meanwhile.
            retry_while_busy(connection, "SELECT 1 FROM sqlite_master", timeout)
            connection.files = self.file.opened()
        except BaseException as error:
            self.discard(connection)
            if isinstance(error, sqlite3.Error):
                raise translated(error, repr(self.file.path)) from error
            raise
        return connection

    def _close_idle(self) -> None:
        self._close_abandoned()
        # Once this call has ended, by whatever way, connections that it has not closed yet count as abandoned.
        this_call = Recoverable()
        token = this_call.token
        # A dead reference has a hash only if it was asked for it before.
        hash(token)
        for connection in list(self._open):
            if connection.claim(token):
                self.discard(connection)

    def _close_abandoned(self) -> None:
        for connection in list(self._open):
            if connection.token is not None and connection.token() is None:
                self.discard(connection)


def _deny(*_action: object) -> int:
    return sqlite3.SQLITE_DENY


def _why_not(path: str, error: sqlite3.Error) -> str:
    directory = os.path.dirname(path)  # noqa: PTH120 - of a string
    if not os.path.isdir(directory):  # noqa: PTH112
        return f"cannot open {path!r}: there is no directory {directory!r}; create it, or correct the path"
    if os.path.isdir(path):  # noqa: PTH112
        return f"cannot open {path!r}: it is a directory; pass the path of a file"
    return f"cannot open {path!r}: {error}; check the permissions of the file and its directory"
