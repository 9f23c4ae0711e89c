"""`vouchers.using` with connections and sessions of SQLAlchemy: the order and its code stand or fall together."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, create_engine, event, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from partner_vouchers.errors import CodesExhausted, HostTransactionError, PartnerExists
from tests.hosts.kinds import savepoints, sqlite
from tests.hosts.shop import Base, Order, orders, place_order, rewarded
from tests.support.host import Host, some_codes

# --- together ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Session.commit, Session.rollback, Session.close])
def test_order_code_and_event_are_committed_together_or_not_at_all(
    host: Host, engine: Engine, end: Callable[[Session], None]
) -> None:
    found = host.a_list("A", "B")
    with Session(engine) as session:
        with host.nothing_changes():
            assert place_order(host.vouchers, session, "order-1", found.id) == "A"
            session.flush()
            assert orders(engine) == []
        end(session)
    kept = end is Session.commit
    assert orders(engine) == [("order-1", "A")] * kept
    assert rewarded(host) == ["order-1"] * kept
    assert host.vouchers.lists.get(found.id).distributed == kept
    assert host.give(found.id, "next") == ["B" if kept else "A"]


def test_a_connection_is_joined_as_a_session_is(host: Host, engine: Engine) -> None:
    found = host.a_list("A", "B")
    with engine.begin() as connection:
        reward = host.vouchers.using(connection).codes.assign(list_id=found.id, user_id="ann")
        connection.execute(insert(Order).values(id="order-1", user_id="ann", code=reward.code))
    assert orders(engine) == [("order-1", "A")]
    with engine.connect() as connection, host.nothing_changes():
        host.vouchers.using(connection).codes.assign(list_id=found.id, user_id="ben")
        connection.rollback()
    # Its commit() does nothing unless a transaction was begun, which no statement of its own has done here.
    with engine.connect() as connection:
        host.vouchers.using(connection).codes.assign(list_id=found.id, user_id="cleo")
        connection.commit()
    assert rewarded(host) == ["ann", "cleo"]


def test_a_session_on_a_connection_belongs_to_the_connections_transaction(host: Host, engine: Engine) -> None:
    """As tests do that undo whatever the code under test commits."""
    found = host.a_list("A")
    with engine.connect() as connection, host.nothing_changes():
        outer = connection.begin()
        with Session(connection, join_transaction_mode="control_fully") as session:
            place_order(host.vouchers, session, "order-1", found.id)
            session.flush()
        assert not outer.is_active
    with engine.connect() as connection, host.nothing_changes():
        outer = connection.begin()
        with Session(connection, join_transaction_mode="rollback_only") as session:
            place_order(host.vouchers, session, "order-1", found.id)
            session.commit()
        outer.rollback()
    assert orders(engine) == []


def test_a_listener_of_the_session_may_assign(host: Host, engine: Engine) -> None:
    found = host.a_list("A", "B")

    def reward_orders(session: Session) -> None:
        for order in session.new:
            order.code = (
                host.vouchers.using(session).codes.assign(list_id=found.id, user_id=order.user_id).code
            )

    with Session(engine) as session:
        event.listen(session, "before_commit", reward_orders)
        session.add(Order(id="order-1", user_id="ann", code=None))
        session.commit()
        session.add_all([Order(id="order-1", user_id="ben", code=None)])
        with pytest.raises(IntegrityError):
            session.commit()
    assert orders(engine) == [("order-1", "A")]
    assert host.left(found.id) == ["B"]


# --- after a commit --------------------------------------------------------------------------------------------


def test_what_was_joined_goes_on_in_the_sessions_next_transaction(host: Host, engine: Engine) -> None:
    found = host.a_list("A", "B", "C")
    with Session(engine) as session:
        joined = host.vouchers.using(session)
        joined.codes.assign(list_id=found.id, user_id="ann")
        session.commit()
        joined.codes.assign(list_id=found.id, user_id="ben")
        session.rollback()
        joined.codes.assign(list_id=found.id, user_id="cleo")
        session.commit()
    assert rewarded(host) == ["ann", "cleo"]
    assert host.left(found.id) == ["C"]


def test_a_connection_that_went_back_to_the_pool_is_not_written_on(host: Host, engine: Engine) -> None:
    found = host.a_list("A", "B")
    with Session(engine) as first:
        joined = host.vouchers.using(first)
        driver = first.connection().connection.driver_connection
        first.rollback()
        # The pool hands the same connection to the next one who asks.
        with Session(engine) as second:
            assert second.connection().connection.driver_connection is driver
            second.rollback()
            with engine.connect() as third:
                assert third.connection.driver_connection is driver
                joined.codes.assign(list_id=found.id, user_id="ann")
                assert first.connection().connection.driver_connection is not driver
        first.commit()
    assert rewarded(host) == ["ann"]


# --- savepoints ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order_first", [True, False])
@savepoints
def test_a_savepoint_that_is_rolled_back_takes_its_code_back(
    host: Host, engine: Engine, order_first: bool
) -> None:
    found = host.a_list("A", "B")
    with Session(engine) as session:
        if order_first:
            place_order(host.vouchers, session, "order-1", found.id)
        nested = session.begin_nested()
        lost = place_order(host.vouchers, session, "order-2", found.id)
        nested.rollback()
        assert place_order(host.vouchers, session, "order-3", found.id) == lost
        session.commit()
    kept = [("order-1", "A")] * order_first + [("order-3", lost)]
    assert orders(engine) == kept
    assert rewarded(host) == [order for order, _code in kept]


@savepoints
def test_a_savepoint_that_is_released_still_belongs_to_the_transaction(host: Host, engine: Engine) -> None:
    found = host.a_list("A")
    with Session(engine) as session, host.nothing_changes():
        with session.begin_nested():
            place_order(host.vouchers, session, "order-1", found.id)
        session.rollback()
    with engine.connect() as connection, host.nothing_changes():
        with connection.begin_nested():
            host.vouchers.using(connection).codes.assign(list_id=found.id, user_id="ann")
        connection.rollback()
    assert orders(engine) == []


@sqlite
def test_a_savepoint_that_may_commit_is_refused(host: Host, engine: Engine) -> None:
    """The driver begins nothing before SAVEPOINT: the release of the first one is a commit."""
    found = host.a_list("A")
    with Session(engine) as session, host.nothing_changes():
        joined = host.vouchers.using(session)
        with session.begin_nested():
            with pytest.raises(HostTransactionError, match="BEGIN itself"):
                host.vouchers.using(session)
            with pytest.raises(HostTransactionError, match="BEGIN itself"):
                joined.codes.assign(list_id=found.id, user_id="ann")
        session.rollback()
    with Session(engine) as session:
        place_order(host.vouchers, session, "order-1", found.id)
        with session.begin_nested():
            session.add(Order(id="order-2", user_id="ben", code=None))
        session.commit()
    assert orders(engine) == [("order-1", "A"), ("order-2", None)]


# --- the host's transaction goes on --------------------------------------------------------------------------------


def test_a_call_that_fails_leaves_the_transaction_usable(host: Host, engine: Engine) -> None:
    found = host.a_list("A", "B")
    with Session(engine) as session:
        joined = host.vouchers.using(session)
        session.add(Order(id="order-0", user_id="zoe", code=None))
        with pytest.raises(CodesExhausted):
            joined.codes.assign_many(["ann", "ben", "cleo"], list_id=found.id)
        with pytest.raises(PartnerExists):
            joined.partners.add("Puma")
        session.add(Order(id="order-00", user_id="zoe", code=None))
        place_order(host.vouchers, session, "order-1", found.id)
        session.commit()
    assert orders(engine) == [("order-0", None), ("order-00", None), ("order-1", "A")]
    assert host.left(found.id) == ["B"]


def test_the_sessions_objects_are_left_alone(host: Host, engine: Engine) -> None:
    found = host.a_list("A", "B")
    with Session(engine) as session:
        session.add(Order(id="order-1", user_id="ann", code=None))
        session.commit()
        kept = session.get_one(Order, "order-1")
        kept.user_id = "ben"
        new = Order(id="order-2", user_id="cleo", code=None)
        session.add(new)
        host.vouchers.using(session).codes.assign(list_id=found.id, user_id="ann")
        assert list(session.new) == [new]
        assert list(session.dirty) == [kept]
        with pytest.raises(CodesExhausted):
            host.vouchers.using(session).codes.assign_many(["b", "c"], list_id=found.id)
        assert list(session.new) == [new]
        assert list(session.dirty) == [kept]
        assert session.get_one(Order, "order-1") is kept
        session.commit()
        assert session.scalars(select(Order.user_id).order_by(Order.id)).all() == ["ben", "cleo"]


def test_the_host_sees_no_statement_of_the_library(host: Host, engine: Engine) -> None:
    """Neither in its log of SQL, where codes would be, nor as rows of a kind that it did not ask for."""
    found = host.a_list("SECRET-1")
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(f"{given[2]} {given[3]}"))
    with Session(engine) as session:
        host.vouchers.using(session).codes.assign(list_id=found.id, user_id="ann")
        session.commit()
    assert [each for each in statements if "BEGIN" not in each] == []


@sqlite
def test_the_driver_may_convert_what_it_declares(host: Host, url: str) -> None:
    """`native_datetime`, by which SQLAlchemy leaves dates to the driver."""
    found = host.a_list("A")
    converting = create_engine(
        url,
        native_datetime=True,
        connect_args={"detect_types": sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES},
    )
    Base.metadata.create_all(converting)
    with Session(converting) as session:
        assert place_order(host.vouchers, session, "order-1", found.id) == "A"
        session.commit()
    converting.dispose()
    assert host.left(found.id) == []


# --- threads -------------------------------------------------------------------------------------------------------


def test_threads_that_share_a_pool_get_different_codes(host: Host, engine: Engine) -> None:
    codes = some_codes(40)
    found = host.a_list(*codes)
    make_session = sessionmaker(engine)

    def shop(thread: int) -> list[str]:
        given = []
        for number in range(6):
            order_id = f"order-{thread}-{number}"
            with make_session() as session:
                code = place_order(host.vouchers, session, order_id, found.id)
                if number % 3 == 2:
                    session.rollback()
                else:
                    session.commit()
                    given.append(code)
        return given

    with ThreadPoolExecutor(8) as threads:
        given = [code for part in threads.map(shop, range(8)) for code in part]
    assert len(given) == 32
    assert sorted([*given, *host.left(found.id)]) == codes
    assert sorted(code for _order, code in orders(engine) if code) == sorted(given)
    assert len(rewarded(host)) == 32


def test_threads_may_share_what_follows_a_scoped_session(host: Host, engine: Engine) -> None:
    codes = some_codes(8)
    found = host.a_list(*codes)
    session = scoped_session(sessionmaker(engine))
    joined = host.vouchers.using(session)
    session.remove()

    def shop(thread: int) -> str:
        lost = joined.codes.assign(list_id=found.id, user_id=f"{thread}-lost")
        session.rollback()
        assert lost.code in codes
        kept = joined.codes.assign(list_id=found.id, user_id=f"{thread}-kept")
        session.commit()
        session.remove()
        return kept.code

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(shop, range(8))) == codes


def test_a_session_may_be_handed_to_another_thread(host: Host, engine: Engine) -> None:
    """As web frameworks do, which open it in one thread and call in another."""
    found = host.a_list("A")
    with Session(engine) as session:
        joined = host.vouchers.using(session)
        with ThreadPoolExecutor(1) as thread:
            thread.submit(joined.codes.assign, list_id=found.id, user_id="ann").result()
        session.commit()
    assert rewarded(host) == ["ann"]
