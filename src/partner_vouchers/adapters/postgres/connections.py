"""Where connections come from: a pool of our own, or the host's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Literal, Protocol
from weakref import WeakSet, ref

import psycopg
from psycopg.conninfo import conninfo_to_dict

from partner_vouchers.adapters.postgres.driver import Connection
from partner_vouchers.adapters.postgres.pool import (
    ConnectionPool,
    PoolConnection,
    Room,
    Rooms,
    close,
    drop_inherited,
    is_clean,
)
from partner_vouchers.domain.arguments import is_whole, require_seconds
from partner_vouchers.errors import InvalidInput, StorageUnavailable

FEWEST = 3
"""An upload has two connections and, beside them, short transactions."""
_MOST_CONNECTIONS, _LONGEST_TIMEOUT = 10_000, 86_400.0
LOOK_SECONDS = 0.05
"""How often a caller looks whether others are done."""

Use = Literal["transaction", "import", "liveness"]
"""What a connection is for: one transaction, an upload, or to be open for as long as this process has leases."""


class Pool(Protocol):
    """A pool of psycopg connections, such as `psycopg_pool.ConnectionPool`."""

    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Lend a connection, outside of any transaction, for as long as the context lasts."""


class Connections:
    """Lends connections.

    Attributes:
        timeout: seconds to wait for one.
        after_fork: what else to do in a child process, which has none of the connections of its parent.
    """

    def __init__(self, source: object, *, max_connections: int, timeout: object) -> None:
        self.timeout: float = float(min(require_seconds("timeout", timeout), _LONGEST_TIMEOUT))
        if not is_whole(max_connections, FEWEST, _MOST_CONNECTIONS):
            raise InvalidInput(
                field="max_connections",
                reason=f"must be an int of {FEWEST} or more: an upload alone needs that many",
            )
        self.after_fork: list[Callable[[], None]] = []
        self._lent: dict[int, ref[PooledConnection]] = {}
        self._pool: ConnectionPool | Pool
        self._liveness: ConnectionPool | Pool
        self._imports: Rooms | None = None
        if isinstance(source, str):
            _require_conninfo(source)
            own = partial(
                ConnectionPool, lambda: source, dict, configure=self._configure, timeout=self.timeout
            )
            # The first lease is taken within a transaction, and an import needs transactions beside its connection:
            # without room for these, calls would wait for one another. One that is replaced is broken.
            self._pool, self._liveness = own(max_size=max_connections - 1), own(max_size=max_connections)
            self._imports = Rooms(max_connections - 2)
        elif callable(getattr(source, "connection", None)):
            self._pool = self._liveness = source  # type: ignore[assignment]  # what it must have was checked
        else:
            raise InvalidInput(
                field="conninfo", reason="must be a connection string, or a pool with a method connection()"
            )
        _ALL.add(self)

    def lend(self, use: Use = "import") -> PooledConnection:
        """Return a connection, to be given back with `PooledConnection.end`.

        Raises:
            StorageUnavailable: the pool has none.
        """
        pool = self._liveness if use == "liveness" else self._pool
        room = self._room_for_import(self._imports) if use == "import" and self._imports is not None else None
        lent = PooledConnection(pool, self._lent, room)
        try:
            lent.begin()
        except psycopg.Error as error:
            failure = f"no connection ({type(error).__name__}: {error}); nothing was stored, call again"
        else:
            return lent
        raise StorageUnavailable(reason=failure)

    def check(self) -> None:
        """Drop the idle connections that may be broken, as far as the pool can do so."""
        for pool in self._pools():
            getattr(pool, "check", lambda: None)()

    def close(self) -> None:
        """Close our own pool; a host's is left alone."""
        for pool in self._pools():
            if isinstance(pool, ConnectionPool):
                pool.close()

    def forget(self) -> None:
        """Drop what this process inherited from its parent."""
        for known in list(self._lent.values()):
            lent = known()
            if lent is not None:
                lent.drop_inherited()
        self._lent.clear()
        if isinstance(self._pool, ConnectionPool):
            for pool in self._pools():
                pool.forget()
        else:
            self._pool = self._liveness = self._replacement(self._pool)
        self._imports = None if self._imports is None else Rooms(self._imports.size)
        for call in self.after_fork:
            call()

    def _pools(self) -> list[Any]:
        return [self._pool] if self._pool is self._liveness else [self._pool, self._liveness]

    def _room_for_import(self, rooms: Rooms) -> Room:
        deadline = time.monotonic() + self.timeout
        while (room := rooms.take()) is None:
            if time.monotonic() >= deadline:
                raise StorageUnavailable(
                    reason=f"other uploads had all connections for uploads for {self.timeout:g} seconds; "
                    "nothing was stored, call again"
                )
            time.sleep(LOOK_SECONDS)
        return room

    def _replacement(self, pool: Any) -> ConnectionPool | Pool:
        """Return a pool for a child process like the one that its parent has open, which the child cannot use.

        One that was not open when the process forked is the host's to open in the child.
        """
        if getattr(pool, "closed", False) or not hasattr(pool, "conninfo"):
            return pool  # type: ignore[no-any-return]

        def current(name: str, default: Any) -> Any:
            found = getattr(pool, name, None)
            return found() if callable(found) else found or default

        def configure(connection: psycopg.Connection[Any]) -> None:
            host_configures = getattr(pool, "_configure", None)
            if host_configures is not None:
                host_configures(connection)
            self._configure(connection)

        return ConnectionPool(
            lambda: str(current("conninfo", "")),
            lambda: dict(current("kwargs", {})),
            configure=configure,
            max_size=max(FEWEST, current("max_size", FEWEST)),
            timeout=float(current("timeout", self.timeout)),
        )

    def _configure(self, connection: Connection) -> None:
        # The statements are few and look up by key: planning them again would cost more than executing them.
        connection.execute(
            "SELECT set_config('client_encoding', 'UTF8', false), set_config('lock_timeout', %s, false), "
            "set_config('plan_cache_mode', 'force_generic_plan', false)",
            (f"{int(self.timeout * 1000)}ms",),
        )


