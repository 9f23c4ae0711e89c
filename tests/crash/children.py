"""Programs that are killed: each runs in a process of its own, and tells what it does on its standard output.

    upload <place> <list id> <file> <stop>
    recover <place> <stop>
    assign <place> <campaign> <worker> <first>
    relay <place> <file> <concurrency>
    reconcile <place> <list id> <file> <rows in a transaction>

`upload` and `recover` print a line at each step. At the step that `stop` names, such as `2 claiming` for the second
of that name, they print `stop` and wait to be killed; with `-` they run on, and the test kills them when it likes.
`assign` prints each answer, once it has it. `relay` writes the events that its sink took to a file, a line each, and
ends after SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from partner_vouchers import PartnerVouchers, PerPartner
from partner_vouchers.errors import CodesExhausted
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.usecases import reconciling
from tests.concurrency.watched import WatchedStorage
from tests.support.places import opened


def steps(stop: str) -> Callable[[str], None]:
    """Return what to call at each step."""
    reached: Counter[str] = Counter()

    def reach(step: str) -> None:
        reached[step] += 1
        if f"{reached[step]} {step}" == stop:
            print("stop", step, flush=True)
            wait_to_be_killed()
        print("step", step, flush=True)

    return reach


def wait_to_be_killed() -> NoReturn:
    # Should the test end itself, so does this.
    test = parent_process()
    assert test is not None
    test.join()
    sys.exit(1)


def watched(place: str, stop: str) -> PartnerVouchers:
    return PartnerVouchers(
        WatchedStorage(opened(place, synchronous="FULL"), steps(stop)), duplicates=PerPartner()
    )


def upload(place: str, list_id: str, file: str, stop: str) -> None:
    vouchers = watched(place, stop)
    print("ready", flush=True)
    done = vouchers.uploads.add(list_id, Path(file), uploaded_by="ops")
    print("done", done.status, done.accepted, flush=True)


def recover(place: str, stop: str) -> None:
    vouchers = watched(place, stop)
    print("ready", flush=True)
    print("done", len(vouchers.uploads.recover()), flush=True)


def assign(place: str, campaign_id: str, worker: str, first: str) -> None:
    vouchers = PartnerVouchers(opened(place, synchronous="FULL"), duplicates=PerPartner())
    print("ready", flush=True)
    for number in count(int(first)):
        user_id = f"{worker}-{number}"
        try:
            reward = vouchers.codes.assign(
                campaign_id=campaign_id, user_id=user_id, idempotency_key=f"key-{user_id}"
            )
        except CodesExhausted:
            print("done", flush=True)
            return
        print("given", user_id, reward.code, flush=True)


class FileSink:
    """Appends what it takes to a file that several processes share, each call by one write."""

    name, batch_size = "file", 20

    def __init__(self, file: str, concurrency: str) -> None:
        self.concurrency = int(concurrency)
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._calls = count()

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        call = f"{os.getpid()}.{next(self._calls)}"
        lines = [f"{call} {entry.position} {entry.id} {entry.event.ordering_key}\n" for entry in entries]
        os.write(self._file, "".join(lines).encode())
        print("took", call, flush=True)
        return []


def relay(place: str, file: str, concurrency: str) -> None:
    vouchers = PartnerVouchers(opened(place, synchronous="FULL"), duplicates=PerPartner())
    running = vouchers.events.relay(FileSink(file, concurrency), interval=0.02)
    signal.signal(signal.SIGTERM, lambda *_: running.stop())
    print("ready", flush=True)
    running.run()
    print("done", flush=True)


def reconcile(place: str, list_id: str, file: str, rows: str) -> None:
    for name in ("_SMALLEST", "_FIRST", "_LARGEST"):
        setattr(reconciling, name, int(rows))
    vouchers = PartnerVouchers(opened(place, synchronous="FULL"), duplicates=PerPartner())
    print("ready", flush=True)
    report = vouchers.redemptions.upload(
        Path(file),
        list_id=list_id,
        uploaded_by="ops",
        progress=lambda progress: print("read", progress.rows, flush=True),
    )
    print("done", report.id, flush=True)


PROGRAMS: dict[str, Callable[..., None]] = {
    "upload": upload,
    "recover": recover,
    "assign": assign,
    "relay": relay,
    "reconcile": reconcile,
}


def name_of(pid: int | None) -> str:
    """Return how the connections of such a process are called on a server."""
    return f"victim {pid}"


def run(saying: Connection, program: str, *arguments: str) -> None:
    """Be one of the programs, in a process of its own."""
    os.dup2(saying.fileno(), 1)
    saying.close()
    os.environ["PGAPPNAME"] = name_of(os.getpid())
    PROGRAMS[program](*arguments)
