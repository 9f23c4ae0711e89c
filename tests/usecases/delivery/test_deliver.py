from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from partner_vouchers import PartnerVouchers, RepeatPolicy
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.errors import InvalidInput, SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from tests.support.host import Host, some_codes
from tests.support.ids import shown
from tests.support.sinks import ScriptedSink, fail, fail_at, reject, take_all


def given(host: Host, *users: str) -> None:
    """Give each of these users a code, in this order, whatever they have already."""
    campaign = f"CMP{len(host.outbox())}"
    host.a_list(*some_codes(len(users)), campaign=campaign, repeat=RepeatPolicy.NEW_CODE)
    for user in users:
        host.vouchers.codes.assign(campaign_id=campaign, user_id=user)


def drain(host: Host, sink: ScriptedSink, retry: RetryPolicy | None = None) -> None:
    """Deliver until nothing waits."""
    for _ in range(1000):
        report = host.vouchers.events.deliver(sink, retry=retry)
        if not report.deferred and report.paused_until is None:
            return
        host.clock.advance(hours=2)
    raise AssertionError("it never ends")


def by_position(entries: list[OutboxEntry]) -> list[OutboxEntry]:
    return sorted(entries, key=lambda entry: entry.position)


# --- what arrives ---------------------------------------------------------------------------------------------


def test_all_events_arrive_once(host: Host) -> None:
    given(host, "ann", "ben", "ann", "cleo")
    sink = ScriptedSink()
    report = host.vouchers.events.deliver(sink)
    assert by_position(sink.taken) == host.outbox()
    assert (report.sink, report.delivered, report.not_taken) == ("crm", len(host.outbox()), 0)
    assert (report.deferred, report.dead_letters, report.paused_until) == (0, 0, None)


def test_what_was_delivered_is_not_delivered_again(host: Host) -> None:
    given(host, "ann")
    sink = ScriptedSink()
    host.vouchers.events.deliver(sink)
    before = list(sink.taken)
    assert host.vouchers.events.deliver(sink).delivered == 0
    given(host, "ben")
    host.vouchers.events.deliver(sink)
    assert by_position(sink.taken[len(before) :]) == host.outbox()[len(before) :]


def test_each_sink_gets_everything(host: Host) -> None:
    given(host, "ann", "ben")
    first, second = ScriptedSink("first"), ScriptedSink("second")
    host.vouchers.events.deliver(first)
    host.vouchers.events.deliver(second)
    assert by_position(first.taken) == by_position(second.taken) == host.outbox()


def test_what_is_no_sink_is_told_what_it_is(host: Host) -> None:
    with pytest.raises(InvalidInput, match=r"^sink: must be an EventSink, not str$"):
        host.vouchers.events.deliver("crm")  # type: ignore[arg-type]


@pytest.mark.parametrize("thing", ["crm", None, ScriptedSink])
def test_what_is_no_sink_is_told_so(host: Host, thing: object) -> None:
    with pytest.raises(InvalidInput, match=r"^sink"):
        host.vouchers.events.deliver(thing)  # type: ignore[arg-type]


def test_a_new_sink_may_begin_with_what_comes_from_now_on(host: Host) -> None:
    given(host, "ann")
    before = host.outbox()
    sink = ScriptedSink()
    assert host.vouchers.events.deliver(sink, from_now=True).delivered == 0
    given(host, "ben")
    host.vouchers.events.deliver(sink, from_now=True)
    assert by_position(sink.taken) == host.outbox()[len(before) :]


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 7, 1000])
def test_the_events_of_each_user_arrive_in_order(host: Host, batch_size: int, concurrency: int) -> None:
    given(host, *[f"user-{number % 23}" for number in range(70)])
    given(host, *[f"user-{number * 7 % 23}" for number in range(50)])
    sink = ScriptedSink(batch_size=batch_size, concurrency=concurrency)
    host.vouchers.events.deliver(sink)
    assert by_position(sink.taken) == host.outbox()
    for key in {entry.event.ordering_key for entry in sink.taken}:
        mine = [entry.position for entry in sink.taken if entry.event.ordering_key == key]
        assert mine == sorted(mine)
    for batch in sink.batches:
        assert len(batch) <= batch_size
        assert len({entry.event.ordering_key for entry in batch}) == len(batch)
        assert by_position(batch) == batch


# --- what does not ---------------------------------------------------------------------------------------------


def test_a_single_rejection_is_tried_again_and_the_rest_goes_on(host: Host) -> None:
    given(host, "ann", "ben", "cleo")
    sink = ScriptedSink()
    sink.always = reject("ben")
    report = host.vouchers.events.deliver(sink)
    assert sorted(sink.users()) == ["ann", "cleo"]
    assert (report.not_taken, report.deferred, report.dead_letters, report.paused_until) == (1, 1, 0, None)
    sink.always = take_all
    assert host.vouchers.events.deliver(sink).delivered == 0, "too early"
    host.clock.advance(seconds=1)
    assert host.vouchers.events.deliver(sink).delivered == 1
    assert sorted(sink.users()) == ["ann", "ben", "cleo"]


