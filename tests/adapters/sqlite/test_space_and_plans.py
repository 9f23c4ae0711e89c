"""What is cleared away, and that an upload reads no whole tables."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers import Limit, UploadStatus
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.errors import LimitReached, UnknownList
from tests.adapters.sqlite.conftest import a_connection, each_connection
from tests.support.broken_uploads import before_the_codes_were_published, kill
from tests.support.host import PATIENCE, Host, some_codes

OF_A_LIST = {
    "pv_codes": "id >> 32 = {list}",
    "pv_active_codes": "code_id >> 32 = {list}",
    "pv_dead_ranges": "first >> 32 = {list}",
    "pv_uploads": "list_id = {list}",
    "pv_upload_pieces": "id >> 20 IN ({uploads})",
    "pv_upload_faults": "id >> 32 IN ({uploads})",
}


def rows(storage: SQLiteStorage, sql: str) -> list[tuple[Any, ...]]:
    with storage.begin(write=False) as tx:
        assert hasattr(tx, "db")
        found: list[tuple[Any, ...]] = tx.db.execute(sql).fetchall()
        return found


def space(storage: SQLiteStorage, list_id: str, *upload_ids: str) -> dict[str, int]:
    """Count the rows that a list takes up."""
    numbers = {"list": list_id, "uploads": ", ".join(upload_ids) or "-1"}
    return {
        table: rows(storage, f"SELECT count(*) FROM {table} WHERE {condition.format(**numbers)}")[0][0]
        for table, condition in OF_A_LIST.items()
    }


# --- reclaimed space -------------------------------------------------------------------------------------------


def a_used_list(host: Host) -> tuple[str, list[str]]:
    """Return a list with codes, refused rows, files and withdrawn codes, and its uploads."""
    found = host.a_list()
    uploads = [
        host.upload(found.id, *some_codes(6000), "B B", "", "A"),
        host.upload(found.id, *some_codes(10, "X")),
        host.upload(found.id, "C C"),
    ]
    host.vouchers.uploads.withdraw(uploads[1].id)
    return found.id, [upload.id for upload in uploads]


def test_a_deleted_list_takes_up_no_space(host: Host, storage: SQLiteStorage) -> None:
    list_id, uploads = a_used_list(host)
    kept_id, kept_uploads = a_used_list(host)
    assert all(space(storage, list_id, *uploads).values())
    kept = space(storage, kept_id, *kept_uploads)
    host.vouchers.lists.delete(list_id)
    storage.reclaim()
    assert not any(space(storage, list_id, *uploads).values())
    assert space(storage, kept_id, *kept_uploads) == kept
    assert len(host.left(kept_id)) == 6001


def test_space_is_freed_in_steps_that_go_on_where_the_last_one_ended(
    host: Host, storage: SQLiteStorage
) -> None:
    found = host.a_list(*some_codes(20_000), "B B")
    (upload,) = host.vouchers.uploads.find(list_id=found.id)
    with storage.begin() as tx:
        tx.lists.remove(found.id)
        tx.commit()
    left = [20_000]
    while left[-1]:
        storage.reclaim(0.0)
        left.append(space(storage, found.id, upload.id)["pv_codes"])
    assert left == sorted(left, reverse=True)
    assert len(left) > 5
    storage.reclaim()
    assert not any(space(storage, found.id, upload.id).values())


def test_recovering_clears_away_what_a_killed_deletion_left(
    host: Host, storage: SQLiteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_id, uploads = a_used_list(host)

    class Killed(BaseException):
        pass

    def die(_seconds: float) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(storage, "reclaim", die)
        with pytest.raises(Killed):
            host.vouchers.lists.delete(list_id)
    assert any(space(storage, list_id, *uploads).values())
    with pytest.raises(UnknownList):
        host.vouchers.lists.get(list_id)
    host.vouchers.uploads.recover()
    assert not any(space(storage, list_id, *uploads).values())


def test_a_list_that_is_deleted_while_it_is_uploaded_to_takes_up_no_space(
    host: Host, storage: SQLiteStorage
) -> None:
    found = host.a_list("OLD")
    with host.a_running_upload(found.id, *some_codes(3000), "B B") as (go_on, running):
        uploads = [entry.id for entry in host.vouchers.uploads.find(list_id=found.id)]
        host.vouchers.lists.delete(found.id)
        go_on.set()
        with pytest.raises(UnknownList):
            running.result(PATIENCE)
    host.vouchers.uploads.recover()
    assert not any(space(storage, found.id, *uploads).values())
    assert not rows(storage, "SELECT * FROM pv_leases")


def test_an_upload_that_failed_keeps_no_codes(host: Host, storage: SQLiteStorage) -> None:
    first = host.a_list("A", "B")
    refused = host.upload(first.id, "A", "B", "C C", force=True)
    assert refused.status is UploadStatus.FAILED
    codes = rows(storage, "SELECT count(*) FROM pv_codes")
    assert codes == [(2,)]
    assert not rows(storage, "SELECT * FROM pv_leases")


def test_a_confirmed_reservation_is_not_looked_for_again_after_its_time(
    host: Host, storage: SQLiteStorage
) -> None:
    """Or each later assignment would walk along all that were confirmed."""
    for tag, campaign in (("one", None), ("two", "CMP")):
        found, codes = host.a_list(*some_codes(4, tag), tag=tag, campaign="CMP"), host.vouchers.codes
        if campaign is not None:
            host.vouchers.campaigns.set_limits("CMP", [Limit(1, per="campaign")])
        made = codes.reserve(list_id=found.id, user_id="ann", ttl=timedelta(minutes=1))
        codes.confirm(made.id)
        host.clock.advance(minutes=2)
        if campaign is None:
            host.give(found.id, "ben")
        else:
            codes.assign(campaign_id="CMP", user_id="ben")
            with pytest.raises(LimitReached):
                codes.assign(campaign_id="CMP", user_id="cleo")
        assert rows(storage, "SELECT count(*) FROM pv_stock WHERE next_run_out IS NOT NULL") == [(0,)]


# --- abandoned and withdrawn ranges ------------------------------------------------------------------------------


def break_off(host: Host, list_id: str, *codes: str) -> None:
    """Claim codes for a list and die."""
    kill(host, before_the_codes_were_published, list_id, *codes)
    host.clock.advance(minutes=1)


def test_ranges_of_ids_that_were_abandoned_are_skipped(host: Host, storage: SQLiteStorage) -> None:
    found = host.a_list("A", "B")
    break_off(host, found.id, "C", "D")
    assert space(storage, found.id)["pv_codes"] == 4
    host.vouchers.uploads.recover()
    break_off(host, found.id, "E", "F")
    host.vouchers.uploads.recover()
    host.upload(found.id, "G")
    # What was claimed before it was broken off is cleared away, and was claimed anew.
    assert space(storage, found.id)["pv_codes"] == 7
    assert space(storage, found.id)["pv_dead_ranges"] == 2
    assert host.left(found.id) == list("ABCDEFG")
    assert host.give(found.id, "u1", "u2", "u3") == ["A", "B", "C"]
    batch = host.vouchers.codes.assign_many([f"v{n}" for n in range(4)], list_id=found.id)
    assert [reward.code for reward in batch.rewards] == list("DEFG")
    assert host.vouchers.lists.get(found.id).available == 0


def test_withdrawn_and_abandoned_ranges_next_to_one_another_are_skipped(host: Host) -> None:
    found = host.a_list("A", "B")
    wrong = [host.upload(found.id, f"W{n}", f"X{n}") for n in range(3)]
    break_off(host, found.id, "C")
    host.vouchers.uploads.recover()
    wrong.append(host.upload(found.id, "Y"))
    host.upload(found.id, "D")
    host.give(found.id, "u1", "u2", "u3")
    for upload in wrong[::-1]:
        host.vouchers.uploads.withdraw(upload.id)
    assert host.left(found.id) == ["C", "D"]
    assert host.give(found.id, "u4", "u5") == ["C", "D"]
    seen = host.vouchers.lists.get(found.id)
    assert (seen.uploaded, seen.distributed, seen.withdrawn, seen.available) == (11, 5, 6, 0)


def test_a_range_of_another_list_does_not_matter(host: Host) -> None:
    first, second, third = (host.a_list(*some_codes(3)) for _ in range(3))
    for found in (first, third):
        (upload,) = host.vouchers.uploads.find(list_id=found.id)
        host.vouchers.uploads.withdraw(upload.id)
    assert host.give(second.id, "u1", "u2") == some_codes(2)
    host.upload(first.id, "Z")
    assert host.give(first.id, "u1") == ["Z"]


# --- plans -----------------------------------------------------------------------------------------------------


@contextmanager
def traced(storage: SQLiteStorage) -> Iterator[list[str]]:
    """Gather the statements that this thread executes, on all of its connections."""
    statements: list[str] = []
    with each_connection(storage, lambda connection: connection.set_trace_callback(statements.append)):
        yield statements


def scanned(connection: sqlite3.Connection, statement: str) -> set[str]:
    """Return the tables that a statement reads from end to end."""
    aliases = {alias: table for table, alias in re.findall(r"\b(pv_\w+) AS (\w+)", statement)}
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    names = re.findall(r"^SCAN (\w+)", "\n".join(step[3] for step in plan), re.MULTILINE)
    return {aliases.get(name, name) for name in names}


def test_an_upload_reads_no_large_table_from_end_to_end(host: Host, storage: SQLiteStorage) -> None:
    """Named statements are checked one by one (`tests/adapters/sql`); an import makes its own."""
    vouchers = host.vouchers
    with traced(storage) as statements:
        found = host.a_list(*some_codes(3000), "B B")
        wrong = host.upload(found.id, *some_codes(10, "W"), *some_codes(5))
        vouchers.uploads.withdraw(wrong.id)
        vouchers.uploads.validate(found.id, b"NEW\nPM000000\n", filename="x.csv")
        break_off(host, found.id, "C", "D")
        vouchers.uploads.recover()
        vouchers.lists.delete(host.a_list("A", "A A").id)
    work = {text for text in statements if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", text)}
    assert len(work) > 50
    with a_connection(storage) as connection:
        connection.create_function("pv_on_conflict", 1, lambda _: 0)
        for table in (
            "staged (first INTEGER PRIMARY KEY, codes)",
            "ordered (code, line)",
            "repeats (place, line, code, first)",
            "dropped (line INTEGER PRIMARY KEY)",
            "faults (line INTEGER PRIMARY KEY, raw, kind, message)",
        ):
            connection.execute(f"CREATE TEMP TABLE {table}")
        large = re.compile("pv_(codes|active_codes|superseded_codes|assignments|events|audit|upload_.*)")
        assert scanned(connection, "SELECT * FROM pv_codes AS c WHERE c.code = 'A'") == {"pv_codes"}
        bad = {
            text: tables for text in work if any(map(large.fullmatch, tables := scanned(connection, text)))
        }
    assert not bad
