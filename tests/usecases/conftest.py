"""The rules of use cases are tried on memory, and on all storages with `-m deep`.

The contract holds every storage to all that such a rule rests on. What is marked `every_storage` is tried on each of
them at once: locks, imports, the outbox, and transactions of hosts.
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
    callspec = getattr(item, "callspec", None)
    kind = callspec.params.get("storage", "memory") if callspec else "memory"
    if kind != "memory" and not item.get_closest_marker("every_storage"):
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
