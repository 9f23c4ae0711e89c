"""Let each call of SQLite's to its disk fail, one after the other, and see what the library makes of it."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from partner_vouchers.errors import PartnerVouchersError, StorageError, StorageFull
from tests.reliability.jobs import (
    SECRET,
    Job,
    a_host,
    copy_database,
    goods,
    removed_afterwards,
    require_no_leftovers,
    require_sound,
)
from tests.reliability.received import WitnessSink, require_delivered
from tests.reliability.vfs import FULL, IOERR, Call, Fail, disk
from tests.support.host import Host

CHANGES = frozenset({"write", "sync", "truncate", "delete", "shared memory", "open"})


@dataclass
class Fault:
    """Lets the calls from `first` on fail, or that one alone.

    Attributes:
        kinds: which kinds of calls are counted, and can fail.
        code: what SQLite is told of a call of a kind.
        lasting: whether all later ones fail too.
        torn: whether half of a write that fails reaches the file.
        first: the number of the first call that fails, from 0 on.
        calls: how many calls of the kinds there were.
        failed: those that failed.
        came_true: whether a call raised, and was done all the same for a process that started after a kill.
    """

    kinds: frozenset[str]
    code: Callable[[str], int]
    lasting: bool
    torn: bool
    first: int
    calls: int = 0
    failed: list[Call] = field(default_factory=list)
    came_true: bool = False

    def __call__(self, call: Call) -> Fail | None:
        if call.kind not in self.kinds or (call.kind == "open" and not call.created):
            return None
        number = self.calls
        self.calls += 1
        if number < self.first or (number > self.first and not self.lasting):
            return None
        self.failed.append(call)
        return Fail(self.code(call.kind), len(call.data) // 2 if self.torn else 0)


FAULTS: dict[str, Callable[[int], Fault]] = {
    # One call fails, and the next one succeeds again.
    "I/O error": partial(Fault, CHANGES, IOERR.__getitem__, False, False),
    # Half of what is written arrives, and the call fails.
    "torn write": partial(Fault, frozenset({"write"}), IOERR.__getitem__, False, True),
    # From some call on there is no space.
    "disk full": partial(Fault, frozenset({"write"}), lambda kind: FULL, True, False),
    # From some call on nothing can be changed any more.
    "dead disk": partial(Fault, CHANGES, IOERR.__getitem__, True, False),
    # One read fails.
    "read error": partial(Fault, frozenset({"read"}), IOERR.__getitem__, False, False),
}


@dataclass
class Figures:
    """What was seen.

    Attributes:
        faults: how many runs failed, by the kind of the first call that did.
        outcomes: how the calls of the library ended.
        came_true: how many raised, and were done all the same for a process that started after a kill.
    """

    faults: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    came_true: int = 0


Attempt = Callable[[Fault], PartnerVouchersError | None]
"""Does something while the disk fails, checks what is there, and that all goes on. It returns how a call failed."""


def let_each_call_fail(
    attempt: Attempt, fault: Callable[[int], Fault], figures: Figures, *, first: int = 0, step: int = 1
) -> None:
    """Let the first call fail, then the second, and so on, until all is done without one that failed."""
    while True:
        failing = fault(first)
        error = attempt(failing)
        assert error is None or (isinstance(error, StorageError) and failing.failed), error
        if not failing.failed:
            return
        figures.faults[failing.failed[0].kind] += 1
        figures.outcomes["done" if error is None else type(error).__name__] += 1
        figures.came_true += failing.came_true
        first += step


def failure_of(work: Callable[[], object], fault: Fault) -> PartnerVouchersError | None:
    """Do work while the disk fails; return its error."""
    with disk().watched(fault):
        try:
            work()
        except PartnerVouchersError as error:
            return error
    return None


@dataclass(frozen=True)
class Seen:
    """What can be seen of a storage.

    Attributes:
        everything: all that can be read.
        goods: the codes and who has them.
        settled: the same, once what was broken off has been recovered.
    """

    everything: dict[str, object]
    goods: dict[str, object]
    settled: dict[str, object]


class Trial:
    """A job, tried on copies of a prepared storage."""

    def __init__(self, job: Job, prepared: Path, directory: Path) -> None:
        self._job = job
        self._prepared = prepared
        self._path = directory / "tried.db"
        self._killed = directory / "killed.db"
        self._before, self._after = self._seen(lambda host: None), self._seen(job.act)
        assert self._before.everything != self._after.everything, "the job changes nothing"

    def __call__(self, fault: Fault) -> PartnerVouchersError | None:
        """Do the job while the disk fails."""
        with removed_afterwards(self._path, copy_of=self._prepared):
            with disk().inserted(), a_host(self._path, busy_timeout=1) as host:
                # The connection is there, as in a backend that has been running.
                host.vouchers.partners.all()
                error = failure_of(lambda: self._job.act(host), fault)
                if error is not None:
                    self._require_typed(error, fault)
                copy_database(self._path, self._killed)
                self._require_all_or_nothing(host, error)
                with a_host(self._path) as another:
                    self._require_all_or_nothing(another, error)
                require_sound(host, self._path)
                fault.came_true = self._require_after_a_kill() and error is not None
                self._go_on(host, error)
            with a_host(self._path) as reopened:
                assert goods(reopened) == self._after.settled
        return error

    def _seen(self, act: Callable[[Host], object]) -> Seen:
        with removed_afterwards(self._path, copy_of=self._prepared), a_host(self._path) as host:
            act(host)
            everything, found = host.everything_but_ids(), goods(host)
            host.vouchers.uploads.recover()
            return Seen(everything, found, goods(host))

    def _require_typed(self, error: PartnerVouchersError, fault: Fault) -> None:
        assert isinstance(error, StorageError), error
        assert fault.failed, error
        if fault.failed[0].kind == "write" and all(call.kind == "write" for call in fault.failed):
            assert isinstance(error, StorageFull) == (fault.code("write") == FULL), error
        assert SECRET not in "".join(traceback.format_exception(error))

    def _require_all_or_nothing(self, host: Host, error: Exception | None) -> None:
        expected = self._after if error is None else self._before
        if self._job.in_parts and error is not None:
            return
        if self._job.in_steps:
            assert goods(host) == expected.goods, f"neither all nor nothing: {error}"
        else:
            assert host.everything_but_ids() == expected.everything, f"neither all nor nothing: {error}"

    def _require_after_a_kill(self) -> bool:
        """Check what a process finds that starts now, the other one having been killed; return whether it is done.

        What failed may then be there after all: it was written, and only the sync failed.
        """
        with removed_afterwards(self._killed), a_host(self._killed) as host:
            there = goods(host)
            assert self._job.in_parts or there in (self._before.goods, self._after.goods), (
                "neither all nor nothing, killed"
            )
            require_sound(host, self._killed)
            return there == self._after.goods != self._before.goods

    def _go_on(self, host: Host, error: Exception | None) -> None:
        """Repeat what failed, and settle what was broken off, on the same storage object."""
        if not self._job.in_steps:
            if error is not None:
                self._job.act(host)
            assert host.everything_but_ids() == self._after.everything
        host.clock.advance(minutes=1)
        host.vouchers.uploads.recover()
        if goods(host) != self._after.settled:
            assert error is not None
            self._job.act(host)
            # Whatever a call leaves behind on a slow machine.
            host.vouchers.uploads.recover()
        assert goods(host) == self._after.settled
        require_sound(host, self._path)
        require_no_leftovers(host, self._path)


def opening(directory: Path) -> Attempt:
    """Create and close a storage; it can be created afterwards."""
    path = directory / "created.db"

    def check() -> None:
        with a_host(path, busy_timeout=1) as host:
            host.vouchers.check()

    def attempt(fault: Fault) -> PartnerVouchersError | None:
        with removed_afterwards(path):
            with disk().inserted():
                error = failure_of(check, fault)
            with a_host(path) as host:
                host.give(host.a_list(f"{SECRET}-1").id, "zoe")
                require_sound(host, path)
        return error

    return attempt


def delivering(prepared: Path, directory: Path) -> Attempt:
    """Deliver events; the next delivery brings the rest, in order."""
    path, received = directory / "delivering.db", directory / "received.log"

    def attempt(fault: Fault) -> PartnerVouchersError | None:
        received.unlink(missing_ok=True)
        with (
            removed_afterwards(path, copy_of=prepared),
            disk().inserted(),
            a_host(path, busy_timeout=1) as host,
        ):
            sink = WitnessSink(received, concurrency=1)
            error = failure_of(lambda: host.vouchers.events.deliver(sink), fault)
            require_delivered(received, host.outbox(), whole=error is None)
            host.clock.advance(minutes=1)
            host.vouchers.events.deliver(sink)
            require_delivered(received, host.outbox(), whole=True)
            assert host.vouchers.events.deliver(sink).delivered == 0
            require_sound(host, path)
        return error

    return attempt
