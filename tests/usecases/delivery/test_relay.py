"""What a relay does from turn to turn: deliver, wait, tidy up, and end when it is told to."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.events import ListExpired
from partner_vouchers.errors import InvalidInput, StorageBusy
from partner_vouchers.ports import Storage
from partner_vouchers.usecases.delivery.relay import Relay
from partner_vouchers.usecases.events import EventsGroup
from tests.support.host import PATIENCE, FixedClock, Host
from tests.support.sinks import ScriptedSink, fail, reject
from tests.usecases.delivery.stage import ONCE, Stage, meanwhile

Step = Callable[[], object]


class Waits:
    """Stands in for the waits of a relay: notes how long they were to be, and does something else meanwhile.

    The last step done, it stops the relay.
    """

    def __init__(self, relay: Relay, steps: Sequence[Step] = ()) -> None:
        self.seconds: list[float] = []
        self._relay = relay
        self._steps: Iterator[Step] = iter(steps)

    def get(self, timeout: float) -> None:
        self.seconds.append(timeout)
        next(self._steps, self._relay.stop)()
        raise queue.Empty

    def put(self, _: None) -> None:
        pass


def run(stage: Stage, *steps: Step, chance: float = 1.0, **options: Any) -> list[float]:
    """Run a relay that does these steps in its waits; return how long those were to be, in seconds."""
    group = EventsGroup(evolve(stage.host.vouchers._wiring, chance=lambda: chance))
    relay = group.relay(stage.sink, **options)
    waits = Waits(relay, steps)
    relay._wakers = [waits]  # type: ignore[list-item]
    relay.run()
    return waits.seconds


def nothing() -> None:
    pass


class FailingStorage:
    """A storage that is busy until the test says otherwise."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.busy: bool = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def begin(self, *, write: bool = True) -> Any:
        if self.busy:
            raise StorageBusy(reason="locked")
        return self._storage.begin(write=write)


# --- turns -----------------------------------------------------------------------------------------------------


def test_a_relay_delivers_what_is_there_and_what_comes_while_it_calls_or_waits(stage: Stage) -> None:
    stage.emit("ann")
    stage.sink.next.append(meanwhile(lambda: stage.emit("ben")))
    seen = list[int]()

    def emit() -> None:
        seen.append(len(stage.sink.taken))
        stage.emit("cleo")

    assert run(stage, emit, interval=4.0) == [4.0, 4.0]
    assert seen == [2], "it looks again at once while there is something to deliver"
    assert stage.sink.users() == ["ann", "ben", "cleo"]


@pytest.mark.parametrize(
    "chance,options,wait", [(0.0, {"interval": 4.0}, 2.0), (0.5, {"interval": 4.0}, 3.0), (1.0, {}, 1.0)]
)
def test_half_of_a_wait_is_chance(stage: Stage, chance: float, options: Any, wait: float) -> None:
    assert run(stage, chance=chance, **options) == [wait]


def test_a_relay_delivers_as_deliver_would(stage: Stage) -> None:
    stage.emit("old")
    stage.sink.always = reject("ann")
    run(stage, lambda: stage.emit("ann", "another"), from_now=True, retry=ONCE)
    assert stage.sink.users() == ["another"]
    assert len(stage.events.dead_letters()) == 1


# --- failures --------------------------------------------------------------------------------------------------


def test_waits_double_while_the_storage_fails_up_to_a_minute(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    failing = FailingStorage(storage)
    stage = Stage(Host(failing, FixedClock()))

    def be_busy(busy: bool) -> Step:
        return lambda: setattr(failing, "busy", busy)

    with caplog.at_level(logging.WARNING, "partner_vouchers.delivery"):
        waits = run(stage, *[nothing] * 6, be_busy(False), be_busy(True))
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 1.0, 2.0]
    assert len(caplog.messages) == 8
    assert all(
        each.startswith("events are not delivered now: ") and "locked" in each for each in caplog.messages
    )
    waits = run(stage, *[nothing] * 11, interval=0.01)
    assert waits == pytest.approx([0.01 * 2**doubled for doubled in [*range(1, 11), 10, 10]])


@pytest.mark.parametrize("fails", [True, False])
def test_a_sink_that_fails_is_told_in_the_log_once(
    stage: Stage, caplog: pytest.LogCaptureFixture, fails: bool
) -> None:
    stage.emit("ann")
    if fails:
        stage.sink.always = fail(OSError("PM000000"))
    with caplog.at_level(logging.WARNING, "partner_vouchers.delivery"):
        run(stage, nothing)
    assert caplog.messages == (["the sink 'crm' is paused: the sink raised OSError"] if fails else [])


# --- tidying up ------------------------------------------------------------------------------------------------


def test_a_relay_announces_lists_when_they_expire(stage: Stage) -> None:
    expiry = stage.host.a_list("A").expires_at
    run(stage, lambda: setattr(stage.host.clock, "now", expiry + timedelta(seconds=1)), nothing)
    assert len(stage.host.events(ListExpired)) == 1
    assert isinstance(stage.sink.taken[-1].event, ListExpired)


