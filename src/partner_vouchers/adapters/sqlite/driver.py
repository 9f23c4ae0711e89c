"""The driver: connections as this adapter wants them, its waiting, and its errors."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from partner_vouchers.errors import (
    NotAPartnerVouchersStorage,
    StorageBusy,
    StorageError,
    StorageFull,
    TransactionConflict,
)

_WAIT_FROM, _WAIT_TO = 0.0001, 0.0006

# A connection that was inherited by a fork must be neither used nor closed: closing it could remove the
# write-ahead log under the parent's feet. It is kept here, so that it is never collected.
_INHERITED: list[sqlite3.Connection] = []


class Database(Protocol):
    """What the repositories need of a connection."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> sqlite3.Cursor: ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> sqlite3.Cursor: ...


def translated(error: sqlite3.Error) -> StorageError:
    """Return the error of this library that stands for an error of the driver."""
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return TransactionConflict(
            reason="the transaction began by reading, and others have written since; roll it back and repeat it, "
            "beginning with BEGIN IMMEDIATE"
        )
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageBusy(reason="the database is locked by others; nothing was stored, call again")
    if code == sqlite3.SQLITE_FULL:
        return StorageFull(reason="the disk is full; nothing was stored, make space and call again")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return NotAPartnerVouchersStorage(
            reason=f"the file is not a database, or is damaged ({error}); check the path, or restore a backup"
        )
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StorageError(reason=f"SQLite failed: {error} ({name}); nothing was stored")


def retry_while_busy(connection: sqlite3.Connection, sql: str, timeout: float) -> None:
    """Execute a statement, again and again while others hold the lock, with short, jittered waits.

    SQLite's own busy handler waits in ever longer steps and starves some callers for more than a second.

    Raises:
        StorageBusy: it was locked for `timeout` seconds.
    """
    deadline = 0.0
    while True:
        try:
            connection.execute(sql).fetchone()
            return
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0)
            # What was read is out of date, and no waiting helps.
            if code & 0xFF != sqlite3.SQLITE_BUSY or code == sqlite3.SQLITE_BUSY_SNAPSHOT:
                raise
            now = time.monotonic()
            deadline = deadline or now + timeout
            if now >= deadline:
                raise StorageBusy(
                    reason=f"the database was locked by others for {timeout:g} s; nothing was stored, call again"
                ) from error
            time.sleep(random.uniform(_WAIT_FROM, _WAIT_TO))


class _Idle(list[sqlite3.Connection]):
    """Idle connections, which are closed when their thread ends.

    A connection refers to itself, so without that it would stay open until the garbage collector comes by.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()

    def __del__(self) -> None:
        if self._pid != os.getpid():
            _INHERITED.extend(self)
            return
        for connection in self:
            connection.close()


class Connections(threading.local):
    """The idle connections of one thread to a database file. A connection never serves two threads at once."""

    def __init__(self, path: str, synchronous: str, timeout: float) -> None:
        self._path = path
        self._synchronous = synchronous
        self._timeout = timeout
        self._idle = _Idle()
        self._pid = os.getpid()

    def borrow(self) -> sqlite3.Connection:
        """Return a connection outside of any transaction."""
        if self._pid != os.getpid():
            self._idle = _Idle()
            self._pid = os.getpid()
        return self._idle.pop() if self._idle else self.open()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Take a borrowed connection back; one whose transaction could not be ended is closed."""
        if connection.in_transaction or self._pid != os.getpid():
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections of this thread."""
        while self._idle:
            self._idle.pop().close()

    def open(self) -> sqlite3.Connection:
        """Open a new connection.

        Raises:
            StorageError: the file cannot be opened, or is not a database.
        """
        try:
            connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise StorageError(
                reason=f"cannot open {self._path!r}: {error}; check the path and its permissions"
            ) from error
        try:
            # Of a new file only. A commit writes whole pages, and an assignment changes a few bytes on each of four.
            connection.execute("PRAGMA page_size = 2048")
            retry_while_busy(connection, "PRAGMA journal_mode = WAL", self._timeout)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        except sqlite3.Error as error:
            connection.close()
            raise translated(error) from error
        except BaseException:
            connection.close()
            raise
        return connection
