"""An `AsyncSession` or `AsyncConnection`: the order, the code and the event are committed together, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from partner_vouchers import PartnerVouchers
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import CodesExhausted, HostTransactionError
from tests.hosts.kinds import POSTGRES, databases
from tests.hosts.shop import Order, orders
from tests.support.host import Host, some_codes

pytestmark = databases

Serve = Callable[[Callable[[AsyncEngine], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def serve(url: str, engine: Engine) -> Serve:
    """Run a coroutine with an asynchronous engine on the shop's database."""
    address = url.replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg:", "+psycopg_async:")

    def run(work: Callable[[AsyncEngine], Coroutine[Any, Any, Any]]) -> Any:
        async def main() -> Any:
            asynchronous = create_async_engine(address, pool_size=20)
            try:
                return await work(asynchronous)
            finally:
                await asynchronous.dispose()

        return asyncio.run(main())

    return run


async def place_order(vouchers: PartnerVouchers, session: AsyncSession, order: str, list_id: str) -> str:
    session.add(Order(id=order, user_id=order))
    reward = await session.run_sync(
        lambda each: vouchers.using(each).codes.assign(list_id=list_id, user_id=order, idempotency_key=order)
    )
    return reward.code


def rewarded(host: Host) -> list[str]:
    return [event.user_id for event in host.events(VoucherRewarded)]


def test_they_are_committed_together(host: Host, serve: Serve, engine: Engine) -> None:
    list_id = host.a_list("A", "B").id

    async def work(asynchronous: AsyncEngine) -> str:
        async with AsyncSession(asynchronous) as session, session.begin():
            code = await place_order(host.vouchers, session, "order-1", list_id)
            assert rewarded(host) == []
        return code

    assert serve(work) == "A"
    assert [order for order, _ in orders(engine)] == ["order-1"]
    assert rewarded(host) == ["order-1"]


def test_they_are_rolled_back_together(host: Host, serve: Serve, engine: Engine) -> None:
    list_id = host.a_list("A").id

    async def work(asynchronous: AsyncEngine) -> None:
        async with AsyncSession(asynchronous) as session:
            await place_order(host.vouchers, session, "order-1", list_id)
            await session.rollback()

    with host.nothing_changes():
        serve(work)
    assert orders(engine) == []


def test_a_call_that_fails_leaves_the_transaction_as_it_was(host: Host, serve: Serve, engine: Engine) -> None:
    list_id = host.a_list("A").id

    async def work(asynchronous: AsyncEngine) -> None:
        async with AsyncSession(asynchronous) as session, session.begin():
            await place_order(host.vouchers, session, "order-1", list_id)
            with pytest.raises(CodesExhausted):
                await place_order(host.vouchers, session, "order-2", list_id)

    serve(work)
    assert [order for order, _ in orders(engine)] == ["order-1", "order-2"]
    assert rewarded(host) == ["order-1"]


def test_a_connection(host: Host, serve: Serve) -> None:
    list_id = host.a_list("A").id

    async def work(asynchronous: AsyncEngine) -> Any:
        async with asynchronous.begin() as connection:
            return await connection.run_sync(
                lambda each: host.vouchers.using(each).codes.assign(list_id=list_id, user_id="ann").code
            )

    assert serve(work) == "A"
    assert rewarded(host) == ["ann"]


def test_many_at_once_on_one_event_loop(host: Host, serve: Serve, kind: str) -> None:
    number = 40 if kind == POSTGRES else 10
    list_id = host.a_list(*some_codes(number)).id

    async def one(asynchronous: AsyncEngine, order: str) -> str:
        async with AsyncSession(asynchronous) as session, session.begin():
            return await place_order(host.vouchers, session, order, list_id)

    async def work(asynchronous: AsyncEngine) -> list[str]:
        return list(await asyncio.gather(*(one(asynchronous, f"order-{each}") for each in range(number))))

    assert sorted(serve(work)) == some_codes(number)


def test_a_call_that_is_cancelled_leaves_nothing_behind(host: Host, serve: Serve) -> None:
    list_id = host.a_list(*some_codes(50)).id

    async def work(asynchronous: AsyncEngine) -> None:
        for steps in range(40):
            async with AsyncSession(asynchronous) as session:
                await session.execute(text("SELECT 1"))
                call = asyncio.ensure_future(place_order(host.vouchers, session, f"order-{steps}", list_id))
                for _ in range(steps):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.wait([call])
                if not call.cancelled():
                    await session.rollback()
                    return
                # What the host did before is there still, or the driver gave the connection up.
                await session.rollback()

    with host.nothing_changes():
        serve(work)
    assert host.give(list_id, "ann") == some_codes(1)


def test_outside_of_run_sync_it_is_refused(host: Host, serve: Serve) -> None:
    async def work(asynchronous: AsyncEngine) -> None:
        async with AsyncSession(asynchronous) as session, asynchronous.connect() as connection:
            await session.execute(text("SELECT 1"))
            for given in (session, connection, session.sync_session, connection.sync_connection):
                with pytest.raises(HostTransactionError, match="run_sync"):
                    host.vouchers.using(given)

    serve(work)


def test_a_session_that_two_tasks_use_at_once(host: Host, serve: Serve) -> None:
    list_id = host.a_list(*some_codes(50)).id

    async def work(asynchronous: AsyncEngine) -> list[str]:
        async with AsyncSession(asynchronous) as session, session.begin():
            await session.execute(text("SELECT 1"))

            async def one(user: str) -> str:
                try:
                    reward = await session.run_sync(
                        lambda each: host.vouchers.using(each).codes.assign(list_id=list_id, user_id=user)
                    )
                except HostTransactionError:
                    return "refused"
                return reward.code

            return list(await asyncio.gather(*(one(f"user-{each}") for each in range(3))))

    told = serve(work)
    given = [each for each in told if each != "refused"]
    assert len(given) == len(set(given)) == host.vouchers.lists.get(list_id).distributed >= 1
