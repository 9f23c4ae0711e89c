"""Threads are tried on both storages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.duplicates import PerPartner
from partner_vouchers.ports import Storage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vouchers.db"


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, path: Path) -> Iterator[Storage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    opened = SQLiteStorage(path, synchronous="NORMAL")
    yield opened
    opened.close()


@pytest.fixture
def vouchers(storage: Storage) -> PartnerVouchers:
    return PartnerVouchers(storage, duplicates=PerPartner())


@pytest.fixture
def file_storage(path: Path) -> Iterator[SQLiteStorage]:
    """A storage for many processes."""
    opened = SQLiteStorage(path, synchronous="NORMAL")
    yield opened
    opened.close()


@pytest.fixture
def in_file(file_storage: SQLiteStorage) -> PartnerVouchers:
    """The library on a storage for many processes."""
    return PartnerVouchers(file_storage, duplicates=PerPartner())
