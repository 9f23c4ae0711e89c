"""What a delivery run costs, in which turns it works, and what its calls, its lease and its end do."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ALL_COMPLETED
from datetime import datetime
from itertools import count
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.domain.delivery import Deferred
from partner_vouchers.errors import StorageBusy
from partner_vouchers.ports import OutboxEntry, Rejection, Storage
from partner_vouchers.usecases.delivery import calls, queue
from partner_vouchers.usecases.delivery.calls import Calls, SinkLease
from partner_vouchers.usecases.delivery.run import Deliverer, _Run
from tests.support.host import PATIENCE, FixedClock, Host
from tests.support.sinks import ScriptedSink, fail, reject, take_all
from tests.support.storages import CountingStorage
from tests.usecases.delivery.stage import Stage, meanwhile, user_of

USERS = [f"user-{number}" for number in range(16)]


# --- cost ------------------------------------------------------------------------------------------------------


def test_very_many_that_are_due_are_looked_for_once_and_not_for_each_batch(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(host)
    stage.emit(*USERS, "another")
    stage.sink.always = reject(*USERS, final=True)
    stage.deliver()
    assert stage.events.retry_dead_letters() == len(USERS)
    stage.sink = ScriptedSink(batch_size=1)
    with host.storage.begin(write=False) as tx:
        deliveries = type(tx.deliveries)
    due, looks = deliveries.due, list[int]()

    def watched(self: Any, sink: str, now: datetime, limit: int) -> list[Deferred]:
        looks.append(limit)
        return due(self, sink, now, limit)

    monkeypatch.setattr(deliveries, "due", watched)
    assert stage.deliver().delivered == len(USERS)
    assert stage.sink.users() == USERS
    assert len(looks) < len(USERS)


@pytest.mark.parametrize("behaviour", [take_all, fail(OSError())], ids=["nothing left", "paused"])
def test_where_there_is_nothing_to_do_nothing_is_written(host: Host, behaviour: Any) -> None:
    storage = CountingStorage(host.storage)
    stage = Stage(Host(storage, host.clock))
    stage.emit("ann", "ben")
    stage.sink.always = behaviour
    stage.deliver()
    before = storage.writes
    for _ in range(3):
        stage.deliver()
    assert storage.writes == before


@pytest.mark.parametrize(
    "users,batch_size",
    [([f"user-{number}" for number in range(500)], 100), (["ann"] * 300, 100)],
    ids=["many", "one"],
)
def test_a_batch_or_an_event_of_one_user_costs_one_transaction(
    host: Host, users: list[str], batch_size: int
) -> None:
    storage = CountingStorage(host.storage)
    stage = Stage(Host(storage, host.clock), ScriptedSink(batch_size=batch_size))
    stage.emit(*users)
    before = storage.writes
    assert stage.deliver().delivered == len(users)
    # One to know the sink, one to begin with, and one for each batch; PostgreSQL orders new events first.
    orders = isinstance(host.storage, PostgresStorage)
    assert storage.writes - before <= 2 + len(stage.sink.batches) + orders


class BusyOnce:
    """A storage that is busy when the answers of a sink are to be stored, the first time."""

    def __init__(self, storage: Storage, sink: ScriptedSink) -> None:
        self._storage = storage
        self._sink = sink
        self.was_busy: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def begin(self, *, write: bool = True) -> Any:
        if write and self._sink.batches and not self.was_busy:
            self.was_busy = True
            raise StorageBusy(reason="locked")
        return self._storage.begin(write=write)


def test_answers_are_stored_although_the_storage_was_busy(stage: Stage) -> None:
    stage.emit("ann", "ben")
    storage = BusyOnce(stage.host.storage, stage.sink)
    with pytest.raises(StorageBusy):
        PartnerVouchers(storage, clock=stage.host.clock).events.deliver(stage.sink)
    assert stage.deliver().delivered == 0
    assert stage.missing() == []


def test_what_is_in_flight_is_stored_before_it_is_sent(host: Host) -> None:
    stage = Stage(host, ScriptedSink(batch_size=1))
    stage.emit("ann", "ben", "cleo")
    seen = list[tuple[int, int]]()

    def look(entries: Sequence[OutboxEntry]) -> list[Any]:
        with host.storage.begin(write=False) as tx:
            progress = tx.deliveries.progress("crm")
        assert progress is not None
        seen.append((progress.sent, entries[0].position))
        return []

    stage.sink.always = look
    stage.deliver()
    assert len(seen) == 3
    assert all(sent == position for sent, position in seen)


# --- turns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size,before,most_behind", [(40, 400, 100), (3, 90, 10_000), (100, 700, 300)])
def test_a_user_with_many_events_does_not_keep_the_others_out_of_sight(
    host: Host, monkeypatch: pytest.MonkeyPatch, batch_size: int, before: int, most_behind: int
) -> None:
    monkeypatch.setattr(queue, "_MOST_BEHIND", most_behind)
    stage = Stage(host, ScriptedSink(batch_size=batch_size))
    stage.emit(*["heavy"] * before, "other")
    stage.deliver()
    assert stage.sink.users().index("other") < 20
    assert stage.missing() == []
    stage.require_order()


def test_an_event_that_fails_is_sent_before_those_that_were_deferred_behind_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user fills all that is read; his first event fails while the others were set aside."""
    monkeypatch.setattr(queue, "_MOST_BEHIND", 50)
    stage = Stage(host, ScriptedSink(batch_size=30, concurrency=2))
    stage.emit(*["heavy"] * 150, "other", *["heavy"] * 10)
    stage.sink.next.extend([take_all, fail(OSError()), take_all, fail(OSError())])
    stage.drain()