def test_a_waiting_event_holds_back_the_later_ones_of_its_user_only(host: Host) -> None:
    given(host, "ann", "ben")
    sink = ScriptedSink()
    sink.always = reject("ann")
    host.vouchers.events.deliver(sink)
    given(host, "ann", "ben", "ann")
    sink.always = take_all
    report = host.vouchers.events.deliver(sink)
    assert sink.users() == ["ben", "ben"]
    assert report.deferred == 3
    host.clock.advance(seconds=1)
    assert host.vouchers.events.deliver(sink).deferred == 0
    assert sink.users() == ["ben", "ben", "ann", "ann", "ann"]
    mine = [entry.position for entry in sink.taken if getattr(entry.event, "user_id", "") == "ann"]
    assert mine == sorted(mine)


@pytest.mark.parametrize(
    "error", [SinkUnavailable(sink="crm", reason="503"), ValueError("PM000000 secret")], ids=repr
)
def test_a_sink_that_fails_gets_the_whole_batch_again_after_a_pause(host: Host, error: Exception) -> None:
    given(host, "ann", "ben")
    sink = ScriptedSink(batch_size=1000)
    sink.always = fail(error)
    report = host.vouchers.events.deliver(sink)
    assert len(sink.batches) == 1, "it is left alone"
    assert report.failure == ("503" if isinstance(error, SinkUnavailable) else "the sink raised ValueError")
    assert report.delivered == 0
    assert report.paused_until is not None
    assert timedelta(seconds=0.5) <= report.paused_until - host.clock.now <= timedelta(seconds=1)
    host.vouchers.events.deliver(sink)
    assert len(sink.batches) == 1
    sink.always = take_all
    drain(host, sink)
    assert by_position(sink.taken) == host.outbox()


def test_a_pause_is_as_long_as_the_sink_asks_for(host: Host) -> None:
    given(host, "ann")
    sink = ScriptedSink()
    sink.always = fail(SinkUnavailable(sink="crm", reason="429", retry_after=600))
    report = host.vouchers.events.deliver(sink)
    assert report.paused_until == host.clock.now + timedelta(seconds=600)
    host.clock.advance(seconds=599)
    host.vouchers.events.deliver(sink)
    assert len(sink.batches) == 1


@pytest.mark.parametrize("asked", [float("nan"), float("inf"), -5.0, 1e300])
def test_a_sink_cannot_ask_for_more_than_the_longest_wait(host: Host, asked: float) -> None:
    given(host, "ann")
    sink = ScriptedSink()
    sink.always = fail(SinkUnavailable(sink="crm", reason="429", retry_after=asked))
    report = host.vouchers.events.deliver(sink)
    assert report.paused_until is not None
    assert report.paused_until - host.clock.now <= timedelta(hours=1)


def test_all_who_deliver_to_a_sink_leave_it_alone(host: Host) -> None:
    given(host, "ann", "ben")
    sink = ScriptedSink()
    sink.always = fail(OSError())
    host.vouchers.events.deliver(sink)
    other = PartnerVouchers(host.storage, clock=host.clock)
    assert other.events.deliver(sink).paused_until is not None
    assert len(sink.batches) == 1


@pytest.mark.parametrize("concurrency", [2, 4])
def test_calls_that_fail_together_are_one_failure_and_one_call_probes(host: Host, concurrency: int) -> None:
    given(host, *[f"user-{number}" for number in range(100)])
    sink = ScriptedSink(batch_size=8, concurrency=concurrency)
    sink.always = fail(OSError())
    for number in range(4):
        before = len(sink.batches)
        report = host.vouchers.events.deliver(sink)
        assert len(sink.batches) - before == (concurrency if number == 0 else 1)
        assert report.paused_until is not None
        assert report.paused_until - host.clock.now <= timedelta(seconds=2**number)
        host.clock.now = report.paused_until


def test_a_dead_sink_is_probed_with_small_batches(host: Host) -> None:
    given(host, *[f"user-{number}" for number in range(300)])
    sink = ScriptedSink(batch_size=16, concurrency=4)
    sink.always = fail(OSError())
    for _ in range(12):
        host.vouchers.events.deliver(sink)
        host.clock.advance(hours=2)
    assert [len(batch) for batch in sink.batches][-5:] == [1] * 5
    sink.always = take_all
    drain(host, sink)
    assert by_position(sink.taken) == host.outbox()


@pytest.mark.parametrize(
    "answer", [None, 5, ["ann"], [None], iter(()), [Rejection(cast(Any, []), "no")]], ids=shown
)
def test_a_sink_that_breaks_the_protocol_loses_nothing(host: Host, answer: Any) -> None:
    given(host, "ann")
    sink = ScriptedSink()
    honest = sink.send
    setattr(sink, "send", lambda entries: answer)  # noqa: B010 - mypy does not know better
    assert host.vouchers.events.deliver(sink).delivered == 0
    setattr(sink, "send", honest)  # noqa: B010
    drain(host, sink)
    assert by_position(sink.taken) == host.outbox()


