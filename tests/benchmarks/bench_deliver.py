"""How much delivering costs beside reading the outbox."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from tests.benchmarks.figures import record
from tests.benchmarks.measure import NoSink, in_turn, new_library, new_list, random_codes, seconds

EVENTS = 100_000
AT_ONCE = NoSink.batch_size


def test_delivery_beside_reading(tmp_path: Path) -> None:
    vouchers = new_library(tmp_path / "vouchers.db")
    list_id = new_list(vouchers, codes=random_codes(EVENTS, seed=1))
    for first in range(0, EVENTS, AT_ONCE):
        users = [f"user-{number}" for number in range(first, first + AT_ONCE)]
        vouchers.codes.assign_many(users, list_id=list_id)
    storage = vouchers._wiring.storage
    names = (f"sink-{number}" for number in count())

    def read() -> None:
        after = 0
        while True:
            with storage.begin(write=False) as tx:
                entries = tx.outbox.read(after, AT_ONCE)
            if not entries:
                return
            after = entries[-1].position

    def deliver() -> None:
        assert vouchers.events.deliver(NoSink(next(names))).delivered >= EVENTS

    found = in_turn(5, lambda: seconds(read), lambda: seconds(deliver))
    rate = EVENTS / found.seconds
    what = f"deliver 100,000 events: {rate:,.0f} a second"
    record("Delivery", what, found.ratio, beside="reading them from the outbox", goal=3)
