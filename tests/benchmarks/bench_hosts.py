"""What a host feels: how late its event loop is under many calls at once, and what observers cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.domain.assignment import Reward
from partner_vouchers.observers import observe, require_observers
from partner_vouchers.observers.opentelemetry import OpenTelemetryObserver
from tests.benchmarks.figures import record
from tests.benchmarks.measure import new_list, percentile, random_codes

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
    list_id = new_list(PartnerVouchers(storage), codes=random_codes(TASKS * CALLS, seed=1))

    async def main() -> list[float]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=1, max_overflow=0)
        asynchronous = AsyncPartnerVouchers(storage)

        async def in_threads(user: str) -> None:
            await asynchronous.codes.assign(list_id=list_id, user_id=user)

        async def joined(user: str) -> None:
            async with AsyncSession(engine) as session, session.begin():
                await asynchronous.using(session).codes.assign(list_id=list_id, user_id=user)

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
    beside = f"{rate:,.0f} calls a second of {TASKS} tasks; p50 {p50:.1f} ms, most {most:.1f} ms"
    record("Hosts", f"the event loop is late, {how}, p99", p99, beside=beside, goal=1000 * LATE, unit="ms")


def test_what_observers_cost(tmp_path: Path) -> None:
    """CPU of an observer for a call of `assign`, beside that of the call: both in turn, the median of five."""
    rounds, calls = 5, 1000
    observer = OpenTelemetryObserver(meter_provider=MeterProvider([InMemoryMetricReader()]), spans=False)
    vouchers = PartnerVouchers(SQLiteStorage(tmp_path / "vouchers.db"))
    list_id = new_list(vouchers, codes=random_codes(rounds * calls + 1, seed=1))
    users = (f"user-{number}" for number in range(rounds * calls))
    reward = vouchers.codes.assign(list_id=list_id, user_id="first")

    class Answers:
        def assign(self) -> Reward:
            return reward

    plain, observed = Answers(), Answers()
    observe(observed, "codes", require_observers([observer]))

    def cpu(work: Callable[[], object]) -> float:
        begun = time.thread_time()
        for _ in range(calls):
            work()
        return (time.thread_time() - begun) / calls

    works = (
        lambda: vouchers.codes.assign(list_id=list_id, user_id=next(users)),
        observed.assign,
        plain.assign,
    )
    measured = [[cpu(work) for work in works] for _ in range(rounds)]
    call, with_observer, without = (median(column) for column in zip(*measured, strict=True))
    observing = with_observer - without
    beside = f"{call * 1e6:.0f} µs for assign"
    what = f"OpenTelemetry metrics: {observing * 1e6:.1f} µs"
    record("Hosts", what, 100 * observing / call, beside=beside, goal=5, unit="%")
