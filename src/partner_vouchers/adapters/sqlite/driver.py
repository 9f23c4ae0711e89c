"""The driver: waiting for locks, and errors."""

from __future__ import annotations

import random
import re
import sqlite3
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
_QUOTED = re.compile(r"""['"].*['"]""", re.DOTALL)


class Database(Protocol):
    """What the repositories need of a connection."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> sqlite3.Cursor: ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> sqlite3.Cursor: ...


def translated(error: sqlite3.Error, file: str = "the file") -> StorageError:
    """Return the library's error for an error of the driver, which names the file."""
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
            reason=f"{file} is not a database, or is damaged ({error}); check the path, or restore a backup"
        )
    if code == sqlite3.SQLITE_READONLY:
        return StorageError(
            reason=f"{file} cannot be written ({error}); give this user the right to write the file and its "
            "directory, which is needed to read, too; nothing was stored"
        )
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StorageError(reason=f"SQLite failed: {_masked(error, name)} ({name}); nothing was stored")


def _masked(error: sqlite3.Error, name: str) -> str:
    """Return the message of an error without what a trigger of the host may quote of the row, such as a code."""
    if name == "SQLITE_CONSTRAINT_TRIGGER":
        return "a trigger refused it with a message that is not shown, since it may contain a code"
    return _QUOTED.sub("…", str(error))


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
            # The rows that were read are out of date, and waiting does not help.
            if code & 0xFF != sqlite3.SQLITE_BUSY or code == sqlite3.SQLITE_BUSY_SNAPSHOT:
                raise
            now = time.monotonic()
            deadline = deadline or now + timeout
            if now >= deadline:
                raise StorageBusy(
                    reason=f"the database was locked by others for {timeout:g} s; nothing was stored, call again"
                ) from error
            time.sleep(random.uniform(_WAIT_FROM, _WAIT_TO))
