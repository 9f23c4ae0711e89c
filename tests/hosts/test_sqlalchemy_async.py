"""An asynchronous host's order and code, in one transaction of SQLAlchemy."""

from __future__ import annotations

import asyncio
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
from tests.hosts.shop import (
    ANOTHER,
    Order,
    Place,
    asynchronous,
    orders,
    place_order_asynchronously,
    rewarded,
)
from tests.support.awaits import cancelled_at
from tests.support.host import Host, some_codes

pytestmark = [databases, pytest.mark.anyio]

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


async def place_order_by(
    assign: Assign, vouchers: AsyncPartnerVouchers, session: AsyncSession, order: str, list_id: str
) -> str:
    session.add(Order(id=order, user_id=order))
    return (await assign(vouchers, session, list_id=list_id, user_id=order, idempotency_key=order)).code


async def test_order_and_code_are_committed_together_or_rolled_back(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, engine: Engine, assign: Assign
) -> None:
    list_id = host.a_list("A", "B").id
    async with AsyncSession(opened) as session, session.begin() as transaction:
        await place_order_by(assign, vouchers, session, "order-0", list_id)
        await transaction.rollback()
    async with AsyncSession(opened) as session, session.begin():
        assert await place_order_by(assign, vouchers, session, "order-1", list_id) == "A"
        assert rewarded(host) == []
        await place_order_by(assign, vouchers, session, "order-2", list_id)
        with pytest.raises(CodesExhausted):
            await place_order_by(assign, vouchers, session, "order-3", list_id)
    # A failed call leaves its order, which is the host's own matter.
    assert [order for order, _ in orders(engine)] == ["order-1", "order-2", "order-3"]
    assert rewarded(host) == ["order-1", "order-2"]


async def test_a_connection_is_joined_as_a_session_is(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, assign: Assign
) -> None:
    list_id = host.a_list("A").id
    async with opened.begin() as connection:
        assert (await assign(vouchers, connection, list_id=list_id, user_id="ann")).code == "A"
    assert rewarded(host) == ["ann"]


async def test_each_way_to_hold_a_transaction(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers
) -> None:
    list_id = host.a_list("A", "B", "C").id
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
    assert rewarded(host) == ["user-0", "user-1"]


async def test_iterators_and_files_within_the_transaction(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers
) -> None:
    list_id = host.a_list("A", "B").id
    async with AsyncSession(opened) as session, session.begin():
        joined = vouchers.using(session)
        await place_order_asynchronously(vouchers, session, "order-1", list_id)
        assert [each.user_id async for each in joined.codes.assignments(list_id)] == ["order-1"]
        exported = b"".join([piece async for piece in joined.codes.export(list_id)])
    assert b"order-1" in exported


async def test_many_orders_at_once(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, engine: Engine
) -> None:
    codes = some_codes(40)
    list_id = host.a_list(*codes).id

    async def one(number: int) -> str:
        async with AsyncSession(opened) as session, session.begin():
            return await place_order_asynchronously(vouchers, session, f"order-{number}", list_id)

    assert sorted(await asyncio.gather(*map(one, range(40)))) == codes
    assert len(orders(engine)) == 40


# --- cancellation ----------------------------------------------------------------------------------------------------


async def test_an_order_that_is_cancelled_at_any_await_leaves_nothing(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, engine: Engine, assign: Assign
) -> None:
    list_id = host.a_list(*some_codes(3)).id

    async def order(at: int) -> None:
        async with AsyncSession(opened) as session:
            session.add(Order(id="order-1", user_id="order-1"))
            await session.flush()
            await cancelled_at(at, place_order_by(assign, vouchers, session, "order-2", list_id))
            await session.rollback()

    with host.nothing_changes():
        for at in count(1):
            task = asyncio.create_task(order(at))
            await asyncio.wait([task])
            if not task.cancelled():
                await task
                break
    assert at > 3
    await opened.dispose()
    assert orders(engine) == []
    # No transaction is open: another connection can write at once.
    assert host.give(list_id, "ann") == some_codes(1)


async def test_a_host_that_commits_after_a_cancellation_commits_no_half_of_a_call(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, engine: Engine
) -> None:
    list_id = host.a_list(*some_codes(50)).id

    async def is_cancelled(at: int) -> bool:
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

    cancelled = 0
    while await asyncio.create_task(is_cancelled(cancelled + 1)):
        cancelled += 1
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


async def test_what_cannot_be_joined_is_refused(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, engine: Engine
) -> None:
    with host.nothing_changes():
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


async def test_what_is_closed_or_not_begun_is_refused(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers
) -> None:
    with host.nothing_changes():
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


async def test_a_session_to_another_database_is_refused(
    host: Host, vouchers: AsyncPartnerVouchers, place: Place
) -> None:
    other = create_async_engine(asynchronous(place.other_url))
    try:
        with host.nothing_changes():
            async with AsyncSession(other) as session:
                assert ANOTHER.search(await refusal(vouchers, session))
    finally:
        await other.dispose()


async def test_a_session_whose_statement_failed_is_refused_until_it_is_rolled_back(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, kind: str
) -> None:
    list_id = host.a_list("A").id
    async with AsyncSession(opened) as session:
        session.add(Order(id="order-1", user_id="ann"))
        await session.flush()
        if kind == POSTGRES:
            with pytest.raises(Exception, match="nothing"):
                await session.execute(text("SELECT * FROM nothing"))
            with pytest.raises(PartnerVouchersError):
                await place_order_asynchronously(vouchers, session, "order-2", list_id)
        await session.rollback()
        assert await place_order_asynchronously(vouchers, session, "order-3", list_id) == "A"
        await session.commit()
    assert rewarded(host) == ["order-3"]


async def test_a_session_that_two_tasks_share_refuses_one_of_them(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, assign: Assign
) -> None:
    list_id = host.a_list(*some_codes(5)).id
    async with AsyncSession(opened) as session, session.begin():
        await session.execute(text("SELECT 1"))
        calls = (assign(vouchers, session, list_id=list_id, user_id=f"user-{each}") for each in range(3))
        told = await asyncio.gather(*calls, return_exceptions=True)
    refused = [each for each in told if isinstance(each, BaseException)]
    assert refused
    assert {type(each) for each in refused} == {HostTransactionError}
    assert host.vouchers.lists.get(list_id).distributed == len(told) - len(refused) >= 1


async def test_the_trap_of_a_call_without_using(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, engine: Engine
) -> None:
    list_id = host.a_list("A").id
    async with AsyncSession(opened) as session:
        await session.execute(text("SELECT 1"))
        session.add(Order(id="order-1", user_id="ann"))
        await vouchers.codes.assign(list_id=list_id, user_id="ann")
        await session.rollback()
    assert orders(engine) == []
    assert rewarded(host) == ["ann"]
