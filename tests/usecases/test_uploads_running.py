"""What happens while an upload runs, and after one was killed."""

from __future__ import annotations

from collections.abc import Callable
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
    InvalidInput,
    OriginalNotKept,
    SourceUnreadable,
    StorageError,
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
from tests.support.host import MICROSECOND, PATIENCE, START, FixedClock, Host, some_codes

pytestmark = pytest.mark.every_storage

# --- one upload at a time ------------------------------------------------------------------------------


def test_a_second_upload_to_the_same_list_is_refused(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A", "B") as (go_on, running):
        (entry,) = host.vouchers.uploads.find(list_id=found.id)
        assert (entry.status, entry.finished_at) == (UploadStatus.IN_PROGRESS, None)
        with host.nothing_changes(), pytest.raises(UploadRunning) as refused:
            host.upload(found.id, "C")
        assert (refused.value.code, refused.value.list_id) == ("upload_running", found.id)
        assert refused.value.upload_id == entry.id
        go_on.set()
        assert running.result(PATIENCE).status is UploadStatus.COMPLETED
    assert host.upload(found.id, "C").status is UploadStatus.COMPLETED
    assert host.left(found.id) == ["A", "B", "C"]


def test_the_same_file_cannot_run_twice(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A"), pytest.raises(UploadRunning):
        host.upload(found.id, "A")


def test_another_list_is_uploaded_to_meanwhile(host: Host) -> None:
    first, second = host.a_list(), host.a_list()
    with host.a_running_upload(first.id, "A"):
        assert host.upload(second.id, "A", "B").accepted == 2
        assert host.vouchers.uploads.recover() == []
    assert host.left(first.id) == ["A"]


def test_who_publishes_codes_waits_for_the_one_who_does_in_the_same_scope(host: Host) -> None:
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


def test_a_file_can_be_validated_while_an_upload_runs(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A"), host.nothing_changes():
        checked = host.vouchers.uploads.validate(found.id, b"A\nB\n", filename="codes.csv")
    assert checked.acceptable == 2


# --- available all at once -------------------------------------------------------------------------------


def test_codes_become_available_when_the_upload_completes_and_not_before(host: Host) -> None:
    found = host.a_list("OLD1", "OLD2", campaign="CMP")
    with host.a_running_upload(found.id, "NEW1", "NEW2") as (go_on, running):
        assert host.vouchers.codes.assign(campaign_id="CMP", user_id="ann").code == "OLD1"
        assert host.left(found.id) == ["OLD2"]
        assert host.vouchers.lists.get(found.id).uploaded == 2
        assert host.vouchers.uploads.explain_duplicate(found.id, "NEW1") is None
        assert host.give(found.id, "ben") == ["OLD2"]
        with pytest.raises(CodesExhausted):
            host.give(found.id, "cleo")
        go_on.set()
        assert running.result(PATIENCE).accepted == 2
    assert host.vouchers.lists.get(found.id).available == 2
    assert host.give(found.id, "cleo", "dora") == ["NEW1", "NEW2"]


def test_a_running_upload_cannot_be_withdrawn(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A"):
        (entry,) = host.vouchers.uploads.find(list_id=found.id)
        with host.nothing_changes(), pytest.raises(UploadRunning) as refused:
            host.vouchers.uploads.withdraw(entry.id)
        assert refused.value.upload_id == entry.id


def test_the_original_file_is_there_as_soon_as_it_was_read(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A"):
        (entry,) = host.vouchers.uploads.find(list_id=found.id)
        assert host.vouchers.uploads.original_file(entry.id).read() == b"A\n"


# --- what happens to the list meanwhile ------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.PAUSED, Status.EXPIRED])
def test_a_list_that_is_paused_or_expires_meanwhile_still_gets_its_codes(host: Host, status: Status) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A") as (go_on, running):
        host.bring(found.id, status)
        go_on.set()
        if status is Status.EXPIRED:
            # The clock went on by months, but nobody took the upload for dead.
            assert running.result(PATIENCE).status is UploadStatus.COMPLETED
    assert host.vouchers.lists.get(found.id).available == 1


def test_a_list_that_is_archived_meanwhile_gets_nothing(host: Host) -> None:
    found = host.a_list(tag="winter")
    with host.a_running_upload(found.id, "A", "B B") as (go_on, running):
        host.vouchers.lists.archive(found.id)
        go_on.set()
        upload = running.result(PATIENCE)
    assert upload.status is UploadStatus.FAILED
    assert upload.failure is not None
    assert upload.failure.kind is FileFaultKind.INTERRUPTED
    assert "archived" in upload.failure.message
    assert (upload.accepted, host.left(found.id)) == (0, [])
    assert host.vouchers.uploads.get(upload.id) == upload
    assert host.a_list("A", tag="winter").available == 1


def test_a_list_that_is_deleted_meanwhile_takes_the_upload_with_it(host: Host) -> None:
    found = host.a_list(tag="winter")
    with host.a_running_upload(found.id, "A", "B") as (go_on, running):
        (entry,) = host.vouchers.uploads.find(list_id=found.id)
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
    assert host.a_list("A", "B", tag="winter").available == 2


# --- killed uploads ----------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for the end of the process: nothing of the library runs after it."""


def _die(*_arguments: object, **_more: object) -> Any:
    raise Killed


Kill = Callable[[pytest.MonkeyPatch], None]


def before_the_file_was_stored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(uploads_module, "keep_original", _die)
    patch.setattr(ImportRun, "fail", _die)


def before_the_file_was_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ImportRun, "run", _die)
    patch.setattr(ImportRun, "fail", _die)


def before_the_codes_were_published(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ImportRun, "_end", _die)


RESUMED = [before_the_file_was_checked, before_the_codes_were_published]
ALL_MOMENTS = [before_the_file_was_stored, *RESUMED]


def kill_an_upload(host: Host, moment: Kill, list_id: str, *codes: str, **options: Any) -> Upload:
    """Upload these codes and die on the way; return the entry that is left."""
    with pytest.MonkeyPatch.context() as patch:
        moment(patch)
        with pytest.raises(Killed):
            host.upload(list_id, *codes, **options)
    (entry,) = [entry for entry in host.vouchers.uploads.find(list_id=list_id) if entry.is_running]
    return entry


def let_the_lease_end(host: Host) -> None:
    host.clock.advance(seconds=LEASE.total_seconds())
    host.clock.now += MICROSECOND


@pytest.mark.parametrize("moment", ALL_MOMENTS)
def test_a_killed_upload_stays_in_progress_with_nothing_available(host: Host, moment: Kill) -> None:
    found = host.a_list("OLD", campaign="CMP")
    entry = kill_an_upload(host, moment, found.id, "A", "B")
    assert (entry.status, entry.accepted, entry.finished_at) == (UploadStatus.IN_PROGRESS, 0, None)
    assert host.left(found.id) == ["OLD"]
    assert host.vouchers.lists.get(found.id).uploaded == 1
    assert host.give(found.id, "ann") == ["OLD"]
    with pytest.raises(CodesExhausted):
        host.vouchers.codes.assign(campaign_id="CMP", user_id="ben")


@pytest.mark.parametrize("moment", ALL_MOMENTS)
def test_it_is_left_alone_until_its_lease_has_ended(host: Host, moment: Kill) -> None:
    found = host.a_list()
    kill_an_upload(host, moment, found.id, "A")
    host.clock.now = START + LEASE
    with host.nothing_changes():
        assert host.vouchers.uploads.recover() == []
        with pytest.raises(UploadRunning):
            host.upload(found.id, "B")


@pytest.mark.parametrize("moment", RESUMED)
def test_recovering_finishes_an_upload_whose_file_was_stored(host: Host, moment: Kill) -> None:
    found = host.a_list("OLD")
    entry = kill_an_upload(host, moment, found.id, "gutschein", "A", "B B", "OLD", "C", header=True)
    let_the_lease_end(host)
    (settled,) = host.vouchers.uploads.recover()
    assert (settled.id, settled.status) == (entry.id, UploadStatus.COMPLETED)
    assert (settled.accepted, settled.total, settled.header_skipped) == (2, 4, True)
    assert settled.errors == {RowFaultKind.INVALID_CHARACTER: 1, RowFaultKind.DUPLICATE_IN_LIST: 1}
    assert [fault.line for fault in host.vouchers.uploads.errors(entry.id)] == [3, 4]
    assert (settled.started_at, settled.finished_at) == (START, host.clock.now)
    assert host.vouchers.uploads.get(entry.id) == settled
    assert host.left(found.id) == ["OLD", "A", "C"]
    with host.nothing_changes():
        assert host.vouchers.uploads.recover() == []


def test_recovering_refuses_an_upload_whose_file_was_not_stored(host: Host) -> None:
    found = host.a_list("OLD")
    entry = kill_an_upload(host, before_the_file_was_stored, found.id, "A")
    let_the_lease_end(host)
    (settled,) = host.vouchers.uploads.recover()
    assert (settled.id, settled.status) == (entry.id, UploadStatus.FAILED)
    assert settled.failure is not None
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
        kill_an_upload(host, before_the_codes_were_published, found.id, "A")
    let_the_lease_end(host)
    with host.a_running_upload(third.id, "A"):
        settled = host.vouchers.uploads.recover()
        assert [upload.list_id for upload in settled] == [first.id, second.id]
        assert host.left(third.id) == []
    assert [host.left(found.id) for found in (first, second, third)] == [["A"]] * 3


@pytest.mark.parametrize("moment", ALL_MOMENTS)
def test_the_next_upload_settles_what_was_left_behind(host: Host, moment: Kill) -> None:
    found = host.a_list()
    entry = kill_an_upload(host, moment, found.id, "A", "B")
    let_the_lease_end(host)
    upload = host.upload(found.id, "B", "C")
    settled = host.vouchers.uploads.get(entry.id)
    assert not settled.is_running
    if settled.status is UploadStatus.COMPLETED:
        assert upload.errors == {RowFaultKind.DUPLICATE_IN_LIST: 1}
        assert host.left(found.id) == ["A", "B", "C"]
    else:
        assert host.left(found.id) == ["B", "C"]


def test_the_same_file_again_finds_that_it_was_finished_meanwhile(host: Host) -> None:
    found = host.a_list()
    entry = kill_an_upload(host, before_the_codes_were_published, found.id, "A", "B")
    let_the_lease_end(host)
    with pytest.raises(FileAlreadyUploaded) as refused:
        host.upload(found.id, "A", "B")
    assert refused.value.upload_id == entry.id
    assert host.left(found.id) == ["A", "B"]


@pytest.mark.parametrize("moment", ALL_MOMENTS)
def test_a_killed_upload_to_a_list_that_is_archived_fails(host: Host, moment: Kill) -> None:
    found = host.a_list(tag="winter")
    entry = kill_an_upload(host, moment, found.id, "A")
    host.vouchers.lists.archive(found.id)
    let_the_lease_end(host)
    (settled,) = host.vouchers.uploads.recover()
    assert (settled.id, settled.status) == (entry.id, UploadStatus.FAILED)
    assert host.left(found.id) == []
    assert host.a_list("A", tag="winter").available == 1


@pytest.mark.parametrize("moment", ALL_MOMENTS)
def test_a_killed_upload_to_a_list_that_is_deleted_goes_with_it(host: Host, moment: Kill) -> None:
    found = host.a_list(tag="winter")
    kill_an_upload(host, moment, found.id, "A")
    host.vouchers.lists.delete(found.id)
    let_the_lease_end(host)
    assert host.vouchers.uploads.recover() == []
    assert host.a_list("A", tag="winter").available == 1


@pytest.mark.parametrize("moment", ALL_MOMENTS)
def test_the_codes_of_a_killed_upload_are_free_for_other_lists(
    storage: Storage, clock: FixedClock, moment: Kill
) -> None:
    host = Host(storage, clock, duplicates=PerPartner())
    first, second = host.a_list(), host.a_list()
    kill_an_upload(host, moment, first.id, "A", "B")
    let_the_lease_end(host)
    # Nothing of it was ever available, so nobody holds these codes.
    assert host.vouchers.uploads.explain_duplicate(second.id, "A") is None
    assert host.upload(second.id, "A").accepted == 1
    host.vouchers.uploads.recover()
    held = sorted(host.left(first.id) + host.left(second.id))
    assert held == sorted(set(held))
    assert host.left(second.id) == ["A"]


def test_an_upload_killed_while_it_was_recovered_can_be_recovered_again(host: Host) -> None:
    found = host.a_list()
    kill_an_upload(host, before_the_codes_were_published, found.id, "A", "B B", "C")
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
    for list_id in lists:
        kill_an_upload(host, before_the_codes_were_published, list_id, "A")
    let_the_lease_end(host)
    settle = UploadEntries.settle
    bad = next(iter(host.vouchers.uploads.find(list_id=lists[0]))).id

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


def test_an_entry_of_an_older_version_with_a_very_long_uploader_is_recovered(host: Host) -> None:
    found = host.a_list()
    kill_an_upload(host, before_the_codes_were_published, found.id, "A")
    (entry,) = host.vouchers.uploads.find(list_id=found.id)
    with host.storage.begin() as tx:
        tx.uploads.save(evolve(entry, uploaded_by="é" * 3000))
        tx.commit()
    let_the_lease_end(host)
    (recovered,) = host.vouchers.uploads.recover()
    assert recovered.status is UploadStatus.COMPLETED
    assert host.left(found.id) == ["A"]


# --- silent uploads ----------------------------------------------------------------------------------------


def test_a_silent_upload_that_was_taken_over_stops_and_changes_nothing(host: Host) -> None:
    found = host.a_list()
    codes = some_codes(5000)
    with host.a_running_upload(found.id, *codes) as (go_on, running):
        let_the_lease_end(host)
        (settled,) = host.vouchers.uploads.recover()
        assert settled.status is UploadStatus.COMPLETED
        with host.nothing_changes():
            go_on.set()
            with pytest.raises(UploadInterrupted) as interrupted:
                running.result(PATIENCE)
    assert (interrupted.value.code, interrupted.value.upload_id) == ("upload_interrupted", settled.id)
    assert host.left(found.id) == codes


def test_a_silent_upload_is_taken_over_by_the_next_one(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A") as (go_on, running):
        let_the_lease_end(host)
        assert host.upload(found.id, "B").status is UploadStatus.COMPLETED
        with host.nothing_changes():
            go_on.set()
            with pytest.raises(UploadInterrupted):
                running.result(PATIENCE)
    assert host.left(found.id) == ["A", "B"]


def test_a_silent_upload_that_nobody_took_over_goes_on(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A") as (go_on, running):
        let_the_lease_end(host)
        go_on.set()
        assert running.result(PATIENCE).status is UploadStatus.COMPLETED
    assert host.left(found.id) == ["A"]


def test_an_upload_that_shows_signs_of_life_is_not_taken_over(host: Host) -> None:
    found = host.a_list()
    codes = some_codes(200_000)

    def time_passes(_progress: object) -> None:
        host.clock.advance(seconds=6)
        assert host.vouchers.uploads.recover() == []

    assert host.upload(found.id, *codes, progress=time_passes).accepted == len(codes)
    assert host.clock.now > START + LEASE


def test_an_upload_that_ended_meanwhile_is_left_as_it_is(host: Host) -> None:
    entries = UploadEntries(host.vouchers._wiring)
    ended = host.upload(host.a_list().id, "A")
    with host.nothing_changes():
        assert entries.settle(ended.id) is None
        assert entries.settle("999") is None


class _RaisingRules(CodeFormat):
    def trim(self, raw: str) -> str:
        raise LookupError("the host's own table is gone")


def test_an_upload_that_cannot_be_resumed_fails_and_frees_its_list(host: Host) -> None:
    list_id = host.a_list().id
    killed = kill_an_upload(host, before_the_codes_were_published, list_id, "P 1", "P2")
    let_the_lease_end(host)

    broken = PartnerVouchers(host.storage, clock=host.clock, code_format=_RaisingRules(max_length=5))
    (settled,) = broken.uploads.recover()

    assert (settled.id, settled.status) == (killed.id, UploadStatus.FAILED)
    assert settled.failure is not None
    assert settled.failure == FileFault(
        FileFaultKind.INTERRUPTED, "it could not be resumed (LookupError); upload the file again"
    )
    assert host.upload(list_id, "P2").accepted == 1


def test_a_file_that_changes_while_it_is_read_is_not_taken(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "codes.csv"
    source.write_text("P1\nP2\n")

    def keep_what_changed(*arguments: Any) -> Upload:
        with source.open("a") as file:
            file.write("P3\n")
        return keep_original(*arguments)

    monkeypatch.setattr(uploads_module, "keep_original", keep_what_changed)
    list_id = host.a_list().id

    with pytest.raises(SourceUnreadable) as told:
        host.vouchers.uploads.add(list_id, source, uploaded_by="ops@example.com")
    assert (told.value.filename, told.value.reason) == ("codes.csv", "it was changed while it was read")

    (entry,) = host.vouchers.uploads.find(list_id=list_id)
    assert entry.status is UploadStatus.FAILED
    assert host.left(list_id) == []


@pytest.mark.parametrize("header", ["yes", 1, []])
def test_a_header_is_said_to_be_there_or_not(host: Host, header: Any) -> None:
    list_id = host.a_list().id

    with host.nothing_changes(), pytest.raises(InvalidInput) as refused:
        host.upload(list_id, "P1", header=header)
    assert refused.value.field == "header"
