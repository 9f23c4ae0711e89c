"""What a relay does from turn to turn: deliver, wait, tidy up, and end when it is told to."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from partner_vouchers import PartnerVouchers
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.domain.events import ListExpired, PartnerAdded
from partner_vouchers.errors import InvalidInput, StorageBusy
from partner_vouchers.ports import Storage
from partner_vouchers.usecases.delivery.relay import Relay
from partner_vouchers.usecases.events import EventsGroup
from tests.support.host import PATIENCE, FixedClock, Host
from tests.support.sinks import ScriptedSink, fail, reject

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


def run(host: Host, sink: ScriptedSink, *steps: Step, chance: float = 1.0, **options: Any) -> list[float]:
    """Run a relay that does these steps in its waits; return how long those were to be, in seconds."""
    group = EventsGroup(evolve(host.vouchers._wiring, chance=lambda: chance))
    relay = group.relay(sink, **options)
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
        self.busy: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def begin(self, *, write: bool = True) -> Any:
        if self.busy:
            raise StorageBusy(reason="locked")
        return self._storage.begin(write=write)


# --- turns -----------------------------------------------------------------------------------------------------


def test_a_relay_delivers_what_is_there_and_what_comes_while_it_waits(host: Host) -> None:
    host.vouchers.partners.add("Puma")
    sink, seen = ScriptedSink(), list[int]()

    def add() -> None:
        seen.append(len(sink.taken))
        host.vouchers.partners.add("Amazon")

    run(host, sink, add)

    assert seen == [1]
    assert sink.taken == host.outbox()
    assert len(sink.taken) == 2


def test_a_relay_looks_again_at_once_while_there_is_something_to_deliver(host: Host) -> None:
    sink = ScriptedSink()

    def add(_: object) -> list[Any]:
        host.vouchers.partners.add("Amazon")
        return []

    host.vouchers.partners.add("Puma")
    sink.next.append(add)
    waits = run(host, sink)

    assert len(sink.taken) == 2
    assert len(waits) == 1


@pytest.mark.parametrize("chance,wait", [(0.0, 2.0), (0.5, 3.0), (1.0, 4.0)])
def test_half_of_a_wait_is_chance(host: Host, chance: float, wait: float) -> None:
    assert run(host, ScriptedSink(), chance=chance, interval=4.0) == [wait]


def test_a_second_is_the_wait_unless_another_is_asked_for(host: Host) -> None:
    assert run(host, ScriptedSink(), nothing) == [1.0, 1.0]


def test_a_sink_new_to_a_relay_may_begin_with_what_comes_from_now_on(host: Host) -> None:
    host.vouchers.partners.add("Puma")
    sink = ScriptedSink()
    run(host, sink, lambda: host.vouchers.partners.add("Amazon"), from_now=True)

    assert sink.taken == host.outbox()[1:]


def test_a_relay_tries_as_often_as_its_policy_says(host: Host) -> None:
    host.give(host.a_list("A").id, "ann")
    host.emit_for("another")
    sink = ScriptedSink()
    sink.always = reject("ann")
    run(host, sink, retry=RetryPolicy(max_attempts=1))

    assert len(host.vouchers.events.dead_letters()) == 1


# --- failures --------------------------------------------------------------------------------------------------


def test_waits_double_while_the_storage_fails_up_to_a_minute(
    storage: Storage, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    failing = FailingStorage(storage)
    host, sink = Host(failing, clock), ScriptedSink()

    def repair() -> None:
        failing.busy = False

    def break_again() -> None:
        failing.busy = True

    failing.busy = True
    with caplog.at_level(logging.WARNING, "partner_vouchers.delivery"):
        waits = run(host, sink, *[nothing] * 6, repair, break_again, interval=1.0)

    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 1.0, 2.0]
    assert len(caplog.records) == 8
    assert {record.name for record in caplog.records} == {"partner_vouchers.delivery"}
    assert all(record.message.startswith("events are not delivered now: ") for record in caplog.records)
    assert all("locked" in record.message for record in caplog.records)


def test_a_wait_doubles_ten_times_and_no_more(storage: Storage, clock: FixedClock) -> None:
    failing = FailingStorage(storage)
    host, sink = Host(failing, clock), ScriptedSink()
    failing.busy = True

    waits = run(host, sink, *[nothing] * 11, interval=0.01)

    assert waits == pytest.approx([0.01 * 2**doubled for doubled in [*range(1, 11), 10, 10]])


def test_a_sink_that_fails_is_told_in_the_log(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.vouchers.partners.add("Puma")
    sink = ScriptedSink("crm")
    sink.always = fail(OSError("PM000000"))
    with caplog.at_level(logging.WARNING, "partner_vouchers.delivery"):
        waits = run(host, sink, nothing)

    assert [record.message for record in caplog.records] == [
        "the sink 'crm' is paused: the sink raised OSError"
    ]
    assert waits == [1.0, 1.0]


def test_a_relay_that_delivers_logs_nothing(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.vouchers.partners.add("Puma")
    run(host, ScriptedSink())

    assert caplog.records == []


# --- tidying up ------------------------------------------------------------------------------------------------


def test_a_relay_announces_lists_when_they_expire(host: Host) -> None:
    expiry = host.a_list("A").expires_at
    sink = ScriptedSink()
    run(host, sink, lambda: setattr(host.clock, "now", expiry + timedelta(seconds=1)), nothing)

    assert len(host.events(ListExpired)) == 1
    assert isinstance(sink.taken[-1].event, ListExpired)


def add(host: Host, name: str) -> Step:
    """Add a partner, and another after it, since a storage may keep the last event of all."""

    def add_both() -> None:
        for each in (name, f"{name} again"):
            host.vouchers.partners.add(each)
        host.clock.advance(seconds=1)

    return add_both


def is_kept(host: Host, name: str) -> bool:
    return any(change.after == name for event in host.events(PartnerAdded) for change in event.changes)


def test_a_relay_removes_old_events_every_ten_minutes(storage: Storage, clock: FixedClock) -> None:
    host = Host(storage, clock, keep_events=timedelta())
    kept = list[bool]()

    def look(name: str, **by: float) -> Step:
        def look_and_wait() -> None:
            kept.append(is_kept(host, name))
            clock.advance(**by)

        return look_and_wait

    # It tidies when it begins, and each ten minutes after it did.
    run(
        host,
        ScriptedSink(),
        add(host, "Puma"),
        look("Puma", minutes=9),
        look("Puma", seconds=58),
        look("Puma", seconds=1),
        look("Puma"),
        add(host, "Nike"),
        look("Nike", minutes=9),
        look("Nike", minutes=1),
        look("Nike"),
    )

    assert kept == [True, True, True, False, True, True, False]


def test_a_clock_that_was_set_back_does_not_keep_a_relay_from_tidying(
    storage: Storage, clock: FixedClock
) -> None:
    host = Host(storage, clock, keep_events=timedelta())

    def set_back() -> None:
        clock.advance(days=-3)
        add(host, "Puma")()

    run(host, ScriptedSink(), set_back, lambda: clock.advance(days=1), nothing)

    assert not is_kept(host, "Puma")


# --- the end ---------------------------------------------------------------------------------------------------


def test_a_relay_that_was_stopped_before_it_began_does_nothing(host: Host) -> None:
    host.vouchers.partners.add("Puma")
    sink = ScriptedSink()
    relay = host.vouchers.events.relay(sink)
    before = relay.is_stopped
    relay.stop()
    relay.run()

    assert (before, relay.is_stopped) == (False, True)
    assert sink.batches == []


def test_a_relay_removes_nothing_that_its_new_sink_does_not_have(storage: Storage, clock: FixedClock) -> None:
    host = Host(storage, clock, keep_events=timedelta())
    host.vouchers.partners.add("Puma")
    clock.advance(days=1)
    sink = ScriptedSink()
    run(host, sink)

    assert [type(entry.event) for entry in sink.taken] == [PartnerAdded]


def test_a_relay_ends_after_the_call_that_is_under_way(host: Host) -> None:
    for name in ("Puma", "Amazon", "Nike"):
        host.vouchers.partners.add(name)
    sink = ScriptedSink(batch_size=1)
    relay = host.vouchers.events.relay(sink)

    def stop(_: object) -> list[Any]:
        relay.stop()
        return []

    sink.always = stop
    relay.run()

    assert len(sink.taken) == 1
    assert host.vouchers.events.backlog("crm").oldest is not None
    sink.always = lambda _: []
    assert host.vouchers.events.deliver(sink).delivered == 2, "what was answered is remembered"


def in_a_thread(host: Host, relay: Relay) -> threading.Thread:
    def serve() -> None:
        try:
            relay.run()
        finally:
            host.hang_up()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_stop_ends_a_long_wait(host: Host) -> None:
    host.vouchers.partners.add("Puma")
    sink, called = ScriptedSink(), threading.Event()

    def note(_: object) -> list[Any]:
        called.set()
        return []

    sink.always = note
    relay = host.vouchers.events.relay(sink, interval=3600)
    thread = in_a_thread(host, relay)
    assert called.wait(PATIENCE)
    relay.stop()
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert sink.taken == host.outbox()


# --- several sinks ---------------------------------------------------------------------------------------------


class Crash(BaseException):
    """Not an error that anybody expects."""


def memory_host() -> Host:
    from partner_vouchers.adapters.memory import MemoryStorage

    return Host(MemoryStorage(), FixedClock())


def test_each_sink_of_a_relay_gets_everything() -> None:
    host = memory_host()
    host.vouchers.partners.add("Puma")
    sinks = [ScriptedSink(name) for name in ("crm", "audit", "lake")]
    relay = host.vouchers.events.relay(*sinks, interval=3600)
    left, threads = threading.Semaphore(0), set[str]()

    def note(_: object) -> list[Any]:
        threads.add(threading.current_thread().name)
        left.release()
        return []

    for sink in sinks:
        sink.always = note
    thread = in_a_thread(host, relay)
    for _ in sinks:
        assert left.acquire(timeout=PATIENCE)
    relay.stop()
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert [sink.taken for sink in sinks] == [host.outbox()] * 3
    assert len(threads) == 3
    assert all(name.startswith("partner_vouchers relay") for name in threads)


def test_no_sink_of_a_relay_waits_for_another_however_many_there_are() -> None:
    host = memory_host()
    host.vouchers.partners.add("Puma")
    # More than a pool of threads has by itself.
    sinks = [ScriptedSink(f"sink-{number}") for number in range(33)]
    relay = host.vouchers.events.relay(*sinks, interval=3600)
    left = threading.Semaphore(0)

    def note(_: object) -> list[Any]:
        left.release()
        return []

    for sink in sinks:
        sink.always = note
    thread = in_a_thread(host, relay)
    reached = all(left.acquire(timeout=PATIENCE) for _ in sinks)
    relay.stop()
    thread.join(PATIENCE)

    assert reached


@pytest.mark.parametrize("broken", [0, 1])
def test_what_nobody_expects_of_one_sink_ends_the_relay(broken: int) -> None:
    host = memory_host()
    host.vouchers.partners.add("Puma")
    sinks = [ScriptedSink("crm"), ScriptedSink("audit")]
    sinks[broken].always = fail(Crash())
    relay = host.vouchers.events.relay(*sinks, interval=3600)

    with pytest.raises(Crash):
        relay.run()

    assert relay.is_stopped


# --- arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [(), ("crm", "crm"), ("crm", "audit", "crm")], ids=["none", "twice", "twice of three"]
)
def test_a_relay_needs_sinks_with_names_of_their_own(
    vouchers: PartnerVouchers, names: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput, match=r"^sinks: must be one or more, each with a different name$"):
        vouchers.events.relay(*map(ScriptedSink, names))


@pytest.mark.parametrize(
    "interval", [0, 0.0, -1, float("nan"), float("inf"), 1e300, "1", None, True], ids=repr
)
def test_an_interval_is_a_positive_number_of_seconds(vouchers: PartnerVouchers, interval: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^interval: must be a positive number of seconds$"):
        vouchers.events.relay(ScriptedSink(), interval=interval)


def test_an_interval_may_be_very_long(vouchers: PartnerVouchers) -> None:
    assert not vouchers.events.relay(ScriptedSink(), interval=1e9).is_stopped


def test_a_relay_checks_each_of_its_sinks_before_it_begins(vouchers: PartnerVouchers) -> None:
    with pytest.raises(InvalidInput, match=r"^sink\.batch_size: must be at least 1$"):
        vouchers.events.relay(ScriptedSink(), ScriptedSink("audit", batch_size=0))
