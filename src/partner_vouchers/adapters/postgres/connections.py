"""Where connections come from: a pool of our own, or the host's."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from partner_vouchers.adapters.postgres.driver import Connection
from partner_vouchers.adapters.postgres.pipeline import OwnConnection
from partner_vouchers.errors import InvalidInput, StorageUnavailable

_BACKOFF_SECONDS = 4.0
"""How long the pool tries to connect, with growing waits, before it begins anew."""

FEWEST = 3
"""An upload has two connections of its own, and short transactions beside."""


class Pool(Protocol):
    """A pool of psycopg connections, such as `psycopg_pool.ConnectionPool`."""

    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Lend a connection, outside of any transaction, for as long as the context lasts."""
        ...


class Connections:
    """Lends connections."""

    def __init__(self, source: object, *, max_connections: int, timeout: float) -> None:
        if max_connections < FEWEST:
            raise InvalidInput(
                field="max_connections", reason=f"must be {FEWEST} or more: an upload alone needs that many"
            )
        self._source = source
        self._max_connections = max_connections
        self._timeout = timeout
        self._lock = threading.Lock()
        self._own: ConnectionPool[OwnConnection] | None = None
        self._pid = os.getpid()
        if isinstance(source, str):
            _require_conninfo(source)
        elif not callable(getattr(source, "connection", None)):
            raise InvalidInput(
                field="conninfo", reason="must be a connection string, or a pool with a method connection()"
            )

    def lend(self) -> Loan:
        """Return a connection that is given back by `Loan.end`.

        Raises:
            StorageUnavailable: there is none to be had.
        """
        try:
            return Loan(self._pool().connection())
        except PoolTimeout as error:
            raise StorageUnavailable(
                reason="no connection came in time (PoolTimeout): all of the pool are in use, or the server takes none "
                "and the logger psycopg.pool says why; nothing was stored, call again"
            ) from error
        except PoolClosed as error:
            raise StorageUnavailable(
                reason="the pool is not open (PoolClosed); nothing was stored"
            ) from error
        except psycopg.Error as error:
            raise StorageUnavailable(
                reason=f"no connection to the server ({type(error).__name__}); nothing was stored, call again"
            ) from error

    def check(self) -> None:
        """Drop the idle connections that are broken, as far as the pool can do so."""
        check = getattr(self._pool(), "check", None)
        if callable(check):
            check()

    def close(self) -> None:
        """Close our own pool; a host's is left alone."""
        with self._lock:
            pool, self._own = self._own, None
        if pool is not None and self._pid == os.getpid():
            pool.close()

    def _pool(self) -> Pool:
        if not isinstance(self._source, str):
            return self._source  # type: ignore[return-value]  # what it must have was checked
        pool = self._own
        # The threads and sockets of a pool do not survive a fork.
        return pool if pool is not None and self._pid == os.getpid() else self._open(self._source)

    def _open(self, conninfo: str) -> ConnectionPool[OwnConnection]:
        with self._lock:
            if self._own is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._own = ConnectionPool(
                    conninfo,
                    connection_class=OwnConnection,
                    # To forget statements of its own, the driver would have the server forget those of `Pipeline`.
                    kwargs={"autocommit": True, "prepare_threshold": None},
                    configure=self._configure,
                    min_size=0,
                    max_size=self._max_connections,
                    timeout=self._timeout,
                    # Else the waits would grow with the outage: the server would be back for as long as it was away.
                    reconnect_timeout=_BACKOFF_SECONDS,
                    reconnect_failed=_try_again,
                    open=True,
                    name="partner_vouchers",
                )
            return self._own

    def _configure(self, connection: Connection) -> None:
        # The statements are few and look up by key: to plan them anew would cost more than to execute them.
        connection.execute(
            "SELECT set_config('client_encoding', 'UTF8', false), set_config('lock_timeout', %s, false), "
            "set_config('plan_cache_mode', 'force_generic_plan', false)",
            (f"{int(self._timeout * 1000)}ms",),
        )


def _require_conninfo(conninfo: str) -> None:
    try:
        conninfo_to_dict(conninfo)
    except psycopg.Error:
        # The driver's error quotes the string, and with it a password; the pool would log it, and try for ever.
        understood = False
    else:
        understood = True
    if not understood:
        raise InvalidInput(
            field="conninfo",
            reason="must be a connection string of PostgreSQL's, such as 'host=db.example dbname=shop' or "
            "'postgresql://shop@db.example/shop', without the '+psycopg' of SQLAlchemy",
        )


def _try_again(pool: ConnectionPool[Any]) -> None:
    """Let a pool that has given up connecting begin anew, where somebody waits for a connection."""
    if pool.get_stats()["requests_waiting"]:
        # Only a request for a connection makes it try; this one does not wait for the answer.
        with suppress(PoolTimeout, PoolClosed):
            pool.putconn(pool.getconn(timeout=0.001))


class Loan:
    """A connection that was lent, ready for explicit transactions."""

    def __init__(self, context: AbstractContextManager[Connection]) -> None:
        self._context = context
        self.connection: Connection = context.__enter__()
        self._autocommit = self.connection.autocommit
        if not self._autocommit:
            # Otherwise the driver begins transactions of its own.
            self.connection.autocommit = True

    def end(self) -> None:
        """Give the connection back, as it was; one with a transaction that cannot be undone is closed."""
        connection = self.connection
        try:
            if connection.closed:
                return
            if connection.info.transaction_status != TransactionStatus.IDLE:
                try:
                    connection.execute("ROLLBACK")
                except psycopg.Error:
                    connection.close()
                    return
            if connection.autocommit != self._autocommit:
                connection.autocommit = self._autocommit
        finally:
            self._context.__exit__(None, None, None)
