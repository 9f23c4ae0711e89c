"""A savepoint of an asynchronous host, in a transaction that a listener, the driver or the server began."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.errors import HostTransactionError
from tests.hosts.kinds import AT_ONCE, LISTENER, savepoints, sqlite
from tests.hosts.shop import begins_by_itself, orders
from tests.hosts.test_sqlalchemy_async import asynchronous, place_order
from tests.support.host import Host


@savepoints
def test_a_savepoint_that_is_rolled_back_takes_its_code_back(
    host: Host, kind: str, url: str, engine: Engine
) -> None:
    list_id = host.a_list("A", "B").id

    async def work() -> None:
        opened = create_async_engine(
            asynchronous(url), connect_args={"autocommit": False} if kind == AT_ONCE else {}
        )
        if kind == LISTENER:
            begins_by_itself(opened.sync_engine)
        async with (
            AsyncPartnerVouchers(host.storage, clock=host.clock) as vouchers,
            AsyncSession(opened) as session,
        ):
            await place_order(vouchers, session, "order-1", list_id)
            nested = await session.begin_nested()
            lost = await place_order(vouchers, session, "order-2", list_id)
            await nested.rollback()
            assert await place_order(vouchers, session, "order-3", list_id) == lost
            await session.commit()
        await opened.dispose()

    asyncio.run(work())
    assert [order for order, _code in orders(engine)] == ["order-1", "order-3"]
    assert [each.user_id for each in host.vouchers.codes.assignments(list_id)] == ["order-1", "order-3"]


@sqlite
def test_a_savepoint_that_may_commit_is_refused(host: Host, url: str, engine: Engine) -> None:
    list_id = host.a_list("A").id

    async def work() -> None:
        opened = create_async_engine(asynchronous(url))
        async with (
            AsyncPartnerVouchers(host.storage, clock=host.clock) as vouchers,
            AsyncSession(opened) as session,
        ):
            await session.begin_nested()
            with pytest.raises(HostTransactionError, match="BEGIN itself"):
                await place_order(vouchers, session, "order-1", list_id)
        await opened.dispose()

    with host.nothing_changes():
        asyncio.run(work())
    assert orders(engine) == []
