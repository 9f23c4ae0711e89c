"""Cut the power at any moment: write down what SQLite does to its files, and build what a disk may keep of it.

A write that was not synced may be there, be missing, or be there in some of its sectors; a file that is new, or was
deleted, may be there or not until its directory is synced, which SQLite does with the first sync of a log. What was
synced is there. See "Atomic Commit In SQLite", https://sqlite.org/atomiccommit.html, for what a disk may do.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from partner_vouchers.adapters.sqlite.contexts import WriteContext
from partner_vouchers.adapters.sqlite.storage import Synchronous
from partner_vouchers.ports import OutboxEntry, Rejection
from tests.reliability.jobs import (
    JOBS,
    a_host,
    removed_afterwards,
    require_no_leftovers,
    require_sound,
)
from tests.reliability.vfs import Call, disk
from tests.support.host import Host

SECTOR = 512
DAY = tuple(
    sorted((name for name in JOBS if name != "delete a list"), key=lambda name: not JOBS[name].in_steps)
)
"""What a backend does in a day: uploads first, for the list is archived at the end; and none deletes a list."""

_DATABASE_FILES = ("", "-wal", "-journal")


@dataclass
class _File:
    """A file as a disk keeps it.

    Attributes:
        durable: what is there for certain, or None where the file may be missing.
        pending: what was done since, in order.
        deleted: whether it was deleted, and may come back.
    """

    durable: bytes | None
    pending: list[Call] = field(default_factory=list)
    deleted: bool = False

    def synced(self) -> bytes:
        return _applied(self.durable or b"", self.pending)

    def after_power_loss(self, chance: random.Random) -> bytes | None:
        """Return what may be there when the power comes back; None for no file."""
        if (self.durable is None or self.deleted) and chance.random() < 0.3:
            return None
        # Now all of it, now nothing, now any part of it.
        share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        survived = list[Call]()
        for call in self.pending:
            if call.kind != "write":
                survived += [call] if chance.random() < share else []
                continue
            for start in range(0, len(call.data), SECTOR):
                if chance.random() < share:
                    sector = call.data[start : start + SECTOR]
                    survived.append(Call("write", call.file, call.offset + start, sector))
        return _applied(self.durable or b"", survived)


@dataclass
class Cut:
    """A moment at which the power may go: what the files are, and how many commits had returned by then."""

    files: dict[str, _File]
    commits: int

    def restored(self, path: Path, chance: random.Random) -> None:
        """Write the files of a database as they may be when the power is back."""
        for suffix, file in self.files.items():
            content = file.after_power_loss(chance)
            if content is not None:
                Path(f"{path}{suffix}").write_bytes(content)


class Recorder:
    """Writes down what becomes of the files of a database."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self.commits = 0
        self.log: list[tuple[Call, int]] = []
        self._start = {
            suffix: Path(f"{path}{suffix}").read_bytes()
            for suffix in _DATABASE_FILES
            if Path(f"{path}{suffix}").exists()
        }

    def __call__(self, call: Call) -> None:
        suffix = call.file.removeprefix(self._path)
        if call.file and suffix in _DATABASE_FILES and call.kind not in ("read", "shared memory"):
            self.log.append((Call(call.kind, suffix, call.offset, call.data), self.commits))

    def cuts(self) -> Iterator[Cut]:
        """Yield each moment, from before the first call to after the last; the next one changes the same object."""
        files = {suffix: _File(content) for suffix, content in self._start.items()}
        cut = Cut(files, 0)
        yield cut
        for call, commits in self.log:
            cut.commits = commits
            _keep(files, call)
            yield cut
        cut.commits = self.commits
        yield cut


def _keep(files: dict[str, _File], call: Call) -> None:
    if call.kind == "open":
        if call.file not in files or files[call.file].deleted:
            files[call.file] = _File(None)
        return
    file = files.setdefault(call.file, _File(None))
    match call.kind:
        case "sync":
            file.durable, file.pending = file.synced(), []
        case "delete":
            file.deleted = True
        case _:
            file.pending.append(call)


def _applied(content: bytes, calls: Sequence[Call]) -> bytes:
    result = bytearray(content)
    for call in calls:
        if call.kind == "truncate":
            del result[call.offset :]
            result.extend(bytes(call.offset - len(result)))
        else:
            result.extend(bytes(max(0, call.offset - len(result))))
            result[call.offset : call.offset + len(call.data)] = call.data
    return bytes(result)


