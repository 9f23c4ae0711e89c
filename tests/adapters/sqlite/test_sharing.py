"""Threads, processes and hosts that use one file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from partner_vouchers import Status, UploadStatus
from partner_vouchers.adapters.sqlite import SQLiteStorage, connections
from partner_vouchers.errors import PartnerVouchersError, StorageBusy
from tests.adapters.sqlite.conftest import Start
from tests.support.host import PATIENCE, FixedClock, Host, some_codes
from tests.support.interrupts import interrupted_at


def open_files(database: Path) -> int:
    """Count the descriptors of this process that lead to the database file."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            links.append(descriptor.readlink())
        except FileNotFoundError:
            continue
    return links.count(database)


# --- threads ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_the_connections_of_a_thread_are_closed_with_it(host: Host, database: Path) -> None:
    found = host.a_list(*some_codes(80))

    def work_in_threads(number: int) -> int:
        together = Barrier(8)

        def work(thread: int) -> None:
            together.wait(PATIENCE)
            host.give(found.id, f"user-{number}-{thread}")
            together.wait(PATIENCE)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
        return open_files(database)

    # SQLite keeps the descriptors of closed connections for the next ones while the process has the file open.
    first = work_in_threads(0)
    assert [work_in_threads(number) for number in range(1, 10)] == [first] * 9


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_an_upload_closes_its_connection(host: Host, database: Path) -> None:
    found = host.a_list("A")
    before = open_files(database)
    host.upload(found.id, "B")
    host.upload(found.id, "C C")
    host.vouchers.uploads.validate(found.id, b"D\n", filename="x.csv")
    assert open_files(database) == before


def test_a_closed_storage_can_be_used_again(host: Host, storage: SQLiteStorage) -> None:
    found = host.a_list("A")
    storage.close()
    storage.close()
    assert host.give(found.id, "ann") == ["A"]


def test_an_interrupt_leaves_no_connection_without_a_user(host: Host, storage: SQLiteStorage) -> None:
    host.a_list("A")
    of, instruction = (connections.__file__,), 1
    while interrupted_at(instruction, host.vouchers.partners.all, of):
        # Wherever it came, the next call finds the connection, or closes it and opens another one.
        host.vouchers.partners.all()
        assert len(storage._connections._open) == 1
        instruction += 1
    assert instruction > 1


def test_an_interrupt_while_idle_connections_are_closed_leaves_them_to_the_next_call(
    host: Host, storage: SQLiteStorage
) -> None:
    of, instruction = (connections.__file__,), 1
    while interrupted_at(instruction, storage.close, of):
        host.vouchers.partners.all()
        assert len(storage._connections._open) == 1
        instruction += 1
    assert instruction > 1


# --- the lock --------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(database: Path) -> Iterator[Host]:
    """A host that does not wait for long."""
    storage = SQLiteStorage(database, synchronous="NORMAL", busy_timeout=0.05)
    yield Host(storage, FixedClock())
    storage.close()


