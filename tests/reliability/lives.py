"""What the processes do that are killed: one kind of work each, again and again, and a log of what they were told.

The log is the witness. A process writes `ask N` before its request number N, and `told N` with the answer afterwards,
synced before it goes on: what the log tells was acknowledged. A request of several calls writes `said` after each of
them. Each request is made up from its number alone, so a process that starts after a kill repeats the request whose
answer is missing, as a backend repeats it. Where the server of the storage died, it writes `met` with the error, and
repeats the request too.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import TypeVar

from partner_vouchers import PartnerVouchers, PerPartner
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.adapters.sqlite.codes import SQLiteAssignments
from partner_vouchers.adapters.sqlite.driver import retry_while_busy
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.errors import (
    CommitOutcomeUnknown,
    FileAlreadyUploaded,
    ReconciliationInterrupted,
    StorageBusy,
    StorageUnavailable,
    UploadInterrupted,
    UploadRunning,
)
from tests.reliability import journeys
from tests.reliability.jobs import slices_of
from tests.reliability.journeys import Say
from tests.reliability.received import WitnessSink
from tests.support.host import a_file
from tests.support.places import SharedStorage

T = TypeVar("T")

SERVER_DIED = (
    StorageUnavailable,
    CommitOutcomeUnknown,
    StorageBusy,
    UploadInterrupted,
    ReconciliationInterrupted,
)
"""What a caller may meet where a server dies. Each says that the call can be repeated."""


def _torn(path: str) -> SQLiteStorage:
    """Return a storage that takes a code in one transaction and gives it in the next: kills must find it out.

    All storages of this process become so.
    """
    honest = SQLiteAssignments.add

    def add(self: SQLiteAssignments, assignments: Sequence[Assignment]) -> None:
        # Other threads share commits: within one there is no other transaction to begin.
        if threading.current_thread() is threading.main_thread():
            self._db.change("COMMIT")
            connection = getattr(self._db, "connection")  # noqa: B009
            assert isinstance(connection, sqlite3.Connection)
            retry_while_busy(connection, "BEGIN IMMEDIATE", 30)
        honest(self, assignments)

    SQLiteAssignments.add = add  # type: ignore[method-assign]
    return SQLiteStorage(path)


BACKENDS: dict[str, Callable[[str], SharedStorage]] = {
    "sqlite": SQLiteStorage,
    "torn": _torn,
    "postgres": PostgresStorage,
}
"""By the first word of an address; the rest of the address is what the function takes."""

CAMPAIGN = "CMP1"
THREADS = 4
"""Of a crowd, whose members make their journeys at the same time. On SQLite they share commits."""

Answer = list[list[str]]
"""Pairs: of an assignment the user and the code, of an upload its id and how many codes were accepted, of a
reconciliation each kind of row and how many there were, of a delivery the worker and how many events were delivered.
"""


@dataclass(frozen=True)
class Place:
    """Where somebody works.

    Attributes:
        address: the storage, such as `sqlite /tmp/vouchers.db`.
        name: of the worker, which is unlike all others.
        list_id: the list that is the worker's own.
        log: the file of its log.
    """

    address: str
    name: str
    list_id: str
    log: Path

    @property
    def received(self) -> Path:
        """The file in which the sink of all workers writes down what it receives."""
        return self.log.with_name("received.log")


def opened(address: str) -> tuple[SharedStorage, PartnerVouchers]:
    """Open a storage in this process."""
    backend, _, rest = address.partition(" ")
    storage = BACKENDS[backend](rest)
    return storage, PartnerVouchers(storage, duplicates=PerPartner())


def users_of(name: str, number: int) -> list[str]:
    """Return who asks in a request for codes: one user, or some at once."""
    chance = random.Random(f"{name} {number}")
    return [f"{name}-{number}-{each}" for each in range(chance.choice((1, 1, 1, 1, 4)))]


def rows_of(name: str, number: int) -> tuple[list[str], int]:
    """Return the rows of a file, and how many of them are codes that nobody has."""
    chance = random.Random(f"{name} {number}")
    new = [f"{name}-{number}-{each:04}" for each in range(chance.choice((20, 100, 400, 1500)))]
    bad = ["not a code"] * chance.randint(0, 3) + [
        f"{name}-0-{each:04}" for each in range(5 if number else 0)
    ]
    rows = new + bad
    chance.shuffle(rows)
    return rows, len(new)


def assign(vouchers: PartnerVouchers, place: Place, number: int, say: Say) -> Answer:
    """Ask for codes; asked again, the same is answered."""
    users, key = users_of(place.name, number), f"{place.name}-{number}"
    if len(users) == 1:
        (user,) = users
        reward = vouchers.codes.assign(campaign_id=CAMPAIGN, user_id=user, idempotency_key=key)
        return [[user, reward.code]]
    outcome = vouchers.codes.assign_many(users, campaign_id=CAMPAIGN, idempotency_key=key)
    return [[reward.user_id, reward.code] for reward in outcome.rewards]


def upload(vouchers: PartnerVouchers, place: Place, number: int, say: Say) -> Answer:
    """Upload a file, unless it turns out to have been uploaded."""
    return _upload(vouchers, place, number, rows_of(place.name, number)[0])


def _upload(vouchers: PartnerVouchers, place: Place, number: int, rows: list[str]) -> Answer:
    while True:
        with slices_of(100):
            vouchers.uploads.recover()
            try:
                done = vouchers.uploads.add(
                    place.list_id, a_file(*rows), filename=f"{number}.csv", uploaded_by="ops"
                )
            except FileAlreadyUploaded as before:
                done = vouchers.uploads.get(before.upload_id)
            except UploadRunning:
                # Another process recovers what the last life of this one left behind.
                time.sleep(0.01)
                continue
        return [[done.id, str(done.accepted)]]


def reconcile(vouchers: PartnerVouchers, place: Place, number: int, say: Say) -> Answer:
    """Upload codes, give most of them out, and reconcile a partner's file about all of them."""
    _upload(vouchers, place, number, journeys.codes_of_file(place.name, number))
    return journeys.reconcile(vouchers, place.list_id, place.name, number)


