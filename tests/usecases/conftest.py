"""Every use case is tried on all storages.

What is marked `any_storage` depends on none of them: the contract of storages holds PostgreSQL to all that such a
rule rests on, so it is tried there only with `-m deep`. What is about locks, imports, the outbox, deliveries and
transactions of hosts is not marked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import Storage
from tests.support.host import FixedClock, Host
from tests.support.postgres import a_storage
from tests.support.scratch import tmp_path as tmp_path


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("any_storage") and "postgres" in item.name:
        item.add_marker("deep")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    if request.param == "postgres":
        with a_storage() as lent:
            yield lent
        return
    # Nobody cuts the power here.
    opened = SQLiteStorage(tmp_path / "vouchers.db", synchronous="NORMAL")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def host(storage: Storage, clock: FixedClock) -> Host:
    return Host(storage, clock)


@pytest.fixture
def vouchers(host: Host) -> PartnerVouchers:
    return host.vouchers


@pytest.fixture
def capacity(monkeypatch: pytest.MonkeyPatch) -> int:
    """Make a list's million a small number. This is the one place that knows where it stands."""
    small = 5
    for module in ("domain.stock", "domain.uploads"):
        monkeypatch.setattr(f"partner_vouchers.{module}.CAPACITY", small)
    return small
