"""The in-memory storage itself: who may work on the tables, and when."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn
from uuid import uuid4

from partner_vouchers import ports
from partner_vouchers.adapters.memory.imports import MemoryImport
from partner_vouchers.adapters.memory.tables import Tables
from partner_vouchers.adapters.memory.transaction import MemoryTransaction
from partner_vouchers.adapters.memory.unit import UndoLog, Unit
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import HostTransactionError, StorageError


class MemoryStorage(ports.Storage):
    """A storage in the memory of this process. All is gone when the process ends.

    Any number of threads may use it. One transaction runs at a time, whether it writes or only reads: a
    reader sees one state because nobody writes meanwhile. All transactions of the library are short, also
    those of an upload. Processes share nothing: one that is forked goes on with a copy of its own.

    Example:
        >>> storage = MemoryStorage()
        >>> with storage.begin() as tx:
        ...     tx.settings.put("colour", "green")
        ...     tx.commit()
    """

    def __init__(self) -> None:
        self._tables = Tables()
        self._turn = _Turn()
        # Other storages count their events from 1 too.
        self._origin = str(uuid4())

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[MemoryTransaction]:
        """Open a transaction.

        Raises:
            StorageError: this thread has one open already, and would wait for itself.
        """
        tx = MemoryTransaction(Unit(self._tables, UndoLog(), write=write), self._origin, self._turn.pass_on)
        self._turn.take()
        try:
            yield tx
        finally:
            tx.leave()

    def join(self, connection: object) -> ports.Storage:
        """Return a storage within an open transaction of this one, which stands in for a host's own.

        Raises:
            HostTransactionError: `connection` is anything else, or a transaction that only reads.
        """
        if not isinstance(connection, MemoryTransaction) or not connection.unit.is_open:
            raise HostTransactionError(
                reason="a MemoryStorage has no connections; pass a transaction of its begin() that is open"
            )
        if connection.unit.tables is not self._tables:
            raise HostTransactionError(reason="the transaction is of another MemoryStorage")
        if not connection.unit.write:
            raise HostTransactionError(reason="the transaction only reads; pass one of begin(write=True)")
        return _JoinedStorage(connection.unit, self._origin)

    @contextmanager
    def import_codes(
        self, upload: Upload, scope: str, counts: Callable[[State], bool]
    ) -> Iterator[MemoryImport]:
        """Open the import of an upload's codes."""
        opened = MemoryImport(self._tables, self.begin, upload, scope, counts)
        try:
            yield opened
        finally:
            opened.close()

    def reclaim(self, seconds: float | None = None) -> None:
        """Do nothing: what a removed list leaves behind are entries of its codes, which are taken over."""

    def abandon(self, upload_id: str) -> None:
        """Give up the import of an upload; should it still run, it ends with `UploadInterrupted`."""
        with self.begin() as tx:
            batch = self._tables.batches.get(upload_id)
            if batch is not None:
                batch.give_up()
            upload = self._tables.uploads.get(upload_id)
            if upload is not None and upload.sha256 is None:
                tx.unit.log.put(self._tables.pieces, upload_id, {})
            tx.commit()


class _JoinedStorage(ports.Storage):
    """A storage whose transactions are parts of one that is open, for the thread that opened that one."""

    def __init__(self, unit: Unit, origin: str) -> None:
        self._unit = unit
        self._origin = origin

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[MemoryTransaction]:
        """Open a part of the transaction.

        Raises:
            HostTransactionError: the transaction has ended.
        """
        if not self._unit.is_open:
            raise HostTransactionError(reason="the transaction that was joined has ended; join an open one")
        tx = MemoryTransaction(self._unit.within(write=write), self._origin, on_end=lambda: None)
        try:
            yield tx
        finally:
            tx.leave()

    def join(self, connection: object) -> NoReturn:
        raise HostTransactionError(reason="this is within a transaction already; join the storage itself")

    def import_codes(self, upload: Upload, scope: str, counts: Callable[[State], bool]) -> NoReturn:
        raise _own_transactions()

    def reclaim(self, seconds: float | None = None) -> None:
        """Do nothing, as outside the transaction."""

    def abandon(self, upload_id: str) -> NoReturn:
        raise _own_transactions()


def _own_transactions() -> HostTransactionError:
    return HostTransactionError(
        reason="an upload works in transactions of its own; make it outside the host's transaction"
    )


class _Turn:
    """A lock that threads get in the order in which they come, and never twice.

    A plain lock would mostly go back to the thread that just released it: an upload, which takes it again and
    again, would keep the others waiting until its end.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._owner: int | None = None
        self._queue: deque[tuple[int, threading.Lock]] = deque()

    def take(self) -> None:
        """Wait for the turn of this thread.

        Raises:
            StorageError: it has the turn already.
        """
        thread = threading.get_ident()
        if self._owner == thread:
            raise StorageError(
                reason="this thread has a transaction open already; end it first, or join it with join()"
            )
        called = threading.Lock()
        called.acquire()
        waiter = (thread, called)
        with self._mutex:
            if self._owner is None:
                self._owner = thread
                return
            self._queue.append(waiter)
        try:
            called.acquire()
        except BaseException:
            # Ctrl-C while waiting: nobody must be left behind this thread for ever.
            with self._mutex:
                still_waits = waiter in self._queue
                if still_waits:
                    self._queue.remove(waiter)
            if not still_waits:
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """End the turn of this thread."""
        with self._mutex:
            self._owner = None
            if self._queue:
                self._owner, called = self._queue.popleft()
                called.release()
