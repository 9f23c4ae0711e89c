"""How lanes are shared and taken turns at, and what a delivery costs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from attrs import evolve

from partner_vouchers import PartnerVouchers, RepeatPolicy
from partner_vouchers.domain.delivery import LANES, Held, RetryPolicy, lane_of_key
from partner_vouchers.domain.events import user_key
from partner_vouchers.domain.promo_events import PointsCredited
from partner_vouchers.errors import StorageBusy
from partner_vouchers.ports import OutboxEntry, Storage
from partner_vouchers.usecases.delivery.passes import Deliverer
from partner_vouchers.usecases.events import EventsGroup
from tests.support.host import START, Host, some_codes
from tests.support.promo import an_event
from tests.support.sinks import ScriptedSink, fail, reject, take_all
from tests.support.storages import CountingStorage


def user_in(lane: int, number: int = 0) -> str:
    """Return a user whose events are in a lane, a different one for each number."""
    names = (f"user-{each}" for each in count())
    mine = (name for name in names if lane_of_key(user_key(name)) == lane)
    return next(name for index, name in enumerate(mine) if index == number)


def give(host: Host, *users: str) -> None:
    campaign = f"CMP{len(host.outbox())}"
    host.a_list(*some_codes(len(users)), campaign=campaign, repeat=RepeatPolicy.NEW_CODE)
    for user in users:
        host.vouchers.codes.assign(campaign_id=campaign, user_id=user)


def lanes_in_order(host: Host) -> EventsGroup:
    """Return the group with chance taken out, so that lane 0 comes first."""
    return EventsGroup(evolve(host.vouchers._wiring, chance=lambda: 0.5))


# --- cost ------------------------------------------------------------------------------------------------------


def test_very_many_that_wait_are_looked_for_once_and_not_for_each_batch(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [user_in(3, number) for number in range(9)]
    give(host, *users)
    sink = ScriptedSink(batch_size=1)
    sink.always = reject(*users, final=True)
    host.vouchers.events.deliver(sink)
    assert host.vouchers.events.retry_dead_letters() == len(users)
    sink.always = take_all
    with host.storage.begin(write=False) as tx:
        deliveries = type(tx.deliveries)
    due, looks = deliveries.due, list[int]()

    def watched(self: Any, sink: str, lane: int, now: datetime, limit: int) -> list[Held]:
        if lane == 3:
            looks.append(limit)
        return due(self, sink, lane, now, limit)

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


def test_many_users_cost_few_transactions(host: Host) -> None:
    storage, sink = CountingStorage(host.storage), ScriptedSink(batch_size=1000)
    vouchers = PartnerVouchers(storage, clock=host.clock)
    found = host.a_list(*some_codes(800))
    vouchers.codes.assign_many([f"user-{number}" for number in range(800)], list_id=found.id)
    before = storage.writes
    assert vouchers.events.deliver(sink).delivered > 800
    # One to know the sink, one to begin with, and one for each batch.
    assert storage.writes - before <= 2 + len(sink.batches)


def test_empty_lanes_do_not_fall_far_behind(host: Host) -> None:
    give(host, *[user_in(3, number) for number in range(20)] * 60)
    sink = ScriptedSink()
    host.vouchers.events.deliver(sink)
    host.vouchers.events.deliver(sink)
    with host.storage.begin(write=False) as tx:
        behind = [tx.outbox.count(each.position, 2000) for each in tx.deliveries.progress("crm").values()]
    assert max(behind) <= 1000


def test_a_new_event_costs_few_transactions_however_far_positions_are_apart(host: Host) -> None:
    storage, sink = CountingStorage(host.storage), ScriptedSink()
    vouchers = PartnerVouchers(storage, clock=host.clock)
    give(host, "ann")
    vouchers.events.deliver(sink)
    costs = list[int]()
    for number in range(3):
        give(host, f"user-{number}")
        before, batches = storage.writes, len(sink.batches)
        vouchers.events.deliver(sink)
        # One for each batch, which takes the next lane too, and one for the first lane.
        costs.append(storage.writes - before - (len(sink.batches) - batches))
    assert max(costs) <= 1, costs


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


def test_an_answer_is_worth_another_try_where_the_storage_is_busy(host: Host) -> None:
    give(host, "ann", "ben")
    sink = ScriptedSink()
    storage = BusyOnce(host.storage, sink)
    PartnerVouchers(storage, clock=host.clock).events.deliver(sink)
    assert storage.was_busy
    assert sorted(entry.position for entry in sink.taken) == [entry.position for entry in host.outbox()]


# --- turns ------------------------------------------------------------------------------------------------------


def test_what_is_empty_now_is_looked_at_again(host: Host) -> None:
    sink = ScriptedSink()
    deliverer = Deliverer(host.vouchers._wiring, sink, RetryPolicy(), from_now=False)
    found = host.a_list(*some_codes(60))
    for number in range(60):
        host.give(found.id, f"user-{number}")
        deliverer.run()
        assert len(sink.taken) == len(host.outbox())
        assert deliverer.run().delivered == 0


def test_a_user_with_many_events_does_not_keep_the_others_of_the_lane_out_of_sight(host: Host) -> None:
    heavy, other = user_in(5, 0), user_in(5, 1)
    give(host, *[heavy] * 400, other)
    sink = ScriptedSink(batch_size=100)
    host.vouchers.events.deliver(sink)
    assert sink.users().index(other) < 50
    mine = [entry.position for entry in sink.taken if getattr(entry.event, "user_id", "") == heavy]
    assert len(mine) == 400
    assert mine == sorted(mine)


def test_chance_says_which_lane_comes_first_so_that_relays_seldom_meet(host: Host) -> None:
    users = [user_in(lane) for lane in range(LANES)]
    give(host, *users)
    sink, chances = ScriptedSink(), iter(range(LANES, 0, -1))
    wiring = evolve(host.vouchers._wiring, chance=lambda: next(chances, LANES) / LANES)
    EventsGroup(wiring).deliver(sink)
    assert sink.users() == users[::-1]


@pytest.mark.parametrize("heavy,others", [(10, 0), (195, 10)])
def test_nobody_is_put_off_while_there_is_room(host: Host, heavy: int, others: int) -> None:
    give(host, *[user_in(5)] * heavy, *[user_in(5, number) for number in range(1, others + 1)])
    sink, waiting = ScriptedSink(batch_size=100), set[int]()

    def look(_: object) -> list[Any]:
        waiting.add(host.vouchers.events.backlog("crm").waiting)
        return []

    sink.always = look
    host.vouchers.events.deliver(sink)
    assert waiting == {0}


def test_an_interrupted_delivery_of_a_long_lane_loses_nothing(host: Host) -> None:
    heavy, others = user_in(5), [user_in(5, number) for number in range(1, 5)]
    give(host, *[heavy] * 80, *others * 20)
    sink = ScriptedSink(batch_size=10)
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
    host.vouchers.events.deliver(sink)
    assert sorted(entry.position for entry in sink.taken) == [entry.position for entry in host.outbox()]
    assert sink.users().count(heavy) == 80


def test_a_lane_that_is_longer_than_what_is_read_at_once_arrives_whole(host: Host) -> None:
    heavy, others = user_in(5), [user_in(5, number) for number in range(1, 5)]
    give(host, *[heavy] * 80, *others * 20)
    sink = ScriptedSink(batch_size=10)
    assert host.vouchers.events.deliver(sink).delivered == len(host.outbox())


def test_a_batch_with_events_that_are_tried_again_is_no_longer_than_others(host: Host) -> None:
    first, second = [[user_in(5, number) for number in numbers] for numbers in ((0, 1), (2, 3, 4))]
    give(host, *first)
    sink = ScriptedSink(batch_size=3)
    sink.always = reject(*first, final=True)
    host.vouchers.events.deliver(sink)
    give(host, *second)
    host.vouchers.events.retry_dead_letters()
    before, sink.always = len(sink.batches), take_all
    host.vouchers.events.deliver(sink)
    mine = [batch for batch in sink.batches[before:] if any("user" in repr(each) for each in batch)]
    assert sorted(sink.users()) == sorted(first + second)
    assert max(len(batch) for batch in mine) == 3


@pytest.mark.parametrize("batch_size,before", [(3, 90), (100, 150)])
def test_a_lane_is_read_some_way_ahead_of_what_can_be_sent(host: Host, batch_size: int, before: int) -> None:
    heavy, other = user_in(5, 0), user_in(5, 1)
    give(host, *[heavy] * before, other)
    sink = ScriptedSink(batch_size=batch_size)
    host.vouchers.events.deliver(sink)
    assert sink.users()[:2] == [heavy, other]


def test_a_lane_fills_batches_of_any_size(host: Host) -> None:
    mine = [name for number in range(20_000) if lane_of_key(user_key(name := f"user-{number}")) == 3][:1100]
    with host.storage.begin() as tx:
        tx.outbox.append([an_event(PointsCredited, user_id=user, occurred_at=START) for user in mine])
        tx.commit()
    sink = ScriptedSink(batch_size=1100)
    lanes_in_order(host).deliver(sink)
    assert [len(batch) for batch in sink.batches] == [1100]
    with host.storage.begin(write=False) as tx:
        last = tx.outbox.last_position()
        found = tx.deliveries.progress("crm")
    assert {each.position for each in found.values()} == {last}, "empty lanes do not fall behind"
    storage = CountingStorage(host.storage)
    PartnerVouchers(storage, clock=host.clock).events.deliver(sink)
    assert storage.writes == 0, "and then there is nothing to do"


def test_a_sink_that_two_relays_come_to_know_at_once_is_known_once(host: Host) -> None:
    give(host, "ann", "ben")
    sink = ScriptedSink()
    late = Deliverer(host.vouchers._wiring, sink, RetryPolicy(), from_now=False)
    host.vouchers.events.deliver(sink)
    with host.storage.begin() as tx:
        late._register(tx)
    assert late.run().delivered == 0


def test_a_lane_makes_room_after_eleven_batches(host: Host) -> None:
    heavy, other = user_in(0), user_in(1)
    give(host, *[heavy] * 12, other)
    sink = ScriptedSink()
    lanes_in_order(host).deliver(sink)
    assert sink.users() == [heavy] * 11 + [other, heavy]


def test_a_lane_with_much_to_do_makes_room_for_the_others(host: Host) -> None:
    heavy, others = user_in(0), [user_in(lane) for lane in range(1, LANES)]
    give(host, *[heavy] * 60, *others)
    sink = ScriptedSink()
    lanes_in_order(host).deliver(sink)
    order = sink.users()
    assert order[0] == heavy
    assert max(order.index(other) for other in others) < 40
    assert sorted(order) == sorted([heavy] * 60 + others)


# --- leases ------------------------------------------------------------------------------------------------------


def test_an_answer_that_comes_after_another_relay_took_over_changes_nothing(host: Host) -> None:
    give(host, *["ann"] * 5)
    slow, quick = ScriptedSink(), ScriptedSink()

    def sleep(entries: Sequence[OutboxEntry]) -> Sequence[Any]:
        # Too long for its lease, and so fast on the wall clock that nothing renews it.
        host.clock.advance(seconds=31)
        slow.always = take_all
        host.vouchers.events.deliver(quick)
        return []

    slow.always = sleep
    report = host.vouchers.events.deliver(slow)
    assert len(quick.taken) == len(host.outbox())
    assert report.delivered == len(slow.taken) - len(slow.batches[0]), "its own answer was lost"
    after = ScriptedSink()
    assert host.vouchers.events.deliver(after).delivered == 0


def test_a_relay_leaves_a_lane_to_the_one_that_works_on_it(host: Host) -> None:
    give(host, "ann", "ann")
    sink, other = ScriptedSink(), ScriptedSink()

    def meanwhile(entries: Sequence[OutboxEntry]) -> Sequence[Any]:
        host.vouchers.events.deliver(other)
        return []

    sink.always = meanwhile
    host.vouchers.events.deliver(sink)
    taken = sink.taken + other.taken
    assert sorted(entry.position for entry in taken) == [entry.position for entry in host.outbox()]
