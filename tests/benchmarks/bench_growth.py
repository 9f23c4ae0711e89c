"""Whether calls cost the same with ten million codes, ten thousand lists and a million users as with few of each.

Each call runs alternately on a small and a large storage. Both are asked about as many users and codes, with as many
rows each, so that the caches of both are warm. A second figure, without a goal, picks from all users. Each list has
codes. Commits do not wait for the disk.

`SCALE` in the environment makes the large storage smaller, such as 0.1 for a million codes. `HUGE`, in millions of
codes, adds PostgreSQL with so many beside one with a million; 100 need about 30 GB of disk and an hour or two.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, product
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import Storage
from tests.benchmarks.measure import ALPHABET, CAMPAIGN, MILLION, OPS, NoSink, compare, new_list, seconds
from tests.support.postgres import Server

SCALE = float(os.environ.get("SCALE", "1"))
HUGE = int(os.environ.get("HUGE", "0"))
OF_SMALL_LIST = 100
"""Codes of each list but the large ones, which have up to a million. Four fifths are given out."""
ASKED = 100
"""How many users and codes the calls are about."""
CALLS, ROUNDS = 250, 9


class Size(NamedTuple):
    codes: int
    lists: int
    users: int

    def __str__(self) -> str:
        return f"{self.codes:,} codes, {self.lists:,} lists, {self.users:,} users"


SMALL = Size(10_000, 60, 1_000)
LARGE = Size(int(10 * MILLION * SCALE), int(10_000 * SCALE), int(MILLION * SCALE))
AT_MILLION = Size(MILLION, 1_000, 100_000)
AT_HUGE = Size(HUGE * MILLION, 10_000, HUGE * 50_000)
PREFIXES = "small_", "large_"

only_if_asked = pytest.mark.skipif(not HUGE, reason="needs tens of gigabytes and hours; set HUGE")


@contextmanager
def two_on_sqlite(directory: Path) -> Iterator[tuple[Storage, Storage]]:
    small, large = (SQLiteStorage(directory / f"{prefix}.db", synchronous="NORMAL") for prefix in PREFIXES)
    yield small, large
    small.close()
    large.close()


@contextmanager
def two_on_postgres() -> Iterator[tuple[Storage, Storage, str]]:
    """Lend two storages on one server, and how to connect to it."""
    server = Server("autovacuum=on", "synchronous_commit=off", "shared_buffers=1GB", "max_wal_size=8GB")
    try:
        small, large = (PostgresStorage(server.conninfo, prefix=prefix) for prefix in PREFIXES)
        small.migrate()
        large.migrate()
        yield small, large, server.conninfo
        small.close()
        large.close()
    finally:
        server.remove()


PIECES = ["".join(piece) for piece in product(ALPHABET, repeat=3)]


def a_file(codes: int, chance: random.Random) -> bytes:
    """Return a file of random codes of 12 characters."""
    pieces = chance.choices(PIECES, k=4 * codes)
    parts = [pieces[start::4] for start in range(4)]
    return "".join([f"{a}{b}{c}{d}\n" for a, b, c, d in zip(*parts, strict=True)]).encode()


class Filled:
    """The library with so many codes, lists and users, and short names for calls."""

    def __init__(self, storage: Storage, size: Size) -> None:
        self.vouchers, self.size, self._numbers = PartnerVouchers(storage), size, count()
        if not self.vouchers.partners.all():
            self._fill()
        self._choose()

    def _fill(self) -> None:
        chance = random.Random(self.size.codes)
        large = -(-self.size.codes // MILLION)
        small = self.size.lists - large
        of_large = (self.size.codes - small * OF_SMALL_LIST) // large
        lists = [new_list(self.vouchers, f"tag_{number}") for number in range(self.size.lists)]
        for number, list_id in enumerate(lists):
            codes = of_large if number < large else OF_SMALL_LIST
            file = a_file(codes, chance)
            self.vouchers.uploads.add(list_id, file, filename="codes.csv", uploaded_by=OPS)
        self.vouchers.campaigns.link(lists[0], CAMPAIGN)
        given = 0
        for number, list_id in enumerate([*lists[large:], *lists[1:large], lists[0]]):
            most = OF_SMALL_LIST * 4 // 5 if number < small else of_large - 1_000
            until = min(given + most, self.size.users)
            for start in range(given, until, 1_000):
                users = [f"user-{number}" for number in range(start, min(start + 1_000, until))]
                self.vouchers.codes.assign_many(users, list_id=list_id)
            given = until
        self.vouchers.events.deliver(NoSink(), from_now=True)  # so that there is a backlog to ask for

    def _choose(self) -> None:
        """Choose the list, the users and the codes that calls are about."""
        self.hot = self.vouchers.lists.find(tag="tag_0").items[0].id
        chance = random.Random(1)
        self.asked = [f"user-{chance.randrange(self.size.users)}" for _ in range(ASKED)]
        self.known = [self.vouchers.codes.of_user(user)[0].code for user in self.asked]

    def assign(self) -> object:
        return self.vouchers.codes.assign(campaign_id=CAMPAIGN, user_id=f"new-{next(self._numbers)}")

    def lists_page(self) -> object:
        return self.vouchers.lists.find(limit=50)

    def of_user(self) -> object:
        return self.vouchers.codes.of_user(self.asked[next(self._numbers) % ASKED])

    def of_any_user(self) -> object:
        return self.vouchers.codes.of_user(f"user-{random.randrange(self.size.users)}")

    def holders(self) -> object:
        return self.vouchers.codes.holders(self.known[next(self._numbers) % ASKED])

    def stock(self) -> object:
        return self.vouchers.lists.stock(self.hot)

    def backlog(self) -> object:
        return self.vouchers.events.backlog("sink")


CALLED: dict[str, tuple[Callable[[Filled], object], bool]] = {
    "assign": (Filled.assign, True),
    "lists page": (Filled.lists_page, True),
    f"of_user, {ASKED} users in turn": (Filled.of_user, True),
    "of_user, any of all users": (Filled.of_any_user, False),
    f"holders, {ASKED} codes in turn": (Filled.holders, True),
    "stock": (Filled.stock, True),
    "backlog": (Filled.backlog, True),
}
"""The calls, and whether they have a goal: whoever asks for all users also measures the caches of the database."""


def compare_all(group: str, small: Filled, large: Filled, most: float) -> None:
    """Record what each call costs on the large storage beside the small one."""
    group, beside = f"{group}, with {large.size}", f"with {small.size}"
    for name, (call, has_goal) in CALLED.items():

        def many(filled: Filled, call: Callable[[Filled], object] = call) -> Callable[[], float]:
            return lambda: seconds(lambda: [call(filled) for _ in range(CALLS)]) / CALLS

        goal = most if has_goal else None
        compare(group, name, many(small), many(large), beside=beside, goal=goal, rounds=ROUNDS, warm_up=2)


def bytes_by_table(conninfo: str, prefix: str, codes: int) -> list[str]:
    """Return the bytes for each code of the tables and indexes that take more than one."""
    sql = """
        SELECT relname, pg_relation_size(oid) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0)
        FROM pg_class WHERE starts_with(relname, %s) AND relkind IN ('r', 'i') ORDER BY 2 DESC
    """
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(sql, (prefix,)).fetchall()
    return [f"{name.removeprefix(prefix)} {size / codes:.1f}" for name, size in rows if size >= codes]


@pytest.mark.timeout(7200)
def test_calls_cost_the_same_at_any_size_on_sqlite(tmp_path: Path) -> None:
    with two_on_sqlite(tmp_path) as storages:
        small, large = (Filled(*each) for each in zip(storages, (SMALL, LARGE), strict=True))
        compare_all("Growth on SQLite", small, large, 1.1)


@pytest.mark.timeout(86_400)
@pytest.mark.parametrize("huge", [False, pytest.param(True, marks=only_if_asked)])
def test_calls_cost_the_same_at_any_size_on_postgres(huge: bool) -> None:
    sizes, most = ((AT_MILLION, AT_HUGE), 1.15) if huge else ((SMALL, LARGE), 1.1)
    with two_on_postgres() as (*storages, conninfo):
        small, large = (Filled(*each) for each in zip(storages, sizes, strict=True))
        with psycopg.connect(conninfo, autocommit=True) as connection:
            # The server does so by itself, within minutes.
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        compare_all("Growth on PostgreSQL", small, large, most)
        for prefix, size in zip(PREFIXES, sizes, strict=True):
            print(f"\nbytes a code, {size}: {', '.join(bytes_by_table(conninfo, prefix, size.codes))}")
