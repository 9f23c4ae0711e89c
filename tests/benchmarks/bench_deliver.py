"""How much delivering costs beside reading the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from partner_vouchers.ports import OutboxEntry, Rejection
from tests.benchmarks.figures import record
from tests.benchmarks.measure import in_turn, new_library, new_list, random_codes, seconds, write_codes

EVENTS = 100_000
AT_ONCE = 1_000


class CountingSink:
    batch_size, concurrency = AT_ONCE, 1

    def __init__(self, name: str) -> None:
        self.name = name
        self.taken = 0

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        self.taken += len(entries)
        return []


def test_delivery_beside_reading(tmp_path: Path) -> None:
    vouchers = new_library(tmp_path / "vouchers.db")
    list_id = new_list(vouchers, "winter").id
    source = write_codes(tmp_path / "codes.csv", random_codes(EVENTS, seed=1))
    vouchers.uploads.add(list_id, source, uploaded_by="ops@example.com")
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
        sink = CountingSink(next(names))
        assert vouchers.events.deliver(sink).delivered == sink.taken >= EVENTS

    found = in_turn(5, lambda: seconds(read), lambda: seconds(deliver))
    rate = EVENTS / found.seconds
    what = f"deliver 100,000 events: {rate:,.0f} a second"
    record("Delivery", what, found.ratio, beside="reading them from the outbox", goal=3)
