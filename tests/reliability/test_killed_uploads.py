"""A process is killed at each step of an upload: nothing of the upload can be seen, or all of it.

Kills at any moment are those of `kills.py`. Here each step is met for certain.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime

import pytest

from partner_vouchers import FileFaultKind, PartnerVouchers, PerPartner, Upload, UploadStatus
from partner_vouchers.errors import FileAlreadyUploaded
from tests.concurrency import work
from tests.concurrency.state import checked, codes_like, new_list
from tests.concurrency.teams import PATIENCE, Process
from tests.support.host import a_file
from tests.support.places import Place, opened

# More than any storage handles at once, and so long that the file is stored in several pieces.
CODES = codes_like(f"NEW-{'X' * 90}", 6000)
FILE = a_file(*CODES, "not a code", *CODES[:50])
STEPS = {
    "reading",
    "claiming",
    "claimed",
    "saving refused rows",
    "before publishing",
    "published, not committed",
    "after publishing",
}


def require_all_or_nothing(vouchers: PartnerVouchers, list_id: str) -> None:
    log = vouchers.uploads.find(list_id=list_id).items
    with vouchers.codes.export(list_id, remaining=True) as file:
        left = file.read().decode().split()[1:]
    if log and log[0].status is UploadStatus.COMPLETED:
        assert left == CODES
    else:
        assert [upload.status for upload in log] in ([], [UploadStatus.IN_PROGRESS])
        assert left == []


@pytest.mark.deep
def test_an_upload_that_is_killed_is_there_whole_or_not_at_all(place: Place) -> None:
    with closing(opened(place, synchronous="FULL")) as storage:
        vouchers = PartnerVouchers(storage, duplicates=PerPartner())

        def prove(stops: list[str]) -> dict[str, int]:
            list_id = new_list(vouchers, f"before {stops}".replace(" ", "-"), [])
            process = Process(work.upload_with_stops, place, list_id, FILE, stops)
            heard, steps = process.hear(), dict[str, int]()
            if heard in stops:
                require_all_or_nothing(vouchers, list_id)
                process.kill(place)
            else:
                # How many steps there are depends on how long each takes: this time there may be fewer.
                assert not any(stop.startswith("1 ") for stop in stops)
                _, _, steps = heard
                process.end()
            require_all_or_nothing(vouchers, list_id)
            vouchers.uploads.recover()
            with suppress(FileAlreadyUploaded):
                vouchers.uploads.add(list_id, FILE, filename="again.csv", uploaded_by="ops")
            assert checked(vouchers, storage, list_id).codes == CODES
            completed = vouchers.uploads.find(list_id=list_id, status=UploadStatus.COMPLETED).items
            assert [vouchers.uploads.original_file(each.id).read() for each in completed] == [FILE]
            # The next list may have the same codes.
            vouchers.lists.archive(list_id)
            return steps

        steps = prove([])
        assert steps.keys() >= STEPS
        for step, times in sorted(steps.items()):
            for number in {1, times}:
                prove([f"{number} {step}"])


def test_an_upload_goes_on_as_soon_as_the_one_it_waits_for_is_killed(place: Place) -> None:
    with closing(opened(place, synchronous="FULL")) as storage:
        vouchers = PartnerVouchers(storage, duplicates=PerPartner())
        waiting, killed = (new_list(vouchers, tag, []) for tag in ("waiting", "killed"))
        # By this clock the leases of the killed process never end.
        patient = PartnerVouchers(
            storage, duplicates=PerPartner(), clock=lambda: datetime(2020, 1, 1, tzinfo=UTC)
        )
        reading = threading.Event()

        def upload() -> Upload:
            return patient.uploads.add(
                waiting, FILE, filename="codes.csv", uploaded_by="ops", progress=lambda _: reading.set()
            )

        process = Process(work.upload_with_stops, place, killed, FILE, ["claimed"])
        assert process.hear() == "claimed"
        with ThreadPoolExecutor(1) as pool:
            later = pool.submit(upload)
            assert reading.wait(PATIENCE)
            assert patient.uploads.recover() == []
            process.kill(place)
            assert later.result(PATIENCE).accepted == len(CODES)
        # What the killed one had claimed was taken over, and so is refused when it is finished after all.
        (settled,) = vouchers.uploads.recover()
        assert settled.failure is not None
        assert settled.failure.kind is FileFaultKind.NO_VALID_CODE
        assert checked(vouchers, storage, waiting).codes == CODES
        assert checked(vouchers, storage, killed).codes == []
