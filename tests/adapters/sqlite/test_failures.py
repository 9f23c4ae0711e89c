"""A full disk below a host's transaction, damaged files, and nothing of the driver in what the host sees."""

from __future__ import annotations

import sqlite3
import traceback
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from partner_vouchers import PartnerVouchersError, UploadStatus
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.adapters.sqlite.driver import translated
from partner_vouchers.errors import NotAPartnerVouchersStorage, StorageError, StorageFull
from tests.support.host import Host, some_codes
from tests.support.scene import CALLS, Scene


def pragma(connection: sqlite3.Connection, name: str) -> int:
    found: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return found


# --- disk full -------------------------------------------------------------------------------------------------


def test_a_host_transaction_that_finds_the_disk_full_stays_usable(host: Host, database: Path) -> None:
    found = host.a_list(*some_codes(4000))
    users = [f"user-{number}" for number in range(4000)]
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        pragma(connection, f"max_page_count = {pragma(connection, 'page_count')}")
        with pytest.raises(StorageFull):
            host.vouchers.using(connection).codes.assign_many(users, list_id=found.id)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        pragma(connection, "max_page_count = 1000000")
        connection.execute("BEGIN")
        host.vouchers.using(connection).codes.assign(list_id=found.id, user_id="ann")
        connection.execute("COMMIT")
    assert [held.user_id for held in host.vouchers.codes.assignments(found.id)] == ["ann"]


# --- errors of the driver --------------------------------------------------------------------------------------


def test_an_error_of_the_driver_never_leaks(storage: SQLiteStorage, database: Path) -> None:
    scene = Scene(storage)
    storage.close()
    whole = database.read_bytes()
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'pv%'")
        names = [name for (name,) in tables]
    assert "pv_leases" in names
    for name in names:
        database.write_bytes(whole)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(f"DROP TABLE {name}")
        failed = 0
        for call in CALLS.values():
            try:
                call(scene)
            except PartnerVouchersError as error:
                failed += isinstance(error, StorageError)
        # That a request was refused is counted, and not told to the caller if it cannot be.
        assert failed or name == "pv_refusals", f"no call needs {name}"
        storage.close()


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(
            "RAISE(ABORT, 'no ' || NEW.code)",
            marks=pytest.mark.skipif(
                sqlite3.sqlite_version_info < (3, 47), reason="RAISE takes a literal only"
            ),
        ),
        "json_extract('{}', NEW.code)",
    ],
)
def test_a_trigger_of_the_host_that_quotes_a_code_is_not_quoted(
    host: Host, database: Path, message: str
) -> None:
    found, codes = host.a_list(), some_codes(1)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"CREATE TRIGGER telltale AFTER INSERT ON pv_codes BEGIN SELECT {message}; END")
    with pytest.raises(StorageError) as failed:
        host.upload(found.id, *codes)
    assert codes[0] not in "".join(traceback.format_exception(failed.value))


def test_a_message_of_a_trigger_is_not_shown() -> None:
    error = sqlite3.IntegrityError("no SECRET-CODE-1")
    error.sqlite_errorcode, error.sqlite_errorname = (
        sqlite3.SQLITE_CONSTRAINT_TRIGGER,
        "SQLITE_CONSTRAINT_TRIGGER",
    )
    assert "SECRET" not in str(translated(error))


def test_a_file_that_cannot_be_written_says_which_right_is_missing(database: Path) -> None:
    database.write_bytes(b"")
    with (
        closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError) as failed,
    ):
        connection.execute("CREATE TABLE t (c)")
    assert "give this user the right to write the file and its directory" in str(translated(failed.value))


def test_a_damaged_file_is_told(storage: SQLiteStorage, database: Path) -> None:
    scene = Scene(storage)
    scene.host.a_list(*some_codes(5000))
    storage.close()
    content = database.read_bytes()
    # The page with the names of the tables stays as it is.
    database.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    scene.host.clock.advance(hours=1)
    seen: set[type[Exception]] = set()
    for call in CALLS.values():
        with pytest.raises(PartnerVouchersError) as error:
            call(scene)
        seen.add(error.type)
    assert NotAPartnerVouchersStorage in seen


def test_an_upload_that_cannot_open_its_connection_leaves_an_entry_that_is_settled(
    host: Host, storage: SQLiteStorage
) -> None:
    found = host.a_list()

    def fail(_token: object) -> NoReturn:
        raise StorageError(reason="no more files can be opened")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage._connections, "open", fail)
        with pytest.raises(StorageError, match="no more files"):
            host.upload(found.id, "A")
    host.clock.advance(minutes=1)
    host.vouchers.uploads.recover()
    entries = list(host.vouchers.uploads.find(list_id=found.id))
    assert entries
    assert all(entry.status is UploadStatus.COMPLETED for entry in entries)
