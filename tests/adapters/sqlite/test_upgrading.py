"""A file that an older version of the library wrote."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from attrs import evolve

from partner_vouchers import RepeatPolicy
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.adapters.sqlite import schema as schema_module
from partner_vouchers.errors import ReservationExpired, StorageError
from tests.adapters.sqlite.conftest import objects, open_now
from tests.support.host import PATIENCE, FixedClock, Host, some_codes
from tests.support.upgrades import require_deliveries_kept


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a storage of the present schema, and much in its outbox."""
    storage = SQLiteStorage(tmp_path / "new.db", synchronous="NORMAL")
    host = Host(storage, FixedClock())
    found = host.a_list(*some_codes(200), campaign="CMP", repeat=RepeatPolicy.NEW_CODE, low_stock_at=150)
    host.vouchers.codes.assign_many([f"user-{n % 40}" for n in range(100)], campaign_id="CMP")
    host.vouchers.lists.edit(found.id, name="Sale")
    host.give(found.id, "Jörg", "jürgen@example.com")
    host.a_list("A", partner="Amazon")
    return host


@pytest.fixture
def old(host: Host, tmp_path: Path) -> Path:
    """The same as version 1 of the schema kept it."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in schema_module._statements("0001.sql"):
            connection.execute(statement)
        connection.execute("ATTACH ? AS new", (str(tmp_path / "new.db"),))
        tables = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            if table == "pv_outbox":
                copied = (
                    "id, code_id, name, payload) SELECT position, code_id, name, payload FROM new.pv_events"
                )
            else:
                columns = ", ".join(
                    row[1] for row in connection.execute(f"PRAGMA main.table_info({table})").fetchall()
                )
                found = columns.replace("holder", "owner")
                copied = f"{columns}) SELECT {found} FROM new.{table}"
            connection.execute(f"DELETE FROM main.{table}")
            connection.execute(f"INSERT INTO main.{table} ({copied}")
        connection.execute("UPDATE pv_settings SET value = '1' WHERE name = 'schema version'")
        connection.commit()
    return path


def without_ids(everything: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the old version did not know, and the ids of events, which were others."""
    return everything | {
        "outbox": [(entry.position, entry.event) for entry in everything["outbox"]],
        "uploads": {
            key: [evolve(upload, first_row=None) for upload in log]
            for key, log in everything["uploads"].items()
        },
    }


def test_an_old_file_is_upgraded_with_all_that_it_holds(host: Host, old: Path, tmp_path: Path) -> None:
    storage = SQLiteStorage(old)
    upgraded = Host(storage, host.clock)
    upgraded.vouchers.check()
    assert objects(old) == objects(tmp_path / "new.db")
    assert without_ids(upgraded.everything()) == without_ids(host.everything())
    # And it is as good as new.
    assert upgraded.give(upgraded.vouchers.lists.find().items[0].id, "zoe") != []
    storage.close()


def test_an_upgrade_that_fails_leaves_the_old_file(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, content = objects(old), rows(old)
    statements = schema_module._statements

    def with_a_fault(name: str) -> list[str]:
        return [*statements(name), "SELECT * FROM missing"]

    monkeypatch.setattr(schema_module, "_statements", with_a_fault)
    with pytest.raises(StorageError):
        open_now(old)
    assert (objects(old), rows(old)) == (before, content)
    monkeypatch.undo()
    open_now(old).close()


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM pv_outbox").fetchall()


def test_what_the_sinks_have_is_kept_from_version_2(tmp_path: Path) -> None:
    written = Path(__file__).parent / "upgrades" / "version_2.sql"
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.executescript(written.read_text())
    storage = SQLiteStorage(tmp_path / "old.db")
    require_deliveries_kept(storage, written.with_suffix(".json"))
    storage.close()
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_reservations_are_kept_from_version_4(tmp_path: Path) -> None:
    path, ttl = tmp_path / "vouchers.db", timedelta(hours=1)

    def known(host: Host) -> list[object]:
        codes = host.vouchers.codes
        with host.storage.begin(write=False) as tx:
            stored = [tx.reservations.get(each.id) for each in made]
        return [stored, codes.reservations(list_id="1"), codes.of_user("ann"), host.vouchers.lists.get("1")]

    with closing(SQLiteStorage(path)) as storage:
        host = Host(storage, FixedClock())
        host.a_list(*some_codes(4), campaign="CMP")
        codes = host.vouchers.codes
        made = [
            codes.reserve(campaign_id="CMP", user_id=user, ttl=ttl) for user in ("ann", "bob", "cid", "dan")
        ]
        host.clock.advance(minutes=1)
        confirmed = codes.confirm(made[0].id)
        codes.release(made[1].id)
        before = known(host)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            ALTER TABLE pv_reservations ADD COLUMN state TEXT NOT NULL DEFAULT 'Open';
            ALTER TABLE pv_reservations ADD COLUMN ended_at INTEGER;
            UPDATE pv_reservations SET state = 'Confirmed', ended_at = a.assigned_at
            FROM pv_assignments AS a WHERE a.code_id = pv_reservations.code_id;
            UPDATE pv_settings SET value = '4' WHERE name = 'schema version';
            """
        )
    with closing(SQLiteStorage(path)) as storage:
        host = Host(storage, host.clock)
        assert known(host) == before
        again = host.vouchers.codes.confirm(made[0].id)
        assert (again.assignment, again.replayed) == (confirmed.assignment, True)
        assert not host.vouchers.codes.confirm(made[2].id).replayed
        host.clock.advance(hours=1)
        with pytest.raises(ReservationExpired):
            host.vouchers.codes.confirm(made[3].id)
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.OperationalError):
        # A process of that version looks for it before it writes.
        connection.execute("SELECT 1 FROM pv_reservations WHERE state = 'Open'")


def test_several_may_upgrade_at_once(host: Host, old: Path) -> None:
    together = Barrier(4)

    def open_it() -> None:
        together.wait()
        open_now(old).close()

    with ThreadPoolExecutor(4) as threads:
        for opened in [threads.submit(open_it) for _ in range(4)]:
            opened.result()
    storage = SQLiteStorage(old)
    assert without_ids(Host(storage, host.clock).everything()) == without_ids(host.everything())
    storage.close()


def test_whoever_opens_a_file_waits_for_another_who_has_locked_it(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        closing(sqlite3.connect(old)) as other,
        closing(sqlite3.connect(old, timeout=0, isolation_level=None)) as connection,
    ):
        other.execute("BEGIN EXCLUSIVE")
        waits = list[float]()

        def wait(seconds: float) -> None:
            waits.append(seconds)
            other.rollback()

        monkeypatch.setattr(time, "sleep", wait)
        schema_module.upgrade(connection, PATIENCE)
        assert waits
        assert schema_module._stored_version(connection) == schema_module.SCHEMA_VERSION