@pytest.mark.parametrize("heavy,others", [(10, 0), (95, 10)])
def test_no_event_is_deferred_while_there_is_room(host: Host, heavy: int, others: int) -> None:
    stage = Stage(host)
    stage.emit(*["heavy"] * heavy, *[f"user-{number}" for number in range(others)])
    deferred = set[int]()
    stage.sink.always = meanwhile(lambda: deferred.add(stage.events.backlog("crm").deferred))
    stage.deliver()
    assert deferred == {0}


def test_a_batch_with_events_that_are_sent_again_is_no_longer_than_others(host: Host) -> None:
    stage = Stage(host, ScriptedSink(batch_size=3))
    stage.emit("ann", "ben", "another")
    stage.sink.always = reject("ann", "ben", final=True)
    stage.deliver()
    stage.emit("cleo", "dora", "eve")
    assert stage.events.retry_dead_letters() == 2
    stage.sink.always = take_all
    stage.deliver()
    assert stage.new_batches(1) == [3, 2]
    assert stage.missing() == []


# --- interrupts, and several calls at once ------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_interrupted_delivery_of_a_long_outbox_loses_nothing(host: Host, concurrency: int) -> None:
    stage = Stage(host, ScriptedSink(batch_size=10, concurrency=concurrency))
    stage.emit(*["heavy"] * 80, *["ann", "ben", "cleo", "dora"] * 20)
    # By then more was read while events of the first user were still open.
    number = count()

    def interrupt(entries: Sequence[OutboxEntry]) -> Sequence[Any]:
        if next(number) == 60:
            raise KeyboardInterrupt
        return []

    stage.sink.always = interrupt
    with pytest.raises(KeyboardInterrupt):
        stage.deliver()
    stage.sink.always = take_all
    stage.drain()


@pytest.fixture
def together(clock: FixedClock) -> Stage:
    """Many users, and a sink that takes the events of each in a call of its own, all at once."""
    stage = Stage(Host(MemoryStorage(), clock), ScriptedSink(batch_size=1, concurrency=len(USERS)))
    stage.emit(*USERS)
    return stage


def test_a_sink_gets_as_many_calls_at_once_as_it_takes(together: Stage) -> None:
    barrier, threads = threading.Barrier(len(USERS)), set[str]()

    def meet(_: object) -> list[Any]:
        barrier.wait(PATIENCE)
        threads.add(threading.current_thread().name)
        return []

    together.sink.always = meet
    assert together.deliver().delivered == len(threads) == len(USERS)
    assert all(name.startswith("partner_vouchers delivery") for name in threads)


def test_a_slow_call_keeps_only_its_own_users_waiting(together: Stage) -> None:
    together.sink.concurrency = 2
    quick_calls = threading.Semaphore(0)

    def behave(entries: Sequence[OutboxEntry]) -> list[Any]:
        if user_of(entries) == USERS[0]:
            assert all(quick_calls.acquire(timeout=PATIENCE) for _ in USERS[1:])
        else:
            quick_calls.release()
        return []

    together.sink.always = behave
    assert together.deliver().failure is None
    assert together.sink.users() == [*USERS[1:], USERS[0]]


