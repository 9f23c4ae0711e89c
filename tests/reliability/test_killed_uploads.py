"""Processes that are killed in the middle of an upload, or of its recovery: no code is lost or doubled.

All uploads of a test go to lists of one scope, so that each has to deal with what the killed ones left behind.
The expectation is a plain walk through the rows of each file.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from partner_vouchers import FileFaultKind, PartnerVouchers, PerPartner, Upload, UploadStatus
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.domain.events import UploadCompleted
from partner_vouchers.errors import CodesExhausted, OriginalNotKept
from tests.concurrency.state import checked, codes_like, csv_file, new_list
from tests.concurrency.teams import PATIENCE
from tests.reliability.victims import Victim
from tests.support.places import Place, SharedStorage, opened

# More than any storage handles at once.
ROWS = 6000
STEPS = {
    "reading",
    "claiming",
    "claimed",
    "saving refused rows",
    "before publishing",
    "published, not committed",
    "after publishing",
}


@dataclass
class Shop:
    """A storage, and what must be in it; with a directory for the files."""

    directory: Path
    place: Place
    seed: int
    storage: SharedStorage = field(init=False)
    vouchers: PartnerVouchers = field(init=False)
    expected: dict[str, list[str]] = field(default_factory=dict)
    kills: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    stops: list[str] = field(default_factory=list)
    _orphans: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.storage = opened(self.place, synchronous="FULL")
        self.vouchers = PartnerVouchers(self.storage, duplicates=PerPartner())

    def a_file(self) -> tuple[list[str], Path]:
        """Return rows of which some must be accepted and some refused, and a file of them."""
        number = len(self.expected)
        # So long that the file is stored in several pieces.
        rows = codes_like(f"NEW{number}-{'X' * 90}", ROWS)
        standing = [code for codes in self.expected.values() for code in codes]
        rows += self.chance.sample(standing, min(300, len(standing)))
        # Codes of uploads that were rolled back: they belong to nobody.
        rows += self.chance.sample(self._orphans, min(300, len(self._orphans)))
        rows += self.chance.sample(rows, 200)
        rows += ["NOT A CODE"] * 50
        self.chance.shuffle(rows)
        file = self.directory / f"codes-{number}.csv"
        file.write_bytes(csv_file(rows))
        return rows, file

    def acceptable(self, rows: Sequence[str]) -> list[str]:
        """Return the codes of a file that must be accepted."""
        standing = {code for codes in self.expected.values() for code in codes}
        return [row for row in dict.fromkeys(rows) if row not in standing and " " not in row]

    def upload_and_kill(self, stop: str) -> None:
        """Let a process upload, kill it at a step, and settle what is left."""
        list_id = new_list(self.vouchers, f"tag-{len(self.expected)}", [])
        rows, file = self.a_file()
        codes = self.acceptable(rows)
        with Victim(self.place, stop, list_id, file) as victim:
            victim.until("stop")
            # It waits there, and others see all or nothing of it.
            self.require_all_or_nothing(list_id, codes)
            self.kills += victim.kill()
        self.expected[list_id] = []
        self.require_all_or_nothing(list_id, codes)
        if self.vouchers.lists.get(list_id).uploaded == 0:
            with pytest.raises(CodesExhausted):
                self.vouchers.codes.assign(list_id=list_id, user_id="user-42")
        self.settle(list_id, codes, file)
        self.go_on(list_id, rows)

    def require_all_or_nothing(self, list_id: str, codes: list[str]) -> None:
        """Check that the upload is Completed and all its codes available, or that none is."""
        log = self.vouchers.uploads.find(list_id=list_id).items
        uploaded = self.vouchers.lists.get(list_id).uploaded
        with self.vouchers.codes.export(list_id, remaining=True) as left:
            available = left.read().decode().split()[1:]
        if log and log[0].status is UploadStatus.COMPLETED:
            assert (available, uploaded) == (codes, len(codes))
        else:
            assert [upload.status for upload in log] in ([], [UploadStatus.IN_PROGRESS])
            assert (available, uploaded) == ([], 0)

    def settle(self, list_id: str, codes: list[str], file: Path) -> None:
        """Settle a killed upload in one of the ways that there are, and check what it comes to."""
        log = self.vouchers.uploads.find(list_id=list_id).items
        (before,) = log
        match self.chance.choice(["recover", "recover", "killed recovery", "another upload"]):
            case "another upload" if before.is_running:
                self.vouchers.uploads.add(
                    list_id, b"BEHIND IT\n", filename="behind.csv", uploaded_by="somebody else"
                )
            case "killed recovery" if before.is_running:
                self.recover_and_kill()
                self.recover([before.id])
            case _:
                self.recover([before.id] if before.is_running else [])
        after = self.vouchers.uploads.get(before.id)
        if before.sha256 is None:
            self.outcomes["rolled back"] += 1
            assert after.status is UploadStatus.FAILED
            assert after.failure is not None
            assert after.failure.kind is FileFaultKind.INTERRUPTED
            with pytest.raises(OriginalNotKept):
                self.vouchers.uploads.original_file(after.id)
            self._orphans += codes
        else:
            self.outcomes["finished" if before.is_running else "was completed"] += 1
            assert (after.status, after.accepted) == (UploadStatus.COMPLETED, len(codes))
            assert self.vouchers.uploads.original_file(after.id).read() == file.read_bytes()
            self.expected[list_id] = codes
        self.require_expected(list_id)

    def recover(self, upload_ids: list[str]) -> list[Upload]:
        """Settle these uploads at once: nobody waits until the leases of a dead process end."""
        running = [each for each in upload_ids if self.vouchers.uploads.get(each).is_running]
        settled = self.vouchers.uploads.recover()
        assert [upload.id for upload in settled] == running
        assert self.vouchers.uploads.recover() == []
        return settled

    def recover_and_kill(self) -> None:
        """Kill a process that settles an upload."""
        with Victim(self.place, self.chance.choice(self.stops)) as victim:
            victim.until("stop", "done")
            self.kills += victim.kill()

    def go_on(self, list_id: str, rows: list[str]) -> None:
        """Upload another file, and the same one again: each brings what is not there yet."""
        for name, file in (
            ("other.csv", [f"OTHER-{list_id}", *rows[:100]]),
            ("again.csv", [*rows, f"AGAIN-{list_id}"]),
        ):
            codes = self.acceptable(file)
            done = self.vouchers.uploads.add(list_id, csv_file(file), filename=name, uploaded_by="ops")
            assert (done.status, done.accepted) == (UploadStatus.COMPLETED, len(codes))
            self.expected[list_id] = self.expected[list_id] + codes
        for number, code in enumerate(self.expected[list_id][:3]):
            assert self.vouchers.codes.assign(list_id=list_id, user_id=f"user-{number}").code == code
        self.require_expected(list_id)

    def require_expected(self, list_id: str) -> None:
        assert checked(self.vouchers, self.storage, list_id).codes == self.expected[list_id]

    def require_all_expected(self) -> None:
        """Check the whole storage."""
        for list_id in self.expected:
            self.require_expected(list_id)
            log = self.vouchers.uploads.find(list_id=list_id).items
            completed = [upload for upload in log if upload.status is UploadStatus.COMPLETED]
            changes = self.vouchers.audit.entries(list_id=list_id, limit=1000).items
            assert sum(isinstance(entry.event, UploadCompleted) for entry in changes) == len(completed)
            assert sum(upload.accepted for upload in completed) == len(self.expected[list_id])
        standing = [code for codes in self.expected.values() for code in codes]
        assert len(standing) == len(set(standing))
        # Nothing of what was killed takes up space.
        assert codes_kept(self.storage, self.place) == len(standing)

    def learn_the_steps(self) -> Counter[str]:
        """Return the steps of an upload that nobody kills, and how often each is taken."""
        list_id = new_list(self.vouchers, f"tag-{len(self.expected)}", [])
        rows, file = self.a_file()
        codes = self.acceptable(rows)
        with Victim(self.place, "-", list_id, file) as victim:
            heard = victim.until("done")
        assert heard[-1] == ["done", "Completed", str(len(codes))]
        self.expected[list_id] = codes
        self.require_expected(list_id)
        steps = Counter(" ".join(words[1:]) for words in heard if words[0] == "step")
        assert steps.keys() >= STEPS
        self.stops = [
            f"{number + 1} {step}" for step, times in sorted(steps.items()) for number in range(times)
        ]
        return steps


def codes_kept(storage: SharedStorage, place: Place) -> int:
    """Return how many codes take up space; of a file, check that it is sound."""
    if isinstance(storage, PostgresStorage):
        with storage.begin(write=False) as tx:
            count = "(SELECT count(*) FROM pv_codes) + (SELECT count(*) FROM pv_assignments)"
            (row,) = tx.session.execute(f"SELECT {count}").fetchall()
    else:
        with closing(sqlite3.connect(place)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            row = connection.execute("SELECT count(*) FROM pv_codes").fetchone()
    return int(row[0])


# Kills at any moment are those of `kills.py`. Here each kind of step is met for certain.
@pytest.mark.deep
def test_an_upload_that_is_killed_is_there_whole_or_not_at_all(tmp_path: Path, place: Place) -> None:
    shop = Shop(tmp_path, place, 7)
    steps = shop.learn_the_steps()
    for step, times in sorted(steps.items()):
        shop.upload_and_kill(f"{shop.chance.randint(1, times)} {step}")
    shop.require_all_expected()
    shop.storage.close()
    assert shop.kills >= len(steps)
    assert {"rolled back", "finished"} <= shop.outcomes.keys()


def test_an_upload_goes_on_as_soon_as_the_one_it_waits_for_is_killed(tmp_path: Path, place: Place) -> None:
    shop = Shop(tmp_path, place, 1)
    waiting = new_list(shop.vouchers, "waiting", [])
    killed = new_list(shop.vouchers, "killed", [])
    rows, file = shop.a_file()
    codes = shop.acceptable(rows)
    # By this clock the leases of the killed process never end.
    storage = opened(place, synchronous="FULL")
    patient = PartnerVouchers(
        storage, duplicates=PerPartner(), clock=lambda: datetime(2020, 1, 1, tzinfo=UTC)
    )
    reading = threading.Event()

    def upload() -> Upload:
        try:
            return patient.uploads.add(
                waiting, file, uploaded_by="ops", progress=lambda _: reading.set(), force=True
            )
        finally:
            storage.close()

    with Victim(place, "1 claimed", killed, file) as victim, ThreadPoolExecutor(1) as pool:
        victim.until("stop")
        later = pool.submit(upload)
        assert reading.wait(PATIENCE)
        assert patient.uploads.recover() == []
        assert victim.kill()
        done = later.result(PATIENCE)
    # What the killed one had claimed is taken over, and so refused when it is finished after all.
    assert (done.status, done.accepted) == (UploadStatus.COMPLETED, len(codes))
    (settled,) = shop.vouchers.uploads.recover()
    assert settled.failure is not None
    assert settled.failure.kind is FileFaultKind.NO_VALID_CODE
    shop.expected |= {waiting: codes, killed: []}
    shop.go_on(killed, rows)
    shop.require_all_expected()
    shop.storage.close()
