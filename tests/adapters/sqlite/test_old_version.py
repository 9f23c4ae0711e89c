"""After the upgrade of a file a process of the version before, which began earlier, fails before it writes anything."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.sqlite.conftest import open_now
from tests.support.host import FixedClock, Host

REPOSITORY = Path(__file__).parents[3]
BEFORE = "7372190"
"""The last commit whose tables had version 2."""

# Prints a line when it is ready, and what each call came to after it was told to go on.
OLD = """
import json, sys
from datetime import UTC, datetime
import sqlite3
from partner_vouchers import PartnerVouchers, RepeatPolicy, PointsCredited
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.sinks.memory import MemorySink

(path,) = sys.argv[1:]
storage = SQLiteStorage(path, busy_timeout=5)
vouchers = PartnerVouchers(storage)
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
joined = sqlite3.connect(path)

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
    "start anew": lambda: PartnerVouchers(SQLiteStorage(path)).partners.add("Nike"),
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


@pytest.fixture(scope="module")
def old_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library as it was."""
    place = tmp_path_factory.mktemp("old")
    archive = subprocess.run(
        ["git", "archive", BEFORE, "src"], cwd=REPOSITORY, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip("the history of the project is not here")
    subprocess.run(["tar", "x", "-C", str(place)], input=archive.stdout, check=True)
    return place / "src"


def everything(path: Path) -> dict[str, list[Any]]:
    """Return the rows of all tables."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for (table,) in tables}


def test_an_old_process_beside_new_tables(old_sources: Path, database: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", OLD, str(database)],
        env={"PYTHONPATH": ":".join([str(old_sources), *sys.path])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with closing(open_now(database, busy_timeout=5)) as storage:
            before = everything(database)
            answer, _ = process.communicate("go\n", timeout=60)
            came_to = json.loads(answer)
            assert everything(database) == before
            # To look for what there is to recover, and to find nothing, is no write.
            assert {name for name, outcome in came_to.items() if outcome == "done"} <= {"recover"}
            assert came_to["start anew"] == "SchemaTooNew"
            host = Host(storage, FixedClock())
            assert host.vouchers.codes.assign(campaign_id="CMP", user_id="cid").code == "C"
