"""A backup that was made while codes were given, restored and checked as the how-to says, on both databases."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event as Signal

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from partner_vouchers import PartnerVouchers, Status
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import Storage
from partner_vouchers.sinks.memory import MemorySink
from tests.hosts.kinds import POSTGRES, databases
from tests.hosts.shop import Place
from tests.support.host import EXPIRY, PATIENCE, FixedClock, a_file, some_codes
from tests.support.postgres import server

pytestmark = databases

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "backup.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def back_up(kind: str, place: Place, tmp_path: Path) -> Iterator[Callable[[], Storage]]:
    """Make a backup, and restore it elsewhere."""
    copies = list[Storage]()

    def on_sqlite() -> Storage:
        with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
            connection.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
        with closing(sqlite3.connect(tmp_path / "backup.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        copies.append(SQLiteStorage(tmp_path / "backup.db"))
        return copies[0]

    def on_postgres() -> Storage:
        schema = re.findall(r"search_path=(\w+)", str(conninfo_to_dict(place.conninfo)["options"]))[0]
        dump = server().dump(schema)
        with psycopg.connect(server().conninfo, autocommit=True) as operator:
            operator.execute("CREATE DATABASE restored")
        server().restore(dump, database="restored")
        copies.append(PostgresStorage(make_conninfo(place.conninfo, dbname="restored"), schema=schema))
        return copies[0]

    yield on_postgres if kind == POSTGRES else on_sqlite
    for copy in copies:
        assert isinstance(copy, SQLiteStorage | PostgresStorage)
        copy.close()
    with psycopg.connect(server().conninfo, autocommit=True) as operator:
        operator.execute("DROP DATABASE IF EXISTS restored WITH (FORCE)")


def test_a_backup_under_load_is_whole_and_is_locked(storage: Storage, back_up: Callable[[], Storage]) -> None:
    clock = FixedClock()
    vouchers = PartnerVouchers(storage, clock=clock)
    vouchers.partners.add("Puma")
    winter = vouchers.lists.create(partner="Puma", tag="winter", name="Winter", expires_at=EXPIRY)
    vouchers.uploads.add(winter.id, a_file(*some_codes(2000)), filename="codes.csv", uploaded_by="ops")
    before = {user: give(vouchers, winter.id, user) for user in ("ann", "ben")}

    some_given, stop = Signal(), Signal()

    def go_on_giving() -> int:
        number = 0
        while not stop.is_set() and number < 1900:
            number += 1
            give(vouchers, winter.id, f"user-{number}")
            if number == 20:
                some_given.set()
        if isinstance(storage, SQLiteStorage):
            storage.close()
        return number

    with ThreadPoolExecutor(1) as thread:
        giving = thread.submit(go_on_giving)
        assert some_given.wait(PATIENCE)
        copy = back_up()
        stop.set()
        assert giving.result(PATIENCE) >= 20

    restored = PartnerVouchers(copy, clock=clock)
    # The check of the page, and its way to lock.
    page = {"restored": restored, "PartnerVouchers": PartnerVouchers, "Status": Status, "winter": winter}
    check, lock = BLOCKS[1], BLOCKS[2]
    exec(check.partition("\n")[2], page)
    for user, code in before.items():
        assert give(restored, winter.id, user) == code
    given = [each.code for each in restored.codes.assignments(winter.id)]
    assert len(given) == len(set(given)) >= 22
    sink = MemorySink()
    restored.events.deliver(sink)
    assert {each.code for each in restored.codes.assignments(winter.id)} <= {
        str(getattr(event, "voucher_code", "")) for event in sink.events
    }

    exec(lock, page)
    found = restored.lists.get(winter.id)
    assert found.available == 0
    assert found.withdrawn + found.distributed == 2000
    restored.uploads.add(winter.id, a_file("NEW-1"), filename="more.csv", uploaded_by="ops")
    assert give(restored, winter.id, "new user") == "NEW-1"


def give(vouchers: PartnerVouchers, list_id: str, user: str) -> str:
    return vouchers.codes.assign(list_id=list_id, user_id=user, idempotency_key=user).code