class PooledConnection:
    """A connection of a pool, ready for explicit transactions.

    Attributes:
        connection: the connection.
    """

    def __init__(
        self, pool: ConnectionPool | Pool, lent: dict[int, ref[PooledConnection]], room: Room | None
    ) -> None:
        self.connection: Connection
        self._pool = pool
        self._lent = lent
        self._room = room
        self._own: PoolConnection | None = None
        self._context: AbstractContextManager[Connection] | None = None
        self._autocommit = True

    def begin(self) -> None:
        """Take the connection from its pool."""
        if isinstance(self._pool, ConnectionPool):
            self.connection = self._own = self._pool.lend()
            return
        self._lent[id(self)] = ref(self)
        context = self._pool.connection()
        self.connection = context.__enter__()
        self._context = context
        self._autocommit = self.connection.autocommit
        if not self._autocommit:
            # Otherwise the driver begins transactions by itself.
            self.connection.autocommit = True

    def end(self, *, discard: bool = False) -> None:
        """Give the connection back, as it was; one with a transaction that cannot be undone is closed."""
        own, context = self._own, self._context
        if own is None and context is None:
            return
        # An exception at any of these steps leaves the others to the next call of this method.
        connection = self.connection
        clean = not discard and is_clean(connection)
        if not clean:
            close(connection)
        self._own = self._context = None
        if own is not None and isinstance(self._pool, ConnectionPool):
            (self._pool.give_back if clean else self._pool.discard)(own)
        elif context is not None:
            self._lent.pop(id(self), None)
            if clean and connection.autocommit != self._autocommit:
                connection.autocommit = self._autocommit
            context.__exit__(None, None, None)
        if self._room is not None:
            self._room.is_free = True

    def drop_inherited(self) -> None:
        """Let go of the connection in a child process."""
        if self._context is not None:
            drop_inherited(self.connection)
            _NEVER_ENDED.append(self._context)
        self._own = self._context = None


_ALL: WeakSet[Connections] = WeakSet()
_NEVER_ENDED: list[object] = []
"""Contexts of a host's pool in a child process: to end them would use the locks and threads of the parent."""


def _forget_inherited() -> None:
    for connections in list(_ALL):
        connections.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)


def _require_conninfo(conninfo: str) -> None:
    try:
        conninfo_to_dict(conninfo)
    except (psycopg.Error, ValueError):
        # The driver's error quotes the string, and with it a password.
        understood = False
    else:
        understood = "\0" not in conninfo
    if not understood:
        raise InvalidInput(
            field="conninfo",
            reason="must be a connection string of PostgreSQL's, such as 'host=db.example dbname=shop' or "
            "'postgresql://shop@db.example/shop', without the '+psycopg' of SQLAlchemy",
        )
