"""The sinks within the program: memory, a function, the log; and the words that a receiver wants."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from partner_vouchers.domain.events import AuditedEvent, FieldChange, ListEdited
from partner_vouchers.domain.promo_events import CouponRewarded, PromoEvent
from partner_vouchers.errors import InvalidInput, SinkUnavailable
from partner_vouchers.ports import EventSink, OutboxEntry, Rejection
from partner_vouchers.sinks.callback import CallableSink
from partner_vouchers.sinks.logs import LoggingSink
from partner_vouchers.sinks.memory import MemorySink
from partner_vouchers.wire.wording import Wording
from tests.sinks.entries import LOW, entry, rewards
from tests.support.promo import AT, an_event


def test_memory_keeps_what_comes_repeats_included() -> None:
    sink: EventSink = (kept := MemorySink())
    entries = rewards(2)

    assert sink.send(entries) == ()
    assert sink.send(entries[:1]) == ()
    assert kept.entries == [*entries, entries[0]]
    assert kept.events == [each.event for each in kept.entries]


def test_what_a_sink_does_not_take_counts_as_taken() -> None:
    seen: list[OutboxEntry] = []
    entries = [entry(LOW), entry(an_event(), 2)]
    memory = MemorySink(events=(PromoEvent,))
    for sink in (memory, CallableSink(seen.append, name="f", events=(PromoEvent,))):
        assert list(sink.send(entries)) == []

    assert memory.entries == seen == entries[1:]


# --- a function ------------------------------------------------------------------------------------------


def test_a_function_is_called_in_order() -> None:
    seen: list[str] = []
    sink: EventSink = CallableSink(lambda each: seen.append(each.id), name="f")

    assert sink.send(rewards(3)) == []
    assert seen == ["s-1", "s-2", "s-3"]


def test_an_event_at_which_the_function_raises_is_tried_again_and_the_others_go_on() -> None:
    seen: list[str] = []

    def function(each: OutboxEntry) -> None:
        if each.id == "s-2":
            raise RuntimeError("PM500FF")
        seen.append(each.id)

    (rejection,) = CallableSink(function, name="f").send(rewards(3))

    assert seen == ["s-1", "s-3"]
    assert rejection == Rejection("s-2", "the function raised RuntimeError")


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_function_can_say_that_nothing_goes_now(fails_at: int) -> None:
    calls: list[str] = []

    def function(each: OutboxEntry) -> None:
        calls.append(each.id)
        if len(calls) == fails_at:
            raise SinkUnavailable(sink="f", reason="the queue is full", retry_after=3)

    sink = CallableSink(function, name="f")
    if fails_at == 1:
        with pytest.raises(SinkUnavailable):
            sink.send(rewards(3))
    else:
        rejections = sink.send(rewards(3))
        assert [(each.id, each.reason, each.final) for each in rejections] == [
            ("s-2", "the queue is full", False),
            ("s-3", "the queue is full", False),
        ]
        assert [each.sender_refused for each in rejections] == [False, True], "the last one was not tried"
    assert len(calls) == fails_at


def test_an_event_behind_a_refused_one_of_its_user_waits_for_it() -> None:
    calls: list[str] = []

    def function(each: OutboxEntry) -> None:
        calls.append(each.id)
        if each.id == "s-1":
            raise RuntimeError

    entries = [entry(an_event(user_id=user), number) for number, user in enumerate(("ann", "ben", "ann"), 1)]
    first, second = CallableSink(function, name="f").send(entries)

    assert calls == ["s-1", "s-2"]
    assert (first.id, first.sender_refused, second.id, second.sender_refused) == ("s-1", False, "s-3", True)


@pytest.mark.parametrize("wrong", [{"name": ""}, {"batch_size": 0}, {"concurrency": True}], ids=str)
def test_a_function_sink_checks_its_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        CallableSink(print, **{"name": "f", **wrong})


# --- the log ---------------------------------------------------------------------------------------------


def test_the_log_has_a_record_for_each_event_without_its_code(caplog: pytest.LogCaptureFixture) -> None:
    sink: EventSink = LoggingSink()
    coupon = an_event(CouponRewarded, coupon_code="DIWALI10-XK2")
    with caplog.at_level(logging.INFO, "partner_vouchers.events"):
        assert (
            sink.send([entry(an_event(voucher_code="PM500FF-2024")), entry(coupon, 2), entry(LOW, 3)]) == ()
        )

    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "event s-1 CT Partner Voucher Rewarded",
        "event s-2 CT Coupon Rewarded",
        "event s-3 list.running_low",
    ]
    assert [vars(record)["event_id"] for record in caplog.records] == ["s-1", "s-2", "s-3"]
    assert "PM500FF" not in caplog.text
    assert "DIWALI10" not in caplog.text
    assert "user-42" in caplog.text


def test_the_logger_and_its_level_can_be_chosen(caplog: pytest.LogCaptureFixture) -> None:
    LoggingSink(logging.getLogger("shop"), level=logging.WARNING).send(rewards(1))

    assert [(record.name, record.levelno) for record in caplog.records] == [("shop", logging.WARNING)]


# --- the receiver's words --------------------------------------------------------------------------------


def test_an_event_has_its_own_name_and_first_form_by_default() -> None:
    event = an_event()

    assert Wording().name_of(event) == "CT Partner Voucher Rewarded"
    assert Wording().properties_of(event) == event.properties()


def test_a_receiver_has_its_own_names_and_forms() -> None:
    words = Wording(
        {"CT Partner Voucher Rewarded": "Voucher", "list.running_low": "Low"},
        {"CT Partner Voucher Rewarded": "legacy"},
    )

    assert [words.name_of(event) for event in (an_event(), LOW, an_event(CouponRewarded))] == [
        "Voucher",
        "Low",
        "CT Coupon Rewarded",
    ]
    assert words.properties_of(an_event()) == an_event().properties("legacy")


def test_of_its_own_events_the_library_tells_the_facts() -> None:
    edited: AuditedEvent = ListEdited(
        occurred_at=AT, list_id="1837", changes=(FieldChange("name", "Winter", None),)
    )

    assert Wording().properties_of(LOW) == {
        "list_id": "1837",
        "partner": "Puma",
        "list_tag": "winter",
        "available": 3,
    }
    assert Wording().properties_of(edited) == {
        "list_id": "1837",
        "changes": [{"field": "name", "before": "Winter", "after": None}],
    }


@pytest.mark.parametrize(
    "names,forms,message",
    [
        ({"CT Voucher Rewarded": "V"}, {}, "did you mean 'CT Partner Voucher Rewarded'"),
        ({"CT Coupon Rewarded": ""}, {}, "names: must not be empty"),
        ({}, {"list.running_low": "legacy"}, "forms: there is no event 'list.running_low' here"),
        ({}, {"CT Coupon Rewarded": "legacy"}, "form: must be one of 'title case'"),
    ],
)
def test_words_for_what_does_not_exist_are_refused(
    names: dict[str, str], forms: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        Wording(names, forms)
