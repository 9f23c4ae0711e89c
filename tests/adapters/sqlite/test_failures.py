"""A full disk below a host's transaction, damaged files, and nothing of the driver in what the host sees."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from partner_vouchers import PartnerVouchersError, UploadStatus
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.adapters.sqlite.driver import translated
from partner_vouchers.errors import NotAPartnerVouchersStorage, StorageError, StorageFull
from tests.support.host import Host, some_codes


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


def calls(host: Host, list_id: str, upload_id: str) -> dict[str, Callable[[], object]]:
    """Return a call of each kind."""
    vouchers = host.vouchers
    return {
        "partners.add": lambda: vouchers.partners.add("Nike"),
        "partners.all": lambda: vouchers.partners.all(),
        "lists.create": lambda: host.a_list(),
        "lists.get": lambda: vouchers.lists.get(list_id),
        "lists.find": lambda: vouchers.lists.find(),
        "lists.edit": lambda: vouchers.lists.edit(list_id, name="x"),
        "campaigns.link": lambda: vouchers.campaigns.link(list_id, "CMP2"),
        "campaigns.lists_of": lambda: vouchers.campaigns.lists_of("CMP"),
        "codes.assign": lambda: vouchers.codes.assign(campaign_id="CMP", user_id="zoe"),
        "codes.assign with a key": lambda: vouchers.codes.assign(
            list_id=list_id, user_id="zoe", idempotency_key="k"
        ),
        "codes.assign_many": lambda: vouchers.codes.assign_many(["zoe"], list_id=list_id),
        "codes.of_user": lambda: vouchers.codes.of_user("ann"),
        "codes.holders": lambda: vouchers.codes.holders("A"),
        "codes.assignments": lambda: list(vouchers.codes.assignments(list_id)),
        "codes.export": lambda: vouchers.codes.export(list_id).read(),
        "codes.export remaining": lambda: vouchers.codes.export(list_id, remaining=True).read(),
        "uploads.add": lambda: host.upload(list_id, "NEW"),
        "uploads.validate": lambda: vouchers.uploads.validate(list_id, b"NEW\n", filename="x.csv"),
        "uploads.get": lambda: vouchers.uploads.get(upload_id),
        "uploads.find": lambda: vouchers.uploads.find(list_id=list_id),
        "uploads.original_file": lambda: vouchers.uploads.original_file(upload_id).read(),
        "uploads.error_file": lambda: vouchers.uploads.error_file(upload_id).read(),
        "uploads.withdraw": lambda: vouchers.uploads.withdraw(upload_id),
        "uploads.recover": lambda: vouchers.uploads.recover(),
        "uploads.explain_duplicate": lambda: vouchers.uploads.explain_duplicate(list_id, "A"),
        "audit.entries": lambda: vouchers.audit.entries(),
        "outbox": lambda: host.outbox(),
        "lists.delete": lambda: vouchers.lists.delete(list_id),
        "lists.archive": lambda: vouchers.lists.archive(list_id),
    }


TABLES = [
    "pv_settings",
    "pv_sequences",
    "pv_partners",
    "pv_scopes",
    "pv_lists",
    "pv_stock",
    "pv_terms",
    "pv_links",
    "pv_codes",
    "pv_active_codes",
    "pv_superseded_codes",
    "pv_dead_ranges",
    "pv_assignments",
    "pv_idempotency_keys",
    "pv_events",
    "pv_audit",
    "pv_uploads",
    "pv_upload_pieces",
    "pv_upload_faults",
    "pv_leases",
]


@pytest.mark.parametrize("table", TABLES)
def test_an_error_of_the_driver_never_leaks(host: Host, database: Path, table: str) -> None:
    found = host.a_list("A", "B", "B B", campaign="CMP")
    host.give(found.id, "ann")
    (upload,) = host.vouchers.uploads.find(list_id=found.id)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"DROP TABLE {table}")
    failed = 0
    for call in calls(host, found.id, upload.id).values():
        try:
            call()
        except PartnerVouchersError as error:
            failed += isinstance(error, StorageError)
    assert failed, "no call needs the table"


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


def test_a_damaged_file_is_told(host: Host, storage: SQLiteStorage, database: Path) -> None:
    found = host.a_list(*some_codes(5000), campaign="CMP")
    (upload,) = host.vouchers.uploads.find(list_id=found.id)
    storage.close()
    content = database.read_bytes()
    # The page with the names of the tables stays as it is.
    database.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    host.clock.advance(hours=1)
    seen: set[type[Exception]] = set()
    for call in calls(host, found.id, upload.id).values():
        with pytest.raises(PartnerVouchersError) as error:
            call()
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
