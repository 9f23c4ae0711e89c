"""What a delivery run costs, and in which turns it works."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.domain.delivery import Deferred
from partner_vouchers.errors import StorageBusy
from partner_vouchers.ports import OutboxEntry, Storage
from tests.support.host import Host, some_codes
from tests.support.sinks import ScriptedSink, fail, reject, take_all
from tests.support.storages import CountingStorage


def give(host: Host, *users: str) -> None:
    for user in users:
        host.emit_for(user)


def positions(entries: Sequence[OutboxEntry]) -> list[int]:
    return sorted(entry.position for entry in entries)


# --- cost ------------------------------------------------------------------------------------------------------


def test_very_many_that_are_due_are_looked_for_once_and_not_for_each_batch(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"user-{number}" for number in range(9)]
    give(host, *users, "another")
    sink = ScriptedSink()
    sink.always = reject(*users, final=True)
    host.vouchers.events.deliver(sink)
    assert host.vouchers.events.retry_dead_letters() == len(users)
    sink = ScriptedSink(batch_size=1)
    with host.storage.begin(write=False) as tx:
        deliveries = type(tx.deliveries)
    due, looks = deliveries.due, list[int]()

    def watched(self: Any, sink: str, now: datetime, limit: int) -> list[Deferred]:
        looks.append(limit)
        return due(self, sink, now, limit)

    monkeypatch.setattr(deliveries, "due", watched)
    assert host.vouchers.events.deliver(sink).delivered == len(users)
    assert sink.users() == users
    assert len(looks) < len(users)


def test_where_there_is_nothing_to_do_nothing_is_written(host: Host) -> None:
    storage, sink = CountingStorage(host.storage), ScriptedSink()
    vouchers = PartnerVouchers(storage, clock=host.clock)
    give(host, "ann", "ben")
    vouchers.events.deliver(sink)
    before = storage.writes
    for _ in range(5):
        vouchers.events.deliver(sink)
    assert storage.writes == before


def test_to_leave_a_sink_alone_writes_nothing(host: Host) -> None:
    storage, sink = CountingStorage(host.storage), ScriptedSink()
    vouchers = PartnerVouchers(storage, clock=host.clock)
    give(host, "ann", "ben")
    sink.always = fail(OSError())
    vouchers.events.deliver(sink)
    before = storage.writes
    assert vouchers.events.deliver(sink).paused_until is not None
    assert storage.writes == before


@pytest.mark.parametrize("batch_size", [1000, 100])
def test_many_users_cost_few_transactions(host: Host, batch_size: int) -> None:
    storage, sink = CountingStorage(host.storage), ScriptedSink(batch_size=batch_size)
    vouchers = PartnerVouchers(storage, clock=host.clock)
    found = host.a_list(*some_codes(800))
    vouchers.codes.assign_many([f"user-{number}" for number in range(800)], list_id=found.id)
    before = storage.writes
    assert vouchers.events.deliver(sink).delivered > 800
    # One to know the sink, one to begin with, and one for each batch; PostgreSQL orders new events first.
    orders = isinstance(host.storage, PostgresStorage)
    assert storage.writes - before <= 2 + len(sink.batches) + orders


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


def test_an_answer_is_worth_another_attempt_when_the_storage_is_busy(host: Host) -> None:
    give(host, "ann", "ben")
    sink = ScriptedSink()
    storage = BusyOnce(host.storage, sink)
    PartnerVouchers(storage, clock=host.clock).events.deliver(sink)
    assert storage.was_busy
    assert positions(sink.taken) == positions(host.outbox())


def test_what_is_in_flight_is_stored_before_it_is_sent(host: Host) -> None:
    give(host, "ann", "ben", "cleo")
    sink = ScriptedSink(batch_size=1)
    seen = list[tuple[int, int]]()

    def look(entries: Sequence[OutboxEntry]) -> list[Any]:
        with host.storage.begin(write=False) as tx:
            progress = tx.deliveries.progress("crm")
        assert progress is not None
        seen.append((progress.sent, entries[0].position))
        return []

    sink.always = look
    host.vouchers.events.deliver(sink)
    assert all(sent == position for sent, position in seen)
    assert len(seen) == 3


# --- turns ------------------------------------------------------------------------------------------------------


def test_what_is_empty_now_is_looked_at_again(host: Host) -> None:
    sink = ScriptedSink()
    found = host.a_list(*some_codes(20))
    for number in range(20):
        host.give(found.id, f"user-{number}")
        host.vouchers.events.deliver(sink)
        assert positions(sink.taken) == positions(host.outbox())


def test_a_user_with_many_events_does_not_keep_the_others_out_of_sight(host: Host) -> None:
    give(host, *["heavy"] * 400, "other")
    sink = ScriptedSink(batch_size=40)
    host.vouchers.events.deliver(sink)
    assert sink.users().index("other") < 50
    mine = [entry.position for entry in sink.taken if getattr(entry.event, "user_id", "") == "heavy"]
    assert len(mine) == 400
    assert mine == sorted(mine)


def test_an_event_that_fails_is_sent_before_those_that_were_deferred_behind_it(host: Host) -> None:
    """A user fills all that is read; his first event fails while the others were set aside."""
    give(host, *["heavy"] * 150, "other", *["heavy"] * 10)
    sink = ScriptedSink(batch_size=30, concurrency=2)
    sink.next.extend([take_all, fail(OSError()), take_all, fail(OSError())])
    for _ in range(30):
        host.vouchers.events.deliver(sink)
        host.clock.advance(hours=1)
    mine = [entry.position for entry in sink.taken if getattr(entry.event, "user_id", "") == "heavy"]
    assert mine == sorted(mine)
    assert positions(sink.taken) == positions(host.outbox())


@pytest.mark.parametrize("heavy,others", [(10, 0), (95, 10)])
def test_nobody_is_deferred_while_there_is_room(host: Host, heavy: int, others: int) -> None:
    give(host, *["heavy"] * heavy, *[f"user-{number}" for number in range(others)])
    sink, deferred = ScriptedSink(batch_size=100), set[int]()

    def look(_: object) -> list[Any]:
        deferred.add(host.vouchers.events.backlog("crm").deferred)
        return []

    sink.always = look
    host.vouchers.events.deliver(sink)
    assert deferred == {0}


@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_interrupted_delivery_of_a_long_outbox_loses_nothing(host: Host, concurrency: int) -> None:
    give(host, *["heavy"] * 80, *["ann", "ben", "cleo", "dora"] * 20)
    sink = ScriptedSink(batch_size=10, concurrency=concurrency)
    # By then more was read while events of the first user were still open.
    calls = count()

    def interrupt(entries: Sequence[OutboxEntry]) -> Sequence[Any]:
        if next(calls) == 60:
            raise KeyboardInterrupt
        return []

    sink.always = interrupt
    with pytest.raises(KeyboardInterrupt):
        host.vouchers.events.deliver(sink)
    sink.always = take_all
    host.clock.advance(seconds=31)
    host.vouchers.events.deliver(sink)
    assert positions(sink.taken) == positions(host.outbox())
    assert sink.users().count("heavy") == 80


def test_a_batch_with_events_that_are_sent_again_is_no_longer_than_others(host: Host) -> None:
    give(host, "ann", "ben", "another")
    sink = ScriptedSink(batch_size=3)
    sink.always = reject("ann", "ben", final=True)
    host.vouchers.events.deliver(sink)
    give(host, "cleo", "dora", "eve")
    assert host.vouchers.events.retry_dead_letters() == 2
    before, sink.always = len(sink.batches), take_all
    host.vouchers.events.deliver(sink)
    assert sorted(sink.users()) == ["ann", "another", "ben", "cleo", "dora", "eve"]
    assert [len(batch) for batch in sink.batches[before:]] == [3, 2]


@pytest.mark.parametrize("batch_size,before", [(3, 90), (100, 150)])
def test_the_outbox_is_read_some_way_ahead_of_what_can_be_sent(
    host: Host, batch_size: int, before: int
) -> None:
    give(host, *["heavy"] * before, "other")
    sink = ScriptedSink(batch_size=batch_size)
    host.vouchers.events.deliver(sink)
    assert sink.users()[:2] == ["heavy", "other"]
