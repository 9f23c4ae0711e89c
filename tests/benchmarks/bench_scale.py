"""Whether calls cost the same with ten million codes, ten thousand lists and a million users as with little of each.

On each storage a small and a large one are made, side by side, and asked the same. `SCALE` in the environment makes
the large one smaller, such as 0.1 for a million codes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import OutboxEntry, Rejection, Storage
from tests.benchmarks.figures import record
from tests.benchmarks.measure import EXPIRES_AT, in_turn, random_codes, seconds
from tests.support.host import a_file
from tests.support.postgres import Server

SCALE = float(os.environ.get("SCALE", "1"))
LARGE = (int(10_000_000 * SCALE), int(10_000 * SCALE), int(1_000_000 * SCALE))
SMALL = (10_000, 60, 1_000)
PER_UPLOAD = 500_000
CALLS, ROUNDS = 300, 9


@contextmanager
def two_storages(kind: str, directory: Path) -> Iterator[tuple[Storage, Storage]]:
    if kind == "SQLite":
        small, large = SQLiteStorage(directory / "small.db"), SQLiteStorage(directory / "large.db")
        yield small, large
        small.close()
        large.close()
        return
    server = Server("autovacuum=on", "shared_buffers=1GB", "max_wal_size=8GB", "min_wal_size=2GB")
    try:
        opened = [PostgresStorage(server.conninfo, prefix=f"{name}_") for name in ("small", "large")]
        for storage in opened:
            storage.migrate()
        yield opened[0], opened[1]
        for storage in opened:
            storage.close()
    finally:
        server.remove()


class Filled:
    """The library with so many codes, lists and users, and short names for calls."""

    def __init__(self, storage: Storage, codes: int, lists: int, users: int) -> None:
        self.vouchers, self.users, self._numbers = PartnerVouchers(storage), users, count()
        self.vouchers.partners.add("Puma")
        self.codes = codes
        per_list = min(PER_UPLOAD, codes // 2)
        self.lists = [self._new_list(f"full_{number}") for number in range(max(codes // per_list, 1))]
        self.known = ""
        for number, list_id in enumerate(self.lists):
            file = a_file(*random_codes(per_list, seed=codes + number))
            self.vouchers.uploads.add(list_id, file, filename="codes.csv", uploaded_by="ops@example.com")
        for number in range(lists - len(self.lists)):
            self._new_list(f"empty_{number}")
        self.vouchers.campaigns.link(self.lists[0], "CMP")
        given = 0
        for list_id in self.lists[1:] or self.lists:
            while given < users and self.vouchers.lists.get(list_id).available > 1_000:
                batch = [f"user-{number}" for number in range(given, min(given + 1_000, users))]
                self.known = self.vouchers.codes.assign_many(batch, list_id=list_id).rewards[0].code
                given += len(batch)

    def _new_list(self, tag: str) -> str:
        created = self.vouchers.lists.create(
            partner="Puma", tag=tag, name="Winter Sale", expires_at=EXPIRES_AT
        )
        return created.id

    def assign(self) -> object:
        return self.vouchers.codes.assign(campaign_id="CMP", user_id=f"new-{next(self._numbers)}")

    def lists_page(self) -> object:
        return self.vouchers.lists.find(limit=50)

    def of_user(self) -> object:
        return self.vouchers.codes.of_user(f"user-{next(self._numbers) % self.users}")

    def holders(self) -> object:
        return self.vouchers.codes.holders(self.known)

    def stock(self) -> object:
        return self.vouchers.lists.stock(self.lists[0])

    def backlog(self) -> object:
        return self.vouchers.events.backlog("sink")


CALLED: dict[str, Callable[[Filled], object]] = {
    "assign": Filled.assign,
    "lists page": Filled.lists_page,
    "of_user": Filled.of_user,
    "holders": Filled.holders,
    "stock": Filled.stock,
    "backlog": Filled.backlog,
}


class NoSink:
    name, batch_size, concurrency = "sink", 1_000, 1

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        return []


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_calls_cost_the_same_at_any_size(kind: str, tmp_path: Path) -> None:
    with two_storages(kind, tmp_path) as (small_storage, large_storage):
        small, large = Filled(small_storage, *SMALL), Filled(large_storage, *LARGE)
        for filled in (small, large):
            filled.vouchers.events.deliver(NoSink())  # so that there is a backlog to ask for
        large_one, small_one = ("{:,} codes, {:,} lists, {:,} users".format(*size) for size in (LARGE, SMALL))
        beside = f"{large_one}; beside {small_one}"
        for name, call in CALLED.items():

            def many(filled: Filled, call: Callable[[Filled], object] = call) -> float:
                return seconds(lambda: [call(filled) for _ in range(CALLS)])

            many(small), many(large)
            found = in_turn(ROUNDS, lambda: many(small), lambda: many(large))
            each = f"{1e6 * found.seconds / CALLS:.0f} µs"
            record(f"Growth on {kind}", f"{name}: {each}", found.ratio, beside=beside, goal=1.1)
