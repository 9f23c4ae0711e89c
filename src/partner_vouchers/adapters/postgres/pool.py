"""A pool of connections that survives `fork`, killed greenlets, and an exception at any instruction.

It has no threads, no locks and no counter that could be left wrong. A connection takes up room for as long as its
`Room` exists: when an exception loses the connection, Python frees the object, and with it the room.
"""

from __future__ import annotations

import itertools
import os
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from weakref import ref

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import PipelineStatus, TransactionStatus

from partner_vouchers.adapters.postgres.pipeline import OwnConnection, command
from partner_vouchers.errors import StorageUnavailable

T = TypeVar("T")

_LOOK_SECONDS = 0.1
"""How often a waiting caller looks for room that no other caller gave back."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two attempts to connect: doubled after each one."""

_MOST_IDLE_SECONDS = 600.0
CANCEL_SECONDS = 2.0


class Room:
    """The room that one connection takes up, also while it is being opened."""

    __slots__ = ("__weakref__", "connection", "is_free")

    def __init__(self) -> None:
        self.connection: ref[PoolConnection] | None = None
        self.is_free: bool = False


class Rooms:
    """Room for a number of connections at a time.

    Attributes:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self.size: int = size
        self._numbers = itertools.count()
        self._rooms: dict[int, ref[Room]] = {}

    def taken(self) -> Iterator[Room]:
        """Yield the rooms that exist."""
        for known in list(self._rooms.values()):
            room = known()
            if room is not None:
                yield room

    def take(self) -> Room | None:
        """Return a room, if there is any.

        Without a lock: the later entry of `_rooms` gives way.
        """
        room, number = Room(), next(self._numbers)
        self._rooms[number] = ref(room)
        before = 0
        for other, known in list(self._rooms.items()):
            if other == number:
                break
            taken = known()
            if taken is None or taken.is_free:
                self._rooms.pop(other, None)
            else:
                before += 1
        if before < self.size:
            return room
        room.is_free = True
        return None


class PoolConnection(OwnConnection):
    """A connection of a `ConnectionPool`."""

    room: Room
    idle_since: float = 0.0
    inherited: bool = False
    closings: int = 0

    def __del__(self, *_: object) -> None:
        """Let the server roll back: an exception lost the connection. The driver would warn."""


class ConnectionPool:
    """Lends connections that commit by themselves, and opens them when they are needed."""

    def __init__(
        self,
        conninfo: Callable[[], str],
        options: Callable[[], Mapping[str, Any]],
        *,
        configure: Callable[[psycopg.Connection[Any]], None],
        max_size: int,
        timeout: float,
    ) -> None:
        """Open nothing yet.

        Args:
            conninfo: returns how to connect.
            options: returns further arguments of `psycopg.connect`.
            configure: is given each new connection.
            max_size: how many connections there may be at a time.
            timeout: seconds to wait for a connection.
        """
        self._conninfo = conninfo
        self._options = options
        self._configure = configure
        self._max_size = max_size
        self._timeout = timeout
        self._closings = 0
        self._clear()

    def forget(self) -> None:
        """Drop what a child inherited, and start again without connections."""
        for connection in self._connections():
            drop_inherited(connection)
        self._clear()

    def _clear(self) -> None:
        self._rooms = Rooms(self._max_size)
        self._idle: deque[PoolConnection] = deque()
        # Wakes waiting callers. A surplus or missing entry does no harm, since they also check regularly.
        self._returned: queue.SimpleQueue[None] = queue.SimpleQueue()

    def _connections(self) -> Iterator[PoolConnection]:
        """Yield all connections, idle and lent."""
        for room in self._rooms.taken():
            connection = None if room.connection is None else room.connection()
            if connection is not None:
                yield connection

    def lend(self) -> PoolConnection:
        """Return a connection outside of any transaction, for `give_back` or `discard`.

        Raises:
            StorageUnavailable: none came within the timeout, or the pool was closed meanwhile.
        """
        deadline = time.monotonic() + self._timeout
        pause, failure = _SHORTEST_PAUSE, ""
        closings = self._closings
        while closings == self._closings:
            with suppress(IndexError):
                return self._idle.pop()
            left = deadline - time.monotonic()
            room = self._rooms.take()
            if room is not None:
                try:
                    return self._connect(room, max(left, 2.0))
                except psycopg.Error as error:
                    room.is_free = True
                    failure = f": {'. '.join(filter(None, map(str.strip, str(error).splitlines())))}"
                except BaseException:
                    room.is_free = True
                    raise
                if left > 0:
                    time.sleep(min(pause, left))
                    pause = min(2 * pause, _LONGEST_PAUSE)
            elif left > 0:
                with suppress(queue.Empty):
                    self._returned.get(timeout=min(_LOOK_SECONDS, left))
            if left <= 0:
                cause = failure or f"; all {self._max_size} of the pool are in use"
                raise StorageUnavailable(
                    reason=f"no connection within {self._timeout:g} seconds{cause}; nothing was stored, call again"
                )
        raise StorageUnavailable(reason="the storage was closed while the call waited; nothing was stored")

    def give_back(self, connection: PoolConnection) -> None:
        """Take back a connection that `is_clean`, or close it where the pool was closed meanwhile."""
        if connection.closings != self._closings:
            self.discard(connection)
            return
        now = connection.idle_since = time.monotonic()
        self._idle.append(connection)
        self._wake()
        with suppress(IndexError):
            while self._idle[0].idle_since < now - _MOST_IDLE_SECONDS:
                self.discard(self._idle.popleft())

    def discard(self, connection: PoolConnection) -> None:
        """Close a connection, and have the server stop what it does for it."""
        close(connection)
        connection.room.is_free = True
        self._wake()

    def check(self) -> None:
        """Close the idle connections, which may be broken."""
        with suppress(IndexError):
            while True:
                self.discard(self._idle.pop())

    def close(self) -> None:
        """Close the connections; those in use are closed when they are given back. The next call opens new ones."""
        self._closings += 1
        self.check()

    def _wake(self) -> None:
        if self._returned.qsize() < self._max_size:
            self._returned.put(None)

    def _connect(self, room: Room, seconds: float) -> PoolConnection:
        conninfo, options = self._conninfo(), dict(self._options())
        if "connect_timeout" not in {**conninfo_to_dict(conninfo), **options}:
            options["connect_timeout"] = max(round(seconds), 1)
        # To deallocate its own statements, the driver would also deallocate those of `Pipeline`.
        options.update(autocommit=True, prepare_threshold=None)
        connection = PoolConnection.connect(conninfo, **options)
        connection.room, connection.closings = room, self._closings
        room.connection = ref(connection)
        self._configure(connection)
        return connection


def close(connection: psycopg.Connection[Any]) -> None:
    """Close a connection, and have the server stop what it does for it, so that it keeps no lock."""
    if getattr(connection, "inherited", False):
        return
    if not connection.closed and connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=CANCEL_SECONDS)
    connection.close()


def drop_inherited(connection: psycopg.Connection[Any]) -> None:
    """Close the socket of a connection that a child inherited through `fork`, without a word to the server.

    The object is left with the null device, so that nothing that is done with it reaches the parent's session.
    """
    if isinstance(connection, PoolConnection):
        connection.inherited = True
    with suppress(psycopg.Error, OSError):
        descriptor = connection.pgconn.socket
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, descriptor, inheritable=False)
        os.close(null)


def roll_back(connection: psycopg.Connection[Any]) -> None:
    """Roll back the open transaction of a connection.

    Raises:
        psycopg.Error: the server cannot be asked.
    """
    if connection.pgconn.transaction_status != TransactionStatus.IDLE:
        command(connection, b"ROLLBACK")


def is_clean(connection: psycopg.Connection[Any]) -> bool:
    """Roll back the open transaction of a connection, and return whether the next caller can use it."""
    pgconn = connection.pgconn
    if connection.closed or connection.lock.locked() or pgconn.pipeline_status != PipelineStatus.OFF:
        return False
    if pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        try:
            roll_back(connection)
        except psycopg.Error:
            return False
    return pgconn.transaction_status == TransactionStatus.IDLE