@pytest.mark.parametrize(
    "answer,failure",
    [
        (None, "the sink did not return a list of rejections; return an empty one if it took all events"),
        ([Rejection("another", "no")], "the sink rejected an event that it was not given"),
    ],
    ids=["no list", "unknown event"],
)
def test_what_is_wrong_with_an_answer_is_told(host: Host, answer: Any, failure: str) -> None:
    given(host, "ann")
    sink = ScriptedSink(batch_size=1000)
    setattr(sink, "send", lambda entries: answer)  # noqa: B010 - mypy does not know better
    report = host.vouchers.events.deliver(sink)
    assert (report.delivered, report.failure) == (0, failure)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("raises", [True, False])
def test_a_sink_may_use_up_its_list(host: Host, concurrency: int, *, raises: bool) -> None:
    given(host, "ann", "ben", "cleo")
    sink = ScriptedSink(concurrency=concurrency)
    seen: list[OutboxEntry] = []

    def use_up(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        seen.extend(entries)
        if len(seen) > 1000:
            pytest.fail("it never ends")
        cast(list[OutboxEntry], entries).clear()
        if raises and len(seen) < 30:
            raise OSError
        return []

    sink.always = use_up
    drain(host, sink)
    assert {entry.id for entry in seen} == {entry.id for entry in host.outbox()}
    if not raises:
        assert len(seen) == len(host.outbox())


@pytest.mark.parametrize("asked", ["5", timedelta(seconds=5), float("nan"), -5.0, [], True], ids=repr)
def test_a_pause_that_makes_no_sense_ends_no_delivery(host: Host, asked: Any) -> None:
    given(host, "ann")
    sink = ScriptedSink()
    sink.next.append(fail(SinkUnavailable(sink="crm", reason=cast(Any, Unprintable()), retry_after=asked)))
    assert host.vouchers.events.deliver(sink).paused_until is not None
    drain(host, sink)
    assert by_position(sink.taken) == host.outbox()


def test_a_reason_that_cannot_be_printed_ends_no_delivery(host: Host) -> None:
    given(host, "ann")
    host.emit_for("another")
    sink = ScriptedSink()
    sink.always = reject("ann", reason=cast(Any, Unprintable()), final=True)
    host.vouchers.events.deliver(sink)
    assert [letter.reason for letter in host.vouchers.events.dead_letters()] == ["no reason given"]


def test_a_rejection_of_an_unknown_event_loses_nothing(host: Host) -> None:
    given(host, "ann")
    sink = ScriptedSink()
    sink.next.append(lambda entries: [Rejection("another", "")])
    drain(host, sink)
    assert {entry.id for entry in sink.taken} == {entry.id for entry in host.outbox()}


def test_reasons_are_short_and_without_what_an_unknown_error_says(host: Host) -> None:
    given(host, "ann", "ben")
    sink = ScriptedSink()
    sink.always = reject("ann", final=True, reason="x\x00\ud800\n" + "y" * 1000)
    host.vouchers.events.deliver(sink)
    host.vouchers.events.deliver(sink)
    host.emit_for("cleo")
    sink.always = fail_at("cleo", error=ValueError("Bearer s3cret PM000000"))
    host.vouchers.events.deliver(sink)
    host.clock.advance(hours=1)
    host.emit_for("dora")
    host.vouchers.events.deliver(sink, retry=RetryPolicy(max_attempts=1))
    reasons = {letter.reason for letter in host.vouchers.events.dead_letters()}
    assert "the sink raised ValueError" in reasons
    assert all(len(reason) <= 200 and reason.isprintable() for reason in reasons)


def test_an_interrupt_is_no_answer(host: Host) -> None:
    given(host, "ann")
    sink = ScriptedSink()
    sink.next.append(fail(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        host.vouchers.events.deliver(sink)
    assert host.vouchers.events.deliver(sink).delivered == len(host.outbox())


# --- arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"batch_size": 0},
        {"concurrency": 0},
        {"batch_size": "5"},
        {"concurrency": True},
    ],
    ids=["no name", "line break", "no batch", "no call", "batch as text", "concurrency as bool"],
)
def test_a_sink_that_breaks_a_rule_is_refused(host: Host, wrong: dict[str, Any]) -> None:
    with host.nothing_changes(), pytest.raises(InvalidInput) as refused:
        host.vouchers.events.deliver(ScriptedSink(**wrong))
    assert refused.value.field == f"sink.{next(iter(wrong))}"
    if "name" not in wrong:
        assert refused.value.reason == "must be at least 1"


@pytest.mark.parametrize("field", ["max_attempts", "first_wait", "longest_wait", "longest_pause"])
def test_a_retry_policy_that_makes_no_sense_is_refused(field: str) -> None:
    wrong: dict[str, Any] = {field: 0 if field == "max_attempts" else -timedelta(1)}
    with pytest.raises(InvalidInput) as refused:
        RetryPolicy(**wrong)
    assert refused.value.field == field
