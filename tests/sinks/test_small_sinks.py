"""The sinks within the program: memory, a function, the log; and the words that a receiver wants."""

from __future__ import annotations

import logging

import pytest

from partner_vouchers.domain.events import FieldChange, ListEdited
from partner_vouchers.domain.promo_events import CouponRewarded
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
    for batch in (entries, entries[:1]):
        assert sink.send(batch) == ()
    assert kept.entries == [*entries, entries[0]]
    assert kept.events == [each.event for each in kept.entries]


# --- a function ------------------------------------------------------------------------------------------


def function_sink(raises: dict[int, Exception]) -> tuple[CallableSink, list[str]]:
    """Return a sink whose function raises at some of its calls, counted from 1, and the ids of all calls."""
    calls: list[str] = []

    def function(each: OutboxEntry) -> None:
        calls.append(each.id)
        if len(calls) in raises:
            raise raises[len(calls)]

    return CallableSink(function, name="f"), calls


def test_a_function_is_called_in_order_and_goes_on_behind_an_event_at_which_it_raises() -> None:
    sink, calls = function_sink({2: RuntimeError("PM500FF")})
    assert sink.send(rewards(3)) == [Rejection("s-2", "the function raised RuntimeError")]
    assert sink.send(rewards(1)) == []
    assert calls == ["s-1", "s-2", "s-3", "s-1"]


FULL = SinkUnavailable(sink="f", reason="the queue is full", retry_after=3)


def test_a_function_can_say_that_nothing_goes_now() -> None:
    sink, calls = function_sink({1: FULL, 3: FULL})
    with pytest.raises(SinkUnavailable):
        sink.send(rewards(3))
    assert sink.send(rewards(3)) == [
        Rejection("s-2", "the queue is full"),
        Rejection("s-3", "the queue is full", sender_refused=True),
    ]
    assert calls == ["s-1", "s-1", "s-2"], "the last one was not tried"


def test_an_event_behind_a_refused_one_of_its_user_waits_for_it() -> None:
    sink, calls = function_sink({1: RuntimeError()})
    entries = [entry(an_event(user_id=user), number) for number, user in enumerate(("ann", "ben", "ann"), 1)]
    first, second = sink.send(entries)
    assert calls == ["s-1", "s-2"]
    assert (first.id, first.sender_refused, second.id, second.sender_refused) == ("s-1", False, "s-3", True)


# --- the log ---------------------------------------------------------------------------------------------


def test_the_log_has_a_record_for_each_event_without_its_code(caplog: pytest.LogCaptureFixture) -> None:
    coupon = an_event(CouponRewarded, coupon_code="DIWALI10-XK2")
    entries = [entry(an_event(voucher_code="PM500FF-2024")), entry(coupon, 2), entry(LOW, 3)]
    with caplog.at_level(logging.INFO, "partner_vouchers.events"):
        assert LoggingSink().send(entries) == ()
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "event s-1 CT Partner Voucher Rewarded",
        "event s-2 CT Coupon Rewarded",
        "event s-3 list.running_low",
    ]
    assert [vars(record)["event_id"] for record in caplog.records] == ["s-1", "s-2", "s-3"]
    shown = [text for text in ("PM500FF", "DIWALI10", "user-42") if text in caplog.text]
    assert shown == ["user-42"]


def test_the_logger_and_its_level_can_be_chosen(caplog: pytest.LogCaptureFixture) -> None:
    LoggingSink(logging.getLogger("shop"), level=logging.WARNING).send(rewards(1))
    assert [(record.name, record.levelno) for record in caplog.records] == [("shop", logging.WARNING)]


# --- the receiver's words --------------------------------------------------------------------------------

NAME = "CT Partner Voucher Rewarded"


@pytest.mark.parametrize(
    "words,names,form",
    [
        (Wording(), [NAME, "list.running_low"], None),
        (
            Wording({NAME: "Voucher", "list.running_low": "Low"}, {NAME: "legacy"}),
            ["Voucher", "Low"],
            "legacy",
        ),
    ],
    ids=["by default", "chosen"],
)
def test_a_receiver_has_its_names_and_forms(words: Wording, names: list[str], form: str | None) -> None:
    assert [words.name_of(event) for event in (an_event(), LOW)] == names
    assert words.name_of(an_event(CouponRewarded)) == "CT Coupon Rewarded"
    assert words.properties_of(an_event()) == an_event().properties(form)


def test_of_its_own_events_the_library_tells_the_facts() -> None:
    edited = ListEdited(occurred_at=AT, list_id="1837", changes=(FieldChange("name", "Winter", None),))
    low = {"list_id": "1837", "partner": "Puma", "list_tag": "winter", "available": 3}
    assert Wording().properties_of(LOW) == low
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
