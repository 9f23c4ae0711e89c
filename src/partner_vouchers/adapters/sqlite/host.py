"""Take part in a transaction that a host opened on its own connection."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from partner_vouchers.adapters.simple.joined import JoinedStorage
from partner_vouchers.adapters.sql.campaigns import Catalog
from partner_vouchers.adapters.sqlite import forks
from partner_vouchers.adapters.sqlite.bridge import BridgedConnection
from partner_vouchers.adapters.sqlite.connections import Connections
from partner_vouchers.adapters.sqlite.contexts import TransactionContext
from partner_vouchers.adapters.sqlite.driver import retry_while_busy
from partner_vouchers.adapters.sqlite.session import SQLiteSession
from partner_vouchers.errors import HostTransactionError, StorageBusy
from partner_vouchers.ports import AsyncHostConnection

_SAVEPOINT = "pv_unit"
_SHORTLY = 1.0
_CHANGE_NOTHING = "UPDATE pv_settings SET value = value WHERE 0"


class HostTransaction(JoinedStorage):
    """A storage whose transactions are parts of a host's, which the host alone commits."""

    def __init__(self, connection: object, pool: Connections, catalog: Catalog) -> None:
        path = pool.file.path
        if isinstance(connection, AsyncHostConnection) and hasattr(connection.driver, "_conn"):
            connection = cast(sqlite3.Connection, BridgedConnection(connection))
        elif not isinstance(connection, sqlite3.Connection):
            raise HostTransactionError(
                reason=f"pass an open sqlite3.Connection to {path!r}, not {_kind(connection)}"
            )
        self._connection = connection
        self._catalog = catalog
        self._pool = pool
        self._open_storage(connection)
        _require_same_file(connection, path)
        _require_plain_values(connection)

    def begin(self, *, write: bool = True) -> HostContext:
        return HostContext(self._connection, self._pool, self._catalog, write)

    def _open_storage(self, connection: sqlite3.Connection) -> None:
        try:
            # The host's own lock would never end.
            is_waited_for = connection.in_transaction
        except sqlite3.Error as error:
            raise HostTransactionError(reason=f"the connection cannot be used: {error}") from error
        patience = min(self._pool.timeout, _SHORTLY) if is_waited_for else self._pool.timeout
        try:
            self._pool.ensure_ready(weakref.ref(self), patience)
        except StorageBusy as busy:
            if not is_waited_for:
                raise
            raise StorageBusy(
                reason="the tables must be created or upgraded first, and your open transaction is in the way; roll "
                "it back, call check(), and begin again"
            ) from busy


class HostContext(TransactionContext):
    """A part of a host's transaction: a savepoint, so that a call that fails leaves nothing behind."""

    def __init__(
        self, connection: sqlite3.Connection, pool: Connections, catalog: Catalog, write: bool
    ) -> None:
        self._catalog = catalog
        self._connection = connection
        self._pool = pool
        self._write = write
        self._bridge = _bridge(connection)
        self._text_factory = connection.text_factory
        self._open = False

    def _begin(self) -> SQLiteSession:
        connection = self._connection
        if self._bridge is not None:
            self._bridge.enter()
        forks.enter(self.token, self._pool)
        forks.require_unforked(self._pool.file.path)
        self._pool.file.require_main()
        if not connection.in_transaction:
            if _commits_by_itself(connection):
                raise HostTransactionError(
                    reason="the connection is in autocommit mode and has no open transaction: "
                    "execute BEGIN on it first, and COMMIT afterwards"
                )
            if self._write:
                # As the driver itself does before the first change.
                retry_while_busy(connection, "BEGIN IMMEDIATE", self._pool.timeout)
        if connection.in_transaction:
            self._open = True
            connection.execute(f"SAVEPOINT {_SAVEPOINT}")
            if self._write:
                # The host may have begun by BEGIN alone. As long as nothing was read, it is possible to wait.
                retry_while_busy(connection, _CHANGE_NOTHING, self._pool.timeout)
        connection.text_factory = str
        rows = _PlainRows(connection)
        return SQLiteSession(rows, rows.execute, writes=self._write)

    def _do_commit(self) -> None:
        if self._open:
            self._connection.execute(f"RELEASE {_SAVEPOINT}")
            self._open = False

    def _end(self) -> None:
        try:
            self._connection.text_factory = self._text_factory
            if self._open and self._connection.in_transaction:
                undo = f"ROLLBACK TO {_SAVEPOINT}", f"RELEASE {_SAVEPOINT}"
                if self._bridge is not None:
                    # At once: a task that is cancelled in between would leave the savepoint open.
                    self._bridge.execute_all(*undo)
                else:
                    for statement in undo:
                        self._connection.execute(statement)
        finally:
            self._open = False
            if self._bridge is not None:
                self._bridge.leave()
            forks.leave(self.token)


class _PlainRows:
    """A host's connection, giving rows as tuples whatever the host's own row factory does."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> sqlite3.Cursor:
        return self._cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> sqlite3.Cursor:
        return self._cursor().executemany(sql, parameters)

    def _cursor(self) -> sqlite3.Cursor:
        bridge = _bridge(self._connection)
        if bridge is not None:
            return cast(sqlite3.Cursor, bridge)
        cursor = sqlite3.Cursor(self._connection)
        cursor.row_factory = None
        return cursor


def _bridge(connection: object) -> BridgedConnection | None:
    return connection if isinstance(connection, BridgedConnection) else None


def _kind(given: object) -> str:
    # Many classes are called Connection.
    return f"{type(given).__module__}.{type(given).__qualname__}"


def _commits_by_itself(connection: sqlite3.Connection) -> bool:
    # From Python 3.12 on `autocommit` decides, unless it is left to the older `isolation_level`.
    legacy = getattr(sqlite3, "LEGACY_TRANSACTION_CONTROL", -1)
    autocommit = getattr(connection, "autocommit", legacy)
    return autocommit is True or (autocommit == legacy and connection.isolation_level is None)


def _require_same_file(connection: sqlite3.Connection, path: str) -> None:
    try:
        with _text_as_str(connection):
            names = {row[1]: row[2] for row in _PlainRows(connection).execute("PRAGMA database_list")}
    except sqlite3.Error as error:
        raise HostTransactionError(reason=f"the connection cannot be used: {error}") from error
    main = names.get("main") or ""
    if not main or not Path(main).exists() or not Path(main).samefile(path):
        raise HostTransactionError(
            reason=f"the connection is to {main or 'a database in memory'!r}, the storage to {path!r}; "
            "open the connection on the file of the storage"
        )


def _require_plain_values(connection: sqlite3.Connection) -> None:
    if sqlite3.converters.keys().isdisjoint({"TEXT", "INTEGER"}):
        return
    # Whether the connection uses them, by `detect_types`, cannot be asked: look.
    try:
        with _text_as_str(connection):
            name, last = _PlainRows(connection).execute("SELECT name, last FROM pv_sequences").fetchone()
        plain = type(name) is str and type(last) is int
    except Exception:  # noqa: BLE001 - whatever the host's converter raises
        plain = False
    if not plain:
        raise HostTransactionError(
            reason="the connection converts TEXT or INTEGER (sqlite3.register_converter); pass one that was opened "
            "without detect_types"
        )


@contextmanager
def _text_as_str(connection: sqlite3.Connection) -> Iterator[None]:
    text_factory = connection.text_factory
    try:
        connection.text_factory = str
        yield
    finally:
        connection.text_factory = text_factory
