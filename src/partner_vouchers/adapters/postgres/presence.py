"""How other processes know that this one is alive: by a connection that ends with it.

The server notices at once when a process dies, wherever it ran, so what it held need not wait for the end of
a lease. What is written down is the server's process behind a connection that is kept open, and when that was
started.
"""

from __future__ import annotations

import threading

import psycopg
from psycopg.rows import tuple_row

from partner_vouchers.adapters.postgres.connections import Connections, Loan
from partner_vouchers.adapters.postgres.driver import Connection
from partner_vouchers.adapters.postgres.errors import translated

_STARTED = "(extract(epoch FROM p.backend_start) * 1000000)::bigint"


def is_dead(backend: str) -> str:
    """Return SQL that tells whether the connection that a column names has ended.

    Of other users' connections the server does not tell when they began: those count as alive.
    """
    return f"""NOT EXISTS (
        SELECT 1 FROM pg_stat_activity AS p
        WHERE p.pid = split_part({backend}, ' ', 1)::integer
          AND (p.backend_start IS NULL OR {_STARTED} = split_part({backend}, ' ', 2)::bigint))"""


def backend_of(connection: Connection) -> str:
    """Return what `is_dead` knows a connection by."""
    sql = f"SELECT p.pid || ' ' || {_STARTED} FROM pg_stat_activity AS p WHERE p.pid = pg_backend_pid()"
    # A host's pool may have other ideas of rows.
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    return str(cursor.execute(sql.encode()).fetchall()[0][0])


class Presence:
    """A connection that is kept open while this process has leases."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._lock = threading.Lock()
        self._leases: set[tuple[str, str]] = set()
        self._loan: Loan | None = None
        self._backend = ""

    def enter(self, name: str, holder: str) -> str:
        """Return what a lease must say so that others know when this process has ended."""
        with self._lock:
            self._leases.add((name, holder))
            if self._loan is None or not self._answers(self._loan.connection):
                self._hang_up()
                self._loan = self._connections.lend()
                try:
                    self._backend = backend_of(self._loan.connection)
                except psycopg.Error as error:
                    self._hang_up()
                    raise translated(error) from error
            return self._backend

    def leave(self, name: str, holder: str) -> None:
        """A lease was given back."""
        with self._lock:
            self._leases.discard((name, holder))
            if not self._leases:
                self._hang_up()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._leases.clear()
            self._hang_up()

    def _hang_up(self) -> None:
        loan, self._loan = self._loan, None
        if loan is not None:
            loan.end()

    def _answers(self, connection: Connection) -> bool:
        try:
            connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True
