"""Who is to blame when a sink does not take an event."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise

import pytest

from partner_vouchers import DeliveryReport
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from tests.support.host import Host
from tests.support.sinks import ScriptedSink, fail, fail_at, reject, take_all


def emit(host: Host, *users: str) -> None:
    for user in users:
        host.emit_for(user)


def deliver(host: Host, sink: ScriptedSink, retry: RetryPolicy | None = None) -> DeliveryReport:
    """Deliver once the pause of the sink is over."""
    host.clock.advance(hours=2)
    return host.vouchers.events.deliver(sink, retry=retry)


def drain(host: Host, sink: ScriptedSink, retry: RetryPolicy | None = None) -> None:
    for _ in range(1000):
        report = deliver(host, sink, retry)
        if not report.deferred and report.paused_until is None:
            return
    raise AssertionError("it never ends")


def reject_all(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
    return [Rejection(entry.id, "400", final=True) for entry in entries]


def test_a_final_rejection_is_a_dead_letter_once_a_later_event_is_taken(host: Host) -> None:
    emit(host, "ann", "ben")
    sink = ScriptedSink()
    sink.always = reject("ann", final=True, reason="a reserved name")
    report = deliver(host, sink)
    assert (report.delivered, report.dead_letters, report.paused_until) == (1, 1, None)
    (letter,) = host.vouchers.events.dead_letters()
    assert (letter.event, letter.sink, letter.attempts, letter.reason) == (
        host.outbox()[0].event,
        "crm",
        1,
        "a reserved name",
    )
    emit(host, "ann")
    sink.always = take_all
    assert deliver(host, sink).delivered == 1, "a dead letter holds nobody back"


@pytest.mark.parametrize("batch_size", [1, 100])
@pytest.mark.parametrize("final", [True, False])
def test_a_refusal_counts_only_once_another_event_is_taken_after_it(
    host: Host, batch_size: int, final: bool
) -> None:
    once = RetryPolicy(max_attempts=1)
    sink = ScriptedSink(batch_size=batch_size)
    sink.always = reject("ann", final=final)
    emit(host, "before")
    deliver(host, sink, once)
    emit(host, "ann")
    for rounds in range(1, 20):
        report = deliver(host, sink, once)
        assert (report.deferred, report.dead_letters) == (1, 0), rounds
        assert report.paused_until is not None
        assert report.failure == "it takes nothing, and refused an event: unknown user"
    backlog = host.vouchers.events.backlog("crm")
    assert (backlog.undelivered, backlog.deferred) == (1, 1), "it is shown for ever"
    emit(host, "ben")
    report = deliver(host, sink, once)
    assert (report.deferred, report.dead_letters, report.paused_until) == (0, 1, None)
    assert sink.users() == ["before", "ben"]


@pytest.mark.parametrize("batch_size", [1, 7, 100])
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("rounds", [1, 2, 3, 9])
def test_a_sink_that_refuses_everything_makes_no_dead_letters(
    host: Host, batch_size: int, concurrency: int, rounds: int
) -> None:
    emit(host, *[f"user-{number}" for number in range(200)])
    sink = ScriptedSink(batch_size=batch_size, concurrency=concurrency)
    sink.always = reject_all
    for _ in range(rounds):
        report = deliver(host, sink, RetryPolicy(max_attempts=1))
        assert report.paused_until is not None
        assert report.failure is not None
        assert (report.delivered, report.dead_letters) == (0, 0)
    sink.always = take_all
    drain(host, sink, RetryPolicy(max_attempts=1))
    assert sorted(entry.position for entry in sink.taken) == [entry.position for entry in host.outbox()]
    assert not host.vouchers.events.dead_letters()


@pytest.mark.parametrize("batch_size", [1, 100])
def test_a_sink_that_fails_after_it_worked_makes_no_dead_letters(host: Host, batch_size: int) -> None:
    sink = ScriptedSink(batch_size=batch_size)
    emit(host, *[f"user-{number}" for number in range(20)])
    deliver(host, sink)
    emit(host, *[f"user-{number}" for number in range(20)])
    sink.always = reject_all
    for _ in range(5):
        deliver(host, sink)
    sink.always = take_all
    drain(host, sink)
    assert len(sink.taken) == 40
    assert not host.vouchers.events.dead_letters()


def test_probes_of_a_sink_that_refuses_everything_are_few(host: Host) -> None:
    emit(host, *[f"user-{number}" for number in range(500)])
    sink = ScriptedSink(batch_size=1)
    sink.always = reject_all
    for _ in range(30):
        before = len(sink.batches)
        deliver(host, sink)
        assert len(sink.batches) - before <= 2


def test_the_pause_of_a_sink_that_refuses_grows_to_the_longest(host: Host) -> None:
    emit(host, "ann")
    sink = ScriptedSink()
    sink.always = reject("ann")
    tries, start = list[float](), host.clock.now
    for _ in range(400):
        before = len(sink.batches)
        host.vouchers.events.deliver(sink)
        if len(sink.batches) > before:
            tries.append((host.clock.now - start).total_seconds())
        host.clock.advance(seconds=0.25)
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert len(waits) >= 4
    for number, wait in enumerate(waits):
        assert 0.5 * 2**number <= wait <= 2**number + 0.25
    policy = RetryPolicy()
    report = deliver(host, sink)
    while (pause := report.paused_until) is not None and pause - host.clock.now < policy.longest_pause / 2:
        report = deliver(host, sink)
    for _ in range(5):
        report = deliver(host, sink)
        assert report.paused_until is not None
        assert report.paused_until - host.clock.now <= policy.longest_pause


def test_attempts_count_up_to_the_policys_and_waits_grow(host: Host) -> None:
    sink = ScriptedSink()
    sink.always = reject("ann")
    emit(host, "ann")
    for attempts in range(1, 4):
        emit(host, "another")
        report = deliver(host, sink, RetryPolicy(max_attempts=4))
        assert (report.deferred, report.dead_letters) == (1, 0)
        with host.storage.begin(write=False) as tx:
            (row,) = tx.deliveries.due("crm", host.clock.now.replace(year=2030), 9)
        assert row.attempts == attempts
        assert row.retry_at is not None
        wait = (row.retry_at - host.clock.now).total_seconds()
        assert 0.5 * 2 ** (attempts - 1) <= wait <= 2 ** (attempts - 1)
    emit(host, "another")
    assert deliver(host, sink, RetryPolicy(max_attempts=4)).dead_letters == 1
    (letter,) = host.vouchers.events.dead_letters("crm")
    assert letter.attempts == 4


def test_a_poisonous_event_is_found_and_the_others_of_its_batch_arrive(host: Host) -> None:
    users = [f"user-{number}" for number in range(200)]
    emit(host, *users)
    sink = ScriptedSink(batch_size=64)
    sink.always = fail_at("user-77", error=ZeroDivisionError("division"))
    for number in range(200):
        report = deliver(host, sink, RetryPolicy(max_attempts=5))
        if report.dead_letters:
            break
        emit(host, f"later-{number}")
    (letter,) = host.vouchers.events.dead_letters()
    assert getattr(letter.event, "user_id", None) == "user-77"
    assert (letter.attempts, letter.reason) == (5, "the sink raised ZeroDivisionError")
    assert set(users) - set(sink.users()) == {"user-77"}


def test_an_event_that_fails_alone_counts_once_another_is_taken(host: Host) -> None:
    once = RetryPolicy(max_attempts=1)
    sink = ScriptedSink()
    sink.always = fail_at("ann", error=OSError())
    emit(host, "ann")
    for _ in range(12):
        report = deliver(host, sink, once)
        assert (report.deferred, report.dead_letters) == (1, 0)
    emit(host, "ben")
    assert deliver(host, sink, once).dead_letters == 1
    assert sink.users() == ["ben"]


@pytest.mark.parametrize("batch_size", [1, 10])
def test_an_outage_blames_nobody(host: Host, batch_size: int) -> None:
    once = RetryPolicy(max_attempts=1)
    sink = ScriptedSink(batch_size=batch_size)
    emit(host, *[f"user-{number}" for number in range(30)])
    sink.always = fail(SinkUnavailable(sink="crm", reason="503"))
    for _ in range(12):
        deliver(host, sink, once)
    sink.always = take_all
    drain(host, sink, once)
    assert sorted(entry.position for entry in sink.taken) == [entry.position for entry in host.outbox()]


def test_a_receiver_that_refuses_the_sender_blames_no_event(host: Host) -> None:
    once = RetryPolicy(max_attempts=1)
    sink = ScriptedSink(batch_size=1)
    emit(host, "ann", "ben")
    sink.next.extend([fail(SinkUnavailable(sink="crm", reason="401", sender_refused=True))] * 7)
    drain(host, sink, once)
    assert sorted(sink.users()) == ["ann", "ben"]
    assert not host.vouchers.events.dead_letters()


def test_a_rejection_of_the_sender_never_counts_and_ends_no_run(host: Host) -> None:
    once = RetryPolicy(max_attempts=1)
    sink = ScriptedSink()
    emit(host, "ann", "ben")

    def forbid_ann(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        first = host.outbox()[0].id
        return [Rejection(entry.id, "403", True, True) for entry in entries if entry.id == first]

    sink.always = forbid_ann
    for _ in range(5):
        report = deliver(host, sink, once)
        assert (report.deferred, report.dead_letters) == (1, 0)
        emit(host, "another")
    assert len(sink.batches) <= 10
    sink.always = take_all
    drain(host, sink, once)
    assert "ann" in sink.users()


def test_each_pause_and_each_dead_letter_is_logged(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "partner_vouchers.delivery")
    emit(host, "ann")
    sink = ScriptedSink()
    sink.always = reject("ann", final=True, reason="a reserved name")
    deliver(host, sink)
    emit(host, "ben")
    deliver(host, sink)
    (letter,) = host.vouchers.events.dead_letters()
    assert caplog.messages == [
        "the sink 'crm' is paused: it takes nothing, and refused an event: a reserved name",
        f"the event {letter.id} is a dead letter of the sink 'crm' after 1 attempts: a reserved name",
    ]


class InOrder(ScriptedSink):
    takes_batches_in_order: bool = True


def test_a_sink_that_takes_batches_in_order_gets_several_events_of_a_user_at_once(host: Host) -> None:
    emit(host, *["ann"] * 50, "ben", *["ann"] * 50)
    sink = InOrder(batch_size=40)
    deliver(host, sink)
    assert [len(batch) for batch in sink.batches] == [40, 40, 21]
    assert [entry.position for entry in sink.taken] == [entry.position for entry in host.outbox()]


def test_events_behind_a_refused_one_of_their_user_are_sent_again_after_it(host: Host) -> None:
    emit(host, "ann", "ann", "ann", "ben")
    first = host.outbox()[0].id
    sink = InOrder()

    def refuse_the_first(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        return [Rejection(entry.id, "busy") for entry in entries if entry.id == first]

    sink.next.append(refuse_the_first)
    report = deliver(host, sink)
    assert (report.delivered, report.not_taken, report.deferred) == (1, 3, 3)
    drain(host, sink)
    mine = [entry.position for entry in sink.taken[-3:]]
    assert mine == sorted(mine) == [entry.position for entry in host.outbox()][:3]


@pytest.mark.parametrize("final", [True, False])
def test_an_event_that_is_rejected_for_an_earlier_one_of_its_user_is_not_to_blame(
    host: Host, final: bool
) -> None:
    emit(host, "ann", "ann", "ann", "ben")
    first, *later = [entry.id for entry in host.outbox()][:3]
    sink = InOrder()

    def reject_ann(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        return [Rejection(entry.id, "unknown", final) for entry in entries if entry.id in (first, *later)]

    sink.next.append(reject_ann)
    report = deliver(host, sink, RetryPolicy(max_attempts=1))
    assert (report.delivered, report.dead_letters, report.deferred) == (3, 1, 0)
    assert [letter.id for letter in host.vouchers.events.dead_letters()] == [first]
    assert sink.users() == ["ben", "ann", "ann"]
