"""The processor time of calls beside the same statements by hand. The disk does not count: the files are in memory.

The floor runs the very statements that the library sends, with the driver alone, on a database that the library
prepared: no checks, no errors, no events to return.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg

from partner_vouchers import Limit, PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.adapters.sqlite.session import STATEMENTS
from tests.benchmarks.measure import (
    CAMPAIGN,
    assigning,
    compare,
    cpu,
    for_new_users,
    random_codes,
    with_campaign,
)
from tests.benchmarks.postgres_log import StatementsOfACall
from tests.support.postgres import Server

CALLS = 3_000
ROUNDS = 7
CODES = 400_000
GROUP = "Processor time of a call"


def prepared(path: Path) -> PartnerVouchers:
    """Return the library on a new file, with a campaign."""
    return with_campaign(SQLiteStorage(path, synchronous="NORMAL"), random_codes(CODES, seed=1))


def a_round(call: Callable[[str], object], calls: int = CALLS) -> Callable[[], float]:
    return for_new_users(calls, call, time.process_time)


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


def test_assign_on_sqlite(memory: Path) -> None:
    vouchers = prepared(memory / "library.db")
    prepared(memory / "floor.db")
    by_hand, assign = ByHand(memory / "floor.db"), vouchers.codes.assign
    beside = "the same statements by hand"
    floor, library = a_round(by_hand), a_round(assigning(vouchers))
    compare(GROUP, "assign, SQLite", floor, library, beside=beside, goal=1.6)
    floor = a_round(lambda user: by_hand(user, f"order-{user}"))
    library = a_round(
        lambda user: assign(campaign_id=CAMPAIGN, user_id=user, idempotency_key=f"order-{user}")
    )
    compare(GROUP, "assign with an idempotency key, SQLite", floor, library, beside=beside, goal=1.8)


def test_assign_within_a_limit(memory: Path) -> None:
    without, limited = prepared(memory / "without.db"), prepared(memory / "limited.db")
    limited.campaigns.set_limits(CAMPAIGN, [Limit(CODES, per="campaign")])
    floor, library = a_round(assigning(without)), a_round(assigning(limited))
    what = "assign with a campaign limit, far from it"
    compare(GROUP, what, floor, library, beside="assign without", goal=1.15)


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

        return cpu(insert) / 20_000

    def library() -> float:
        batches = [[f"user-{next(numbers)}" for _ in range(1_000)] for _ in range(20)]
        assign_many = vouchers.codes.assign_many
        return cpu(lambda: [assign_many(users, campaign_id=CAMPAIGN) for users in batches]) / 20_000

    what = "assign_many of 1,000, a code"
    compare(GROUP, what, floor, library, beside="one bare insert", goal=3)


def test_assign_on_postgres() -> None:
    server = Server("log_statement=all", "log_line_prefix=")
    try:
        with closing(PostgresStorage(server.conninfo)) as storage:
            storage.migrate()
            vouchers = with_campaign(storage, random_codes(100_000, seed=1))
            assign, calls = assigning(vouchers), 1_000
            for_new_users(50, assign)()  # until statements are prepared and plans are made
            by_hand = StatementsOfACall(server, lambda: assign("who-1"))
            with psycopg.connect(server.conninfo, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET log_statement = 'none'")
                connection.execute("SELECT pg_reload_conf()")
                connection.execute("SET plan_cache_mode = force_generic_plan")
                floor = a_round(lambda user: by_hand.run(connection, "who-1", user), calls)
                what, beside = (
                    "assign, PostgreSQL, client",
                    "the same statements by hand in psycopg's pipeline",
                )
                compare(GROUP, what, floor, a_round(assign, calls), beside=beside, goal=1.5, rounds=ROUNDS)
            given = 50 + 1 + 2 * calls * (ROUNDS + 1)
            assert len({held.code for held in vouchers.codes.assignments("1")}) == given
    finally:
        server.remove()