def test_a_relay_removes_old_events_every_ten_minutes(storage: Storage) -> None:
    stage = Stage(Host(storage, FixedClock(), keep_events=timedelta()))
    kept = list[bool]()

    def emit(user: str, **by: float) -> Step:
        """Emit two, since a storage may keep the last event of all."""

        def emit_both() -> None:
            stage.emit(user, "another")
            stage.host.clock.advance(**by)

        return emit_both

    def look(user: str, **by: float) -> Step:
        def look_and_wait() -> None:
            kept.append(any(getattr(entry.event, "user_id", "") == user for entry in stage.host.outbox()))
            stage.host.clock.advance(**by)

        return look_and_wait

    # It tidies when it begins, and each ten minutes after it did.
    steps = [
        emit("ann", seconds=1), look("ann", minutes=9), look("ann", seconds=58), look("ann", seconds=1), look("ann"),
        emit("ben", seconds=1), look("ben", minutes=9), look("ben", minutes=1), look("ben"),
        # A clock that was set back does not keep it from tidying.
        emit("cleo", days=-3), look("cleo", days=4), look("cleo"),
    ]  # fmt: skip
    run(stage, *steps)
    assert kept == [True, True, True, False, True, True, False, True, False]


def test_a_relay_removes_nothing_that_its_new_sink_does_not_have(storage: Storage) -> None:
    stage = Stage(Host(storage, FixedClock(), keep_events=timedelta()))
    stage.emit("ann")
    stage.host.clock.advance(days=1)
    run(stage)
    assert stage.sink.users() == ["ann"]


# --- the end ---------------------------------------------------------------------------------------------------


def test_a_relay_that_was_stopped_before_it_began_does_nothing(stage: Stage) -> None:
    stage.emit("ann")
    relay = stage.events.relay(stage.sink)
    before = relay.is_stopped
    relay.stop()
    relay.run()
    assert (before, relay.is_stopped, stage.sink.batches) == (False, True, [])


def test_a_relay_ends_after_the_call_that_is_under_way(host: Host) -> None:
    stage = Stage(host, ScriptedSink(batch_size=1))
    stage.emit("ann", "ben", "cleo")
    relay = stage.events.relay(stage.sink)
    stage.sink.next.append(meanwhile(relay.stop))
    relay.run()
    assert len(stage.sink.taken) == 1
    assert stage.deliver().delivered == 2, "what was answered is remembered"


@contextmanager
def in_a_thread(stage: Stage, relay: Relay) -> Iterator[None]:
    def serve() -> None:
        try:
            relay.run()
        finally:
            stage.host.hang_up()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        relay.stop()
        thread.join(PATIENCE)
    assert not thread.is_alive(), "a stop ends a long wait"


# --- several sinks ---------------------------------------------------------------------------------------------


@pytest.fixture
def quick() -> Stage:
    """A host in memory, with an event."""
    stage = Stage(Host(MemoryStorage(), FixedClock()))
    stage.emit("ann")
    return stage


# More than a pool of threads has by itself.
@pytest.mark.parametrize("number", [1, 3, 33])
def test_no_sink_of_a_relay_waits_for_another(quick: Stage, number: int) -> None:
    sinks = [ScriptedSink(f"sink-{each}") for each in range(number)]
    left, threads = threading.Semaphore(0), set[str]()

    def note(_: object) -> list[Any]:
        threads.add(threading.current_thread().name)
        left.release()
        return []

    for sink in sinks:
        sink.always = note
    with in_a_thread(quick, quick.events.relay(*sinks, interval=3600)):
        assert all(left.acquire(timeout=PATIENCE) for _ in sinks)
    assert [sink.taken for sink in sinks] == [quick.host.outbox()] * number
    assert len(threads) == number
    assert number == 1 or all(name.startswith("partner_vouchers relay") for name in threads)


class Crash(BaseException):
    """Not an error that anybody expects."""


@pytest.mark.parametrize("broken", [0, 1])
def test_what_nobody_expects_of_one_sink_ends_the_relay(quick: Stage, broken: int) -> None:
    sinks = [ScriptedSink("crm"), ScriptedSink("audit")]
    sinks[broken].always = fail(Crash())
    relay = quick.events.relay(*sinks, interval=3600)
    with pytest.raises(Crash):
        relay.run()
    assert relay.is_stopped


# --- arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [(), ("crm", "crm"), ("crm", "audit", "crm")], ids=["none", "twice", "twice of three"]
)
def test_a_relay_needs_sinks_with_names_of_their_own(quick: Stage, names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"^sinks: must be one or more, each with a different name$"):
        quick.events.relay(*map(ScriptedSink, names))


def test_a_relay_checks_its_arguments_before_it_begins(quick: Stage) -> None:
    relay: Any = quick.events.relay
    for interval in (0, -1, float("nan"), float("inf"), 1e300, "1", None, True):
        with pytest.raises(InvalidInput, match=r"^interval: must be a positive number of seconds$"):
            relay(ScriptedSink(), interval=interval)
    with pytest.raises(InvalidInput, match=r"^sink\.batch_size: must be at least 1$"):
        relay(ScriptedSink(), ScriptedSink("audit", batch_size=0))
    assert not relay(ScriptedSink(), interval=1e9).is_stopped
