"""An asynchronous host's order and code, in one transaction of SQLAlchemy."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session

from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.domain.assignment import Reward
from partner_vouchers.errors import CodesExhausted, HostTransactionError, PartnerVouchersError
from tests.hosts.kinds import POSTGRES, databases
from tests.hosts.shop import Order, Place, orders, rewarded
from tests.support.awaits import cancelled_at
from tests.support.host import Host, some_codes

pytestmark = databases

# How the storages say that a connection is to another database.
ANOTHER = re.compile(r"other\.db|another database")

Work = Callable[[AsyncEngine, AsyncPartnerVouchers], Coroutine[Any, Any, Any]]
Serve = Callable[[Work], Any]


def asynchronous(url: str) -> str:
    return url.replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg:", "+psycopg_async:")


@pytest.fixture
def serve(url: str, engine: Engine, host: Host, kind: str) -> Serve:
    """Run a coroutine with an asynchronous engine and library on the shop's database."""

    def run(work: Work) -> Any:
        async def main() -> Any:
            # SQLite has one writer at a time: a pool of one is a fair queue.
            options = {"pool_size": 20} if kind == POSTGRES else {"pool_size": 1, "max_overflow": 0}
            opened = create_async_engine(asynchronous(url), **options)
            async with AsyncPartnerVouchers(host.storage, clock=host.clock) as vouchers:
                try:
                    return await work(opened, vouchers)
                finally:
                    await opened.dispose()

        return asyncio.run(main())

    return run


Assign = Callable[..., Coroutine[Any, Any, Reward]]


@pytest.fixture(params=["using", "run_sync"])
def assign(request: pytest.FixtureRequest, host: Host) -> Assign:
    """Assign in the transaction of a session or connection: in both ways that a host has."""

    async def by_using(vouchers: AsyncPartnerVouchers, held: Any, **arguments: Any) -> Reward:
        return await vouchers.using(held).codes.assign(**arguments)

    async def by_run_sync(_: AsyncPartnerVouchers, held: Any, **arguments: Any) -> Reward:
        reward: Reward = await held.run_sync(lambda each: host.vouchers.using(each).codes.assign(**arguments))
        return reward

    return by_using if request.param == "using" else by_run_sync


async def place_order(
    vouchers: AsyncPartnerVouchers, session: AsyncSession, order: str, list_id: str, by: Assign | None = None
) -> str:
    session.add(Order(id=order, user_id=order))
    arguments: dict[str, Any] = {"list_id": list_id, "user_id": order, "idempotency_key": order}
    reward = await (
        vouchers.using(session).codes.assign(**arguments)
        if by is None
        else by(vouchers, session, **arguments)
    )
    return reward.code


def test_order_and_code_are_committed_together_or_rolled_back(
    host: Host, serve: Serve, engine: Engine, assign: Assign
) -> None:
    list_id = host.a_list("A", "B").id

    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> str:
        async with AsyncSession(opened) as session, session.begin() as transaction:
            await place_order(vouchers, session, "order-0", list_id, assign)
            await transaction.rollback()
        async with AsyncSession(opened) as session, session.begin():
            code = await place_order(vouchers, session, "order-1", list_id, assign)
            assert rewarded(host) == []
            await place_order(vouchers, session, "order-2", list_id, assign)
            with pytest.raises(CodesExhausted):
                await place_order(vouchers, session, "order-3", list_id, assign)
        return code

    assert serve(work) == "A"
    # A failed call leaves its order, which is the host's own matter.
    assert [order for order, _ in orders(engine)] == ["order-1", "order-2", "order-3"]
    assert rewarded(host) == ["order-1", "order-2"]


def test_a_connection_is_joined_as_a_session_is(host: Host, serve: Serve, assign: Assign) -> None:
    list_id = host.a_list("A").id

    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> str:
        async with opened.begin() as connection:
            return (await assign(vouchers, connection, list_id=list_id, user_id="ann")).code

    assert serve(work) == "A"
    assert rewarded(host) == ["ann"]


