"""The errors of the driver, as errors of this library."""

from __future__ import annotations

import psycopg
from psycopg import errors as pg

from partner_vouchers.errors import (
    ConnectionLost,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageNotMigrated,
    StorageUnavailable,
    TransactionConflict,
)

_NOT_MIGRATED = (
    "call storage.migrate() once before the storage is used, after each upgrade of partner_vouchers, and after a move "
    "to another server"
)

Lost: tuple[type[psycopg.Error], ...] = (psycopg.OperationalError, psycopg.InterfaceError)
"""What the driver raises when the connection is gone, among other things."""

# The transaction was idle, or open, for too long: another one would be as well.
_OPEN_TOO_LONG = ("25P03", "25P04")
# The server shuts down, crashed, starts, or is full; or it ended what was idle, or open, for too long.
_ENDED = ("57P01", "57P02", "57P03", "53300", "57P05", *_OPEN_TOO_LONG)


def not_migrated(found: str) -> StorageNotMigrated:
    """Return the error that says that the tables are not there, or too old."""
    return StorageNotMigrated(reason=f"{found}; {_NOT_MIGRATED}")


def translated(error: psycopg.Error) -> StorageError:
    """Return the error of this library for an error of the driver.

    Raise it outside of the `except` block: the error of the driver holds what the server says, which may quote rows,
    and so codes. Only its class and SQLSTATE are passed on.
    """
    match error:
        case pg.SerializationFailure() | pg.DeadlockDetected():
            return TransactionConflict(
                reason="the transaction got in the way of another one, and the server gave it up; nothing was stored: "
                "roll back and call again"
            )
        case pg.LockNotAvailable() | pg.QueryCanceled():
            return StorageBusy(
                reason="others held a lock for too long, or a time-out passed; nothing was stored, call again"
            )
        case pg.UndefinedTable() | pg.InvalidSchemaName():
            return not_migrated("the tables of the storage are not there")
        case pg.InsufficientPrivilege():
            return StorageError(
                reason="the role of the connection may not do this, and nothing was stored; grant it what the how-to "
                "on PostgreSQL says"
            )
        case pg.ProgramLimitExceeded():
            return StorageError(
                reason="an id or a name is too long for an index of PostgreSQL, which has room for about 2,600 bytes; "
                "nothing was stored"
            )
        case pg.UniqueViolation() if _is_race(error):
            return TransactionConflict(
                reason="two requests gave the same user a code at once, and one of them was given up; nothing was "
                "stored: roll back and call again"
            )
        case pg.UniqueViolation():
            return StorageError(
                reason="it is stored already; nothing was stored. Where two made the same request at once, call again"
            )
        case pg.DiskFull():
            return StorageFull(
                reason="the disk of the server is full; nothing was stored, make space and call again"
            )
        case pg.InFailedSqlTransaction():
            return StorageError(
                reason="an earlier statement of the transaction failed, so it can only be rolled back"
            )
        case _ if error.sqlstate in _OPEN_TOO_LONG:
            return StorageUnavailable(
                reason=f"the transaction was open for longer than the server allows ({_name(error)}), and nothing was "
                "stored; do less in it, or raise the server's limit"
            )
        case _ if is_lost(error):
            return ConnectionLost(
                reason=f"the connection to the server was lost ({_name(error)}); nothing was stored, call again"
            )
        case _:
            return StorageError(reason=f"PostgreSQL failed ({_name(error)}); nothing was stored")


def is_lost(error: psycopg.Error) -> bool:
    """Tell whether the connection is gone, so that another one may do better."""
    if error.sqlstate is None:
        return isinstance(error, Lost)
    return error.sqlstate[:2] == "08" or error.sqlstate in _ENDED


def is_told_by_server(error: psycopg.Error) -> bool:
    """Tell whether the server itself reported the failure, and not a pooler or the driver after losing the connection.

    Errors of class 08 concern connections: a pooler reports its own errors with it.
    """
    return error.sqlstate is not None and error.sqlstate[:2] != "08"


def _is_race(error: psycopg.Error) -> bool:
    """Tell whether a user got a code meanwhile: the constraint of `pv_assignments` that is not its primary key."""
    table, constraint = error.diag.table_name or "", error.diag.constraint_name or ""
    return table.endswith("assignments") and constraint.endswith("_key")


def _name(error: psycopg.Error) -> str:
    return " ".join(filter(None, [type(error).__name__, error.sqlstate]))
