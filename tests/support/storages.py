"""Storages that tell what is asked of them."""

from __future__ import annotations

from typing import Any

from partner_vouchers.ports import Storage


class CountingStorage:
    """A storage that counts the transactions that write."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.writes: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def begin(self, *, write: bool = True) -> Any:
        self.writes += write
        return self._storage.begin(write=write)
