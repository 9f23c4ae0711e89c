"""What of SQLAlchemy cannot be joined, and what the host is told to do."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from partner_vouchers.errors import HostTransactionError
from tests.hosts.kinds import LATE, databases, sqlite
from tests.hosts.shop import ANOTHER, Base, Order, Place, orders, place_order, refusal
from tests.support.host import Host

# --- not a connection --------------------------------------------------------------------------------------------


def test_what_is_no_connection_is_refused(host: Host, engine: Engine) -> None:
    assert "engine.begin()" in refusal(host, engine)
    assert "make_session.begin()" in refusal(host, sessionmaker(engine))
    with engine.begin() as connection:
        others = (connection.get_transaction(), connection.connection, connection.execute(text("SELECT 1")))
        for given in (*others, Order, Order(id="order-1", user_id="ann", code=None)):
            refusal(host, given)


# --- asynchronous --------------------------------------------------------------------------------------------------


@databases
@pytest.mark.anyio
async def test_asynchronous_ones_are_told_to_use_run_sync(host: Host, opened: AsyncEngine) -> None:
    async with AsyncSession(opened) as session, opened.connect() as connection:
        given: list[Any] = [opened, session, connection, async_sessionmaker(opened)]
        given += [session.sync_session, connection.sync_connection]
        given.append(scoped_session(sessionmaker(opened.sync_engine)))
        given.append(async_scoped_session(async_sessionmaker(opened), asyncio.current_task))
        for each in given:
            assert "run_sync" in refusal(host, each)


# --- nobody would commit -------------------------------------------------------------------------------------------


@databases
def test_autocommit_is_refused(host: Host, url: str) -> None:
    plain, automatic = create_engine(url), create_engine(url, isolation_level="AUTOCOMMIT")
    for engine in (automatic, plain.execution_options(isolation_level="AUTOCOMMIT")):
        with engine.connect() as connection:
            assert "AUTOCOMMIT" in refusal(host, connection)
        with Session(engine) as session:
            assert "AUTOCOMMIT" in refusal(host, session)
    with plain.connect() as connection:
        assert "AUTOCOMMIT" in refusal(host, connection.execution_options(isolation_level="AUTOCOMMIT"))
        if url.startswith("sqlite"):
            connection.begin_nested()
            assert "AUTOCOMMIT" in refusal(host, connection)
    with Session(plain) as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        assert "AUTOCOMMIT" in refusal(host, session)
    plain.dispose()
    automatic.dispose()


def test_a_session_that_is_begun_by_hand_must_be_begun(host: Host, engine: Engine) -> None:
    with Session(engine, autobegin=False) as session:
        assert "InvalidRequestError" in refusal(host, session)
        session.begin()
        host.vouchers.using(session).partners.add("Nike")
        session.commit()
    assert [partner.name for partner in host.vouchers.partners.all()] == ["Nike"]


def test_a_listener_after_the_commit_is_too_late(host: Host, engine: Engine) -> None:
    told: list[str] = []
    with Session(engine) as session:
        event.listen(session, "after_commit", lambda committed: told.append(refusal(host, committed)))
        session.add(Order(id="order-1", user_id="ann", code=None))
        session.commit()
    assert len(told) == 1


def test_what_was_joined_cannot_be_joined_again(host: Host, engine: Engine) -> None:
    with Session(engine) as session, pytest.raises(HostTransactionError, match="within"):
        host.vouchers.using(session).using(session)


# --- what has ended ------------------------------------------------------------------------------------------------


def test_a_closed_connection_is_refused(host: Host, engine: Engine) -> None:
    connection = engine.connect()
    joined = host.vouchers.using(connection)
    connection.close()
    assert "ResourceClosedError" in refusal(host, connection)
    with pytest.raises(HostTransactionError, match="ResourceClosedError"):
        joined.partners.all()
    session = Session(engine, close_resets_only=False)
    session.close()
    assert "InvalidRequestError" in refusal(host, session)


def test_an_invalidated_connection_is_refused_until_it_is_rolled_back(host: Host, engine: Engine) -> None:
    found = host.a_list("A")
    with engine.connect() as connection:
        joined = host.vouchers.using(connection)
        with host.nothing_changes():
            joined.codes.assign(list_id=found.id, user_id="ann")
            connection.invalidate()
        assert "PendingRollbackError" in refusal(host, connection)
        connection.rollback()
        joined.codes.assign(list_id=found.id, user_id="ben")
        connection.commit()
    assert [held.user_id for held in host.vouchers.codes.assignments(found.id)] == ["ben"]


def test_a_transaction_that_failed_is_refused_and_its_codes_are_not_told(host: Host, engine: Engine) -> None:
    found = host.a_list("SECRET-1", "B")
    with Session(engine) as session:
        place_order(host.vouchers, session, "order-1", found.id)
        session.commit()
    with Session(engine) as session:
        joined = host.vouchers.using(session)
        session.add(Order(id="order-2", user_id="ann", code="SECRET-1"))
        with pytest.raises(IntegrityError):
            session.flush()
        told = refusal(host, session)
        assert "PendingRollbackError" in told
        assert "SECRET-1" not in told
        with pytest.raises(HostTransactionError, match="roll back"):
            joined.codes.assign(list_id=found.id, user_id="ann")
        session.rollback()
        assert joined.codes.assign(list_id=found.id, user_id="ann").code == "B"


@sqlite
def test_a_connection_whose_driver_has_closed_it_is_refused(host: Host, engine: Engine) -> None:
    connection = engine.connect()
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.close()
    assert "cannot be used" in refusal(host, connection)
    with pytest.raises(ProgrammingError):
        connection.close()


# --- another database ----------------------------------------------------------------------------------------------


@pytest.fixture
def other_engine(place: Place) -> Iterator[Engine]:
    engine = create_engine(place.other_url)
    yield engine
    engine.dispose()


def test_another_database_is_refused(host: Host, other_engine: Engine) -> None:
    with Session(other_engine) as session:
        assert ANOTHER.search(refusal(host, session))


@databases
def test_another_kind_of_database_is_refused(host: Host, engine: Engine, kind: str) -> None:
    memory = create_engine("sqlite://")
    with memory.connect() as connection:
        told = refusal(host, connection)
        assert ("in memory" if kind == LATE else "not sqlite3.Connection") in told
    memory.dispose()


def test_a_session_of_several_databases_must_say_which(
    host: Host, engine: Engine, other_engine: Engine
) -> None:
    class Others(DeclarativeBase):
        pass

    class Visit(Others):
        __tablename__ = "visits"
        id: Mapped[int] = mapped_column(primary_key=True)

    found = host.a_list("A")
    with Session(binds={Base: engine, Others: other_engine}) as session:
        assert "bind_arguments={'mapper': Order}" in refusal(host, session)
        assert ANOTHER.search(refusal(host, session.connection(bind_arguments={"mapper": Visit})))
        joined = host.vouchers.using(session.connection(bind_arguments={"mapper": Order}))
        session.add(Order(id="order-1", user_id="ann", code=None))
        joined.codes.assign(list_id=found.id, user_id="ann")
        session.commit()
    assert orders(engine) == [("order-1", None)]
    assert host.left(found.id) == []
    with Session() as unbound:
        assert "does not know" in refusal(host, unbound)


# --- the driver's own settings -------------------------------------------------------------------------------------


@sqlite
def test_a_driver_that_converts_text_is_refused(
    host: Host, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sqlite3.converters, "TEXT", bytes.decode)
    monkeypatch.setitem(sqlite3.converters, "INTEGER", float)
    options = {"detect_types": sqlite3.PARSE_DECLTYPES}
    converting, plain = create_engine(url, connect_args=options), create_engine(url)
    with converting.connect() as connection:
        assert "detect_types" in refusal(host, connection)
    with plain.begin() as connection:
        connection.connection.driver_connection.text_factory = bytes  # type: ignore[union-attr]
        host.vouchers.using(connection).partners.add("Nike")
    converting.dispose()
    plain.dispose()
    assert [partner.name for partner in host.vouchers.partners.all()] == ["Nike"]