def test_answers_that_come_together_all_count(together: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_COMPLETED", ALL_COMPLETED)
    together.sink.concurrency, together.sink.batch_size = 3, 5
    together.sink.next.extend([lambda entries: [Rejection(entries[0].id, "no", final=True)]] * 3)
    report = together.deliver()
    assert (report.delivered, report.not_taken) == (13, 3)


def test_an_interrupt_waits_for_the_other_answers_and_keeps_them(
    together: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = {user: threading.Event() for user in USERS}
    closed, collect = iter(USERS[1:]), Calls.collect

    def one_by_one(self: Calls[Any]) -> list[Any]:
        try:
            return collect(self)
        finally:
            gates[next(closed, USERS[0])].set()

    def behave(entries: Sequence[OutboxEntry]) -> list[Any]:
        if user_of(entries) == USERS[0]:
            raise KeyboardInterrupt
        assert gates[user_of(entries)].wait(PATIENCE)
        return []

    monkeypatch.setattr(Calls, "collect", one_by_one)
    together.sink.always = behave
    with pytest.raises(KeyboardInterrupt):
        together.deliver()
    again = ScriptedSink()
    together.events.deliver(again)
    assert (together.sink.users(), again.users()) == (USERS[1:], USERS[:1])


# --- the lease ----------------------------------------------------------------------------------------------------


class BusyAtFirst(MemoryStorage):
    """A storage that is busy twice, and then tells that it was asked again."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int = 0
        self.asked_again: threading.Event = threading.Event()

    def begin(self, *, write: bool = True) -> Any:
        if self.left > 0:
            self.left -= 1
            if not self.left:
                self.asked_again.set()
            raise StorageBusy(reason="locked")
        return super().begin(write=write)


def test_a_lease_is_renewed_by_one_thread_until_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_RENEW_SECONDS", 0.001)
    storage = BusyAtFirst()
    stage = Stage(Host(storage, FixedClock()))
    stage.emit("ann")
    renewing = list[threading.Thread]()

    def be_slow(_: object) -> list[Any]:
        storage.left = 2
        assert storage.asked_again.wait(PATIENCE), "a renewal that fails is tried again"
        renewing.extend(each for each in threading.enumerate() if each.name == "partner_vouchers lease")
        return []

    stage.sink.always = be_slow
    assert stage.deliver().delivered == 1
    assert [thread.daemon for thread in renewing] == [True], "a process that ends does not wait for it"
    assert not renewing[0].is_alive()


def test_a_renewal_makes_thirty_seconds_more_of_a_lease_that_was_not_lost(stage: Stage) -> None:
    write = stage.host.vouchers._wiring.write
    mine, other = (SinkLease(stage.host.vouchers._wiring, "crm") for _ in range(2))

    def takes(tx: Any, lease: SinkLease) -> bool:
        return lease.take(tx)

    assert write(takes, mine)
    for _ in range(3):
        stage.host.clock.advance(seconds=29)
        assert not write(takes, other)
        write(mine._renew)
    stage.host.clock.advance(seconds=31)
    assert write(takes, other)
    write(mine._renew)
    assert not write(takes, mine)


def test_an_answer_that_comes_after_another_process_took_over_changes_nothing(stage: Stage) -> None:
    stage.emit(*["ann"] * 5)
    quick = ScriptedSink()

    def sleep(_: object) -> list[Any]:
        # Too long for its lease, and so fast on the wall clock that nothing renews it.
        stage.host.clock.advance(seconds=31)
        stage.sink.always = take_all
        stage.events.deliver(quick)
        return []

    stage.sink.always = sleep
    assert stage.deliver().delivered == 0, "its own answer was lost"
    assert len(quick.taken) == 5
    assert stage.events.deliver(ScriptedSink()).delivered == 0


def test_others_stand_by_while_one_delivers(host: Host) -> None:
    stage, other = Stage(host, ScriptedSink(batch_size=1)), ScriptedSink()
    stage.emit("ann", "ben")
    stage.sink.always = meanwhile(lambda: stage.events.deliver(other))
    assert stage.deliver().delivered == 2
    assert other.batches == []


def test_a_run_goes_on_after_another_has_deferred_what_it_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.emit("ann", "ben")
    look = Deliverer._look

    def be_overtaken(deliverer: Deliverer) -> object:
        work = look(deliverer)
        monkeypatch.undo()
        stage.sink.next.append(reject("ann"))
        stage.deliver()
        stage.host.clock.advance(hours=2)
        return work

    monkeypatch.setattr(Deliverer, "_look", be_overtaken)
    assert stage.deliver().delivered == 0
    stage.drain()


def test_a_run_does_not_send_what_another_has_sent_since_it_was_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.emit("ann", "ben")
    stage.sink.next.append(reject("ann"))
    stage.deliver()
    stage.emit("ann")
    stage.deliver()
    store = _Run._store

    def be_overtaken(run: _Run, batches: Any, *, release: bool) -> bool:
        monkeypatch.undo()
        stage.deliver()
        return store(run, batches, release=release)

    monkeypatch.setattr(_Run, "_store", be_overtaken)
    assert stage.deliver(hours=2).delivered == 0
    stage.drain()
