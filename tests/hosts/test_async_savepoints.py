"""A savepoint of an asynchronous host, in a transaction that a listener, the driver or the server began."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.errors import HostTransactionError
from tests.hosts.kinds import savepoints, sqlite
from tests.hosts.shop import orders, rewarded
from tests.hosts.shop import place_order_asynchronously as place_order
from tests.support.host import Host

pytestmark = pytest.mark.anyio


@savepoints
async def test_a_savepoint_that_is_rolled_back_takes_its_code_back(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, engine: Engine
) -> None:
    list_id = host.a_list("A", "B").id
    async with AsyncSession(opened) as session:
        await place_order(vouchers, session, "order-1", list_id)
        nested = await session.begin_nested()
        lost = await place_order(vouchers, session, "order-2", list_id)
        await nested.rollback()
        assert await place_order(vouchers, session, "order-3", list_id) == lost
        await session.commit()
    assert [order for order, _code in orders(engine)] == rewarded(host) == ["order-1", "order-3"]


@sqlite
async def test_a_savepoint_that_may_commit_is_refused(
    host: Host, opened: AsyncEngine, vouchers: AsyncPartnerVouchers, engine: Engine
) -> None:
    list_id = host.a_list("A").id
    with host.nothing_changes():
        async with AsyncSession(opened) as session:
            await session.begin_nested()
            with pytest.raises(HostTransactionError, match="BEGIN itself"):
                await place_order(vouchers, session, "order-1", list_id)
    assert orders(engine) == []
