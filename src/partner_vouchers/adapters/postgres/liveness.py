"""How other processes know that this one is alive: by a connection that ends with it.

The server notices at once when a process dies, wherever it ran, so its leases need not time out. A lease names the
server process behind a connection that stays open, and when that process was started.
"""

from __future__ import annotations

import select
import time
from contextlib import suppress

import psycopg
from psycopg.rows import tuple_row

from partner_vouchers.adapters.postgres.connections import LOOK_SECONDS, Connections, PooledConnection
from partner_vouchers.adapters.postgres.driver import Connection, translating
from partner_vouchers.adapters.postgres.pipeline import OwnConnection, command
from partner_vouchers.adapters.postgres.pool import Rooms
from partner_vouchers.errors import StorageUnavailable

_STARTED = "(extract(epoch FROM p.backend_start) * 1000000)::bigint"
_CLOSED_BY_SERVER = getattr(select, "POLLRDHUP", 0)
_OPEN = "open"


def is_dead(backend: str) -> str:
    """Return SQL that says whether the connection named by a column has ended.

    The server does not say when connections of other users began: those count as alive.
    """
    return f"""NOT EXISTS (
        SELECT 1 FROM pg_stat_activity AS p
        WHERE p.pid = split_part({backend}, ' ', 1)::integer
          AND (p.backend_start IS NULL OR {_STARTED} = split_part({backend}, ' ', 2)::bigint))"""


@translating
def backend_of(connection: Connection) -> str:
    """Return the name of a connection for `is_dead`.

    Raises:
        StorageError: the connection failed.
    """
    sql = f"SELECT p.pid || ' ' || {_STARTED} FROM pg_stat_activity AS p WHERE p.pid = pg_backend_pid()"
    # A host's pool may have other ideas of rows.
    return str(psycopg.Cursor(connection, row_factory=tuple_row).execute(sql.encode()).fetchall()[0][0])


class Liveness:
    """A connection that stays open while this process has leases.

    It is used by several threads without a lock, which an exception could leave locked.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._leases: set[tuple[str, str]] = set()
        self._line: dict[str, _Line] = {}
        self._replaced: list[_Line] = []
        self._opening = Rooms(1)
        connections.after_fork.append(self._forget)

    def enter(self, name: str, owner: str) -> str:
        """Return what a lease must name so that others know when this process has ended.

        Raises:
            StorageError: there is no connection.
        """
        self._leases.add((name, owner))
        deadline = time.monotonic() + self._connections.timeout
        while (line := self._line.get(_OPEN)) is None or not line.is_open():
            room = self._opening.take()
            if room is None:
                # Another thread opens it.
                if time.monotonic() >= deadline:
                    raise StorageUnavailable(
                        reason="no connection for leases; nothing was stored, call again"
                    )
                time.sleep(LOOK_SECONDS)
                continue
            try:
                if self._line.get(_OPEN) is line:
                    broken = self._line.pop(_OPEN, None)
                    if broken is not None:
                        # Kept, it would take up room in the pool for as long as there are leases.
                        broken.lent.end(discard=True)
                    self._line[_OPEN] = _Line(self._connections)
            finally:
                room.is_free = True
        return line.backend

    def leave(self, name: str, owner: str) -> None:
        """Note that a lease was given back."""
        self._leases.discard((name, owner))
        if not self._leases:
            self._set_aside()
            # A thread that came meanwhile may have read what was set aside.
            while not self._leases and self._replaced:
                self._replaced.pop().lent.end()

    def close(self) -> None:
        """Close the connection."""
        self._leases.clear()
        self._set_aside()
        while self._replaced:
            self._replaced.pop().lent.end()

    def _set_aside(self) -> None:
        line = self._line.pop(_OPEN, None)
        if line is not None:
            self._replaced.append(line)

    def _forget(self) -> None:
        self._leases.clear()
        self._line.clear()
        self._replaced.clear()
        self._opening = Rooms(1)


class _Line:
    """A connection that is only kept open."""

    def __init__(self, connections: Connections) -> None:
        self.lent: PooledConnection = connections.lend("liveness")
        try:
            if isinstance(self.lent.connection, OwnConnection):
                # Nothing is ever asked of it, and it must stay.
                command(self.lent.connection, b"SET idle_session_timeout = 0")
            self.backend: str = backend_of(self.lent.connection)
        except BaseException:
            self.lent.end(discard=True)
            raise

    def is_open(self) -> bool:
        """Tell, without asking the server, whether it has closed the connection."""
        connection = self.lent.connection
        if not connection.closed and hasattr(select, "poll"):
            with suppress(psycopg.Error):
                poll = select.poll()
                poll.register(connection.fileno(), _CLOSED_BY_SERVER)
                return not poll.poll(0)
        return not connection.closed
