"""Kill processes with SIGKILL while they work, and compare what they were told with what is there."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from partner_vouchers import Upload, UploadStatus
from partner_vouchers.domain.events import UploadCompleted
from tests.concurrency.state import checked, codes_like, new_list
from tests.concurrency.teams import PATIENCE
from tests.reliability.lives import CAMPAIGN, Answer, Place, live, opened, read_log, rows_of, users_of
from tests.reliability.received import WitnessSink, require_delivered
from tests.support.processes import PROCESSES

_LONGEST_LIFE = {"assign": 0.08, "upload": 0.25, "deliver": 0.12}
"""In seconds. Each process is killed at a random moment before, its start included."""

_STAFF = (
    ("ann", "assign"),
    ("bob", "assign"),
    ("una", "upload"),
    ("uwe", "upload"),
    ("dora", "deliver"),
    ("dirk", "deliver"),
)


def run_kills(
    address: str,
    directory: Path,
    chance: random.Random,
    times: int,
    *,
    check_every: int,
    of_workers: str | None = None,
) -> Town:
    """Kill so many times, look at everything now and then, and let all come to their end.

    Args:
        address: the storage, which is empty.
        directory: where the workers keep their logs.
        chance: who lives how long.
        times: how many kills.
        check_every: after how many of them everything is looked at.
        of_workers: the address of the storage as the workers open it, where it is another.
    """
    town = Town(address, of_workers or address, directory, codes=1_000 + 20 * times)
    while town.kills.total() < times:
        town.kill(min(check_every, times - town.kills.total()), chance)
        town.check()
    town.finish()
    return town


@dataclass
class Worker:
    """Somebody who lives many lives.

    Attributes:
        work: what they do.
        place: where.
        told: all that they were told.
        asked: the number of the request that was in flight at the last kill, if one was.
    """

    work: str
    place: Place
    told: dict[int, Answer] = field(default_factory=dict)
    asked: int | None = None
    ends_at: float = 0.0
    process: BaseProcess | None = None

    def start(self, life: float) -> None:
        """Begin a life, that goes on from where the last one was ended."""
        first = max(self.told, default=-1) + 1
        self.process = PROCESSES.Process(target=live, args=(self.work, self.place, first, None), daemon=True)
        self.process.start()
        self.ends_at = time.monotonic() + life

    def kill(self) -> None:
        """End the life, and read what is left of it."""
        assert self.process is not None
        self.process.kill()
        self.process.join(PATIENCE)
        assert self.process.exitcode == -signal.SIGKILL, f"{self.work} ended by itself"
        self.process.close()
        self.process = None
        told, self.asked = read_log(self.place.log)
        assert self.told.items() <= told.items()
        self.told = told

    def finish(self) -> None:
        """Let a last process repeat the request in flight."""
        if self.asked is None:
            return
        process = PROCESSES.Process(target=live, args=(self.work, self.place, self.asked, self.asked))
        process.start()
        process.join(PATIENCE)
        assert process.exitcode == 0
        process.close()
        self.told, self.asked = read_log(self.place.log)
        assert self.asked is None


class Town:
    """A storage, those who work with it, and all that must be so."""

    def __init__(self, address: str, of_workers: str, directory: Path, *, codes: int) -> None:
        self.storage, self.vouchers = opened(address)
        self.codes = codes_like("PM", codes)
        self.source = new_list(self.vouchers, "source", self.codes)
        self.vouchers.campaigns.link(self.source, CAMPAIGN)
        self.workers: list[Worker] = []
        self.kills: Counter[str] = Counter()
        self.in_flight: Counter[str] = Counter()
        self.came_again = 0
        for name, work in _STAFF:
            list_id = new_list(self.vouchers, name, []) if work == "upload" else self.source
            self.workers.append(Worker(work, Place(of_workers, name, list_id, directory / f"{name}.log")))

    def kill(self, times: int, chance: random.Random) -> None:
        """Let all work, and kill them so many times, one at a time while the others go on."""
        for worker in self.workers:
            worker.start(_life(worker, chance))
        try:
            for _ in range(times):
                worker = min(self.workers, key=lambda each: each.ends_at)
                time.sleep(max(0.0, worker.ends_at - time.monotonic()))
                self._kill(worker)
                worker.start(_life(worker, chance))
        finally:
            for worker in self.workers:
                if worker.process is not None:
                    self._kill(worker)

    def _kill(self, worker: Worker) -> None:
        worker.kill()
        self.kills[worker.work] += 1
        self.in_flight[worker.work] += worker.asked is not None

    def check(self) -> None:
        """Check that what was told is there, and besides nothing but what was in flight."""
        self.vouchers.uploads.recover()
        given = self._given()
        for worker in self.workers:
            if worker.work == "assign":
                mine = {
                    user: code for user, code in given.items() if user.startswith(f"{worker.place.name}-")
                }
                told = {user: code for answer in worker.told.values() for user, code in answer}
                assert told.items() <= mine.items(), "what a caller was told does not stand"
                in_flight = set[str]()
                if worker.asked is not None:
                    in_flight = set(users_of(worker.place.name, worker.asked))
                assert mine.keys() - told.keys() in (set(), in_flight), (
                    "more than what was in flight, or half of it"
                )
            elif worker.work == "upload":
                self._check_uploads(worker)
        self._check_deliveries(whole=False)

    def finish(self) -> None:
        """Repeat what was in flight; then all is there that was told, and nothing besides."""
        for worker in self.workers:
            worker.finish()
        self.check()
        told = {
            user: code
            for worker in self.workers
            if worker.work == "assign"
            for answer in worker.told.values()
            for user, code in answer
        }
        assert self._given() == told
        assert len(set(told.values())) == len(told)
        self.vouchers.events.deliver(WitnessSink(self._received))
        self._check_deliveries(whole=True)

    @property
    def told(self) -> Counter[str]:
        """How many requests were answered, by kind of work."""
        counted = Counter[str]()
        for worker in self.workers:
            counted[worker.work] += len(worker.told)
        return counted

    def _given(self) -> dict[str, str]:
        state = checked(self.vouchers, self.storage, self.source)
        assert state.codes == self.codes, "a code was lost, doubled, or given out of turn"
        given = {assignment.user_id: assignment.code for assignment in state.given}
        assert len(given) == len(state.given), "a user has two codes"
        return given

    def _check_uploads(self, worker: Worker) -> None:
        place = worker.place
        state = checked(self.vouchers, self.storage, place.list_id)
        log = {upload.id: upload for upload in self._log(place.list_id)}
        assert not any(upload.is_running for upload in log.values())
        completed = {
            int(upload.filename.removesuffix(".csv")): upload
            for upload in log.values()
            if upload.status is UploadStatus.COMPLETED
        }
        for number, ((upload_id, accepted),) in worker.told.items():
            assert (completed[number].id, completed[number].accepted) == (upload_id, int(accepted))
        assert completed.keys() - worker.told.keys() <= {worker.asked}
        expected = {number: rows_of(place.name, number) for number in completed}
        assert all(completed[number].accepted == new for number, (_, new) in expected.items())
        prefix = f"{place.name}-"
        codes = {
            code
            for number, (rows, _) in expected.items()
            for code in rows
            if code.startswith(f"{prefix}{number}-")
        }
        assert set(state.codes) == codes, "a code was lost, or is there that nobody uploaded"
        assert len(state.codes) == len(codes), "a code is there twice"
        changes = self._changes(place.list_id)
        assert changes == len(completed), "not one event for each upload"

    def _check_deliveries(self, *, whole: bool) -> None:
        with self.storage.begin(write=False) as tx:
            outbox = tx.outbox.read(0, 1_000_000)
        self.came_again = require_delivered(self._received, outbox, whole=whole)

    @property
    def _received(self) -> Path:
        return self.workers[0].place.received

    def _log(self, list_id: str) -> list[Upload]:
        found: list[Upload] = []
        after: str | None = None
        while True:
            page = self.vouchers.uploads.of_list(list_id, after=after, limit=1000)
            found += page.items
            after = page.next
            if after is None:
                return found

    def _changes(self, list_id: str) -> int:
        with self.storage.begin(write=False) as tx:
            entries = tx.audit.entries(list_id, None, 0, 1_000_000)
        return sum(isinstance(entry.event, UploadCompleted) for entry in entries)


def _life(worker: Worker, chance: random.Random) -> float:
    return chance.uniform(0.0, _LONGEST_LIFE[worker.work])
