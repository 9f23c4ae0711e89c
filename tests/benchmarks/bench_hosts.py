"""What a host feels: how late its event loop is under many calls at once, and what observers cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from timeit import repeat

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.observers import Call
from partner_vouchers.observers.opentelemetry import OpenTelemetryObserver
from tests.benchmarks.measure import new_list, percentile, random_codes
from tests.support.host import a_file

TASKS, CALLS = 200, 20
LATE = 0.025
TICK = 0.005


async def lags(work: Awaitable[object]) -> list[float]:
    """Return how late a timer of the event loop was, again and again, while something ran."""
    found, running = list[float](), asyncio.ensure_future(work)
    while not running.done():
        due = time.perf_counter() + TICK
        await asyncio.sleep(TICK)
        found.append(time.perf_counter() - due)
    await running
    return found


@pytest.mark.parametrize("how", ["worker threads", "an AsyncSession for each order"])
def test_the_event_loop_is_not_late(how: str, tmp_path: Path) -> None:
    path = tmp_path / "vouchers.db"
    storage = SQLiteStorage(path)
    vouchers = PartnerVouchers(storage)
    vouchers.partners.add("Puma")
    found = new_list(vouchers, "winter")
    codes = random_codes(TASKS * CALLS, seed=1)
    vouchers.uploads.add(found.id, a_file(*codes), filename="codes.csv", uploaded_by="ops")

    async def main() -> list[float]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=1, max_overflow=0)
        asynchronous = AsyncPartnerVouchers(storage)

        async def in_threads(user: str) -> None:
            await asynchronous.codes.assign(list_id=found.id, user_id=user)

        async def joined(user: str) -> None:
            async with AsyncSession(engine) as session, session.begin():
                await asynchronous.using(session).codes.assign(list_id=found.id, user_id=user)

        assign: Callable[[str], Awaitable[None]] = in_threads if how == "worker threads" else joined

        async def host(number: int) -> None:
            for call in range(CALLS):
                await assign(f"user-{number}-{call}")

        try:
            return await lags(asyncio.gather(*map(host, range(TASKS))))
        finally:
            await asynchronous.aclose()
            await engine.dispose()

    started = time.perf_counter()
    found_lags = asyncio.run(main())
    rate = TASKS * CALLS / (time.perf_counter() - started)
    p50, p99, most = (percentile(found_lags, share) * 1000 for share in (0.5, 0.99, 1))
    print(
        f"{how}: {rate:,.0f} calls a second; the loop is late by p50 {p50:.1f}, p99 {p99:.1f}, most {most:.1f} ms"
    )
    assert percentile(found_lags, 0.99) <= LATE


def test_what_observers_cost(tmp_path: Path) -> None:
    """The time of an observer for a call of `assign`, beside the call: the best of many rounds of each."""
    rounds, calls = 30, 100
    observer = OpenTelemetryObserver(meter_provider=MeterProvider([InMemoryMetricReader()]), spans=False)
    vouchers = PartnerVouchers(SQLiteStorage(tmp_path / "vouchers.db"))
    vouchers.partners.add("Puma")
    found = new_list(vouchers, "winter")
    codes = random_codes(rounds * calls, seed=1)
    vouchers.uploads.add(found.id, a_file(*codes), filename="codes.csv", uploaded_by="ops")
    users = (f"user-{number}" for number in range(rounds * calls))

    def assign() -> None:
        vouchers.codes.assign(list_id=found.id, user_id=next(users))

    ended = Call("codes.assign", "ok", 0.0003, {"codes": 1})

    def observe() -> None:
        observer.ended(observer.started("codes.assign"), ended)

    call, observing = (min(repeat(each, number=calls, repeat=rounds)) / calls for each in (assign, observe))
    print(
        f"assign takes {call * 1e6:.0f} µs; OpenTelemetry metrics {observing * 1e6:.1f} µs: {observing / call:.1%}"
    )
    # Without observers nothing is wrapped: the methods are those of the class.
    assert "assign" not in vars(PartnerVouchers(MemoryStorage()).codes)
    assert observing / call <= 0.05
