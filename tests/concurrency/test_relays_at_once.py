"""Relays that run in threads: side by side, while codes are given out, and while things fail."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers, RepeatPolicy
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import InvalidInput, SinkUnavailable, StorageBusy
from partner_vouchers.ports import OutboxEntry, Rejection, Storage
from partner_vouchers.testing.driver import outbox
from partner_vouchers.usecases.delivery import lease
from partner_vouchers.usecases.delivery.relay import Relay
from tests.support.host import PATIENCE, FixedClock, Host, some_codes
from tests.support.sinks import ScriptedSink, fail

QUICK = RetryPolicy(first_wait=RetryPolicy().first_wait / 100)


@contextmanager
def running(*relays: Relay) -> Iterator[list[Future[None]]]:
    """Run relays in threads, and stop them at the end."""
    with ThreadPoolExecutor(len(relays)) as threads:
        started = [threads.submit(relay.run) for relay in relays]
        try:
            yield started
        finally:
            for relay in relays:
                relay.stop()
        for each in started:
            each.result(PATIENCE)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


class OneAtATime(ScriptedSink):
    """A sink that notices when two calls with events of one user overlap."""

    def __init__(self, name: str, concurrency: int) -> None:
        super().__init__(name, batch_size=5, concurrency=concurrency)
        self.under_way: set[str] = set()
        self.overlaps: list[str] = []
        self._lock = threading.Lock()

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        keys = {entry.event.ordering_key for entry in entries}
        with self._lock:
            self.overlaps += keys & self.under_way
            self.under_way |= keys
        time.sleep(0.001)
        try:
            return super().send(entries)
        finally:
            with self._lock:
                self.under_way -= keys


@pytest.fixture
def vouchers(storage: Storage) -> PartnerVouchers:
    host = Host(storage, FixedClock())
    host.a_list(*some_codes(600), campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    return host.vouchers


def in_order(taken: list[OutboxEntry]) -> bool:
    by_key: dict[str, list[int]] = {}
    for entry in taken:
        by_key.setdefault(entry.event.ordering_key, []).append(entry.position)
    return all(positions == sorted(positions) for positions in by_key.values())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_relays_share_the_work_while_codes_are_given_out(
    storage: Storage, vouchers: PartnerVouchers, concurrency: int
) -> None:
    sink = OneAtATime("crm", concurrency)
    relays = [
        PartnerVouchers(storage, clock=FixedClock()).events.relay(sink, interval=0.01) for _ in range(3)
    ]
    with running(*relays):
        for number in range(400):
            vouchers.codes.assign(campaign_id="CMP", user_id=f"user-{number % 29}")
        # Some may not be there to be read yet, as long as a relay's transaction is open.
        wait_for(lambda: sum(isinstance(entry.event, VoucherRewarded) for entry in sink.taken) >= 400)
        wait_for(lambda: len(sink.taken) >= len(outbox(storage)))
    assert sorted(entry.position for entry in sink.taken) == [entry.position for entry in outbox(storage)]
    assert in_order(sink.taken)
    assert sink.overlaps == []


def test_one_relay_serves_several_sinks_at_their_own_pace(
    storage: Storage, vouchers: PartnerVouchers, caplog: pytest.LogCaptureFixture
) -> None:
    quick, slow, broken = ScriptedSink("quick"), ScriptedSink("slow"), ScriptedSink("broken")
    go_on = threading.Event()

    def wait(_: object) -> list[Rejection]:
        assert go_on.wait(PATIENCE)
        return []

    slow.always = wait
    broken.always = fail(SinkUnavailable(sink="broken", reason="503"))
    with running(vouchers.events.relay(slow, quick, broken, interval=0.01)):
        wait_for(lambda: len(quick.taken) == len(outbox(storage)))
        assert slow.taken == []
        go_on.set()
        wait_for(lambda: len(slow.taken) == len(outbox(storage)))
    assert broken.taken == []
    assert "the sink 'broken' is paused: 503" in caplog.text


def test_a_relay_goes_on_when_a_sink_recovers(storage: Storage, vouchers: PartnerVouchers) -> None:
    sink = ScriptedSink()
    failures = iter(range(5))

    def recover(_: object) -> list[Rejection]:
        if next(failures, None) is not None:
            raise OSError
        return []

    sink.always = recover
    # The system's clock, since waits are to end by themselves.
    relay = PartnerVouchers(storage).events.relay(sink, interval=0.01, retry=QUICK)
    with running(relay):
        wait_for(lambda: {entry.id for entry in sink.taken} == {entry.id for entry in outbox(storage)})
    assert len(sink.taken) == len(outbox(storage))


class Moody:
    """A storage that is busy now and then."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._chance = random.Random(7)
        self.calm: bool = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def begin(self, *, write: bool = True) -> Any:
        if not self.calm and self._chance.random() < 0.1:
            raise StorageBusy(reason="locked")
        return self._storage.begin(write=write)