def user_of(name: str, number: int, member: int) -> str:
    """Return who makes a journey: the member of a crowd, or one alone."""
    return f"{name}-{number}-{member}"


def journey(vouchers: PartnerVouchers, place: Place, number: int, say: Say) -> Answer:
    """Let a user make a journey."""
    user = user_of(place.name, number, 0)
    journeys.journey_of(user)(vouchers, user, partial(say, user))
    return []


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS)


def crowd(vouchers: PartnerVouchers, place: Place, number: int, say: Say) -> Answer:
    """Let several users make their journeys at the same time."""
    users = [user_of(place.name, number, member) for member in range(THREADS)]
    made = [
        _threads().submit(journeys.journey_of(user), vouchers, user, partial(say, user)) for user in users
    ]
    wait(made)
    for each in made:
        each.result()
    return []


def deliver(vouchers: PartnerVouchers, place: Place, number: int, say: Say) -> Answer:
    """Deliver what is due; where nothing is, wait a little."""
    done = vouchers.events.deliver(WitnessSink(place.received)).delivered
    if not done:
        time.sleep(0.005)
    return [[place.name, str(done)]]


def relay(vouchers: PartnerVouchers, place: Place, number: int, say: Say) -> Answer:
    """Let a relay run for a while: it meets no error, whatever happens to the server."""
    running = vouchers.events.relay(WitnessSink(place.received), interval=0.005)
    stop = threading.Timer(0.05, running.stop)
    stop.start()
    running.run()
    return [[place.name, ""]]


WORK: dict[str, Callable[[PartnerVouchers, Place, int, Say], Answer]] = {
    "assign": assign,
    "upload": upload,
    "journey": journey,
    "crowd": crowd,
    "reconcile": reconcile,
    "deliver": deliver,
    "relay": relay,
}


def live(work: str, place: Place, first: int, last: int | None) -> None:
    """Make requests from number `first` to `last`, or until killed."""
    # That the server is gone is told by errors.
    logging.disable()
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(*words: str) -> None:
        os.write(log, f"said {json.dumps(words)}\n".encode())
        os.fsync(log)

    storage, vouchers = _insist(partial(opened, place.address), log)
    for number in count(first):
        if last is not None and number > last:
            break
        os.write(log, f"ask {number}\n".encode())
        answer = _insist(partial(WORK[work], vouchers, place, number, say), log)
        os.write(log, f"told {number} {json.dumps(answer)}\n".encode())
        os.fsync(log)
    storage.close()


def _insist(call: Callable[[], T], log: int) -> T:
    while True:
        try:
            return call()
        except SERVER_DIED as error:
            os.write(log, f"met {error.code}\n".encode())
            time.sleep(0.02)


@dataclass
class Log:
    """What a worker wrote down.

    Attributes:
        told: all that was told, by number.
        said: what single calls were told, by user and step.
        asked: the number of the request that has no answer, if one has none.
        met: the errors, by their codes.
        went_on: how many requests were answered after an error.
    """

    told: dict[int, Answer] = field(default_factory=dict)
    said: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    asked: int | None = None
    met: Counter[str] = field(default_factory=Counter)
    went_on: int = 0


def read_log(path: Path) -> Log:
    """Read what a worker wrote down."""
    log, troubled = Log(), False
    text = path.read_text() if path.exists() else ""
    # What was cut off in the middle of a line was not said.
    for line in text.split("\n")[:-1]:
        word, said, *rest = line.split(" ", 2)
        if word == "said":
            user, step, *facts = json.loads(line.removeprefix("said "))
            assert log.said.setdefault((user, step), facts) == facts, (
                "a repeated call was told something else"
            )
        elif word == "ask":
            log.asked, troubled = int(said), False
        elif word == "met":
            log.met[said] += 1
            troubled = True
        else:
            assert int(said) not in log.told, "told twice"
            log.told[int(said)], log.asked = json.loads(rest[0]), None
            log.went_on += troubled
    return log
