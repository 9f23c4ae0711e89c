"""The in-memory storage: transactions and the writer lock."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from uuid import uuid4

from partner_vouchers import ports
from partner_vouchers.adapters.memory.imports import MemoryImport
from partner_vouchers.adapters.memory.tables import Tables
from partner_vouchers.adapters.memory.transaction import MemoryTransaction
from partner_vouchers.adapters.memory.unit import UndoLog, Unit
from partner_vouchers.adapters.simple import JoinedStorage
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import HostTransactionError, StorageError, StorageForked
from partner_vouchers.locks import AlreadyOwner, Place, QueueLock, Recoverable


class MemoryStorage(ports.Storage):
    """A storage in the memory of this process. All is gone when the process ends.

    Any number of threads can use it. One transaction runs at a time, whether it writes or only reads: a
    reader sees one state because no transaction changes it meanwhile. All transactions of the library are short, also
    those of an upload. A forked child cannot use it (`StorageForked`): it would work with a copy of the data.

    Example:
        >>> storage = MemoryStorage()
        >>> with storage.begin() as tx:
        ...     tx.settings.put("colour", "green")
        ...     tx.commit()
    """

    def __init__(self) -> None:
        self._tables = Tables()
        self._lock = QueueLock()
        self._forked = False
        # The transaction in progress. An owner of the lock who finds one here that is open follows one whose end was
        # never run.
        self._unit: Unit | None = None
        # Other storages count their events from 1 too.
        self._origin = str(uuid4())
        _storages.add(self)

    def __repr__(self) -> str:
        return "MemoryStorage()"

    def begin(self, *, write: bool = True) -> _OwnContext:
        """Open a transaction.

        Raises:
            StorageError: this thread has one open already, and would wait for itself.
            StorageForked: this process was forked from the one that made the storage.
        """
        return _OwnContext(self, write)

    def join(self, connection: object) -> ports.Storage:
        """Return a storage within an open transaction of this one, in place of a host's own.

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

    def import_codes(
        self, upload: Upload, scope: str, counts: Callable[[State], bool]
    ) -> AbstractContextManager[MemoryImport]:
        return nullcontext(MemoryImport(self, upload, scope, counts))

    def reclaim(self, seconds: float | None = None) -> None:
        """Do nothing: what a removed list leaves behind are entries of its codes, which are taken over."""

    def abandon(self, upload_id: str) -> None:
        with self.begin() as tx:
            upload = self._tables.uploads.get(upload_id)
            if upload is not None and upload.sha256 is None:
                tx.unit.log.put(self._tables.pieces, upload_id, {})
            tx.commit()


class _OwnContext(Recoverable):
    """A transaction of a storage."""

    def __init__(self, storage: MemoryStorage, write: bool) -> None:
        self._storage = storage
        self._write = write
        self._unit: Unit | None = None

    def __enter__(self) -> MemoryTransaction:
        storage = self._storage
        if storage._forked:
            raise _forked()
        place = Place(self.token)
        end = partial(storage._lock.release, place)
        try:
            storage._lock.acquire(place, None)
            if storage._unit is not None and storage._unit.is_open:
                storage._unit.end(undo=True)
            storage._unit = self._unit = Unit(storage._tables, UndoLog(), write=self._write, on_end=end)
            return MemoryTransaction(self._unit, storage, storage._origin)
        except AlreadyOwner:
            raise StorageError(
                reason="this thread has a transaction open already; end it first, or join it with join()"
            ) from None
        except BaseException:
            self.leave(None)
            end()
            raise

    def leave(self, error: BaseException | None) -> None:
        """Undo what was not committed."""
        if self._unit is not None and self._unit.is_open:
            self._unit.end(undo=True)


class _JoinedStorage(JoinedStorage):
    """A storage whose transactions are parts of one that is open, for the thread that opened that one."""

    def __init__(self, unit: Unit, origin: str) -> None:
        self._unit = unit
        self._origin = origin

    def begin(self, *, write: bool = True) -> _JoinedContext:
        """Open a part of the transaction.

        Raises:
            HostTransactionError: the transaction has ended.
        """
        if not self._unit.is_open:
            raise HostTransactionError(reason="the transaction that was joined has ended; join an open one")
        return _JoinedContext(self._unit.within(write=write), self)


class _JoinedContext(Recoverable):
    """A part of a transaction that is open."""

    def __init__(self, unit: Unit, storage: _JoinedStorage) -> None:
        self._unit = unit
        self._storage = storage

    def __enter__(self) -> MemoryTransaction:
        return MemoryTransaction(self._unit, self._storage, self._storage._origin)

    def leave(self, error: BaseException | None) -> None:
        """Undo what was not committed."""
        if self._unit.is_open:
            self._unit.end(undo=True)


def _forked() -> StorageForked:
    return StorageForked(
        reason="this process was forked from the one whose memory the storage is in; make a storage here, or use "
        "one on disk, which processes can share"
    )


_storages: weakref.WeakSet[MemoryStorage] = weakref.WeakSet()


def _in_child() -> None:
    for storage in list(_storages):
        storage._forked = True
        if storage._unit is not None:
            storage._unit.cut_off(_forked())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
