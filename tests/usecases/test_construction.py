"""The object is made without I/O: the first call opens the storage."""

from __future__ import annotations

from typing import Any

import pytest

from partner_vouchers import PartnerVouchers, PerPartner
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import StorageError, StorageUnavailable
from partner_vouchers.ports import Storage
from tests.support.storages import CountingStorage


class OpenedStorage(CountingStorage):
    """A storage that counts all transactions."""

    opened = 0

    def begin(self, *, write: bool = True) -> Any:
        self.opened += 1
        return super().begin(write=write)


def test_a_storage_is_opened_by_the_first_call_and_checked_once(storage: Storage) -> None:
    watched = OpenedStorage(storage)
    vouchers = PartnerVouchers(
        watched, duplicates=PerPartner(), clock=lambda: pytest.fail("asked for nothing")
    )
    repr(vouchers)
    assert watched.opened == 0
    vouchers.check()
    before = watched.opened
    assert before > 0
    vouchers.partners.all()
    assert (watched.opened, watched.writes) == (before + 1, 1)


def test_a_check_looks_at_the_storage_each_time(storage: Storage) -> None:
    watched = OpenedStorage(storage)
    vouchers = PartnerVouchers(watched)
    vouchers.check()
    before = watched.opened
    vouchers.check()
    assert (watched.opened, watched.writes) == (before + 1, 1)


def test_a_server_that_is_not_there_is_told_by_the_first_call() -> None:
    storage = PostgresStorage("host=/nonexistent dbname=shop password=secret", timeout=0.2)
    vouchers = PartnerVouchers(storage)
    assert "secret" not in repr(vouchers)
    for call in (vouchers.check, vouchers.partners.all):
        with pytest.raises(StorageUnavailable):
            call()
    storage.close()


def test_a_storage_that_cannot_be_used_is_told_by_the_first_call() -> None:
    class Broken(MemoryStorage):
        def begin(self, *, write: bool = True) -> Any:
            raise StorageError(reason="out of order")

    vouchers = PartnerVouchers(Broken())
    with pytest.raises(StorageError, match="out of order"):
        vouchers.check()


def test_a_library_shows_its_storage_and_policy() -> None:
    vouchers = PartnerVouchers(MemoryStorage(), duplicates=PerPartner())
    assert repr(vouchers) == "PartnerVouchers(MemoryStorage(), duplicates='per partner')"
