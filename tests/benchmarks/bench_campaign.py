"""A campaign of a million users: codes given in batches of 1,000, and each event delivered to a JSON Lines file.

Processor time, with the files in memory. The floor of a code is a row inserted into a table of two columns, in
transactions of 1,000; that of an event is a line of the same length written to a file. `SCALE` in the environment makes
the campaign smaller, such as 0.1 for 100,000 users.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.sinks.jsonl import JsonLinesSink
from tests.benchmarks.figures import record
from tests.benchmarks.measure import CAMPAIGN, MILLION, cpu, random_codes, with_campaign

USERS = int(MILLION * float(os.environ.get("SCALE", "1")))
BATCH = 1_000


def test_a_campaign(memory: Path) -> None:
    codes = random_codes(USERS, seed=1)
    vouchers = with_campaign(SQLiteStorage(memory / "vouchers.db", synchronous="NORMAL"), codes)
    events = memory / "events.jsonl"
    bare = sqlite3.connect(memory / "bare.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("CREATE TABLE given (code TEXT PRIMARY KEY, user TEXT) WITHOUT ROWID")

    def insert() -> None:
        for first in range(0, USERS, BATCH):
            bare.execute("BEGIN")
            rows = ((code, f"user-{first}") for code in codes[first : first + BATCH])
            bare.executemany("INSERT INTO given VALUES (?, ?)", rows)
            bare.execute("COMMIT")

    def assign() -> None:
        for first in range(0, USERS, BATCH):
            vouchers.codes.assign_many([f"user-{first + n}" for n in range(BATCH)], campaign_id=CAMPAIGN)

    def write() -> None:
        line = b"x" * (events.stat().st_size // USERS - 1) + b"\n"
        with (memory / "bare.jsonl").open("wb", buffering=0) as file:
            for _ in range(0, USERS, BATCH):
                file.write(b"".join(line for _ in range(BATCH)))

    inserted, assigned = cpu(insert), cpu(assign)
    delivered = cpu(lambda: vouchers.events.deliver(JsonLinesSink(events, durable=False)))
    written = cpu(write)
    assert events.read_bytes().count(b"\n") >= USERS
    group, each = f"A campaign of {USERS:,} users", 1e6 / USERS
    beside = f"one bare insert: {each * inserted:.1f} µs"
    record(group, f"a code: {each * assigned:.1f} µs", assigned / inserted, beside=beside, goal=4)
    record(group, "a code", each * assigned, beside="processor time", goal=10, unit="µs")
    beside = f"processor time; {written / inserted:.2f} × a bare insert to write the line alone"
    record(group, "an event", each * delivered, beside=beside, goal=12, unit="µs")
