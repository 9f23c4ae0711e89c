"""After an upgrade a process of the version before, which began earlier, fails before it writes anything."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.support.host import FixedClock, Host
from tests.support.postgres import server
from tests.support.scratch import tmp_path as tmp_path

REPOSITORY = Path(__file__).parents[2]
BEFORE = "7372190"
"""The last commit whose tables had the version before."""

# Prints a line when it is ready, and what each call came to after it was told to go on.
OLD = """
import json, sys
from datetime import UTC, datetime
from partner_vouchers import PartnerVouchers, RepeatPolicy, PointsCredited
from partner_vouchers.sinks.memory import MemorySink

place, *schema = sys.argv[1:]
if schema:
    import psycopg
    from partner_vouchers.adapters.postgres import PostgresStorage

    def a_storage():
        return PostgresStorage(place, schema=schema[0], timeout=5)

    a_storage().migrate()
    connect = psycopg.connect
else:
    from sqlite3 import connect
    from partner_vouchers.adapters.sqlite import SQLiteStorage

    def a_storage():
        return SQLiteStorage(place, busy_timeout=5)

vouchers = PartnerVouchers(a_storage())
expiry = datetime(2100, 1, 1, tzinfo=UTC)

def a_list(tag, *codes):
    found = vouchers.lists.create(partner="Puma", tag=tag, name="Sale", expires_at=expiry)
    upload = vouchers.uploads.add(found.id, "\\n".join(codes).encode(), filename="a.csv", uploaded_by="ops")
    return found.id, upload.id

vouchers.partners.add("Puma")
first, upload = a_list("one", "A", "B", "C")
second, _ = a_list("two", "D")
vouchers.campaigns.link(first, "CMP", repeat=RepeatPolicy.NEW_CODE)
vouchers.codes.assign(campaign_id="CMP", user_id="ann")
sink = MemorySink()
vouchers.events.deliver(sink)
vouchers.codes.assign(campaign_id="CMP", user_id="bob")
joined = connect(place)

def assign_joined():
    try:
        vouchers.using(joined).codes.assign(list_id=first, user_id="cid")
        joined.commit()
    finally:
        joined.rollback()

calls = {
    "assign": lambda: vouchers.codes.assign(campaign_id="CMP", user_id="cid", idempotency_key="k"),
    "assign many": lambda: vouchers.codes.assign_many(["dan", "eve"], list_id=first),
    "assign joined": assign_joined,
    "add a partner": lambda: vouchers.partners.add("Nike"),
    "create": lambda: vouchers.lists.create(partner="Puma", tag="three", name="Sale", expires_at=expiry),
    "edit": lambda: vouchers.lists.edit(second, name="Other"),
    "pause": lambda: vouchers.lists.pause(second),
    "archive": lambda: vouchers.lists.archive(second),
    "delete": lambda: vouchers.lists.delete(second),
    "upload": lambda: vouchers.uploads.add(second, b"X", filename="b.csv", uploaded_by="ops"),
    "withdraw": lambda: vouchers.uploads.withdraw(upload),
    "recover": lambda: vouchers.uploads.recover(),
    "link": lambda: vouchers.campaigns.link(second, "CMP"),
    "unlink": lambda: vouchers.campaigns.unlink(first, "CMP"),
    "emit": lambda: vouchers.events.emit(PointsCredited(
        user_id="ann", wallet_id="w", source="API", wallet_description="d", points=1, transaction_id="t")),
    "deliver": lambda: vouchers.events.deliver(sink),
    "deliver to a new sink": lambda: vouchers.events.deliver(MemorySink(name="new")),
    "start anew": lambda: PartnerVouchers(a_storage()).partners.add("Nike"),
}
print("ready", flush=True)
sys.stdin.readline()
came_to = {}
for name, call in calls.items():
    try:
        call()
    except Exception as error:
        came_to[name] = type(error).__name__
    else:
        came_to[name] = "done"
print(json.dumps(came_to), flush=True)
"""


class Place(NamedTuple):
    """Where a storage is.

    Attributes:
        address: what the process of that version is told.
        upgraded: opens the storage, and upgrades it.
        tables: returns the rows of all tables.
    """

    address: list[str]
    upgraded: Callable[[], Any]
    tables: Callable[[], dict[str, list[Any]]]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        path = tmp_path / "vouchers.db"

        def open_now() -> SQLiteStorage:
            storage = SQLiteStorage(path, busy_timeout=5)
            with storage.begin(write=False):
                return storage

        yield Place([str(path)], open_now, lambda: of_sqlite(path))
        return

    def migrated() -> PostgresStorage:
        storage = PostgresStorage(server().conninfo, schema="old_version", timeout=5)
        storage.migrate()
        return storage

    with psycopg.connect(server().conninfo, autocommit=True) as operator:
        yield Place(
            [server().conninfo, "old_version"],
            migrated,
            lambda: of_postgres(operator, "old_version"),
        )
        operator.execute("DROP SCHEMA IF EXISTS old_version CASCADE")


def of_sqlite(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for (table,) in tables}


def of_postgres(operator: psycopg.Connection, schema: str) -> dict[str, list[Any]]:
    tables = operator.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
    return {
        table: sorted(map(str, operator.execute(f'SELECT * FROM {schema}."{table}"'.encode()).fetchall()))
        for (table,) in tables
    }


def test_an_old_process_beside_new_tables(place: Place, tmp_path: Path) -> None:
    archive = subprocess.run(
        ["git", "archive", BEFORE, "src"], cwd=REPOSITORY, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip("the history of the project is not here")
    subprocess.run(["tar", "x", "-C", str(tmp_path)], input=archive.stdout, check=True)
    process = subprocess.Popen(
        [sys.executable, "-c", OLD, *place.address],
        env={"PYTHONPATH": ":".join([str(tmp_path / "src"), *sys.path])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with closing(place.upgraded()) as storage:
            before = place.tables()
            answer, _ = process.communicate("go\n", timeout=60)
            came_to = json.loads(answer)
            assert place.tables() == before
            # To look for what there is to recover, and to find nothing, is no write.
            assert {name for name, outcome in came_to.items() if outcome == "done"} <= {"recover"}
            host = Host(storage, FixedClock())
            assert host.vouchers.codes.assign(campaign_id="CMP", user_id="cid").code == "C"
