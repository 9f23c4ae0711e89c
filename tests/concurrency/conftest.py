"""Threads are tried on all storages, processes on those that they can share; on PostgreSQL with `-m deep`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.duplicates import PerPartner
from partner_vouchers.ports import Storage
from tests.support.places import Place, SharedStorage, a_place, opened
from tests.support.scratch import tmp_path as tmp_path

POSTGRES = pytest.param("postgres", marks=pytest.mark.deep)


@pytest.fixture(params=["memory", "sqlite", POSTGRES])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    with a_place(request.param, tmp_path) as place, closing(opened(place)) as storage:
        yield storage


@pytest.fixture
def vouchers(storage: Storage) -> PartnerVouchers:
    return PartnerVouchers(storage, duplicates=PerPartner())


@pytest.fixture(params=["sqlite", POSTGRES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place that many processes can open."""
    with a_place(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def shared_storage(place: Place) -> Iterator[SharedStorage]:
    """A storage for many processes."""
    with closing(opened(place)) as storage:
        yield storage


@pytest.fixture
def shared(shared_storage: SharedStorage) -> PartnerVouchers:
    """The library on a storage for many processes."""
    return PartnerVouchers(shared_storage, duplicates=PerPartner())
