"""The processor time of calls beside the same statements by hand. The disk does not count: the files are in memory.

The floor runs the very statements that the library sends, with the driver alone, on a database that the library
prepared: no checks, no errors, no events to return.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from partner_vouchers import Limit, PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.adapters.sqlite.session import STATEMENTS
from tests.benchmarks.figures import record
from tests.benchmarks.measure import EXPIRES_AT, cpu, in_turn, random_codes
from tests.benchmarks.postgres_log import StatementsOfACall
from tests.support.host import a_file
from tests.support.postgres import Server

CALLS = 3_000
ROUNDS = 7
CODES = 400_000
GROUP = "Processor time of a call"


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        yield Path(directory)


def prepared(path: Path) -> PartnerVouchers:
    """Return the library on a new file, with a list that has codes and is linked to `CMP`."""
    vouchers = PartnerVouchers(SQLiteStorage(path, synchronous="NORMAL"))
    fill(vouchers, CODES)
    return vouchers


def fill(vouchers: PartnerVouchers, codes: int) -> None:
    vouchers.partners.add("Puma")
    found = vouchers.lists.create(partner="Puma", tag="winter", name="Winter Sale", expires_at=EXPIRES_AT)
    vouchers.uploads.add(
        found.id, a_file(*random_codes(codes, seed=1)), filename="codes.csv", uploaded_by="ops@example.com"
    )
    vouchers.campaigns.link(found.id, "CMP")


class ByHand:
    """The statements of `assign` on SQLite, as somebody sends them who checks nothing."""

    def __init__(self, path: Path) -> None:
        self._run = sqlite3.connect(path, isolation_level=None).execute
        self._run("PRAGMA synchronous = NORMAL")

    def __call__(self, user: str, key: str | None = None) -> str:
        run = self._run
        run("BEGIN IMMEDIATE")
        if key is not None:
            run(_KEY, (key,)).fetchall()
        run(_VERSIONS, ("CMP",)).fetchall()
        run(_HOLDING, (user, "c:CMP", user, "c:CMP")).fetchall()
        code_id, code = run(_NEXT_CODE, (1, 1)).fetchall()[0][:2]
        run(_ADVANCE, (code_id, 1, 1, 1))
        run(_ADD_EVENT, (code_id,))
        run(_ADD_ASSIGNMENT, (code_id, user, "c:CMP", 1, time.time_ns() // 1000, 1))
        if key is not None:
            run(_ADD_KEY, (key, "f" * 64, str(code_id)))
        run("COMMIT")
        return str(code)


_KEY, _VERSIONS, _HOLDING, _NEXT_CODE, _ADVANCE, _ADD_EVENT, _ADD_ASSIGNMENT, _ADD_KEY = map(
    STATEMENTS.__getitem__,
    (
        "key",
        "catalog_versions",
        "holding_of_user",
        "next_codes",
        "advance_cursor",
        "add_reward_event",
        "add_assignment",
        "add_key",
    ),
)


@pytest.mark.parametrize("with_key, goal", [(False, 1.6), (True, 1.8)], ids=["without a key", "with a key"])
def test_assign_on_sqlite(with_key: bool, goal: float, memory: Path) -> None:
    vouchers, numbers = prepared(memory / "library.db"), count()
    prepared(memory / "floor.db")
    by_hand = ByHand(memory / "floor.db")

    def floor() -> float:
        users = [f"user-{next(numbers)}" for _ in range(CALLS)]
        if with_key:
            return cpu(lambda: [by_hand(user, f"order-{user}") for user in users])
        return cpu(lambda: [by_hand(user) for user in users])

    def library() -> float:
        users = [f"user-{next(numbers)}" for _ in range(CALLS)]
        assign = vouchers.codes.assign
        if with_key:
            return cpu(
                lambda: [
                    assign(campaign_id="CMP", user_id=user, idempotency_key=f"order-{user}") for user in users
                ]
            )
        return cpu(lambda: [assign(campaign_id="CMP", user_id=user) for user in users])

    floor(), library()
    found = in_turn(ROUNDS, floor, library)
    name = "assign with an idempotency key, SQLite" if with_key else "assign, SQLite"
    beside = f"the same statements by hand: {1e6 * found.floor / CALLS:.0f} µs"
    record(GROUP, f"{name}: {1e6 * found.seconds / CALLS:.0f} µs", found.ratio, beside=beside, goal=goal)


def test_assign_within_a_limit(memory: Path) -> None:
    without, limited, numbers = prepared(memory / "without.db"), prepared(memory / "limited.db"), count()
    limited.campaigns.set_limits("CMP", [Limit(CODES, per="campaign")])

    def assign(vouchers: PartnerVouchers) -> float:
        users = [f"user-{next(numbers)}" for _ in range(CALLS)]
        return cpu(lambda: [vouchers.codes.assign(campaign_id="CMP", user_id=user) for user in users])

    assign(without), assign(limited)
    found = in_turn(ROUNDS, lambda: assign(without), lambda: assign(limited))
    record(
        GROUP, "assign with a campaign limit, far from it", found.ratio, beside="assign without", goal=1.15
    )


def test_a_batch_of_a_thousand(memory: Path) -> None:
    vouchers, numbers = prepared(memory / "library.db"), count()
    bare = sqlite3.connect(memory / "bare.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("CREATE TABLE codes (code TEXT UNIQUE)")
    codes = iter(random_codes(1_000 * (ROUNDS + 2) * 20, seed=3))

    def floor() -> float:
        def insert() -> None:
            for _ in range(20):
                bare.execute("BEGIN")
                bare.executemany("INSERT INTO codes VALUES (?)", ((next(codes),) for _ in range(1_000)))
                bare.execute("COMMIT")

        return cpu(insert)

    def library() -> float:
        batches = [[f"user-{next(numbers)}" for _ in range(1_000)] for _ in range(20)]
        return cpu(lambda: [vouchers.codes.assign_many(users, campaign_id="CMP") for users in batches])

    floor(), library()
    found = in_turn(ROUNDS, floor, library)
    beside = f"one bare insert: {1e6 * found.floor / 20_000:.1f} µs"
    what = f"assign_many of 1,000, a code: {1e6 * found.seconds / 20_000:.1f} µs"
    record(GROUP, what, found.ratio, beside=beside, goal=3)


def test_assign_on_postgres() -> None:
    server = Server("log_statement=all", "log_line_prefix=")
    try:
        with closing(PostgresStorage(server.conninfo)) as storage:
            storage.migrate()
            vouchers, numbers = PartnerVouchers(storage), count()
            fill(vouchers, 100_000)
            for _ in range(50):  # until statements are prepared and plans are made
                vouchers.codes.assign(campaign_id="CMP", user_id=f"user-{next(numbers)}")
            by_hand = StatementsOfACall(
                server, lambda: vouchers.codes.assign(campaign_id="CMP", user_id="who-1")
            )
            with psycopg.connect(server.conninfo, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET log_statement = 'none'")
                connection.execute("SELECT pg_reload_conf()")
                connection.execute("SET plan_cache_mode = force_generic_plan")

                def floor() -> float:
                    users = [f"user-{next(numbers)}" for _ in range(1_000)]

                    def run_all() -> None:
                        for user in users:
                            by_hand.run(connection, "who-1", user)

                    return cpu(run_all)

                def library() -> float:
                    users = [f"user-{next(numbers)}" for _ in range(1_000)]
                    return cpu(
                        lambda: [vouchers.codes.assign(campaign_id="CMP", user_id=user) for user in users]
                    )

                floor(), library()
                found = in_turn(ROUNDS, floor, library)
            assert len({held.code for held in vouchers.codes.assignments("1")}) == next(numbers) + 1
        beside = f"the same statements by hand in psycopg's pipeline: {1e3 * found.floor:.0f} µs"
        record(
            GROUP,
            f"assign, PostgreSQL, client: {1e3 * found.seconds:.0f} µs",
            found.ratio,
            beside=beside,
            goal=1.5,
        )
    finally:
        server.remove()