def test_a_relay_survives_a_busy_storage(
    storage: Storage, vouchers: PartnerVouchers, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        vouchers.codes.assign(campaign_id="CMP", user_id=f"user-{number}")
    sink = ScriptedSink(batch_size=3)
    moody = Moody(storage)
    relay = PartnerVouchers(moody, clock=FixedClock()).events.relay(sink, interval=0.001)
    moody.calm = False
    with running(relay):
        wait_for(lambda: {entry.id for entry in sink.taken} == {entry.id for entry in outbox(storage)})
    assert in_order(list(dict.fromkeys(sink.taken)))
    assert "locked" in caplog.text


class FailsToRead:
    """A storage of which one transaction that reads fails, once there was a call."""

    def __init__(self, storage: Storage, sink: ScriptedSink) -> None:
        self._storage = storage
        self._sink = sink
        self.failed: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def begin(self, *, write: bool = True) -> Any:
        if self._sink.batches and not write and not self.failed:
            self.failed = True
            raise StorageBusy(reason="locked")
        return self._storage.begin(write=write)


def test_answers_are_kept_where_the_storage_fails_in_between(
    storage: Storage, vouchers: PartnerVouchers
) -> None:
    for number in range(60):
        vouchers.codes.assign(campaign_id="CMP", user_id=f"user-{number}")
    sink = ScriptedSink(batch_size=2, concurrency=4)
    failing = FailsToRead(storage, sink)
    with pytest.raises(StorageBusy):
        PartnerVouchers(failing, clock=FixedClock()).events.deliver(sink)
    assert sink.taken
    vouchers.events.deliver(sink)
    assert sorted(entry.position for entry in sink.taken) == [entry.position for entry in outbox(storage)]


def test_a_relay_that_is_stopped_ends_the_call_under_way(storage: Storage, vouchers: PartnerVouchers) -> None:
    sink = ScriptedSink(batch_size=1)
    entered, go_on = threading.Event(), threading.Event()

    def wait(_: object) -> list[Rejection]:
        entered.set()
        assert go_on.wait(PATIENCE)
        return []

    sink.next.append(wait)
    relay = vouchers.events.relay(sink)
    with running(relay) as (started,):
        assert entered.wait(PATIENCE)
        relay.stop()
        assert relay.is_stopped
        assert not started.done()
        go_on.set()
        started.result(PATIENCE)
    assert len(sink.taken) == 1
    # What it took is known, and nobody has to wait for the rest.
    again = ScriptedSink()
    vouchers.events.deliver(again)
    assert len(again.taken) == len(outbox(storage)) - 1


def test_a_relay_that_was_stopped_before_does_nothing(vouchers: PartnerVouchers) -> None:
    sink = ScriptedSink()
    relay = vouchers.events.relay(sink)
    relay.stop()
    relay.run()
    assert sink.batches == []


def test_a_bug_ends_the_relay(vouchers: PartnerVouchers) -> None:
    class Broken:
        name, batch_size = "broken", 1

        def __init__(self) -> None:
            self._asked = count()

        @property
        def concurrency(self) -> int:
            return 1 // (next(self._asked) == 0)

        def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
            return []

    relay = vouchers.events.relay(Broken(), ScriptedSink("fine"), interval=0.01)
    with pytest.raises(ZeroDivisionError):
        relay.run()
    assert relay.is_stopped


def test_leases_are_renewed_while_a_sink_takes_its_time(
    storage: Storage, vouchers: PartnerVouchers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.005)
    clock, sink = FixedClock(), ScriptedSink(batch_size=1000)
    others = list[int]()

    def dawdle(entries: Sequence[OutboxEntry]) -> list[Rejection]:
        for _ in range(5):
            before = ends()
            clock.advance(seconds=20)
            wait_for(lambda before=before: all(end > before[name] for name, end in ends().items()))  # type: ignore[misc]
            others.append(len(set(intruder.taken) & set(entries)))
            PartnerVouchers(storage, clock=clock).events.deliver(intruder)
        return []

    def ends() -> dict[str, Any]:
        with storage.begin(write=False) as tx:
            session = getattr(tx, "session", None)
            if session is not None:
                return dict(
                    session.fetch("SELECT name, until FROM pv_leases WHERE substr(name, 1, 8) = 'deliver:'")
                )
            assert hasattr(tx, "unit")
            return {name: until for name, (_, until) in tx.unit.tables.leases.items()}

    intruder = ScriptedSink()
    sink.next.append(dawdle)
    PartnerVouchers(storage, clock=clock).events.deliver(sink)
    assert others == [0] * 5
    assert sorted(entry.position for entry in sink.taken + intruder.taken) == [
        entry.position for entry in outbox(storage)
    ]


@pytest.mark.parametrize(
    "sinks, options",
    [
        ((), {}),
        ((ScriptedSink(), ScriptedSink()), {}),
        ((ScriptedSink(),), {"interval": 0}),
        ((ScriptedSink(),), {"interval": float("inf")}),
    ],
)
def test_a_relay_that_makes_no_sense_is_refused(
    vouchers: PartnerVouchers, sinks: tuple[ScriptedSink, ...], options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        vouchers.events.relay(*sinks, **options)
