"""A shop that keeps its orders in the database of the storage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.hosts.shop import Base, begins_by_itself
from tests.support.host import FixedClock, Host

# Who begins a transaction on SQLite: the driver before the first change, SQLAlchemy, or the driver at once.
KINDS = ["driver", "listener", *(["autocommit=False"] if sys.version_info >= (3, 12) else [])]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SQLiteStorage]:
    # Nobody cuts the power here.
    opened = SQLiteStorage(tmp_path / "shop.db", synchronous="NORMAL", busy_timeout=5)
    yield opened
    opened.close()


@pytest.fixture
def host(storage: SQLiteStorage) -> Host:
    return Host(storage, FixedClock())


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, url: str, storage: SQLiteStorage) -> Iterator[Engine]:
    """An engine of the shop, whose tables exist."""
    yield from an_engine(request.param, url)


@pytest.fixture(params=KINDS[1:])
def nesting_engine(request: pytest.FixtureRequest, url: str, storage: SQLiteStorage) -> Iterator[Engine]:
    """An engine whose savepoints are always within a transaction."""
    yield from an_engine(request.param, url)


@pytest.fixture
def plain_engine(url: str, storage: SQLiteStorage) -> Iterator[Engine]:
    """An engine on SQLite with nothing set."""
    yield from an_engine("driver", url)


def an_engine(kind: str, url: str, **options: Any) -> Iterator[Engine]:
    if kind == "autocommit=False":
        options["connect_args"] = {"autocommit": False}
    engine = create_engine(url, **options)
    if kind == "listener":
        begins_by_itself(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()