@dataclass
class Session:
    """What a backend did, call by call and commit by commit.

    Attributes:
        recorder: what became of the files.
        states: all that could be read at first, and after each commit.
        sent: what a sink received, each with the number of calls before.
    """

    recorder: Recorder
    states: list[dict[str, object]]
    sent: list[tuple[int, OutboxEntry]]

    def sent_by(self, calls: int) -> set[str]:
        """Return the ids of the events that a sink had received after so many calls."""
        return {entry.id for when, entry in self.sent if when <= calls}


class _Sink:
    """Remembers what it received, and when."""

    name, batch_size, concurrency = "crm", 10, 1

    def __init__(self, calls: Callable[[], int]) -> None:
        self._calls = calls
        self.sent: list[tuple[int, OutboxEntry]] = []

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        self.sent += [(self._calls(), entry) for entry in entries]
        return []


def record(prepared: Path, directory: Path, jobs: Sequence[str], synchronous: Synchronous) -> Session:
    """Do jobs on a copy of a prepared storage, deliver after each, and write down what happens."""
    path = directory / "recorded.db"
    with removed_afterwards(path, copy_of=prepared):
        recorder = Recorder(path)
        states: list[dict[str, object]] = []
        sink = _Sink(lambda: len(recorder.log))
        honest = WriteContext._do_commit
        with disk().inserted(), a_host(path, synchronous=synchronous) as host:
            states.append(host.everything())

            def commit(context: WriteContext) -> None:
                honest(context)
                states.append(host.everything())
                recorder.commits += 1

            with patch.object(WriteContext, "_do_commit", commit), disk().watched(recorder):
                for name in jobs:
                    JOBS[name].act(host)
                    host.vouchers.events.deliver(sink)
                host.hang_up()
    return Session(recorder, states, sink.sent)


def _hosts(
    recorder: Recorder, path: Path, chance: random.Random, step: int
) -> Iterator[tuple[int, Cut, Host]]:
    """Yield moments at which the power is cut, with their numbers and what a backend finds that starts afterwards."""
    for number, cut in enumerate(recorder.cuts()):
        if number % step:
            continue
        with removed_afterwards(path):
            cut.restored(path, chance)
            with a_host(path) as host:
                yield number, cut, host


def cut_the_power(
    session: Session,
    directory: Path,
    chance: random.Random,
    figures: Counter[str],
    *,
    step: int = 1,
    last_may_be_lost: bool = False,
) -> None:
    """Cut the power at each moment of a session, and check what a backend finds that starts afterwards.

    Args:
        session: what was recorded.
        directory: where the files are written.
        chance: what the disk keeps.
        figures: counts what was seen.
        step: how many moments are passed over between two.
        last_may_be_lost: whether commits that had returned may be gone, as with `synchronous="NORMAL"`.
    """
    path = directory / "restored.db"
    for number, cut, host in _hosts(session.recorder, path, chance, step):
        found = host.everything()
        first = 0 if last_may_be_lost else cut.commits
        possible = session.states[first : cut.commits + 2]
        assert found in possible, f"after {cut.commits} commits, in {number} calls: not what was there"
        sent = session.sent_by(number)
        lost = sent - {entry.id for entry in host.outbox()}
        assert last_may_be_lost or not lost, "a sink was told of what is lost"
        figures["cuts"] += 1
        figures["in flight, and done"] += found == possible[-1] != session.states[cut.commits]
        require_sound(host, path)
        # This process, which holds the leases, is still alive.
        host.clock.advance(minutes=1)
        host.vouchers.uploads.recover()
        again = _Sink(lambda: 0)
        host.vouchers.events.deliver(again)
        arrived = sent | {entry.id for _, entry in again.sent}
        assert arrived >= {entry.id for entry in host.outbox()}, "an event is never delivered"
        require_sound(host, path)
        require_no_leftovers(host, path)


def cut_the_power_while_creating(
    directory: Path, chance: random.Random, figures: Counter[str], *, step: int = 1
) -> None:
    """Cut the power while a storage is created and closed: it can be created afterwards, or is there."""
    path = directory / "created.db"
    recorder = Recorder(path)
    with removed_afterwards(path), disk().inserted(), disk().watched(recorder), a_host(path) as host:
        host.vouchers.check()
    for _, _, host in _hosts(recorder, path, chance, step):
        host.give(host.a_list("A").id, "zoe")
        require_sound(host, path)
        figures["cuts"] += 1
