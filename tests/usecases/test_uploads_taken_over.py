"""A process that was only slow wakes up after others took its upload for dead."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event as Signal
from typing import Any

import pytest

from partner_vouchers import Upload, UploadStatus
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.errors import StorageUnavailable, UnknownList, UploadInterrupted
from partner_vouchers.usecases.importing import ImportRun
from partner_vouchers.usecases.upload_entries import UploadEntries
from partner_vouchers.usecases.upload_lease import LEASE
from tests.support.host import MICROSECOND, PATIENCE, FixedClock, Host, some_codes

pytestmark = pytest.mark.every_storage

CODES = some_codes(5_000)


class Stop:
    """Makes the first thread that calls a method wait at its end, until it may go on."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.reached, self.go_on = Signal(), Signal()
        original: Callable[..., Any] = getattr(owner, name)

        def stopping(*args: Any, **kwargs: Any) -> Any:
            found = original(*args, **kwargs)
            if not self.reached.is_set():
                self.reached.set()
                assert self.go_on.wait(PATIENCE)
            return found

        patch.setattr(owner, name, stopping)


class _Killed(BaseException):
    pass


def _die(*_args: object, **_kwargs: object) -> Any:
    raise _Killed


def kill_before_publishing(host: Host, list_id: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImportRun, "_end", _die)
        with pytest.raises(_Killed):
            host.upload(list_id, *CODES)


def recover_in_a_thread(host: Host, threads: ThreadPoolExecutor) -> Future[list[Upload]]:
    def recover() -> list[Upload]:
        try:
            return host.vouchers.uploads.recover()
        finally:
            host.hang_up()

    return threads.submit(recover)


def let_the_lease_end(host: Host) -> None:
    host.clock.now += LEASE + MICROSECOND


@pytest.mark.parametrize("stops_in", [(UploadEntries, "original"), (ImportRun, "_read")])
def test_whoever_recovers_too_slowly_spoils_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, stops_in: tuple[type, str]
) -> None:
    found = host.a_list()
    kill_before_publishing(host, found.id)
    let_the_lease_end(host)
    slow = Stop(monkeypatch, *stops_in)
    claimed = Stop(monkeypatch, ImportRun, "_failure")
    with ThreadPoolExecutor(2) as threads:
        try:
            first = recover_in_a_thread(host, threads)
            assert slow.reached.wait(PATIENCE)
            let_the_lease_end(host)
            second = recover_in_a_thread(host, threads)
            assert claimed.reached.wait(PATIENCE)
            slow.go_on.set()
            assert first.result(PATIENCE) == []
            claimed.go_on.set()
            (settled,) = second.result(PATIENCE)
        finally:
            slow.go_on.set()
            claimed.go_on.set()
    assert (settled.status, settled.accepted) == (UploadStatus.COMPLETED, len(CODES))
    assert host.left(found.id) == CODES


def _break(*_args: object, **_kwargs: object) -> Any:
    raise StorageUnavailable(reason="the server is away")


def _interrupt(run: ImportRun, *_args: object) -> Any:
    raise UploadInterrupted(upload_id=run.upload.id)


def test_after_a_recovery_that_failed_the_next_one_need_not_wait(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.a_list()
    kill_before_publishing(host, found.id)
    let_the_lease_end(host)
    with monkeypatch.context() as patch:
        patch.setattr(ImportRun, "run", _break)
        with pytest.raises(StorageUnavailable):
            host.vouchers.uploads.recover()
    (settled,) = host.vouchers.uploads.recover()
    assert (settled.status, settled.accepted) == (UploadStatus.COMPLETED, len(CODES))


def test_an_upload_that_could_not_even_be_marked_failed_need_not_wait_to_be_recovered(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.a_list()
    with monkeypatch.context() as patch:
        patch.setattr(ImportRun, "run", _break)
        patch.setattr(ImportRun, "fail", _break)
        with pytest.raises(StorageUnavailable):
            host.upload(found.id, *CODES)
    (settled,) = host.vouchers.uploads.recover()
    assert (settled.status, settled.accepted) == (UploadStatus.COMPLETED, len(CODES))


def test_an_upload_that_lost_its_list_keeps_nobody_waiting_for_its_scope(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.a_list()
    with monkeypatch.context() as patch:
        # Once it has claimed its codes.
        patch.setattr(ImportRun, "_failure", _interrupt)
        with pytest.raises(UploadInterrupted):
            host.upload(found.id, *CODES)
    monkeypatch.setattr("partner_vouchers.usecases.upload_lease._POLL_SECONDS", "nobody may wait")
    (settled,) = host.vouchers.uploads.recover()
    assert (settled.status, settled.accepted) == (UploadStatus.COMPLETED, len(CODES))


def test_a_list_that_is_deleted_while_it_is_uploaded_to_leaves_nothing_in_the_file(
    tmp_path: Path, clock: FixedClock
) -> None:
    storage = SQLiteStorage(tmp_path / "vouchers.db", synchronous="NORMAL")
    host = Host(storage, clock)
    found = host.a_list()
    with host.a_running_upload(found.id, *CODES, "A;B") as (go_on, running):
        host.vouchers.lists.delete(found.id)
        go_on.set()
        with pytest.raises(UnknownList):
            running.result(PATIENCE)
    storage.close()
    connection = sqlite3.connect(tmp_path / "vouchers.db")
    tables = ("codes", "active_codes", "uploads", "upload_pieces", "upload_faults", "dead_ranges", "leases")
    left = {name: connection.execute(f"SELECT count(*) FROM pv_{name}").fetchone()[0] for name in tables}
    connection.close()
    assert left == dict.fromkeys(tables, 0)