def test_each_way_to_hold_a_transaction(host: Host, serve: Serve) -> None:
    list_id = host.a_list("A", "B", "C").id

    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> None:
        # A session that has begun nothing begins.
        async with AsyncSession(opened) as session:
            joined = vouchers.using(session)
            await joined.codes.assign(list_id=list_id, user_id="user-0")
            await session.commit()
            # What `using` returned joins whatever transaction the session is in.
            assert len(await joined.codes.of_user("user-0")) == 1
            await session.rollback()
        scoped = async_scoped_session(async_sessionmaker(opened), asyncio.current_task)
        await vouchers.using(scoped).codes.assign(list_id=list_id, user_id="user-1")
        await scoped.commit()
        await scoped.remove()

    serve(work)
    assert rewarded(host) == ["user-0", "user-1"]


def test_iterators_and_files_within_the_transaction(host: Host, serve: Serve) -> None:
    list_id = host.a_list("A", "B").id

    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> tuple[list[str], bytes]:
        async with AsyncSession(opened) as session, session.begin():
            joined = vouchers.using(session)
            await place_order(vouchers, session, "order-1", list_id)
            given = [each.user_id async for each in joined.codes.assignments(list_id)]
            return given, b"".join([piece async for piece in joined.codes.export(list_id)])

    given, exported = serve(work)
    assert given == ["order-1"]
    assert b"order-1" in exported or b"B" in exported


def test_many_orders_at_once(host: Host, serve: Serve, engine: Engine) -> None:
    codes = some_codes(40)
    list_id = host.a_list(*codes).id

    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> list[str]:
        async def one(number: int) -> str:
            async with AsyncSession(opened) as session, session.begin():
                return await place_order(vouchers, session, f"order-{number}", list_id)

        return list(await asyncio.gather(*map(one, range(40))))

    assert sorted(serve(work)) == codes
    assert len(orders(engine)) == 40


# --- cancellation ----------------------------------------------------------------------------------------------------


def test_an_order_that_is_cancelled_at_any_await_leaves_nothing(
    host: Host, serve: Serve, engine: Engine, assign: Assign
) -> None:
    list_id = host.a_list(*some_codes(3)).id

    async def order(opened: AsyncEngine, vouchers: AsyncPartnerVouchers, at: int) -> None:
        async with AsyncSession(opened) as session:
            session.add(Order(id="order-1", user_id="order-1"))
            await session.flush()
            await cancelled_at(at, place_order(vouchers, session, "order-2", list_id, assign))
            await session.rollback()

    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> int:
        for at in count(1):
            task = asyncio.create_task(order(opened, vouchers, at))
            await asyncio.wait([task])
            if not task.cancelled():
                await task
                return at
        raise AssertionError

    with host.nothing_changes():
        awaits = serve(work)
    assert awaits > 3
    assert orders(engine) == []
    # No transaction is open: another connection can write at once.
    assert host.give(list_id, "ann") == some_codes(1)


def test_a_host_that_commits_after_a_cancellation_commits_no_half_of_a_call(
    host: Host, serve: Serve, engine: Engine
) -> None:
    list_id = host.a_list(*some_codes(50)).id

    async def order(opened: AsyncEngine, vouchers: AsyncPartnerVouchers, at: int) -> bool:
        async with AsyncSession(opened) as session:
            session.add(Order(id=f"order-{at}", user_id="ann"))
            await session.flush()
            call = vouchers.using(session).codes.assign(list_id=list_id, user_id=f"user-{at}")
            try:
                await cancelled_at(at, call)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
                await session.commit()
                return True
            await session.rollback()
            return False

    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> int:
        for at in count(1):
            if not await asyncio.create_task(order(opened, vouchers, at)):
                return at - 1
        raise AssertionError

    cancelled = serve(work)
    assert cancelled > 3
    # The call is in the transaction whole, where it had come to its end, or not at all.
    given = [each.user_id for each in host.vouchers.codes.assignments(list_id)]
    assert rewarded(host) == given
    assert len(given) == host.vouchers.lists.get(list_id).distributed < cancelled
    assert host.give(list_id, "ben") == [some_codes(50)[len(given)]]


# --- what is refused ------------------------------------------------------------------------------------------------


async def refusal(vouchers: AsyncPartnerVouchers, held: object) -> str:
    with pytest.raises(HostTransactionError) as refused:
        await vouchers.using(held).partners.add("Nike")
    return str(refused.value)


