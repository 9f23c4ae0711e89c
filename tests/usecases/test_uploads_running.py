"""What happens while an upload runs, and after its process was killed or fell silent."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from partner_vouchers import (
    CodeFormat,
    FileFaultKind,
    PartnerVouchers,
    PerPartner,
    RowFaultKind,
    Status,
    Upload,
    UploadStatus,
)
from partner_vouchers.domain.events import UploadCompleted, UploadFailed
from partner_vouchers.domain.uploads import FileFault
from partner_vouchers.errors import (
    CodesExhausted,
    FileAlreadyUploaded,
    OriginalNotKept,
    StorageError,
    StorageUnavailable,
    UnknownList,
    UnknownUpload,
    UploadInterrupted,
    UploadRunning,
)
from partner_vouchers.ports import Storage
from partner_vouchers.usecases import uploads as uploads_module
from partner_vouchers.usecases.importing import ImportRun, keep_original
from partner_vouchers.usecases.upload_entries import UploadEntries
from partner_vouchers.usecases.upload_lease import LEASE, UploadLease
from tests.support.broken_uploads import (
    ALL_MOMENTS,
    RESUMED,
    Kill,
    Killed,
    Stop,
    before_the_codes_were_published,
    before_the_file_was_stored,
    kill,
    the_entry,
)
from tests.support.host import MICROSECOND, PATIENCE, START, FixedClock, Host, some_codes

CODES = some_codes(3000)


# --- one upload at a time, available all at once -----------------------------------------------------------


@pytest.mark.every_storage
def test_one_upload_to_a_list_runs_at_a_time_and_its_codes_become_available_all_at_once(host: Host) -> None:
    found, other = host.a_list("OLD1", "OLD2", campaign="CMP"), host.a_list()
    uploads = host.vouchers.uploads
    with host.a_running_upload(found.id, "NEW1", "NEW2") as (go_on, running):
        entry = the_entry(host, found.id)
        assert (entry.status, entry.finished_at) == (UploadStatus.IN_PROGRESS, None)
        assert uploads.original_file(entry.id).read() == b"NEW1\nNEW2\n"
        with host.nothing_changes():
            for codes in (["C"], ["NEW1", "NEW2"]):
                with pytest.raises(UploadRunning) as refused:
                    host.upload(found.id, *codes)
                assert (refused.value.list_id, refused.value.upload_id) == (found.id, entry.id)
            with pytest.raises(UploadRunning):
                uploads.withdraw(entry.id)
            assert uploads.validate(found.id, b"NEW1\nB\n", filename="codes.csv").acceptable == 2
            assert uploads.explain_duplicate(found.id, "NEW1") is None
            assert uploads.recover() == []
        assert host.upload(other.id, "A", "B").accepted == 2
        assert host.vouchers.codes.assign(campaign_id="CMP", user_id="ann").code == "OLD1"
        assert host.vouchers.lists.get(found.id).uploaded == 2
        assert host.give(found.id, "ben") == ["OLD2"]
        with pytest.raises(CodesExhausted):
            host.give(found.id, "cleo")
        go_on.set()
        assert running.result(PATIENCE).accepted == 2
    assert host.give(found.id, "cleo", "dora") == ["NEW1", "NEW2"]
    assert host.upload(found.id, "C").status is UploadStatus.COMPLETED


def test_an_upload_waits_for_another_one_of_its_scope_to_publish(host: Host) -> None:
    wiring, waits = host.vouchers._wiring, list[float]()
    first = UploadLease(wiring, "1")
    first.wait_for_scope("Puma")

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            first.give_back()

    second = UploadLease(evolve(wiring, pause=pause), "2")
    second.wait_for_scope("Adidas")
    assert waits == []
    second.wait_for_scope("Puma")
    assert len(waits) == 2
    assert min(waits) > 0


def test_two_lists_of_one_scope_share_no_code_when_they_are_uploaded_to_at_once(
    storage: Storage, clock: FixedClock
) -> None:
    host = Host(storage, clock, duplicates=PerPartner())
    first, second = host.a_list(), host.a_list()
    with host.a_running_upload(first.id, "A", "B") as (go_on, running):
        assert host.upload(second.id, "B", "C").accepted == 2
        go_on.set()
        late = running.result(PATIENCE)
    assert (late.accepted, late.errors) == (1, {RowFaultKind.DUPLICATE_IN_OTHER_LIST: 1})
    assert (host.left(first.id), host.left(second.id)) == (["A"], ["B", "C"])


# --- what happens to the list meanwhile ------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.PAUSED, Status.EXPIRED])
def test_a_list_that_is_paused_or_expires_meanwhile_still_gets_its_codes(host: Host, status: Status) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A") as (go_on, running):
        # The clock may go on by months, but no other process takes the upload over.
        host.bring(found.id, status)
        go_on.set()
        assert running.result(PATIENCE).status is UploadStatus.COMPLETED
    assert host.vouchers.lists.get(found.id).available == 1


def test_a_list_that_is_archived_meanwhile_gets_nothing(host: Host) -> None:
    found = host.a_list(tag="winter")
    with host.a_running_upload(found.id, "A", "B B") as (go_on, running):
        host.vouchers.lists.archive(found.id)
        go_on.set()
        upload = running.result(PATIENCE)
    assert upload.failure == FileFault(
        FileFaultKind.INTERRUPTED, "the list was archived while the upload ran; upload the file again"
    )
    assert (upload.status, upload.accepted, host.left(found.id)) == (UploadStatus.FAILED, 0, [])
    assert host.vouchers.uploads.get(upload.id) == upload
    assert host.a_list("A", tag="winter").available == 1


@pytest.mark.every_storage
def test_a_list_that_is_deleted_meanwhile_takes_the_upload_with_it(host: Host) -> None:
    found = host.a_list(tag="winter")
    with host.a_running_upload(found.id, *CODES, "A;B") as (go_on, running):
        entry = the_entry(host, found.id)
        host.vouchers.lists.delete(found.id)
        go_on.set()
        with pytest.raises(UnknownList) as unknown:
            running.result(PATIENCE)
    assert unknown.value.list_id == found.id
    with pytest.raises(UnknownUpload):
        host.vouchers.uploads.get(entry.id)
    assert not host.events(UploadCompleted)
    assert not host.events(UploadFailed)
    assert host.vouchers.uploads.recover() == []
    assert host.a_list(*CODES, tag="winter").available == len(CODES)


# --- killed uploads ----------------------------------------------------------------------------------------


def let_the_lease_end(host: Host) -> None:
    host.clock.now += LEASE + MICROSECOND


@pytest.mark.parametrize("moment", ALL_MOMENTS)
def test_a_killed_upload_stays_in_progress_with_nothing_available_until_its_lease_ends(
    host: Host, moment: Kill
) -> None:
    found = host.a_list("OLD")
    entry = kill(host, moment, found.id, "A", "B")
    assert (entry.status, entry.accepted, entry.finished_at) == (UploadStatus.IN_PROGRESS, 0, None)
    assert host.vouchers.lists.get(found.id).uploaded == 1
    assert host.give(found.id, "ann") == ["OLD"]
    with pytest.raises(CodesExhausted):
        host.give(found.id, "ben")
    host.clock.now = START + LEASE
    with host.nothing_changes():
        assert host.vouchers.uploads.recover() == []
        with pytest.raises(UploadRunning):
            host.upload(found.id, "B")


@pytest.mark.parametrize("moment", RESUMED)
def test_recovering_finishes_an_upload_whose_file_was_stored(host: Host, moment: Kill) -> None:
    found = host.a_list("OLD")
    entry = kill(host, moment, found.id, "gutschein", "A", "B B", "OLD", "C", header=True)
    let_the_lease_end(host)
    (settled,) = host.vouchers.uploads.recover()
    assert (settled.id, settled.status) == (entry.id, UploadStatus.COMPLETED)
    assert (settled.accepted, settled.total, settled.header_skipped) == (2, 4, True)
    assert settled.errors == {RowFaultKind.INVALID_CHARACTER: 1, RowFaultKind.DUPLICATE_IN_LIST: 1}
    assert [fault.line for fault in host.vouchers.uploads.errors(entry.id)] == [3, 4]
    assert (settled.started_at, settled.finished_at) == (START, host.clock.now)
    assert host.left(found.id) == ["OLD", "A", "C"]
    with host.nothing_changes():
        assert host.vouchers.uploads.recover() == []
        assert UploadEntries(host.vouchers._wiring).settle(entry.id) is None
        assert UploadEntries(host.vouchers._wiring).settle("999") is None


def test_recovering_refuses_an_upload_whose_file_was_not_stored(host: Host) -> None:
    found = host.a_list("OLD")
    entry = kill(host, before_the_file_was_stored, found.id, "A")
    let_the_lease_end(host)
    (settled,) = host.vouchers.uploads.recover()
    assert (settled.id, settled.status) == (entry.id, UploadStatus.FAILED)
    assert settled.failure == FileFault(
        FileFaultKind.INTERRUPTED,
        "the process was killed before the file was read whole; upload the file again",
    )
    assert host.left(found.id) == ["OLD"]
    with pytest.raises(OriginalNotKept):
        host.vouchers.uploads.original_file(entry.id)
    assert host.upload(found.id, "A").accepted == 1


def test_recovering_settles_all_lists_and_leaves_the_running_ones_alone(host: Host) -> None:
    first, second, third = (host.a_list() for _ in range(3))
    for found in (first, second):
        kill(host, before_the_codes_were_published, found.id, "A")
    let_the_lease_end(host)
    with host.a_running_upload(third.id, "A"):
        settled = host.vouchers.uploads.recover()
        assert [upload.list_id for upload in settled] == [first.id, second.id]
        assert host.left(third.id) == []
    assert [host.left(found.id) for found in (first, second, third)] == [["A"]] * 3


@pytest.mark.parametrize("moment", ALL_MOMENTS)
def test_the_next_upload_settles_what_was_left_behind(host: Host, moment: Kill) -> None:
    found = host.a_list()
    entry = kill(host, moment, found.id, "A", "B")
    let_the_lease_end(host)
    resumed = moment in RESUMED
    if resumed:
        with pytest.raises(FileAlreadyUploaded) as refused:
            host.upload(found.id, "A", "B")
        assert refused.value.upload_id == entry.id
    assert host.upload(found.id, "B", "C").accepted == (1 if resumed else 2)
    assert not host.vouchers.uploads.get(entry.id).is_running
    assert host.left(found.id) == (["A", "B", "C"] if resumed else ["B", "C"])


@pytest.mark.parametrize("moment", ALL_MOMENTS)
@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "archived"])
def test_a_killed_upload_to_a_list_that_is_gone_leaves_nothing(
    host: Host, moment: Kill, deleted: bool
) -> None:
    found = host.a_list(tag="winter")
    entry = kill(host, moment, found.id, "A")
    (host.vouchers.lists.delete if deleted else host.vouchers.lists.archive)(found.id)
    let_the_lease_end(host)
    settled = [(each.id, each.status) for each in host.vouchers.uploads.recover()]
    assert settled == ([] if deleted else [(entry.id, UploadStatus.FAILED)])
    assert host.a_list("A", tag="winter").available == 1


@pytest.mark.every_storage
@pytest.mark.parametrize("moment", ALL_MOMENTS)
def test_the_codes_of_a_killed_upload_are_free_for_other_lists(
    storage: Storage, clock: FixedClock, moment: Kill
) -> None:
    host = Host(storage, clock, duplicates=PerPartner())
    first, second = host.a_list(), host.a_list()
    kill(host, moment, first.id, "A", "B")
    let_the_lease_end(host)
    assert host.vouchers.uploads.explain_duplicate(second.id, "A") is None
    assert host.upload(second.id, "A").accepted == 1
    host.vouchers.uploads.recover()
    assert host.left(first.id) == (["B"] if moment in RESUMED else [])
    assert host.left(second.id) == ["A"]


def test_an_upload_killed_while_it_was_recovered_can_be_recovered_again(host: Host) -> None:
    found = host.a_list()
    kill(host, before_the_codes_were_published, found.id, "A", "B B", "C")
    let_the_lease_end(host)
    with pytest.MonkeyPatch.context() as patch:
        before_the_codes_were_published(patch)
        with pytest.raises(Killed):
            host.vouchers.uploads.recover()
    let_the_lease_end(host)
    (settled,) = host.vouchers.uploads.recover()
    assert (settled.accepted, settled.error_count) == (2, 1)
    assert [fault.line for fault in host.vouchers.uploads.errors(settled.id)] == [2]
    assert host.left(found.id) == ["A", "C"]


def test_one_entry_that_cannot_be_recovered_keeps_no_other_waiting(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lists = [host.a_list().id for _ in range(3)]
    bad, *_ = [kill(host, before_the_codes_were_published, list_id, "A").id for list_id in lists]
    let_the_lease_end(host)
    settle = UploadEntries.settle

    def failing(entries: UploadEntries, upload_id: str) -> Any:
        if upload_id == bad:
            raise StorageError(reason="an index cannot hold this row")
        return settle(entries, upload_id)

    with monkeypatch.context() as patch:
        patch.setattr(UploadEntries, "settle", failing)
        recovered = host.vouchers.uploads.recover()
    assert [upload.list_id for upload in recovered] == lists[1:]
    assert f"upload {bad} is still In Progress" in caplog.text
    (last,) = host.vouchers.uploads.recover()
    assert (last.id, last.status) == (bad, UploadStatus.COMPLETED)


@pytest.mark.every_storage
def test_an_entry_of_an_older_version_with_a_very_long_uploader_is_recovered(host: Host) -> None:
    found = host.a_list()
    entry = kill(host, before_the_codes_were_published, found.id, "A")
    with host.storage.begin() as tx:
        tx.uploads.save(evolve(entry, uploaded_by="é" * 3000))
        tx.commit()
    let_the_lease_end(host)
    (recovered,) = host.vouchers.uploads.recover()
    assert recovered.status is UploadStatus.COMPLETED
    assert host.left(found.id) == ["A"]


class RaisingRules(CodeFormat):
    def trim(self, raw: str) -> str:
        raise LookupError("the host's own table is gone")


def test_an_upload_that_cannot_be_resumed_fails_and_frees_its_list(host: Host) -> None:
    list_id = host.a_list().id
    killed = kill(host, before_the_codes_were_published, list_id, "P 1", "P2")
    let_the_lease_end(host)
    broken = PartnerVouchers(host.storage, clock=host.clock, code_format=RaisingRules(max_length=5))
    (settled,) = broken.uploads.recover()
    assert (settled.id, settled.status) == (killed.id, UploadStatus.FAILED)
    assert settled.failure == FileFault(
        FileFaultKind.INTERRUPTED, "it could not be resumed (LookupError); upload the file again"
    )
    assert host.upload(list_id, "P2").accepted == 1


def test_a_file_that_changes_while_it_is_uploaded_is_taken_as_it_was(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, found = tmp_path / "codes.csv", host.a_list()
    source.write_text("P1\nP2\n")

    def keep_what_changed(*arguments: Any) -> Upload:
        source.write_text("P1\nP2\nP3\n")
        return keep_original(*arguments)

    monkeypatch.setattr(uploads_module, "keep_original", keep_what_changed)
    upload = host.vouchers.uploads.add(found.id, source, uploaded_by="ops@example.com")
    assert (upload.status, host.left(found.id)) == (UploadStatus.COMPLETED, ["P1", "P2"])
    assert host.vouchers.uploads.original_file(upload.id).read() == b"P1\nP2\n"


# --- uploads that fall silent, and are taken over -----------------------------------------------------------


@pytest.mark.every_storage
def test_a_silent_upload_that_was_taken_over_stops_and_changes_nothing(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, *CODES) as (go_on, running):
        let_the_lease_end(host)
        assert host.upload(found.id, "B").status is UploadStatus.COMPLETED
        with host.nothing_changes():
            go_on.set()
            with pytest.raises(UploadInterrupted) as interrupted:
                running.result(PATIENCE)
    assert interrupted.value.code == "upload_interrupted"
    assert host.left(found.id) == [*CODES, "B"]


def test_a_silent_upload_that_no_process_took_over_goes_on(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A") as (go_on, running):
        let_the_lease_end(host)
        go_on.set()
        assert running.result(PATIENCE).status is UploadStatus.COMPLETED
    assert host.left(found.id) == ["A"]


def test_an_upload_that_shows_signs_of_life_is_not_taken_over(host: Host) -> None:
    found = host.a_list()

    def time_passes(_progress: object) -> None:
        host.clock.advance(seconds=6)
        assert host.vouchers.uploads.recover() == []

    codes = [f"PM{number}{' ' * 1000}" for number in range(2500)]
    assert host.upload(found.id, *codes, progress=time_passes).accepted == len(codes)
    assert host.clock.now > START + LEASE


def recover_in_a_thread(host: Host, threads: ThreadPoolExecutor) -> Future[list[Upload]]:
    def recover() -> list[Upload]:
        try:
            return host.vouchers.uploads.recover()
        finally:
            host.hang_up()

    return threads.submit(recover)


@pytest.mark.every_storage
@pytest.mark.parametrize(
    "stops_in", [(UploadEntries, "original"), (ImportRun, "_read")], ids=lambda each: each[1]
)
def test_a_process_that_recovers_too_slowly_spoils_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, stops_in: tuple[type, str]
) -> None:
    found = host.a_list()
    kill(host, before_the_codes_were_published, found.id, *CODES)
    let_the_lease_end(host)
    slow, claimed = Stop(monkeypatch, *stops_in), Stop(monkeypatch, ImportRun, "_failure")
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


def break_down(*_args: object, **_kwargs: object) -> Any:
    raise StorageUnavailable(reason="the server is away")


def lose_the_list(run: ImportRun, *_args: object) -> Any:
    raise UploadInterrupted(upload_id=run.upload.id)


@pytest.mark.parametrize(
    "failing,error",
    [
        ({"run": break_down, "fail": break_down}, StorageUnavailable),
        # Once it has claimed its codes.
        ({"_failure": lose_the_list}, UploadInterrupted),
    ],
    ids=["could not even be marked as failed", "lost its list"],
)
@pytest.mark.every_storage
def test_after_an_upload_that_broke_off_a_recovery_need_not_wait(
    host: Host, monkeypatch: pytest.MonkeyPatch, failing: dict[str, Any], error: type[Exception]
) -> None:
    found = host.a_list()
    with monkeypatch.context() as patch:
        for name, replacement in failing.items():
            patch.setattr(ImportRun, name, replacement)
        with pytest.raises(error):
            host.upload(found.id, *CODES)
        if error is StorageUnavailable:
            with pytest.raises(error):
                host.vouchers.uploads.recover()
    monkeypatch.setattr("partner_vouchers.usecases.upload_lease._POLL_SECONDS", "nothing may wait")
    (settled,) = host.vouchers.uploads.recover()
    assert (settled.status, settled.accepted) == (UploadStatus.COMPLETED, len(CODES))
