"""How much faster many threads are than one, where each durable commit waits for the disk."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.benchmarks.figures import record
from tests.benchmarks.slow_disk import SlowDisk
from tests.support.host import FixedClock, Host, some_codes

THREADS, CALLS, ROUNDS = 16, 300, 5
GROUP = "Shared commits on SQLite"
SLOW_SYNC = 0.002


def disks() -> dict[str, AbstractContextManager[object]]:
    return {"each sync takes 2 ms": SlowDisk(SLOW_SYNC).inserted(), "the disk of this machine": nullcontext()}


@pytest.mark.parametrize("disk", ["each sync takes 2 ms", "the disk of this machine"])
def test_threads_share_the_waits_for_the_disk(disk: str, tmp_path: Path) -> None:
    with disks()[disk]:
        storage = SQLiteStorage(tmp_path / "vouchers.db")
        host = Host(storage, FixedClock())
        codes = some_codes((THREADS + 1) * CALLS * ROUNDS)
        found = host.a_list(*codes, campaign="CMP")

        def assign(worker: str) -> list[float]:
            waits = []
            for number in range(CALLS):
                started = time.perf_counter()
                host.vouchers.codes.assign(campaign_id="CMP", user_id=f"{worker}-{number}")
                waits.append(time.perf_counter() - started)
            return waits

        def rate(threads: int, name: str) -> tuple[float, list[float]]:
            with ThreadPoolExecutor(threads) as pool:
                started = time.perf_counter()
                waits = [
                    wait
                    for all_ in pool.map(assign, (f"{name}-{n}" for n in range(threads)))
                    for wait in all_
                ]
                return threads * CALLS / (time.perf_counter() - started), sorted(waits)

        ratios, p999 = list[float](), list[float]()
        for number in range(ROUNDS):
            one, _ = rate(1, f"one {number}")
            many, waits = rate(THREADS, f"many {number}")
            ratios.append(one / many)
            p999.append(waits[int(len(waits) * 0.999)] * 1000)
        given = [held.code for held in host.vouchers.codes.assignments(found.id)]
        assert given == codes
        storage.close()
    what, beside = f"{disk}: one thread, codes a second: {one:,.0f}", f"{THREADS} threads: {many:,.0f}"
    record(GROUP, what, statistics.median(ratios), beside=beside, goal=0.17 if "2 ms" in disk else 1)
    record(
        GROUP, f"{disk}: wait of a call, p99.9", statistics.median(p999), beside=beside, goal=100, unit="ms"
    )
