"""A shop that keeps its orders in the database of the storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.ports import Storage
from tests.hosts.kinds import AT_ONCE, KINDS, LATE, LISTENER, POSTGRES
from tests.hosts.shop import Base, Place, asynchronous, begins_by_itself
from tests.support.host import FixedClock, Host
from tests.support.postgres import a_storage, server
from tests.support.scratch import tmp_path as tmp_path


@pytest.fixture(
    params=[
        each if each in (LATE, POSTGRES) else pytest.param(each, marks=pytest.mark.deep) for each in KINDS
    ]
)
def kind(request: pytest.FixtureRequest) -> str:
    """Which database, and how the engine is set up."""
    return str(request.param)


@pytest.fixture
def place(kind: str, tmp_path: Path) -> Iterator[Place]:
    """The database."""
    if kind == POSTGRES:
        with a_storage() as lent:
            yield on_a_server(lent, server().conninfo)
        return
    # Nobody cuts the power here.
    opened = SQLiteStorage(tmp_path / "shop.db", synchronous="NORMAL", busy_timeout=5)
    yield Place(
        storage=opened,
        url=f"sqlite:///{tmp_path / 'shop.db'}",
        other_url=f"sqlite:///{tmp_path / 'other.db'}",
        django={"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "shop.db")},
    )
    opened.close()


def on_a_server(storage: PostgresStorage, conninfo: str) -> Place:
    with storage.begin(write=False) as tx:
        schema = tx.session.names.schema
    home = str(conninfo_to_dict(conninfo)["host"])
    query = {"host": home, "options": f"-c search_path={schema}"}
    url = URL.create("postgresql+psycopg", "postgres", database="postgres", query=query)
    return Place(
        storage=storage,
        url=url.render_as_string(),
        other_url=url.set(database="template1").render_as_string(),
        django={
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": home,
            "OPTIONS": {"options": query["options"]},
        },
        conninfo=make_conninfo(conninfo, options=query["options"]),
    )


@pytest.fixture
def url(place: Place) -> str:
    return place.url


@pytest.fixture
def storage(place: Place) -> Storage:
    return place.storage


@pytest.fixture
def host(storage: Storage) -> Host:
    host = Host(storage, FixedClock())
    # As a host does when it starts: the tables are there before its first transaction.
    host.vouchers.check()
    return host


@pytest.fixture
def engine(kind: str, url: str) -> Iterator[Engine]:
    """An engine of the shop, whose tables exist."""
    engine = create_engine(url, connect_args={"autocommit": False} if kind == AT_ONCE else {})
    if kind == LISTENER:
        begins_by_itself(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def opened(anyio_backend: str, kind: str, url: str, engine: Engine) -> AsyncIterator[AsyncEngine]:
    """An asynchronous engine of the same shop."""
    # SQLite has one writer at a time: a pool of one is a fair queue.
    options = {"pool_size": 20} if kind == POSTGRES else {"pool_size": 1, "max_overflow": 0}
    connect_args = {"autocommit": False} if kind == AT_ONCE else {}
    opened = create_async_engine(asynchronous(url), connect_args=connect_args, **options)
    if kind == LISTENER:
        begins_by_itself(opened.sync_engine)
    yield opened
    await opened.dispose()


@pytest.fixture
async def vouchers(anyio_backend: str, host: Host) -> AsyncIterator[AsyncPartnerVouchers]:
    """The asynchronous library on the same storage."""
    async with AsyncPartnerVouchers(host.storage, clock=host.clock) as vouchers:
        yield vouchers
