"""Kill processes with SIGKILL while they work, and compare what they were told with what is there.

Where the storage has a server, that is killed too. The processes outlive it, and go on by themselves.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

from partner_vouchers import PartnerVouchers, PerPartner, Upload, UploadStatus
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.domain.events import UploadCompleted
from partner_vouchers.testing.driver import outbox
from tests.concurrency.state import ListState, checked, codes_like, new_list
from tests.concurrency.teams import PATIENCE
from tests.reliability import journeys
from tests.reliability.lives import (
    CAMPAIGN,
    THREADS,
    Log,
    Place,
    live,
    opened,
    read_log,
    rows_of,
    user_of,
    users_of,
)
from tests.reliability.received import WitnessSink, received, require_delivered
from tests.reliability.strikes import Strikes, address_of_workers
from tests.support.host import a_file
from tests.support.postgres import Server
from tests.support.processes import PROCESSES

_LONGEST_LIFE = {
    "assign": 0.08,
    "upload": 0.25,
    "journey": 0.25,
    "crowd": 0.4,
    "reconcile": 0.6,
    "deliver": 0.12,
    "relay": 0.12,
}
"""In seconds. Each process is killed at a random moment before, its start included."""

_LONG_LIFE, _LONG_LIVES = 3.0, 0.3
"""In seconds, and how many of all: long enough to outlive a server that is killed and started again."""

STAFF = {
    "ann": "assign",
    "bob": "assign",
    "una": "upload",
    "uwe": "upload",
    "jo": "journey",
    "kim": "crowd",
    "lee": "crowd",
    "rex": "reconcile",
    "dora": "deliver",
    "rita": "relay",
}
"""Who works in a town, and what they do."""


def run_kills(
    address: str,
    directory: Path,
    chance: random.Random,
    times: int,
    *,
    check_every: int,
    of_workers: str | None = None,
    strikes: Strikes | None = None,
) -> Town:
    """Kill so many times, and until each kind of work was answered; look at everything now and then.

    In the end, all requests come to their end.

    Args:
        address: the storage, which is empty.
        directory: where the workers keep their logs.
        chance: who lives how long.
        times: how many kills.
        check_every: after how many of them everything is looked at.
        of_workers: the address of the storage as the workers open it, where it is another.
        strikes: against the server of the storage, where it has one: so many as it plans, at the least.
    """
    with closing(Town(address, of_workers or address, directory, strikes)) as town:
        while (
            town.kills.total() < times
            or not all(town.told.values())
            or (strikes is not None and strikes.are_left)
        ):
            round_of = min(check_every, max(times - town.kills.total(), len(town.workers)))
            town.stock_up(1_000 + 20 * round_of if strikes is None else 10_000 + 400 * round_of)
            town.kill(round_of, chance)
            town.check()
        town.finish()
    return town


def run_server_kills(
    server: Server,
    directory: Path,
    chance: random.Random,
    times: int,
    *,
    strikes: int,
    check_every: int,
    **options: str,
) -> Town:
    """Do the same on a server that is killed too.

    Args:
        server: the server, with nothing in it.
        directory: where the workers keep their logs.
        chance: who lives how long, and what is killed of the server.
        times: how many kills of workers.
        strikes: how many strikes against the server.
        check_every: after how many kills of workers everything is looked at.
        options: more options of the workers' connections.
    """
    with closing(PostgresStorage(server.conninfo)) as storage:
        storage.migrate()
    return run_kills(
        f"postgres {server.conninfo}",
        directory,
        chance,
        times,
        check_every=check_every,
        of_workers=address_of_workers(server, **options),
        strikes=Strikes(server, random.Random(chance.random()), strikes),
    )


@dataclass
class Worker:
    """Somebody who lives many lives.

    Attributes:
        work: what they do.
        place: where.
        log: what they wrote down.
    """

    work: str
    place: Place
    log: Log = field(default_factory=Log)
    ends_at: float = 0.0
    process: BaseProcess | None = None

    def start(self, life: float) -> None:
        """Begin a life, that goes on from where the last one was ended."""
        first = max(self.log.told, default=-1) + 1
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
        self._read()

    def wait_for_answer(self) -> None:
        """Wait until they were told something that they were not told before."""
        known = self._count_told()
        deadline = time.monotonic() + PATIENCE
        while self._count_told() == known:
            assert self.process is not None
            assert self.process.is_alive(), f"{self.work} ended by itself"
            assert time.monotonic() < deadline, f"{self.work} does not go on"
            time.sleep(0.01)

    def finish(self) -> None:
        """Let a last process repeat the request in flight."""
        if self.log.asked is None:
            return
        number = self.log.asked
        process = PROCESSES.Process(target=live, args=(self.work, self.place, number, number))
        process.start()
        process.join(PATIENCE)
        assert process.exitcode == 0, f"{self.work} ended by itself"
        process.close()
        self._read()
        assert self.log.asked is None

    def _read(self) -> None:
        found = read_log(self.place.log)
        assert self.log.told.items() <= found.told.items()
        self.log = found

    def _count_told(self) -> int:
        return self.place.log.read_bytes().count(b"told") if self.place.log.exists() else 0


@dataclass
class Stock:
    """A list that is topped up, and all codes that it ever got, in order."""

    list_id: str
    prefix: str
    codes: list[str] = field(default_factory=list)


class Town:
    """A storage, those who work with it, and all that must be so."""

    def __init__(self, address: str, of_workers: str, directory: Path, strikes: Strikes | None) -> None:
        self.storage, self.vouchers = opened(address)
        self.source = Stock(new_list(self.vouchers, "source", []), "PM")
        self.vouchers.campaigns.link(self.source.list_id, CAMPAIGN)
        self.returned = Stock(new_list(self.vouchers, "journeys", []), "JN")
        self.vouchers.campaigns.link(self.returned.list_id, journeys.CAMPAIGN)
        self.vouchers.campaigns.set_limits(journeys.CAMPAIGN, journeys.LIMITS)
        self.workers: list[Worker] = []
        self.kills: Counter[str] = Counter()
        self.in_flight: Counter[str] = Counter()
        self.came_again = 0
        self.outlived = 0
        self.longest_wait = 0.0
        self.strikes = strikes
        for name, work in STAFF.items():
            own = work in ("upload", "reconcile")
            list_id = new_list(self.vouchers, name, []) if own else self.source.list_id
            self.workers.append(Worker(work, Place(of_workers, name, list_id, directory / f"{name}.log")))

    def close(self) -> None:
        """Close the storage."""
        self.storage.close()

    def of_work(self, *works: str) -> list[Worker]:
        """Return those who do some kinds of work."""
        return [worker for worker in self.workers if worker.work in works]

    def stock_up(self, codes: int) -> None:
        """Make sure that so many codes are left."""
        for stock in (self.source, self.returned):
            missing = codes - self.vouchers.lists.get(stock.list_id).available
            if missing > 0:
                known = len(stock.codes)
                stock.codes = codes_like(stock.prefix, known + missing)
                file = a_file(*stock.codes[known:])
                added = self.vouchers.uploads.add(stock.list_id, file, filename="more.csv", uploaded_by="ops")
                assert added.accepted == missing

    def kill(self, times: int, chance: random.Random) -> None:
        """Let all work, and kill them so many times, one at a time while the others go on."""
        for worker in self.workers:
            worker.start(self._life(worker, chance))
        try:
            with nullcontext() if self.strikes is None else self.strikes.going_on():
                for _ in range(times):
                    worker = min(self.workers, key=lambda each: each.ends_at)
                    time.sleep(max(0.0, worker.ends_at - time.monotonic()))
                    self._kill(worker)
                    worker.start(self._life(worker, chance))
            if self.strikes is not None:
                self._outlive(self.strikes)
        finally:
            for worker in self.workers:
                if worker.process is not None:
                    self._kill(worker)
        if self.strikes is not None:
            self.strikes.wait_until_workers_left()

    def _outlive(self, strikes: Strikes) -> None:
        """Let the server die under all of them: each goes on by itself."""
        for worker in self.workers:
            worker.wait_for_answer()
        strikes.strike_server()
        back = time.monotonic()
        for worker in self.workers:
            worker.wait_for_answer()
        self.longest_wait = max(self.longest_wait, time.monotonic() - back)
        self.outlived += len(self.workers)

    def _life(self, worker: Worker, chance: random.Random) -> float:
        if self.strikes is not None and chance.random() < _LONG_LIVES:
            return chance.uniform(0.0, _LONG_LIFE)
        return chance.uniform(0.0, _LONGEST_LIFE[worker.work])

    def _kill(self, worker: Worker) -> None:
        worker.kill()
        self.kills[worker.work] += 1
        self.in_flight[worker.work] += worker.log.asked is not None

    def check(self, *, whole: bool = False) -> None:
        """Check that what was told is there, and besides nothing but what was in flight.

        Args:
            whole: whether all requests were answered and all events delivered.
        """
        self.vouchers.uploads.recover()
        # What runs out while this looks, runs out afterwards.
        now = datetime.now(UTC)  # noqa: TID251
        vouchers = PartnerVouchers(self.storage, duplicates=PerPartner(), clock=lambda: now)
        entries = outbox(self.storage)
        self._check_assigned(checked(vouchers, self.storage, self.source.list_id, entries), whole)
        for worker in self.of_work("upload", "reconcile"):
            state = checked(vouchers, self.storage, worker.place.list_id, entries)
            if worker.work == "upload":
                self._check_uploads(worker, state)
            else:
                self._check_reconciled(worker, state)
        state = checked(vouchers, self.storage, self.returned.list_id, entries)
        assert sorted(state.known_codes) == self.returned.codes, "a code was lost or doubled"
        said = {step: facts for worker in self.workers for step, facts in worker.log.said.items()}
        journeys.require_journeys(self.storage, vouchers, state, said, self._users("asked"), entries)
        may, must = journeys.cancelled_events(state, entries, said)
        if whole:
            self._check_ends(said)
        self.came_again = require_delivered(
            self._received, entries, whole=whole, may_be_cancelled=frozenset(may)
        )
        assert not must & {id for id, _, _ in received(self._received)}, (
            "a user was told a code that returned"
        )

    def finish(self) -> None:
        """Repeat what was in flight; then all is there that was told, and nothing besides."""
        for worker in self.workers:
            worker.finish()
        if self.strikes is not None:
            self.strikes.wait_until_workers_left()
        else:
            assert not self.met, f"an error without a server that died: {self.met}"
        self.vouchers.events.deliver(WitnessSink(self._received))
        self.check(whole=True)

    @property
    def told(self) -> Counter[str]:
        """How many requests were answered, by kind of work."""
        return self._counted(lambda log: len(log.told))

    @property
    def went_on(self) -> Counter[str]:
        """How many requests were answered after an error, by kind of work."""
        return self._counted(lambda log: log.went_on)

    @property
    def met(self) -> Counter[str]:
        """Which errors were answered by asking again."""
        return sum((worker.log.met for worker in self.workers), Counter[str]())

    def _counted(self, count: Callable[[Log], int]) -> Counter[str]:
        counted = Counter[str]()
        for worker in self.workers:
            counted[worker.work] += count(worker.log)
        return counted

    @property
    def ended_journeys(self) -> Counter[str]:
        """How many journeys came to their end, by their names."""
        return Counter(journeys.journey_of(user).__name__ for user in self._users("told"))

    def _check_assigned(self, state: ListState, whole: bool) -> None:
        # On a server, whoever asks passes over the codes that others are about to take.
        codes = sorted(state.codes) if isinstance(self.storage, PostgresStorage) else state.codes
        assert codes == self.source.codes, "a code was lost, doubled, or given out of turn"
        given = {assignment.user_id: assignment.code for assignment in state.given}
        assert len(given) == len(state.given), "a user has two codes"
        all_told = dict[str, str]()
        for worker in self.of_work("assign"):
            name, log = worker.place.name, worker.log
            mine = {user: code for user, code in given.items() if user.startswith(f"{name}-")}
            told = {user: code for answer in log.told.values() for user, code in answer}
            assert told.items() <= mine.items(), "what a caller was told does not stand"
            in_flight = set[str]() if log.asked is None else set(users_of(name, log.asked))
            assert mine.keys() - told.keys() in (set(), in_flight), (
                "more than what was in flight, or half of it"
            )
            all_told |= told
        assert len(set(all_told.values())) == len(all_told)
        assert not whole or given == all_told

    def _check_uploads(self, worker: Worker, state: ListState) -> None:
        place = worker.place
        completed = self._completed(place.list_id)
        for number, ((upload_id, accepted),) in worker.log.told.items():
            done = completed[number]
            assert (done.id, done.accepted) == (upload_id, int(accepted)), "what was told does not stand"
        assert completed.keys() - worker.log.told.keys() <= {worker.log.asked}
        expected = {number: rows_of(place.name, number) for number in completed}
        assert all(completed[number].accepted == new for number, (_, new) in expected.items())
        codes = {
            code
            for number, (rows, _) in expected.items()
            for code in rows
            if code.startswith(f"{place.name}-{number}-")
        }
        assert sorted(state.codes) == sorted(codes), (
            "a code was lost, doubled, or is there that nobody uploaded"
        )

    def _check_reconciled(self, worker: Worker, state: ListState) -> None:
        log, name = worker.log, worker.place.name
        completed = self._completed(worker.place.list_id)
        assert completed.keys() - log.told.keys() <= {log.asked}
        codes = {code for number in completed for code in journeys.codes_of_file(name, number)}
        assert len(state.known_codes) + state.leaked == len(codes)
        assert set(state.known_codes) <= codes, "a code is there that nobody uploaded"
        assert all(times == 1 for times in state.redeemed.values())
        for number, answer in log.told.items():
            journeys.require_reconciled(answer)
            users = [each for each in state.given if each.user_id.startswith(f"{name}-{number}-")]
            assert len(users) == journeys.GIVEN
            assert all(each.redeemed_at is not None for each in users), "a redemption was lost"
        assert state.leaked - journeys.LEAKED * len(log.told) in range(journeys.LEAKED + 1)

    def _check_ends(self, said: journeys.Said) -> None:
        for user in self._users("told"):
            ends = journeys.JOURNEYS[journeys.journey_of(user)]
            assert any((user, step) in said for step in ends), "a journey did not come to its end"

    def _users(self, which: Literal["told", "asked"]) -> set[str]:
        """Return whose journeys came to their end, or are in flight."""
        found = set[str]()
        for worker in self.of_work("journey", "crowd"):
            numbers = worker.log.told if which == "told" else {worker.log.asked} - {None}
            members = range(1 if worker.work == "journey" else THREADS)
            found |= {
                user_of(worker.place.name, n, each) for n in numbers for each in members if n is not None
            }
        return found

    @property
    def _received(self) -> Path:
        return self.workers[0].place.received

    def _completed(self, list_id: str) -> dict[int, Upload]:
        """Return the completed uploads of a list by the numbers of their requests; none may be running."""
        found: dict[int, Upload] = {}
        after: str | None = None
        while True:
            page = self.vouchers.uploads.find(list_id=list_id, after=after, limit=1000)
            assert not any(upload.is_running for upload in page.items)
            done = [upload for upload in page.items if upload.status is UploadStatus.COMPLETED]
            found |= {int(upload.filename.removesuffix(".csv")): upload for upload in done}
            after = page.next
            if after is None:
                break
        with self.storage.begin(write=False) as tx:
            changes = tx.audit.entries(list_id, None, 0, 1_000_000)
        told = sum(isinstance(entry.event, UploadCompleted) for entry in changes)
        assert told == len(found), "not one event for each upload"
        return found
