"""Dead letters, the backlog, retention, sinks that are forgotten, and lists that expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from partner_vouchers import PartnerVouchers, Status
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.domain.events import ListExpired, ListPaused, PartnerAdded
from partner_vouchers.domain.promo_events import PointsCredited
from partner_vouchers.errors import HostTransactionError, InvalidCursor, InvalidInput, UnknownSink
from partner_vouchers.ports import Rejection, Storage
from partner_vouchers.usecases.delivery.dead_letters import DeadLetter
from partner_vouchers.usecases.paging import Page, encode_cursor
from tests.properties.backends import InMemory, InSQLite
from tests.support.host import MICROSECOND, START, FixedClock, Host, some_codes
from tests.support.promo import an_event
from tests.support.sinks import Behaviour, ScriptedSink, fail, reject, take_all
from tests.support.storages import CountingStorage

ONCE = RetryPolicy(max_attempts=1)
USERS = [f"user-{number}" for number in range(7)]


def refuse_all(host: Host, name: str = "crm") -> ScriptedSink:
    """Deliver to a sink that takes nothing of these users, and works."""
    host.emit_for("another")
    sink = ScriptedSink(name)
    sink.always = reject(*USERS, final=True)
    host.vouchers.events.deliver(sink)
    return sink


def reject_all_but_the_last(host: Host) -> Behaviour:
    last = host.outbox()[-1].id
    return lambda entries: [
        Rejection(entry.id, "unknown", final=True) for entry in entries if entry.id != last
    ]


def give_to_many(host: Host, number: int) -> None:
    found = host.a_list(*some_codes(number))
    host.vouchers.codes.assign_many([f"user-{each}" for each in range(number)], list_id=found.id)


@pytest.fixture
def letters(host: Host) -> list[DeadLetter]:
    """Dead letters of two sinks."""
    host.give(host.a_list(*some_codes(7)).id, *USERS)
    refuse_all(host, "crm")
    refuse_all(host, "audit")
    host.vouchers.events.deliver(ScriptedSink("crm"))
    return list(host.vouchers.events.dead_letters())


# --- dead letters ------------------------------------------------------------------------------------------


def test_dead_letters_are_listed_by_sink_and_age(host: Host, letters: list[DeadLetter]) -> None:
    rewards = [entry for entry in host.outbox() if getattr(entry.event, "user_id", None) in USERS]
    for sink in ("audit", "crm"):
        mine = [letter for letter in letters if letter.sink == sink]
        assert [(letter.id, letter.event) for letter in mine] == [(each.id, each.event) for each in rewards]
        assert list(host.vouchers.events.dead_letters(sink)) == mine
    assert [letter.sink for letter in letters] == ["audit"] * 7 + ["crm"] * 7


@pytest.mark.parametrize("limit", [1, 3, 7, 13, 14, 15])
def test_pages_of_dead_letters_lead_to_all_of_them(host: Host, letters: list[DeadLetter], limit: int) -> None:
    found, after = list[DeadLetter](), None
    while True:
        page = host.vouchers.events.dead_letters(after=after, limit=limit)
        assert len(page) <= limit
        found += page
        after = page.next
        if after is None:
            break
    assert found == letters


@pytest.mark.parametrize("after", ["", "7", "x:crm", ":crm", "-1:crm", 7], ids=repr)
def test_a_cursor_of_something_else_is_refused(host: Host, after: Any) -> None:
    with pytest.raises(InvalidCursor):
        host.vouchers.events.dead_letters(after=after)


def test_the_last_page_of_dead_letters_knows_that_it_is_the_last(
    host: Host, letters: list[DeadLetter]
) -> None:
    assert host.vouchers.events.dead_letters(limit=14).next is None
    assert host.vouchers.events.dead_letters("crm", limit=7).next is None
    assert host.vouchers.events.dead_letters(limit=13).next is not None


@pytest.mark.parametrize("sink", ["A", "a:b", ":"])
def test_dead_letters_are_found_from_the_first_event_on_whatever_the_sink_is_called(
    host: Host, sink: str
) -> None:
    host.a_list("A")
    host.emit_for("another")
    refusing = ScriptedSink(sink)
    refusing.always = reject_all_but_the_last(host)
    host.vouchers.events.deliver(refusing)
    host.clock.advance(hours=1)
    host.emit_for("yet another")
    refusing.always = reject_all_but_the_last(host)
    host.vouchers.events.deliver(refusing)
    events = host.vouchers.events
    first = events.dead_letters(limit=1)
    rest = events.dead_letters(after=first.next)
    assert [letter.id for letter in [*first, *rest]] == [entry.id for entry in host.outbox()[:3]]
    assert {letter.sink for letter in [*first, *rest]} == {sink}


def test_fifty_dead_letters_are_a_page_and_any_number_is_tried_again(host: Host) -> None:
    give_to_many(host, 1010)
    host.emit_for("another")
    sink = ScriptedSink(batch_size=2000)
    sink.always = reject(*[f"user-{number}" for number in range(1010)], final=True)
    host.vouchers.events.deliver(sink)
    dead = 1010
    assert len(host.vouchers.events.dead_letters()) == 50
    last = host.vouchers.events.dead_letters(limit=1000).items[-1].id
    assert host.vouchers.events.retry_dead_letters(ids=[last]) == 1
    assert host.vouchers.events.retry_dead_letters() == dead - 1
    sink.always = take_all
    assert host.vouchers.events.deliver(sink).delivered == dead


@pytest.mark.parametrize(
    "after,reason",
    [
        ("7", "is not the `next` of a page of dead letters; ask for the first page again"),
        (7, "is not the `next` of a page of dead letters; ask for the first page again"),
        ("x:crm", "is not the `next` of a page of dead letters; ask for the first page again"),
    ],
    ids=repr,
)
def test_a_cursor_is_refused_by_its_name(host: Host, after: Any, reason: str) -> None:
    with pytest.raises(InvalidCursor) as refused:
        host.vouchers.events.dead_letters(after=after)
    assert (refused.value.field, refused.value.reason) == ("after", reason)


def test_a_position_in_a_cursor_has_up_to_eighteen_digits(host: Host, letters: list[DeadLetter]) -> None:
    dead_letters = host.vouchers.events.dead_letters
    assert dead_letters(after=encode_cursor("dead letters", "crm", 10**18 - 1)) == Page((), None)
    with pytest.raises(InvalidCursor):
        dead_letters(after=encode_cursor("dead letters", "crm", 10**18))


def test_a_sink_that_gives_no_reason_is_said_to_give_none(host: Host) -> None:
    host.give(host.a_list("A").id, "user-1")
    host.emit_for("another")
    sink = ScriptedSink()
    sink.always = reject("user-1", final=True, reason=" \n")
    host.vouchers.events.deliver(sink)
    (letter,) = host.vouchers.events.dead_letters()
    assert letter.reason == "no reason given"


def test_who_only_looks_keeps_nobody_from_writing(host: Host, letters: list[DeadLetter]) -> None:
    storage = CountingStorage(host.storage)
    events = PartnerVouchers(storage, clock=host.clock).events
    events.dead_letters()
    events.backlog("crm")
    assert storage.writes == 0
    events.retry_dead_letters()
    assert storage.writes == len({letter.sink for letter in letters})
    events.retry_dead_letters()
    assert storage.writes == 2, "there are none"


def test_a_dead_letter_does_not_show_the_code(letters: list[DeadLetter]) -> None:
    assert "PM000000" not in repr(letters)


def test_dead_letters_are_tried_again(host: Host, letters: list[DeadLetter]) -> None:
    assert host.vouchers.events.retry_dead_letters("crm") == 7
    sink = ScriptedSink()
    assert host.vouchers.events.deliver(sink).delivered == 7
    assert {letter.sink for letter in host.vouchers.events.dead_letters()} == {"audit"}
    assert host.vouchers.events.retry_dead_letters() == 7
    assert host.vouchers.events.retry_dead_letters() == 0


def test_some_dead_letters_are_tried_again(host: Host, letters: list[DeadLetter]) -> None:
    chosen = [letters[8].id, letters[10].id, "unknown"]
    assert host.vouchers.events.retry_dead_letters("crm", ids=chosen) == 2
    sink = ScriptedSink()
    host.vouchers.events.deliver(sink)
    assert sorted(entry.id for entry in sink.taken) == sorted(chosen[:2])
    assert len(host.vouchers.events.dead_letters()) == 12


def test_the_ids_of_dead_letters_are_whole_and_read_once(host: Host, letters: list[DeadLetter]) -> None:
    with pytest.raises(InvalidInput, match=r"^ids: must be a list of ids such as \[letter\.id\], not str$"):
        host.vouchers.events.retry_dead_letters(ids=letters[0].id)
    chosen: Any = (letter.id for letter in letters[:2])
    assert host.vouchers.events.retry_dead_letters(ids=chosen) == 4


def test_a_dead_letter_has_all_its_tries_again(host: Host) -> None:
    host.give(host.a_list("A").id, "user-1")
    host.emit_for("another")
    sink = ScriptedSink()
    sink.always = reject("user-1")
    assert host.vouchers.events.deliver(sink, retry=ONCE).dead_letters == 1
    host.vouchers.events.retry_dead_letters()
    report = host.vouchers.events.deliver(sink, retry=RetryPolicy(max_attempts=2))
    assert (report.deferred, report.dead_letters) == (1, 0)


def test_asking_for_another_try_ends_the_pause_of_a_sink(host: Host) -> None:
    host.give(host.a_list("A").id, "user-1")
    sink = ScriptedSink()
    sink.always = fail(OSError())
    refuse_all(host)
    host.emit_for("another")
    assert host.vouchers.events.deliver(sink).paused_until is not None
    sink.always = take_all
    host.vouchers.events.retry_dead_letters("crm")
    assert host.vouchers.events.deliver(sink).delivered == 2


def test_later_events_wait_for_one_that_is_tried_again(host: Host) -> None:
    first, second = host.a_list("A"), host.a_list("B")
    host.give(first.id, "user-1")
    refuse_all(host)
    host.give(second.id, "user-1")
    host.vouchers.events.retry_dead_letters()
    host.emit_for("another")
    sink = ScriptedSink()
    sink.always = reject("user-1")
    host.vouchers.events.deliver(sink)
    assert sum("user-1" in str(batch) for batch in sink.batches) == 1
    sink.always = take_all
    host.clock.advance(seconds=1)
    host.vouchers.events.deliver(sink)
    assert [getattr(entry.event, "voucher_code", None) for entry in sink.taken][-2:] == ["A", "B"]


# --- backlog -----------------------------------------------------------------------------------------------


def test_the_backlog_tells_how_old_the_oldest_event_is(host: Host) -> None:
    events, sink = host.vouchers.events, ScriptedSink()
    events.deliver(sink)
    assert events.backlog("crm").oldest is None
    found = host.a_list("A", "B", "C")
    host.clock.advance(hours=1)
    assert (events.backlog("crm").oldest, events.backlog("crm").age) == (START, timedelta(hours=1))
    assert events.backlog("crm").undelivered == len(host.outbox())
    events.deliver(sink)
    assert (events.backlog("crm").oldest, events.backlog("crm").age) == (None, timedelta())
    sink.always = reject("user-1")
    host.give(found.id, "user-1")
    given_at = host.clock.now
    host.emit_for("another")
    events.deliver(sink)
    host.clock.advance(minutes=5)
    host.give(found.id, "user-2")
    backlog = events.backlog("crm")
    assert (backlog.sink, backlog.oldest, backlog.age) == ("crm", given_at, timedelta(minutes=5))
    assert (backlog.undelivered, backlog.deferred, backlog.dead_letters) == (2, 1, 0)
    assert (backlog.paused_until, backlog.held_back_since, backlog.at_least) == (None, None, False)


def test_the_backlog_of_all_sinks_is_that_of_each_together(host: Host) -> None:
    events = host.vouchers.events
    assert (events.sinks(), events.backlog().undelivered) == ([], 0)
    host.give(host.a_list("A", "B").id, "user-1")
    host.clock.advance(hours=1)
    stored = len(host.outbox())
    assert (events.backlog().sink, events.backlog().undelivered) == (None, stored), (
        "what a new sink would get"
    )
    assert events.backlog().age == timedelta(hours=1)
    refuse_all(host, "crm")
    events.deliver(ScriptedSink("audit"))
    host.emit_for("another")
    assert events.sinks() == ["audit", "crm"]
    found = events.backlog()
    assert (found.undelivered, found.dead_letters, found.age) == (2, 1, timedelta())


def test_a_sink_that_is_not_known_is_an_error_that_names_those_that_are(host: Host) -> None:
    host.vouchers.events.deliver(ScriptedSink())
    events = host.vouchers.events
    for ask in (events.backlog, events.dead_letters, events.retry_dead_letters, events.forget_sink):
        with pytest.raises(UnknownSink) as refused:
            ask("cmr")
        assert (refused.value.sink, refused.value.known) == ("cmr", ("crm",))


def test_the_backlog_is_counted_up_to_a_hundred_thousand(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partner_vouchers.usecases.delivery.backlog._EXACT_UP_TO", 3)
    events = host.vouchers.events
    events.deliver(ScriptedSink())
    for number in range(4):
        assert (events.backlog("crm").undelivered, events.backlog("crm").at_least) == (number, False)
        host.emit_for("user-1")
    assert (events.backlog("crm").undelivered, events.backlog("crm").at_least) == (3, True)


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", 7, b"crm"], ids=["empty", "blank", "line break", "number", "bytes"]
)
def test_a_sink_is_asked_for_by_its_name(vouchers: PartnerVouchers, name: Any) -> None:
    for ask in (vouchers.events.backlog, vouchers.events.forget_sink):
        with pytest.raises(InvalidInput) as refused:
            ask(name)
        assert refused.value.field == "sink"


def test_what_comes_behind_a_waiting_event_waits_too(host: Host) -> None:
    sink = ScriptedSink()
    sink.always = reject("ann")
    host.vouchers.events.emit(an_event(PointsCredited, user_id="ann"))
    host.emit_for("another")
    assert host.vouchers.events.deliver(sink).deferred == 1
    for _ in range(2):
        host.vouchers.events.emit(an_event(PointsCredited, user_id="ann"))
    assert host.vouchers.events.deliver(sink).deferred == 3
    assert len(sink.batches) == 1


def test_a_dead_letter_is_no_backlog(host: Host, letters: list[DeadLetter]) -> None:
    backlog = host.vouchers.events.backlog("crm")
    assert (backlog.oldest, backlog.deferred, backlog.dead_letters) == (None, 0, 7)


def test_the_backlog_tells_that_a_sink_is_left_alone(host: Host) -> None:
    sink = ScriptedSink()
    sink.always = fail(OSError())
    host.a_list()
    report = host.vouchers.events.deliver(sink)
    assert host.vouchers.events.backlog("crm").paused_until == report.paused_until is not None
    host.clock.advance(seconds=2)
    assert host.vouchers.events.backlog("crm").paused_until is None


# --- retention ---------------------------------------------------------------------------------------------


def keeping(storage: Storage, clock: FixedClock, keep: timedelta | None) -> Host:
    return Host(storage, clock, keep_events=keep)


WEEK = timedelta(days=7)


def test_delivered_events_are_removed_when_their_time_has_come(storage: Storage, clock: FixedClock) -> None:
    host = keeping(storage, clock, WEEK)
    host.give(host.a_list(*some_codes(7)).id, *USERS)
    clock.advance(days=3)
    host.a_list("X", "Y")
    outbox, sink = host.outbox(), ScriptedSink()
    host.vouchers.events.deliver(sink)
    assert host.outbox() == outbox
    clock.advance(days=4)
    host.vouchers.events.deliver(sink)
    assert host.outbox() == outbox, "at the very instant it is kept"
    clock.now += MICROSECOND
    host.vouchers.events.deliver(sink)
    old = [entry for entry in outbox if entry.event.occurred_at == START]
    assert host.outbox() == outbox[len(old) :]


@pytest.mark.parametrize("keep", [None, timedelta(days=30)])
def test_events_are_kept_as_long_as_is_said(
    storage: Storage, clock: FixedClock, keep: timedelta | None
) -> None:
    host = keeping(storage, clock, keep)
    host.a_list("A")
    before = host.outbox()
    sink = ScriptedSink()
    host.vouchers.events.deliver(sink)
    clock.advance(days=29)
    host.vouchers.events.deliver(sink)
    assert host.outbox() == before
    if keep is None:
        clock.advance(days=100_000)
        host.vouchers.events.announce_expired()
        host.vouchers.events.deliver(sink)
        assert host.outbox()[: len(before)] == before


def test_thirty_days_are_the_default(host: Host) -> None:
    host.a_list("A")
    before = host.outbox()
    sink = ScriptedSink()
    host.clock.advance(days=30)
    host.vouchers.events.deliver(sink)
    assert host.outbox() == before
    host.vouchers.partners.add("Amazon")
    host.clock.now += MICROSECOND
    host.vouchers.events.deliver(sink)
    assert [type(entry.event) for entry in host.outbox()] == [PartnerAdded]


def test_nothing_is_removed_that_a_sink_does_not_have(storage: Storage, clock: FixedClock) -> None:
    host = keeping(storage, clock, timedelta())
    sinks = [ScriptedSink("first"), ScriptedSink("second")]
    for sink in sinks:
        host.vouchers.events.deliver(sink)
    found = host.a_list(*some_codes(7))
    host.give(found.id, *USERS)
    before = host.outbox()
    clock.advance(days=1)
    host.vouchers.events.deliver(sinks[0])
    assert host.outbox() == before
    host.vouchers.events.deliver(sinks[1])
    assert len(host.outbox()) <= 1


def test_what_waits_and_dead_letters_are_kept(storage: Storage, clock: FixedClock) -> None:
    host = keeping(storage, clock, WEEK)
    host.give(host.a_list(*some_codes(7)).id, *USERS)
    sink = ScriptedSink()
    sink.always = lambda entries: [
        *reject("user-3", final=True)(entries),
        *reject("user-5")(entries),
    ]
    host.vouchers.events.deliver(sink)
    clock.advance(days=8)
    sink.always = reject("user-5")
    host.vouchers.events.deliver(sink)
    kept = [user for entry in host.outbox() if (user := getattr(entry.event, "user_id", None))]
    assert kept[:2] == ["user-3", "user-5"]
    assert len(host.outbox()) <= 3
    sink.always = take_all
    host.vouchers.events.retry_dead_letters()
    clock.advance(hours=2)
    host.vouchers.events.deliver(sink)
    assert {"user-3", "user-5"} <= set(sink.users())
    assert len(host.outbox()) <= 1


def test_a_storage_without_sinks_keeps_everything(storage: Storage, clock: FixedClock) -> None:
    host = keeping(storage, clock, timedelta())
    host.a_list("A")
    before = host.outbox()
    clock.advance(days=1000)
    host.vouchers.events.announce_expired()
    assert host.outbox()[: len(before)] == before


def test_an_event_of_the_future_does_not_keep_the_others(storage: Storage, clock: FixedClock) -> None:
    host = keeping(storage, clock, WEEK)
    sink = ScriptedSink()
    with storage.begin() as tx:
        tx.outbox.append([PartnerAdded(occurred_at=datetime(3000, 1, 1, tzinfo=UTC))])
        tx.commit()
    host.vouchers.events.deliver(sink)
    assert len(host.outbox()) == 1, "nothing says yet that it is old"
    host.a_list("A")
    clock.advance(days=8)
    host.vouchers.partners.add("Amazon")
    host.vouchers.events.deliver(sink)
    assert [type(entry.event) for entry in host.outbox()] == [PartnerAdded]


def dated(host: Host, at: datetime, number: int = 1) -> None:
    """Raise events that happened at an instant."""
    for _ in range(number):
        host.vouchers.events.emit(an_event(PointsCredited, occurred_at=at))


@pytest.mark.parametrize("older", [1, 30])
def test_a_young_event_is_kept_with_all_that_came_after_it(
    storage: Storage, clock: FixedClock, older: int
) -> None:
    host = keeping(storage, clock, WEEK)
    sink = ScriptedSink(batch_size=1000)
    dated(host, START - 2 * WEEK)
    dated(host, START)
    dated(host, START - 2 * WEEK, older)
    before = host.outbox()
    host.vouchers.events.deliver(sink)
    assert host.outbox() == before[1:]


def test_all_is_removed_up_to_the_first_event_that_a_sink_does_not_have(
    storage: Storage, clock: FixedClock
) -> None:
    host = keeping(storage, clock, WEEK)
    dated(host, START, 3)
    host.vouchers.events.deliver(ScriptedSink("late"), from_now=True)
    dated(host, START, 2)
    before = host.outbox()
    clock.advance(days=8)
    host.vouchers.events.deliver(ScriptedSink())
    assert host.outbox() == before[3:]


def test_many_events_are_removed(storage: Storage, clock: FixedClock) -> None:
    host = keeping(storage, clock, WEEK)
    found = host.a_list(*some_codes(1300))
    host.vouchers.codes.assign_many([f"user-{number}" for number in range(1300)], list_id=found.id)
    clock.advance(days=8)
    sink = ScriptedSink(batch_size=1000)
    assert host.vouchers.events.deliver(sink).delivered > 1300
    assert len(host.outbox()) <= 1


def test_very_many_dead_letters_are_looked_through_in_few_steps(
    storage: Storage, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = keeping(storage, clock, WEEK)
    with storage.begin() as tx:
        tx.outbox.append([ListPaused(occurred_at=START, list_id=str(each)) for each in range(4000)])
        outbox = type(tx.outbox)
        tx.commit()
    sink = ScriptedSink(batch_size=5000)
    host.emit_for("another")
    sink.always = reject_all_but_the_last(host)
    host.vouchers.events.deliver(sink)
    clock.advance(days=8)
    remove, steps = outbox.remove, list[int]()

    def watched(self: Any, until: int) -> int:
        steps.append(until)
        return remove(self, until)

    monkeypatch.setattr(outbox, "remove", watched)
    assert host.vouchers.events.deliver(sink).dead_letters == 4000
    assert 1 <= len(steps) <= 6


@pytest.mark.parametrize("wrong", [-timedelta(1), 30, "30 days"], ids=repr)
def test_a_time_that_makes_no_sense_is_refused(storage: Storage, wrong: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        PartnerVouchers(storage, keep_events=wrong)
    assert refused.value.field == "keep_events"
    assert refused.value.reason == "must be a timedelta that is not negative, or None for ever"


# --- sinks that are not used any more ------------------------------------------------------------------------


def test_nothing_is_kept_for_a_forgotten_sink(storage: Storage, clock: FixedClock) -> None:
    host = keeping(storage, clock, timedelta())
    gone, sink = ScriptedSink("gone"), ScriptedSink()
    gone.always = fail(OSError())
    host.a_list("A")
    for each in (gone, sink):
        host.vouchers.events.deliver(each)
    clock.advance(days=1)
    before = host.outbox()
    host.vouchers.events.deliver(sink)
    assert host.outbox() == before
    host.vouchers.events.forget_sink("gone")
    host.vouchers.events.deliver(sink)
    assert len(host.outbox()) <= 1
    assert host.vouchers.events.sinks() == ["crm"]


def test_a_forgotten_sink_is_new_again(host: Host) -> None:
    host.a_list("A")
    sink = ScriptedSink()
    host.vouchers.events.deliver(sink)
    host.vouchers.events.forget_sink("crm")
    assert host.vouchers.events.deliver(sink).delivered == len(host.outbox())
    assert host.vouchers.events.deliver(sink).delivered == 0


def test_a_forgotten_sink_is_not_left_alone_any_more(host: Host) -> None:
    host.a_list("A")
    sink = ScriptedSink()
    sink.next.append(fail(OSError()))
    assert host.vouchers.events.deliver(sink).paused_until is not None
    host.vouchers.events.forget_sink("crm")
    assert host.vouchers.events.deliver(sink).delivered == len(host.outbox())


def test_a_sink_that_is_forgotten_while_it_answers_stays_forgotten(host: Host) -> None:
    host.a_list("A")
    sink = ScriptedSink()

    def forget(_: object) -> list[Any]:
        host.vouchers.events.forget_sink("crm")
        return []

    sink.always = forget
    assert host.vouchers.events.deliver(sink).delivered == 0, "of what it took, nobody knows any more"
    with host.storage.begin(write=False) as tx:
        assert tx.deliveries.sinks() == []


# --- lists that expire -----------------------------------------------------------------------------------------


def expired(host: Host) -> list[str]:
    return [event.list_id for event in host.events(ListExpired)]


def test_an_expired_list_is_announced_once(host: Host) -> None:
    found = host.a_list("A", partner="Puma", tag="winter")
    sink = ScriptedSink()
    host.clock.now = found.expires_at
    host.vouchers.events.deliver(sink)
    assert expired(host) == []
    host.clock.now += MICROSECOND
    host.vouchers.events.deliver(sink)
    host.clock.advance(days=1)
    host.vouchers.events.deliver(sink)
    (event,) = host.events(ListExpired)
    assert event == ListExpired(
        occurred_at=found.expires_at, list_id=found.id, partner="Puma", list_tag="winter"
    )
    assert sink.taken[-1].event == event


def test_an_extended_list_is_announced_again_at_its_next_expiry(host: Host) -> None:
    found = host.a_list("A", status=Status.EXPIRED)
    assert host.vouchers.events.announce_expired() == 1
    host.vouchers.lists.edit(found.id, expires_at=host.clock.now + timedelta(days=1))
    assert host.vouchers.events.announce_expired() == 0
    host.clock.advance(days=2)
    assert host.vouchers.events.announce_expired() == 1
    assert expired(host) == [found.id] * 2


def test_only_lists_that_are_expired_are_announced(host: Host) -> None:
    soon = host.clock.now + timedelta(hours=1)
    paused, archived, extended, deleted = (host.a_list("A", expires_at=soon) for _ in range(4))
    later = host.a_list("A", expires_at=soon + timedelta(hours=2))
    host.vouchers.lists.pause(paused.id)
    host.vouchers.lists.archive(archived.id)
    host.vouchers.lists.edit(extended.id, expires_at=soon + timedelta(days=1))
    host.vouchers.lists.delete(deleted.id)
    host.clock.advance(hours=2)
    host.vouchers.events.announce_expired()
    assert expired(host) == [paused.id]
    host.clock.advance(hours=2)
    host.vouchers.events.announce_expired()
    assert expired(host) == [paused.id, later.id]


def test_many_lists_that_expire_at_once_are_announced(host: Host) -> None:
    host.vouchers.partners.add("Puma")
    soon = host.clock.now + timedelta(hours=1)
    ids = [
        host.vouchers.lists.create(partner="Puma", tag=f"tag{number}", name="N", expires_at=soon).id
        for number in range(230)
    ]
    host.clock.advance(hours=2)
    assert host.vouchers.events.announce_expired() == 230
    assert sorted(expired(host), key=int) == ids
    assert host.vouchers.events.announce_expired() == 0


def test_an_announcement_is_no_change_by_anybody(host: Host) -> None:
    found = host.a_list("A", status=Status.EXPIRED)
    before = host.everything()["audit"]
    host.vouchers.events.announce_expired()
    assert host.everything()["audit"] == before
    assert host.vouchers.lists.get(found.id) == evolve(found)


# --- within a host's transaction ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [InMemory, InSQLite])
def test_nothing_is_delivered_within_a_hosts_transaction(kind: type[InMemory] | type[InSQLite]) -> None:
    backend = kind()
    vouchers, sink = PartnerVouchers(backend.storage), ScriptedSink()
    vouchers.check()
    with backend.host_transaction() as connection:
        joined = vouchers.using(connection)
        for refused in (
            lambda: joined.events.deliver(sink),
            lambda: joined.events.relay(sink),
            joined.events.announce_expired,
        ):
            with pytest.raises(HostTransactionError) as told:
                refused()
            assert told.value.reason == (
                "events are delivered once they are committed; deliver them outside the host's transaction"
            )
        assert list(joined.events.dead_letters()) == []
    assert sink.batches == []
    backend.close()
