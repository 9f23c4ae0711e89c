"""How long an event takes from the commit of its assignment to the sink."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import OutboxEntry, Rejection
from tests.benchmarks.figures import record
from tests.benchmarks.measure import NoSink, assigning, percentile, random_codes, with_campaign

RATE, SECONDS = 1_000, 10


class TimingSink(NoSink):
    """A sink that notes when it receives the event of which user."""

    def __init__(self) -> None:
        super().__init__("timing")
        self.received: dict[str, float] = {}

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        now = time.perf_counter()
        for entry in entries:
            user_id = getattr(entry.event, "user_id", None)
            if user_id is not None:
                self.received[user_id] = now
        return []


def test_from_the_commit_to_the_sink(tmp_path: Path) -> None:
    codes = random_codes(RATE * SECONDS + 100, seed=1)
    vouchers = with_campaign(SQLiteStorage(tmp_path / "vouchers.db"), codes)
    assign, sink, committed = assigning(vouchers), TimingSink(), dict[str, float]()
    relay = vouchers.events.relay(sink, interval=0.02)
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        started = time.perf_counter()
        for number in range(RATE * SECONDS):
            due = started + number / RATE
            if (early := due - time.perf_counter()) > 0:
                time.sleep(early)
            assign(f"user-{number}")
            committed[f"user-{number}"] = time.perf_counter()
        taken = time.perf_counter() - started
        until = time.monotonic() + 60
        while len(sink.received) < len(committed) and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        relay.stop()
        thread.join()
    waits = [1000 * (sink.received[user] - at) for user, at in committed.items()]
    rate = RATE * SECONDS / taken
    beside = f"{rate:,.0f} assigns a second in the same process, SQLite, a relay in a thread, interval 20 ms"
    for name, share, goal in (("p50", 0.5, 50), ("p99", 0.99, 200)):
        what = f"from commit to sink, {name}"
        record("Delivery", what, percentile(waits, share), beside=beside, goal=goal, unit="ms")