@pytest.fixture
def other(database: Path, hasty: Host) -> Iterator[sqlite3.Connection]:
    """A connection of somebody else's."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        yield connection


@pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_writers_give_up_when_somebody_else_keeps_the_lock(
    hasty: Host, other: sqlite3.Connection, begin: str
) -> None:
    found = hasty.a_list("A", campaign="CMP")
    vouchers = hasty.vouchers
    other.execute(begin)
    with hasty.nothing_changes():
        for call in (
            lambda: vouchers.codes.assign(campaign_id="CMP", user_id="ann"),
            lambda: vouchers.partners.add("Nike"),
            lambda: vouchers.lists.pause(found.id),
            lambda: hasty.upload(found.id, "B"),
            lambda: vouchers.campaigns.unlink(found.id, "CMP"),
        ):
            with pytest.raises(StorageBusy, match="call again") as busy:
                call()
            assert busy.value.code == "storage_busy"
    other.execute("ROLLBACK")
    assert vouchers.codes.assign(campaign_id="CMP", user_id="ann").code == "A"


def test_readers_do_not_wait_for_anybody(hasty: Host, other: sqlite3.Connection) -> None:
    found = hasty.a_list("A", "B")
    hasty.give(found.id, "ann")
    other.execute("BEGIN IMMEDIATE")
    assert hasty.vouchers.lists.get(found.id).available == 1
    assert len(hasty.vouchers.codes.of_user("ann")) == 1
    assert hasty.vouchers.codes.export(found.id, remaining=True).read() == b"code\r\nB\r\n"


def test_a_writer_goes_on_as_soon_as_the_lock_is_free(host: Host, database: Path) -> None:
    found = host.a_list("A")

    def give() -> list[str]:
        try:
            return host.give(found.id, "ann")
        finally:
            host.hang_up()

    with closing(sqlite3.connect(database, isolation_level=None)) as other, ThreadPoolExecutor(1) as thread:
        other.execute("BEGIN IMMEDIATE")
        waiting = thread.submit(give)
        assert host.vouchers.lists.get(found.id).available == 1
        other.execute("COMMIT")
        assert waiting.result(PATIENCE) == ["A"]


def test_an_upload_that_finds_the_file_locked_can_be_repeated(hasty: Host, other: sqlite3.Connection) -> None:
    found = hasty.a_list()

    def lock(_progress: object) -> None:
        other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageBusy):
        hasty.upload(found.id, "A", "B", progress=lock)
    other.execute("ROLLBACK")
    (entry,) = hasty.vouchers.uploads.find(list_id=found.id)
    # Not even its failure could be stored.
    assert entry.status is UploadStatus.IN_PROGRESS
    assert hasty.left(found.id) == []
    hasty.clock.advance(minutes=1)
    (settled,) = hasty.vouchers.uploads.recover()
    assert (settled.id, settled.accepted) == (entry.id, 2)


# --- leases of other processes -------------------------------------------------------------------------------------


def test_the_lease_of_a_process_that_lives_is_respected(host: Host, database: Path, start: Start) -> None:
    found = host.a_list("OLD")
    process = start("upload", database, found.id, "A", "B")
    assert process.stdout is not None
    assert process.stdout.readline() == "reached\n"
    with host.nothing_changes():
        assert host.vouchers.uploads.recover() == []
        with pytest.raises(PartnerVouchersError, match="is running"):
            host.upload(found.id, "C")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("reaped, by", [(True, "recover"), (False, "the next upload")])
def test_the_lease_of_a_process_that_was_killed_is_free_at_once(
    host: Host, database: Path, start: Start, reaped: bool, by: str
) -> None:
    found = host.a_list("OLD")
    process = start("upload", database, found.id, "A", "B")
    assert process.stdout is not None
    assert process.stdout.readline() == "reached\n"
    process.kill()
    if reaped:
        process.wait(PATIENCE)
    else:
        # Wait for its end, and leave it in the table of processes.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    # No time passes.
    if by == "recover":
        (settled,) = host.vouchers.uploads.recover()
        assert settled.status is UploadStatus.COMPLETED
        assert host.left(found.id) == ["OLD", "A", "B"]
    else:
        assert host.upload(found.id, "C").status is UploadStatus.COMPLETED
        assert host.left(found.id) == ["OLD", "A", "B", "C"]


# --- what is remembered between assignments --------------------------------------------------------------------------


def test_changes_through_another_storage_object_are_seen_at_once(host: Host, database: Path) -> None:
    found = host.a_list(*some_codes(20), campaign="CMP")
    second_storage = SQLiteStorage(database, synchronous="NORMAL")
    second = Host(second_storage, host.clock)
    for number, (one, other) in enumerate([(host, second), (second, host)] * 3):
        other.vouchers.codes.assign(campaign_id="CMP", user_id=f"user-{number}")
        one.vouchers.lists.edit(found.id, name=f"Name {number}")
        reward = other.vouchers.codes.assign(campaign_id="CMP", user_id=f"late-{number}")
        assert reward.event.list_name == f"Name {number}"
    second.vouchers.lists.archive(found.id)
    with pytest.raises(PartnerVouchersError, match="no list is active"):
        host.vouchers.codes.assign(campaign_id="CMP", user_id="zoe")
    second_storage.close()


def test_a_list_that_another_storage_object_deletes_is_gone(host: Host, database: Path) -> None:
    found = host.a_list(campaign="CMP")
    backup = host.a_list("B", campaign="CMP")
    host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    second_storage = SQLiteStorage(database, synchronous="NORMAL")
    second = Host(second_storage, host.clock)
    second.vouchers.campaigns.unlink(found.id, "CMP")
    second.vouchers.lists.delete(found.id)
    second.upload(backup.id, "C")
    assert host.vouchers.codes.assign(campaign_id="CMP", user_id="ben").code == "C"
    second_storage.close()


def test_changes_of_a_transaction_that_was_rolled_back_are_forgotten(host: Host) -> None:
    found = host.a_list("A", "B", campaign="CMP")
    codes = host.vouchers.codes
    codes.assign(campaign_id="CMP", user_id="ann")
    with host.storage.begin() as tx:
        joined_list = tx.lists.get(found.id)
        assert joined_list is not None
        paused, _ = joined_list.pause(host.clock.now)
        tx.lists.save(paused)
        (candidate,) = tx.campaigns.of_campaign("CMP")
        assert candidate[1].status_at(host.clock.now) is Status.PAUSED
    assert codes.assign(campaign_id="CMP", user_id="ben").code == "B"
