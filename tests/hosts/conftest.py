"""A shop that keeps its orders in the database of the storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.hosts.kinds import AT_ONCE, KINDS, LISTENER
from tests.hosts.shop import Base, begins_by_itself
from tests.support.host import FixedClock, Host


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which database, and how the engine is set up."""
    return str(request.param)


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture
def storage(kind: str, tmp_path: Path) -> Iterator[SQLiteStorage]:
    # Nobody cuts the power here.
    opened = SQLiteStorage(tmp_path / "shop.db", synchronous="NORMAL", busy_timeout=5)
    yield opened
    opened.close()


@pytest.fixture
def host(storage: SQLiteStorage) -> Host:
    return Host(storage, FixedClock())


@pytest.fixture
def engine(kind: str, url: str, storage: SQLiteStorage) -> Iterator[Engine]:
    """An engine of the shop, whose tables exist."""
    engine = create_engine(url, connect_args={"autocommit": False} if kind == AT_ONCE else {})
    if kind == LISTENER:
        begins_by_itself(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()
