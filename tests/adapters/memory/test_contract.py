"""The in-memory storage under the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.ports import Storage
from partner_vouchers.testing import HostConnection, StorageContract, UnsupportedHook, unsupported


class TestMemoryStorage(StorageContract):
    def new_storage(self, place: Path) -> MemoryStorage:
        return MemoryStorage()

    def reopen(self, storage: Storage, place: Path) -> UnsupportedHook:
        return unsupported("what is in memory ends with its storage")

    def second_connection(self, storage: Storage, place: Path) -> UnsupportedHook:
        return unsupported("the data belongs to one object, which all threads share")

    def second_process(self, storage: Storage, place: Path) -> UnsupportedHook:
        return unsupported("processes share no memory")

    @contextmanager
    def host_connection(self, storage: Storage, place: Path) -> Iterator[HostConnection]:
        assert isinstance(storage, MemoryStorage)
        with storage.begin() as tx:
            yield HostConnection(tx, commit=tx.commit, rollback=partial(tx.unit.end, undo=True))