def test_what_cannot_be_joined_is_refused(host: Host, serve: Serve, engine: Engine, place: Place) -> None:
    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> None:
        assert "has no transaction" in await refusal(vouchers, opened)
        assert "has no transaction" in await refusal(vouchers, async_sessionmaker(opened))
        for nothing in (None, "session", AsyncSession, AsyncConnection, object()):
            assert "AsyncSession" in await refusal(vouchers, nothing)
        with Session(engine) as synchronous, engine.connect() as connection:
            for held in (engine, synchronous, connection, connection.connection.driver_connection):
                assert "PartnerVouchers(...).using" in await refusal(vouchers, held)
        async with AsyncSession(opened) as session:
            assert "AsyncSession" in await refusal(vouchers, session.sync_session)
        async with opened.connect() as automatic:
            await automatic.execution_options(isolation_level="AUTOCOMMIT")
            assert "AUTOCOMMIT" in await refusal(vouchers, automatic)
        async with AsyncSession() as unbound:
            assert "does not know" in await refusal(vouchers, unbound)

    with host.nothing_changes():
        serve(work)


def test_what_is_closed_or_not_begun_is_refused(host: Host, serve: Serve) -> None:
    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> None:
        connection = opened.connect()
        assert "not open" in await refusal(vouchers, connection)
        await connection.start()
        await connection.close()
        assert "ResourceClosedError" in await refusal(vouchers, connection)
        session = AsyncSession(opened, close_resets_only=False)
        await session.close()
        assert "InvalidRequestError" in await refusal(vouchers, session)
        async with AsyncSession(opened, autobegin=False) as by_hand:
            assert "InvalidRequestError" in await refusal(vouchers, by_hand)

    with host.nothing_changes():
        serve(work)


def test_a_session_to_another_database_is_refused(host: Host, serve: Serve, place: Place) -> None:
    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> str:
        other = create_async_engine(asynchronous(place.other_url))
        try:
            async with AsyncSession(other) as session:
                return await refusal(vouchers, session)
        finally:
            await other.dispose()

    with host.nothing_changes():
        assert ANOTHER.search(serve(work))


def test_a_session_whose_statement_failed_is_refused_until_it_is_rolled_back(
    host: Host, serve: Serve, kind: str
) -> None:
    list_id = host.a_list("A").id

    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> str:
        async with AsyncSession(opened) as session:
            session.add(Order(id="order-1", user_id="ann"))
            await session.flush()
            if kind == POSTGRES:
                with pytest.raises(Exception, match="nothing"):
                    await session.execute(text("SELECT * FROM nothing"))
                with pytest.raises(PartnerVouchersError):
                    await place_order(vouchers, session, "order-2", list_id)
            await session.rollback()
            code = await place_order(vouchers, session, "order-3", list_id)
            await session.commit()
            return code

    assert serve(work) == "A"
    assert rewarded(host) == ["order-3"]


def test_a_session_that_two_tasks_share_refuses_one_of_them(host: Host, serve: Serve, assign: Assign) -> None:
    list_id = host.a_list(*some_codes(5)).id

    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> list[object]:
        async with AsyncSession(opened) as session, session.begin():
            await session.execute(text("SELECT 1"))
            calls = (assign(vouchers, session, list_id=list_id, user_id=f"user-{each}") for each in range(3))
            return list(await asyncio.gather(*calls, return_exceptions=True))

    told = serve(work)
    refused = [each for each in told if isinstance(each, BaseException)]
    assert refused
    assert {type(each) for each in refused} == {HostTransactionError}
    assert host.vouchers.lists.get(list_id).distributed == len(told) - len(refused) >= 1


def test_the_trap_of_a_call_without_using(host: Host, serve: Serve, engine: Engine) -> None:
    list_id = host.a_list("A").id

    async def work(opened: AsyncEngine, vouchers: AsyncPartnerVouchers) -> None:
        async with AsyncSession(opened) as session:
            await session.execute(text("SELECT 1"))
            session.add(Order(id="order-1", user_id="ann"))
            await vouchers.codes.assign(list_id=list_id, user_id="ann")
            await session.rollback()

    serve(work)
    assert orders(engine) == []
    assert rewarded(host) == ["ann"]
