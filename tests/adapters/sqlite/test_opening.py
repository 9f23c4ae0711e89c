"""Open and create the file."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.adapters.sqlite.schema import SCHEMA_VERSION
from partner_vouchers.errors import InvalidInput, NotAPartnerVouchersStorage, SchemaTooNew, StorageError
from tests.adapters.sqlite.conftest import Start, a_connection, objects, open_now
from tests.support.host import PATIENCE, FixedClock, Host

# --- create and upgrade ------------------------------------------------------------------------------------


def test_opening_creates_the_file_and_its_tables(database: Path) -> None:
    open_now(database).close()
    names = [name for _, name, _ in objects(database)]
    assert "pv_codes" in names
    # They can live in the host's own database.
    assert not [name for name in names if not name.startswith(("pv_", "sqlite_autoindex_pv_"))]


def test_opening_again_changes_nothing(database: Path) -> None:
    first = SQLiteStorage(database)
    host = Host(first, FixedClock())
    found = host.a_list("A", "B")
    before = objects(database)
    second = SQLiteStorage(database)
    assert objects(database) == before
    again = Host(second, FixedClock())
    assert again.everything() == host.everything()
    assert again.give(found.id, "ann") == ["A"]
    assert host.give(found.id, "ben") == ["B"]
    first.close()
    second.close()


def test_processes_that_open_a_new_file_at_once_make_one_storage(database: Path, start: Start) -> None:
    processes = [start("open", database) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        said.append(process.communicate(timeout=PATIENCE)[0].strip())
        assert process.returncode == 0
    assert len(set(said)) == 1
    storage = SQLiteStorage(database)
    assert len(PartnerVouchers(storage).partners.all()) == 3
    storage.close()


def test_an_upgrade_that_fails_leaves_nothing(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE pv_stock (something TEXT)")
    before = objects(database)
    with pytest.raises(StorageError):
        open_now(database)
    assert objects(database) == before


def test_the_hosts_own_tables_are_left_alone(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO orders VALUES (7)")
    open_now(database).close()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT id FROM orders").fetchall() == [(7,)]


# --- files that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"code\nA\nB\n" * 500, b"SQLite format 3\0" + b"\xff" * 4096, b"AB"])
def test_a_file_that_is_no_database_is_refused(database: Path, content: bytes) -> None:
    database.write_bytes(content)
    with pytest.raises(NotAPartnerVouchersStorage) as refused:
        open_now(database)
    assert refused.value.code == "not_a_partner_vouchers_storage"
    assert database.read_bytes() == content


def test_an_empty_file_becomes_a_storage(database: Path) -> None:
    database.touch()
    open_now(database).close()
    assert objects(database)


def test_a_newer_schema_is_refused(database: Path) -> None:
    open_now(database).close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE pv_settings SET value = ? WHERE name = 'schema version'", (SCHEMA_VERSION + 1,)
        )
    before = objects(database)
    with pytest.raises(SchemaTooNew, match="upgrade partner_vouchers") as refused:
        open_now(database)
    assert refused.value.code == "schema_too_new"
    assert (refused.value.found, refused.value.supported) == (SCHEMA_VERSION + 1, SCHEMA_VERSION)
    assert objects(database) == before


@pytest.mark.parametrize(
    "definition",
    [
        "TABLE pv_settings (name TEXT, value TEXT)",
        "TABLE pv_settings (id INTEGER)",
        "VIEW pv_settings AS SELECT 1",
    ],
)
def test_a_database_of_another_program_is_refused(database: Path, definition: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"CREATE {definition}")
    before = objects(database)
    with pytest.raises(StorageError):
        open_now(database)
    assert objects(database) == before


@pytest.mark.parametrize("name", ["", "missing/vouchers.db"])
def test_a_path_that_leads_nowhere_is_named_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(StorageError, match=re.escape(f"cannot open {str(path)!r}")):
        open_now(path)
    assert not path.is_file()


def test_the_file_is_opened_by_the_first_call(database: Path) -> None:
    storage = SQLiteStorage(database)
    assert not database.exists()
    assert Host(storage, FixedClock()).a_list("A").available == 1
    storage.close()


@pytest.mark.parametrize(
    "arguments, field",
    [
        ({"path": 5}, "path"),
        ({"path": None}, "path"),
        ({"path": b"vouchers.db"}, "path"),
        ({"path": "a\0b"}, "path"),
        ({"path": "a\ud800b"}, "path"),
        ({"synchronous": ["FULL"]}, "synchronous"),
        ({"synchronous": "OFF"}, "synchronous"),
        ({"synchronous": "full"}, "synchronous"),
        ({"synchronous": None}, "synchronous"),
        ({"synchronous": "FULL; DROP TABLE pv_codes"}, "synchronous"),
        ({"busy_timeout": "30"}, "busy_timeout"),
        ({"busy_timeout": None}, "busy_timeout"),
        ({"busy_timeout": True}, "busy_timeout"),
        ({"busy_timeout": -1}, "busy_timeout"),
        ({"busy_timeout": float("nan")}, "busy_timeout"),
        ({"busy_timeout": float("inf")}, "busy_timeout"),
    ],
    ids=ascii,
)
def test_a_wrong_argument_is_refused_by_its_name(
    database: Path, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        SQLiteStorage(**{"path": database, **arguments})
    assert refused.value.field == field
    assert not database.exists()


@pytest.mark.parametrize(
    "path", ["", ":memory:", "file:vouchers.db", "file::memory:?cache=shared", "sqlite:///x"]
)
def test_what_names_no_file_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="MemoryStorage") as refused:
        SQLiteStorage(path)
    assert refused.value.field == "path"


@pytest.mark.parametrize(
    "name", ["with space.db", "q?mode=ro.db", "hash#.db", "50%20.db", "Ümlaut₹.db", "'.db"]
)
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    storage = SQLiteStorage(str(tmp_path / name))
    PartnerVouchers(storage).partners.add("Puma")
    storage.close()
    assert (tmp_path / name).stat().st_size > 0


def test_a_relative_path_is_one_file_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    storage = SQLiteStorage("vouchers.db")
    host = Host(storage, FixedClock())
    found = host.a_list()
    monkeypatch.chdir(tmp_path / "elsewhere")
    # An upload opens connections of its own, and so does each thread.
    host.upload(found.id, "A")
    with closing(sqlite3.connect(tmp_path / "vouchers.db")) as connection:
        host.vouchers.using(connection).codes.assign(list_id=found.id, user_id="ann")
        connection.commit()
    assert not list((tmp_path / "elsewhere").iterdir())
    storage.close()


# --- durability --------------------------------------------------------------------------------------------------


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(
    "options, level", [({}, 2), ({"synchronous": "NORMAL"}, 1), ({"synchronous": "EXTRA"}, 3)], ids=str
)
def test_what_was_committed_is_durable_by_default(database: Path, options: Any, level: int) -> None:
    storage = SQLiteStorage(database, **options)
    with a_connection(storage) as first, a_connection(storage) as second:
        for connection in (first, second):
            assert pragma(connection, "synchronous") == level
            assert pragma(connection, "journal_mode") == "wal"
    storage.close()
