"""What arrives, and what becomes of an event that a sink does not take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.errors import InvalidInput, SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from tests.support.host import Host
from tests.support.ids import shown
from tests.support.sinks import ScriptedSink, fail, fail_at, reject, take_all
from tests.usecases.delivery.stage import ONCE, Stage, positions


def test_all_events_arrive_once_at_each_sink(stage: Stage) -> None:
    stage.emit("ann", "ben", "ann", "cleo")
    report = stage.deliver()
    assert stage.missing() == []
    assert (report.sink, report.delivered, report.not_taken) == ("crm", 4, 0)
    assert (report.deferred, report.dead_letters, report.paused_until) == (0, 0, None)
    assert stage.deliver().delivered == 0
    stage.emit("ben")
    assert stage.deliver().delivered == 1
    assert stage.events.deliver(ScriptedSink("another")).delivered == 5


def test_a_new_sink_may_begin_with_what_comes_from_now_on(stage: Stage) -> None:
    stage.emit("ann")
    assert stage.events.deliver(stage.sink, from_now=True).delivered == 0
    stage.emit("ben")
    stage.events.deliver(stage.sink, from_now=True)
    assert stage.sink.users() == ["ben"]


@pytest.mark.parametrize("batch_size,concurrency", [(1, 1), (7, 3), (1000, 1)])
def test_the_events_of_each_user_arrive_in_order(host: Host, batch_size: int, concurrency: int) -> None:
    stage = Stage(host, ScriptedSink(batch_size=batch_size, concurrency=concurrency))
    stage.emit(*[f"user-{number * 7 % 23}" for number in range(120)])
    stage.drain()
    for batch in stage.sink.batches:
        assert len({entry.event.ordering_key for entry in batch}) == len(batch) <= batch_size
        assert [entry.position for entry in batch] == positions(batch)


def test_a_rejected_event_waits_with_the_later_ones_of_its_user_only(stage: Stage) -> None:
    stage.emit("ann", "ben", "cleo")
    stage.sink.always = reject("ann")
    report = stage.deliver()
    assert (report.not_taken, report.deferred, report.dead_letters, report.paused_until) == (1, 1, 0, None)
    stage.emit("ann", "ben", "ann")
    stage.sink.always = take_all
    report = stage.deliver()
    assert (report.delivered, report.deferred) == (1, 3), "too early for ann"
    stage.host.clock.advance(seconds=1)
    assert stage.deliver().deferred == 0
    assert stage.sink.users() == ["ben", "cleo", "ben", "ann", "ann", "ann"]
    stage.require_order()


@pytest.mark.parametrize(
    "error,reason",
    [(SinkUnavailable(sink="crm", reason="503"), "503"), (ValueError("PM01 secret"), "the sink raised ValueError")],
    ids=["unavailable", "an error"],
)  # fmt: skip
def test_a_sink_that_fails_gets_the_whole_batch_again_after_a_pause(
    stage: Stage, error: Exception, reason: str
) -> None:
    stage.emit("ann", "ben")
    stage.sink.always = fail(error)
    report = stage.deliver()
    assert (report.failure, report.delivered) == (reason, 0)
    assert report.paused_until is not None
    assert timedelta(seconds=0.5) <= report.paused_until - stage.host.clock.now <= timedelta(seconds=1)
    other = PartnerVouchers(stage.host.storage, clock=stage.host.clock)
    assert other.events.deliver(stage.sink).paused_until == report.paused_until
    assert len(stage.sink.batches) == 1, "all who deliver to it leave it alone"
    stage.sink.always = take_all
    stage.drain()


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "asked,seconds",
    [(600, 600), (1e300, 3600), (float("inf"), 3600), (float("nan"), 1), (-5.0, 1), ("5", 1), (timedelta(5), 1)],
    ids=shown,
)  # fmt: skip
def test_a_pause_is_as_long_as_the_sink_asks_for_up_to_the_longest_wait(
    stage: Stage, asked: Any, seconds: float
) -> None:
    stage.emit("ann")
    reason = cast(Any, Unprintable())
    stage.sink.next.append(fail(SinkUnavailable(sink="crm", reason=reason, retry_after=asked)))
    report = stage.deliver()
    assert (report.failure, report.paused_until is None) == ("no reason given", False)
    stage.host.clock.advance(seconds=seconds / 2 - 0.1 if seconds == 1 else seconds - 1)
    assert stage.deliver().delivered == 0
    stage.host.clock.advance(seconds=1)
    assert stage.deliver().delivered == 1


@pytest.mark.parametrize("concurrency", [2, 4])
def test_calls_that_fail_together_are_one_failure_and_one_call_probes(host: Host, concurrency: int) -> None:
    stage = Stage(host, ScriptedSink(batch_size=8, concurrency=concurrency))
    stage.emit(*[f"user-{number}" for number in range(100)])
    stage.sink.always = fail(OSError())
    for number in range(4):
        before = len(stage.sink.batches)
        report = stage.deliver()
        assert len(stage.sink.batches) - before == (concurrency if number == 0 else 1)
        assert report.paused_until is not None
        assert report.paused_until - host.clock.now <= timedelta(seconds=2**number)
        host.clock.now = report.paused_until


NO_LIST = "the sink did not return a list of rejections; return an empty one if it took all events"


@pytest.mark.parametrize(
    "answer,failure",
    [
        *[(wrong, NO_LIST) for wrong in (None, 5, ["ann"], [None], iter(()))],
        ([Rejection("another", "no")], "the sink rejected an event that it was not given"),
        ([Rejection(cast(Any, []), "no")], "the sink raised TypeError"),
    ],
    ids=shown,
)
def test_a_sink_that_breaks_the_protocol_loses_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, answer: Any, failure: str
) -> None:
    stage.emit("ann")
    with monkeypatch.context() as patched:
        patched.setattr(stage.sink, "send", lambda entries: answer)
        report = stage.deliver()
    assert (report.delivered, report.failure) == (0, failure)
    stage.drain()


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("failures", [0, 9])
def test_a_sink_may_use_up_its_list(host: Host, concurrency: int, failures: int) -> None:
    stage = Stage(host, ScriptedSink(concurrency=concurrency))
    stage.emit("ann", "ben", "cleo")
    seen: list[OutboxEntry] = []

    def use_up(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        copy = list(entries)
        cast(list[OutboxEntry], entries).clear()
        if len(stage.sink.batches) <= failures:
            raise OSError
        seen.extend(copy)
        return []

    stage.sink.always = use_up
    for _ in range(20):
        stage.deliver(hours=2)
    assert positions(seen) == positions(host.outbox())


@pytest.mark.parametrize(
    "reason,shown_reason",
    [(Unprintable(), "no reason given"), (" \n", "no reason given"), ("x\x00\ud800\n" + "y" * 300, f"x   {'y' * 196}")],
    ids=["unprintable", "blank", "long"],
)  # fmt: skip
def test_reasons_are_one_short_line(stage: Stage, reason: Any, shown_reason: str) -> None:
    stage.emit("ann", "another")
    stage.sink.always = reject("ann", reason=reason, final=True)
    stage.deliver()
    assert [letter.reason for letter in stage.events.dead_letters()] == [shown_reason]


def test_a_dead_letter_does_not_tell_what_an_unknown_error_says(stage: Stage) -> None:
    stage.emit("ann")
    stage.sink.always = fail_at("ann", error=ValueError("Bearer s3cret PM000000"))
    stage.deliver()
    stage.emit("dora")
    stage.deliver(ONCE, hours=1)
    assert [letter.reason for letter in stage.events.dead_letters()] == ["the sink raised ValueError"]


# --- arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""}, {"name": "a\nb"}, {"batch_size": 0}, {"batch_size": "5"}, {"concurrency": 0},
        {"concurrency": True},
    ],
    ids=repr,
)  # fmt: skip
def test_a_sink_that_breaks_a_rule_is_refused(host: Host, wrong: dict[str, Any]) -> None:
    with host.nothing_changes(), pytest.raises(InvalidInput) as refused:
        host.vouchers.events.deliver(ScriptedSink(**wrong))
    assert refused.value.field == f"sink.{next(iter(wrong))}"
    assert "name" in wrong or refused.value.reason == "must be at least 1"


@pytest.mark.parametrize(
    "thing,what", [("crm", "str"), (None, "NoneType"), (ScriptedSink, "the class ScriptedSink")]
)
def test_what_is_no_sink_is_told_what_it_is(host: Host, thing: Any, what: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^sink: must be a sink such as CallableSink\(.*\), not {what}$"):
        host.vouchers.events.deliver(thing)
