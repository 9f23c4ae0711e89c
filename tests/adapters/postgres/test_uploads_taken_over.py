"""An upload ends, or begins, just before somebody else takes its lease: what was read before is not true any more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from partner_vouchers import UploadStatus
from partner_vouchers.adapters.sql.uploads import SqlUploads
from partner_vouchers.domain.events import UploadCompleted, UploadFailed
from partner_vouchers.usecases.upload_lease import LEASE
from tests.support.broken_uploads import Stop, before_the_codes_were_published, kill
from tests.support.host import MICROSECOND, PATIENCE, Host, some_codes

CODES = some_codes(50)


def test_an_upload_that_ends_while_somebody_recovers_stays_completed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.a_list()
    with ThreadPoolExecutor(1) as threads, host.a_running_upload(found.id, *CODES) as (go_on, running):
        looked = Stop(monkeypatch, SqlUploads, "get")
        recovering = threads.submit(host.vouchers.uploads.recover)
        try:
            assert looked.reached.wait(PATIENCE)
            go_on.set()
            completed = running.result(PATIENCE)
        finally:
            looked.go_on.set()
        assert recovering.result(PATIENCE) == []
    assert completed.status is UploadStatus.COMPLETED
    assert host.vouchers.uploads.get(completed.id) == completed
    assert len(host.events(UploadCompleted)) == 1
    assert host.events(UploadFailed) == []


def test_an_upload_that_was_entered_and_killed_meanwhile_is_settled_before_the_next_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.a_list()
    with ThreadPoolExecutor(1) as threads:
        looked = Stop(monkeypatch, SqlUploads, "new_id")
        uploading = threads.submit(host.upload, found.id, "OTHER")
        try:
            assert looked.reached.wait(PATIENCE)
            kill(host, before_the_codes_were_published, found.id, *CODES)
            host.clock.now += LEASE + MICROSECOND
        finally:
            looked.go_on.set()
        assert uploading.result(PATIENCE).accepted == 1
    assert host.left(found.id) == [*CODES, "OTHER"]
    assert host.vouchers.uploads.recover() == []
