"""Who is to blame when a sink does not take an event."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.promo_events import PromoEvent
from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from tests.support.host import Host
from tests.support.sinks import Behaviour, ScriptedSink, fail, fail_at, reject, take_all
from tests.usecases.delivery.stage import ONCE, Stage, positions


def reject_all(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
    return [Rejection(entry.id, "400", final=True) for entry in entries]


def reject_ids(*ids: str, **how: Any) -> Behaviour:
    return lambda entries: [Rejection(entry.id, "no", **how) for entry in entries if entry.id in ids]


def test_a_final_rejection_is_a_dead_letter_once_a_later_event_is_taken(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "partner_vouchers.delivery")
    stage.emit("ann")
    stage.sink.always = reject("ann", final=True, reason="a reserved name")
    assert stage.deliver().dead_letters == 0
    stage.emit("ben")
    report = stage.deliver(hours=2)
    assert (report.delivered, report.dead_letters, report.paused_until) == (1, 1, None)
    (letter,) = stage.events.dead_letters()
    assert letter.event == stage.host.outbox()[0].event
    assert (letter.sink, letter.attempts, letter.reason) == ("crm", 1, "a reserved name")
    assert caplog.messages == [
        "the sink 'crm' is paused: it takes nothing, and refused an event: a reserved name",
        f"the event {letter.id} is a dead letter of the sink 'crm' after 1 attempts: a reserved name",
    ]
    stage.emit("ann")
    stage.sink.always = take_all
    assert stage.deliver(hours=2).delivered == 1, "a dead letter holds nobody back"


@pytest.mark.parametrize("batch_size", [1, 100])
@pytest.mark.parametrize(
    "refuse,failure",
    [
        (reject("ann", final=True), "it takes nothing, and refused an event: unknown user"),
        (reject("ann"), "it takes nothing, and refused an event: unknown user"),
        (fail_at("ann", error=OSError()), "the sink raised OSError"),
    ],
    ids=["finally", "for now", "fails"],
)
def test_a_refusal_counts_only_once_another_event_is_taken_after_it(
    host: Host, batch_size: int, refuse: Behaviour, failure: str
) -> None:
    stage = Stage(host, ScriptedSink(batch_size=batch_size))
    stage.sink.always = refuse
    stage.emit("before")
    stage.deliver(ONCE)
    stage.emit("ann")
    for _ in range(20):
        report = stage.deliver(ONCE, hours=2)
        assert (report.deferred, report.dead_letters, report.failure) == (1, 0, failure)
        assert report.paused_until is not None
    assert stage.events.backlog("crm").undelivered == 1, "it is shown for ever"
    stage.emit("ben")
    report = stage.deliver(ONCE, hours=2)
    assert (report.deferred, report.dead_letters, report.paused_until) == (0, 1, None)
    assert stage.sink.users() == ["before", "ben"]


def test_a_sink_that_refused_the_last_event_is_paused_at_once(stage: Stage) -> None:
    stage.emit("before", "ann")
    stage.sink.always = reject("ann")
    report = stage.deliver()
    assert (stage.new_batches(0), report.delivered, report.dead_letters) == ([2], 1, 0)
    assert report.paused_until is not None


@pytest.mark.parametrize(
    "behaviour",
    [reject_all, fail(SinkUnavailable(sink="crm", reason="503")), fail(OSError())],
    ids=["refuses", "unavailable", "fails"],
)
@pytest.mark.parametrize("worked_before", [True, False])
@pytest.mark.parametrize("batch_size,concurrency", [(1, 1), (7, 4), (100, 1)])
def test_a_sink_that_takes_nothing_makes_no_dead_letters(
    host: Host, behaviour: Behaviour, worked_before: bool, batch_size: int, concurrency: int
) -> None:
    stage = Stage(host, ScriptedSink(batch_size=batch_size, concurrency=concurrency))
    if worked_before:
        stage.emit(*[f"user-{number}" for number in range(20)])
        stage.deliver()
    stage.emit(*[f"user-{number}" for number in range(60)])
    stage.sink.always = behaviour
    for number in range(12):
        before = len(stage.sink.batches)
        report = stage.deliver(ONCE, hours=2)
        assert report.paused_until is not None
        assert report.failure is not None
        assert (report.delivered, report.dead_letters) == (0, 0)
        calls = len(stage.new_batches(before))
        assert calls <= 2 if number else calls == concurrency, "a few calls probe it"
    if behaviour is not reject_all:
        assert stage.new_batches(before) == [1], "with less and less"
    stage.sink.always = take_all
    stage.drain(ONCE)
    assert not stage.events.dead_letters()


class PromoSink(ScriptedSink):
    """A sink that wants promo events alone."""

    def wants(self, event: Event) -> bool:
        return isinstance(event, PromoEvent)


@pytest.mark.parametrize("batch_size", [1, 100])
def test_an_event_that_the_sink_does_not_want_is_no_sign_that_it_works(host: Host, batch_size: int) -> None:
    stage = Stage(host, PromoSink(batch_size=batch_size))
    stage.sink.always = reject_all
    for number in range(5):
        stage.emit(f"user-{number}")
        host.vouchers.partners.add(f"partner-{number}")
        report = stage.deliver(ONCE, hours=2)
        assert (report.delivered, report.dead_letters) == (0, 0)
        assert stage.events.backlog("crm").undelivered == number + 1
    stage.sink.always = take_all
    assert stage.deliver(ONCE, hours=2).delivered == 5


def test_a_deferred_event_that_the_sink_no_longer_wants_is_not_sent_again(host: Host) -> None:
    stage = Stage(host, ScriptedSink())
    stage.sink.always = reject_all
    host.vouchers.partners.add("Puma")
    stage.deliver()
    stage.sink = PromoSink()
    assert stage.deliver(hours=2).deferred == 0
    assert stage.sink.batches == []


def test_a_filter_that_raises_sends_everything(host: Host) -> None:
    stage = Stage(host)
    stage.sink.wants = ["none"].index  # type: ignore[attr-defined]
    stage.emit("ann")
    assert stage.deliver().delivered == 1


def test_the_pause_of_a_sink_that_refuses_grows_to_the_longest(stage: Stage) -> None:
    stage.emit("ann")
    stage.sink.always = reject("ann")
    clock, tries = stage.host.clock, list[float]()
    start = clock.now
    for _ in range(400):
        before = len(stage.sink.batches)
        stage.deliver()
        if len(stage.sink.batches) > before:
            tries.append((clock.now - start).total_seconds())
        clock.advance(seconds=0.25)
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert len(waits) >= 4
    for number, wait in enumerate(waits):
        assert 0.5 * 2**number <= wait <= 2**number + 0.25
    pauses = [
        report.paused_until - clock.now for _ in range(20) if (report := stage.deliver(hours=2)).paused_until
    ]
    longest = RetryPolicy().longest_pause
    assert len(pauses) == 20
    assert max(pauses) <= longest
    assert min(pauses[-5:]) >= longest / 2


def test_attempts_count_up_to_the_policys_and_waits_grow(stage: Stage) -> None:
    policy = RetryPolicy(max_attempts=4)
    stage.sink.always = reject("ann")
    stage.emit("ann")
    for attempts in range(1, 4):
        stage.emit("another")
        report = stage.deliver(policy, hours=2)
        assert (report.deferred, report.dead_letters) == (1, 0)
        with stage.host.storage.begin(write=False) as tx:
            (row,) = tx.deliveries.due("crm", stage.host.clock.now.replace(year=2030), 9)
        assert (row.attempts, row.retry_at is None) == (attempts, False)
        wait = (row.retry_at - stage.host.clock.now).total_seconds()  # type: ignore[operator]
        assert 0.5 * 2 ** (attempts - 1) <= wait <= 2 ** (attempts - 1)
    stage.emit("another")
    assert stage.deliver(policy, hours=2).dead_letters == 1
    assert [letter.attempts for letter in stage.events.dead_letters("crm")] == [4]


def test_a_poisonous_event_is_found_and_the_others_of_its_batch_arrive(host: Host) -> None:
    stage = Stage(host, ScriptedSink(batch_size=64))
    users = [f"user-{number}" for number in range(200)]
    stage.emit(*users)
    stage.sink.always = fail_at("user-77", error=ZeroDivisionError("division"))
    for number in range(200):
        if stage.deliver(RetryPolicy(max_attempts=5), hours=2).dead_letters:
            break
        stage.emit(f"later-{number}")
    (letter,) = stage.events.dead_letters()
    assert getattr(letter.event, "user_id", None) == "user-77"
    assert (letter.attempts, letter.reason) == (5, "the sink raised ZeroDivisionError")
    assert set(users) - set(stage.sink.users()) == {"user-77"}


def test_a_receiver_that_refuses_the_sender_blames_no_event(host: Host) -> None:
    stage = Stage(host, ScriptedSink(batch_size=1))
    stage.emit("ann", "ben")
    stage.sink.next.extend([fail(SinkUnavailable(sink="crm", reason="401", sender_refused=True))] * 7)
    stage.drain(ONCE)
    assert not stage.events.dead_letters()


def test_a_rejection_of_the_sender_never_counts_and_ends_no_run(stage: Stage) -> None:
    stage.emit("ann", "ben")
    stage.sink.always = reject_ids(stage.host.outbox()[0].id, final=True, sender_refused=True)
    for _ in range(5):
        report = stage.deliver(ONCE, hours=2)
        assert (report.deferred, report.dead_letters) == (1, 0)
        stage.emit("another")
    assert len(stage.sink.batches) <= 10
    stage.sink.always = take_all
    stage.drain(ONCE)


# --- sinks that take batches in order --------------------------------------------------------------------------


class InOrder(ScriptedSink):
    takes_batches_in_order: bool = True


def test_a_sink_that_takes_batches_in_order_gets_several_events_of_a_user_at_once(host: Host) -> None:
    stage = Stage(host, InOrder(batch_size=40))
    stage.emit(*["ann"] * 50, "ben", *["ann"] * 50)
    stage.deliver()
    assert stage.new_batches(0) == [40, 40, 21]
    assert [entry.position for entry in stage.sink.taken] == positions(host.outbox())


@pytest.mark.parametrize("rejected", [1, 3], ids=["the first", "all of the user"])
@pytest.mark.parametrize("final", [True, False])
def test_events_behind_a_refused_one_of_their_user_are_sent_after_it_and_not_to_blame(
    host: Host, rejected: int, final: bool
) -> None:
    stage = Stage(host, InOrder())
    stage.emit("ann", "ann", "ann", "ben")
    ids = [entry.id for entry in host.outbox()]
    stage.sink.next.append(reject_ids(*ids[:rejected], final=final))
    report = stage.deliver(RetryPolicy(max_attempts=1 if final else 2))
    dead = [letter.id for letter in stage.events.dead_letters()]
    assert dead == (ids[:1] if final else [])
    assert (report.not_taken, report.deferred) == (3, 0 if final else 3)
    stage.deliver(hours=2)
    arrived = [entry.id for entry in stage.sink.taken[-2 if final else -3 :]]
    assert arrived == (ids[1:3] if final else ids[:3])
