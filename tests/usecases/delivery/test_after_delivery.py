"""Dead letters, the backlog, retention, sinks that are forgotten, and lists that expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers, Status
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.domain.events import ListExpired, ListPaused, PartnerAdded
from partner_vouchers.domain.promo_events import PointsCredited
from partner_vouchers.errors import HostTransactionError, InvalidInput, UnknownSink
from partner_vouchers.ports import Rejection, Storage
from partner_vouchers.usecases.delivery.dead_letters import DeadLetter
from tests.properties.backends import InMemory
from tests.support.host import MICROSECOND, START, FixedClock, Host, some_codes
from tests.support.promo import an_event
from tests.support.sinks import Behaviour, ScriptedSink, fail, reject, take_all
from tests.usecases.delivery.stage import ONCE, Stage, meanwhile

USERS = [f"user-{number}" for number in range(7)]
WEEK = timedelta(days=7)


def all_but_the_last(host: Host) -> Behaviour:
    """Reject all events but the newest, which shows that the sink works."""
    last = host.outbox()[-1].id
    return lambda entries: [Rejection(each.id, "unknown", final=True) for each in entries if each.id != last]


def refuse_all(stage: Stage, sink: str = "crm") -> None:
    """Make dead letters of what a sink does not have yet."""
    stage.emit("another")
    refusing = ScriptedSink(sink, batch_size=5000)
    refusing.always = all_but_the_last(stage.host)
    stage.events.deliver(refusing)


@pytest.fixture
def letters(stage: Stage) -> list[DeadLetter]:
    """Dead letters of two sinks."""
    stage.emit(*USERS)
    refuse_all(stage, "crm")
    sink = ScriptedSink("audit")
    sink.always = reject(*USERS, final=True)
    stage.events.deliver(sink)
    return list(stage.events.dead_letters())


# --- dead letters ------------------------------------------------------------------------------------------


def test_dead_letters_are_listed_by_sink_and_age(stage: Stage, letters: list[DeadLetter]) -> None:
    entries = stage.host.outbox()[:7]
    assert [letter.sink for letter in letters] == ["audit"] * 7 + ["crm"] * 7
    assert [(letter.id, letter.event) for letter in letters] == [
        (each.id, each.event) for each in entries
    ] * 2
    for sink in ("audit", "crm"):
        assert list(stage.events.dead_letters(sink)) == [letter for letter in letters if letter.sink == sink]
    backlog = stage.events.backlog("crm")
    assert (backlog.oldest, backlog.deferred, backlog.dead_letters) == (None, 0, 7), "they are no backlog"


@pytest.mark.parametrize("limit", [1, 3, 7, 13, 14, 15])
def test_pages_of_dead_letters_lead_to_all_of_them(
    stage: Stage, letters: list[DeadLetter], limit: int
) -> None:
    found, pages, page = list[DeadLetter](), 1, stage.events.dead_letters(limit=limit)
    while page.next is not None:
        found += page
        page, pages = stage.events.dead_letters(after=page.next, limit=limit), pages + 1
    assert [*found, *page] == letters
    assert pages == -(-14 // limit), "the last page is known to be the last"


def test_fifty_dead_letters_are_a_page_and_any_number_is_sent_again(stage: Stage) -> None:
    stage.emit(*[f"user-{number}" for number in range(1010)])
    refuse_all(stage)
    assert len(stage.events.dead_letters()) == 50
    last = stage.events.dead_letters(limit=1000).items[-1].id
    assert stage.events.retry_dead_letters(ids=[last]) == 1
    assert stage.events.retry_dead_letters() == 1009
    assert stage.deliver().delivered == 1010


def test_a_dead_letter_does_not_show_the_code(stage: Stage) -> None:
    stage.host.give(stage.host.a_list("PM000000").id, "ann")
    refuse_all(stage)
    assert "ann" in repr(stage.events.dead_letters())
    assert "PM000000" not in repr(stage.events.dead_letters())


def test_dead_letters_are_sent_again_by_sink_and_by_id(stage: Stage, letters: list[DeadLetter]) -> None:
    chosen = [letters[8].id, letters[10].id, "unknown"]
    assert stage.events.retry_dead_letters("crm", ids=chosen) == 2
    assert stage.deliver().delivered == 2
    assert sorted(entry.id for entry in stage.sink.taken) == sorted(chosen[:2])
    assert stage.events.retry_dead_letters("crm") == 5
    assert stage.deliver().delivered == 5
    assert {letter.sink for letter in stage.events.dead_letters()} == {"audit"}
    some: Any = (letter.id for letter in letters[:2])
    assert stage.events.retry_dead_letters(ids=some) == 2, "ids are read once"
    assert stage.events.retry_dead_letters() == 5
    assert stage.events.retry_dead_letters() == 0
    with pytest.raises(InvalidInput, match=r"^ids: must be a list of ids such as \[letter\.id\], not str$"):
        stage.events.retry_dead_letters(ids=letters[0].id)


def test_a_dead_letter_has_all_its_attempts_again(stage: Stage) -> None:
    stage.emit("ann", "another")
    stage.sink.always = reject("ann")
    assert stage.deliver(ONCE).dead_letters == 1
    stage.events.retry_dead_letters()
    report = stage.deliver(RetryPolicy(max_attempts=2))
    assert (report.deferred, report.dead_letters) == (1, 0)


def test_a_retry_ends_the_pause_of_a_sink(stage: Stage) -> None:
    stage.emit("ann")
    refuse_all(stage)
    stage.emit("another")
    stage.sink.next.append(fail(OSError()))
    assert stage.deliver().paused_until is not None
    stage.events.retry_dead_letters("crm")
    assert stage.deliver().delivered == 2


def test_later_events_wait_for_one_that_is_sent_again(stage: Stage) -> None:
    stage.emit("ann")
    refuse_all(stage)
    stage.emit("ann")
    stage.events.retry_dead_letters()
    stage.emit("another")
    stage.sink.always = reject("ann")
    assert (stage.deliver().deferred, stage.sink.users()) == (2, ["another"])
    stage.sink.always = take_all
    stage.host.clock.advance(seconds=1)
    assert stage.deliver().delivered == 2
    stage.require_order()


# --- backlog -----------------------------------------------------------------------------------------------


def test_the_backlog_tells_how_old_the_oldest_event_is(stage: Stage) -> None:
    events, clock = stage.events, stage.host.clock
    stage.deliver()
    assert (events.backlog("crm").oldest, events.backlog("crm").age) == (None, timedelta())
    stage.emit("ann", "ben")
    clock.advance(hours=1)
    backlog = events.backlog("crm")
    assert (backlog.undelivered, backlog.oldest, backlog.age) == (2, START, timedelta(hours=1))
    stage.deliver()
    stage.sink.always = reject("ann")
    emitted_at = clock.now
    stage.emit("ann", "another")
    stage.deliver()
    clock.advance(minutes=5)
    stage.emit("ben")
    backlog = events.backlog("crm")
    assert (backlog.sink, backlog.oldest, backlog.age) == ("crm", emitted_at, timedelta(minutes=5))
    assert (backlog.undelivered, backlog.deferred, backlog.dead_letters) == (2, 1, 0)
    assert (backlog.paused_until, backlog.held_back_since, backlog.at_least) == (None, None, False)


def test_the_backlog_of_all_sinks_is_that_of_each_together(stage: Stage) -> None:
    events = stage.events
    assert (events.sinks(), events.backlog().undelivered) == ([], 0)
    stage.emit(*USERS)
    stage.host.clock.advance(hours=1)
    backlog = events.backlog()
    assert (backlog.sink, backlog.undelivered, backlog.age) == (None, 7, timedelta(hours=1)), "of a new sink"
    refuse_all(stage)
    events.deliver(ScriptedSink("audit"))
    stage.emit("another")
    assert events.sinks() == ["audit", "crm"]
    backlog = events.backlog()
    assert (backlog.undelivered, backlog.dead_letters, backlog.age) == (2, 7, timedelta())


@pytest.mark.parametrize("ask", ["backlog", "dead_letters", "retry_dead_letters", "forget_sink"])
def test_a_sink_is_asked_for_by_its_name(stage: Stage, ask: str) -> None:
    stage.deliver()
    with pytest.raises(UnknownSink) as refused:
        getattr(stage.events, ask)("cmr")
    assert (refused.value.sink, refused.value.known) == ("cmr", ("crm",))
    for name in ("", " ", "a\nb", 7, b"crm"):
        with pytest.raises(InvalidInput, match=r"^sink: "):
            getattr(stage.events, ask)(name)


def test_the_backlog_is_counted_up_to_a_hundred_thousand(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("partner_vouchers.usecases.delivery.backlog._EXACT_UP_TO", 3)
    stage.deliver()
    for number in range(4):
        backlog = stage.events.backlog("crm")
        assert (backlog.undelivered, backlog.at_least) == (number, False)
        stage.emit("ann")
    backlog = stage.events.backlog("crm")
    assert (backlog.undelivered, backlog.at_least) == (3, True)


def test_the_backlog_tells_that_a_sink_is_paused(stage: Stage) -> None:
    stage.emit("ann")
    stage.sink.always = fail(OSError())
    report = stage.deliver()
    assert stage.events.backlog("crm").paused_until == report.paused_until is not None
    stage.host.clock.advance(seconds=2)
    assert stage.events.backlog("crm").paused_until is None


# --- retention ---------------------------------------------------------------------------------------------


def keeping(storage: Storage, keep: timedelta | None) -> Stage:
    return Stage(Host(storage, FixedClock(), keep_events=keep), ScriptedSink(batch_size=5000))


def emit_at(stage: Stage, at: datetime, number: int = 1) -> None:
    for _ in range(number):
        stage.events.emit(an_event(PointsCredited, occurred_at=at))


@pytest.mark.parametrize("policy", [{}, {"keep_events": timedelta(days=30)}], ids=["by default", "as told"])
def test_delivered_events_are_removed_when_their_time_has_come(
    storage: Storage, policy: dict[str, Any]
) -> None:
    stage = Stage(Host(storage, FixedClock(), **policy))
    stage.emit(*USERS)
    stage.host.clock.advance(days=3)
    stage.emit("ann", "ben")
    stage.deliver()
    stage.deliver(hours=27 * 24)
    assert len(stage.host.outbox()) == 9, "at the very instant they are kept"
    stage.host.clock.now += MICROSECOND
    stage.deliver()
    assert len(stage.host.outbox()) == 2
    stage.host.clock.advance(days=4)
    stage.emit("cleo")
    stage.deliver()
    assert len(stage.host.outbox()) == 1


@pytest.mark.parametrize(
    "keep,sinks", [(timedelta(), 0), (None, 1), (timedelta.max, 1)], ids=["no sink", "for ever", "very long"]
)
def test_events_are_kept_if_the_host_says_so_or_has_no_sink(
    storage: Storage, keep: timedelta | None, sinks: int
) -> None:
    stage = keeping(storage, keep)
    stage.emit("ann")
    before = stage.host.outbox()
    stage.host.clock.advance(days=100_000)
    stage.events.announce_expired()
    if sinks:
        stage.deliver()
    assert stage.host.outbox() == before


def test_nothing_is_removed_that_a_sink_does_not_have(storage: Storage) -> None:
    stage, other = keeping(storage, WEEK), ScriptedSink("late")
    stage.emit(*USERS[:3])
    stage.events.deliver(other, from_now=True)
    stage.emit(*USERS[3:])
    before = stage.host.outbox()
    stage.deliver(hours=8 * 24)
    assert stage.host.outbox() == before[3:]
    stage.events.deliver(other)
    assert len(stage.host.outbox()) <= 1


def test_deferred_events_and_dead_letters_are_kept(storage: Storage) -> None:
    stage = keeping(storage, WEEK)
    stage.emit(*USERS)
    stage.sink.always = lambda entries: [*reject("user-3", final=True)(entries), *reject("user-5")(entries)]
    stage.deliver()
    stage.sink.always = reject("user-5")
    stage.deliver(hours=8 * 24)
    kept = [getattr(entry.event, "user_id", None) for entry in stage.host.outbox()]
    assert (kept[:2], len(kept) <= 3) == (["user-3", "user-5"], True)
    stage.sink.always = take_all
    stage.events.retry_dead_letters()
    stage.deliver(hours=2)
    assert {"user-3", "user-5"} <= set(stage.sink.users())
    assert len(stage.host.outbox()) <= 1


def test_an_event_of_the_future_does_not_keep_the_others(storage: Storage) -> None:
    stage = keeping(storage, WEEK)
    with storage.begin() as tx:
        tx.outbox.append([PartnerAdded(occurred_at=datetime(3000, 1, 1, tzinfo=UTC))])
        tx.commit()
    stage.deliver()
    assert len(stage.host.outbox()) == 1, "nothing says yet that it is old"
    stage.emit("ann")
    stage.host.clock.advance(days=8)
    stage.emit("ben")
    stage.deliver()
    assert len(stage.host.outbox()) == 1


@pytest.mark.parametrize("older", [1, 30])
def test_a_young_event_is_kept_with_all_that_came_after_it(storage: Storage, older: int) -> None:
    stage = keeping(storage, WEEK)
    emit_at(stage, START - 2 * WEEK)
    emit_at(stage, START)
    emit_at(stage, START - 2 * WEEK, older)
    before = stage.host.outbox()
    stage.deliver()
    assert stage.host.outbox() == before[1:]


def test_many_events_are_removed(storage: Storage) -> None:
    stage = keeping(storage, WEEK)
    found = stage.host.a_list(*some_codes(1300))
    stage.host.vouchers.codes.assign_many([f"user-{number}" for number in range(1300)], list_id=found.id)
    assert stage.deliver(hours=8 * 24).delivered > 1300
    assert len(stage.host.outbox()) <= 1


def test_very_many_dead_letters_are_looked_through_in_few_steps(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = keeping(storage, WEEK)
    with storage.begin() as tx:
        tx.outbox.append([ListPaused(occurred_at=START, list_id=str(each)) for each in range(4000)])
        outbox = type(tx.outbox)
        tx.commit()
    refuse_all(stage)
    remove, steps = outbox.remove, list[int]()

    def watched(self: Any, until: int) -> int:
        steps.append(until)
        return remove(self, until)

    monkeypatch.setattr(outbox, "remove", watched)
    assert stage.deliver(hours=8 * 24).dead_letters == 4000
    assert 1 <= len(steps) <= 6


@pytest.mark.parametrize("wrong", [-timedelta(1), 30, "30 days"], ids=repr)
def test_a_time_that_makes_no_sense_is_refused(storage: Storage, wrong: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        PartnerVouchers(storage, keep_events=wrong)
    assert refused.value.field == "keep_events"
    assert refused.value.reason == "must be a timedelta that is not negative, or None for ever"


# --- sinks that are not used any more ------------------------------------------------------------------------


def test_a_forgotten_sink_is_new_again_and_keeps_nothing(storage: Storage) -> None:
    stage, gone = keeping(storage, timedelta(hours=3)), ScriptedSink("gone")
    gone.next.append(fail(OSError()))
    stage.emit(*USERS)
    assert stage.events.deliver(gone).paused_until is not None
    stage.events.forget_sink("gone")
    assert stage.events.deliver(gone).delivered == 7, "it is not paused"
    stage.emit(*USERS)
    stage.deliver()
    stage.deliver(hours=4)
    assert len(stage.host.outbox()) >= 7, "it has not got them yet"
    stage.events.forget_sink("gone")
    stage.deliver()
    assert len(stage.host.outbox()) <= 1
    assert stage.events.sinks() == ["crm"]


def test_a_sink_that_is_forgotten_while_it_answers_stays_forgotten(stage: Stage) -> None:
    stage.emit("ann")
    stage.sink.always = meanwhile(lambda: stage.events.forget_sink("crm"))
    assert stage.deliver().delivered == 0, "nothing is known any more of what it took"
    assert stage.events.sinks() == []


# --- lists that expire -----------------------------------------------------------------------------------------


def expired(host: Host) -> list[str]:
    return [event.list_id for event in host.events(ListExpired)]


def test_an_expired_list_is_announced_once_for_each_expiry(stage: Stage) -> None:
    host = stage.host
    found = host.a_list("A", partner="Puma", tag="winter")
    host.clock.now = found.expires_at
    stage.deliver()
    assert expired(host) == []
    host.clock.now += MICROSECOND
    audit = host.everything()["audit"]
    stage.deliver()
    stage.deliver(hours=24)
    (event,) = host.events(ListExpired)
    assert event == ListExpired(
        occurred_at=found.expires_at, list_id=found.id, partner="Puma", list_tag="winter"
    )
    assert stage.sink.taken[-1].event == event
    assert host.everything()["audit"] == audit, "it is no change by anybody"
    host.vouchers.lists.edit(found.id, expires_at=host.clock.now + timedelta(days=1))
    assert stage.events.announce_expired() == 0
    host.clock.advance(days=2)
    assert stage.events.announce_expired() == 1
    assert expired(host) == [found.id] * 2


def test_only_lists_that_are_expired_are_announced(host: Host) -> None:
    soon = host.clock.now + timedelta(hours=1)
    paused, archived, extended, deleted = (host.a_list("A", expires_at=soon) for _ in range(4))
    later = host.a_list("A", expires_at=soon + timedelta(hours=2))
    host.bring(paused.id, Status.PAUSED)
    host.bring(archived.id, Status.ARCHIVED)
    host.vouchers.lists.edit(extended.id, expires_at=soon + timedelta(days=1))
    host.vouchers.lists.delete(deleted.id)
    for announced in [paused.id], [paused.id, later.id]:
        host.clock.advance(hours=2)
        host.vouchers.events.announce_expired()
        assert expired(host) == announced


def test_many_lists_that_expire_at_once_are_announced(host: Host) -> None:
    soon = host.clock.now + timedelta(hours=1)
    ids = [host.a_list(expires_at=soon).id for _ in range(130)]
    host.clock.advance(hours=2)
    assert host.vouchers.events.announce_expired() == 130
    assert sorted(expired(host), key=int) == ids
    assert host.vouchers.events.announce_expired() == 0


# --- within a host's transaction ---------------------------------------------------------------------------------


def test_nothing_is_delivered_within_a_hosts_transaction() -> None:
    backend, sink = InMemory(), ScriptedSink()
    vouchers = PartnerVouchers(backend.storage)
    vouchers.check()
    with backend.host_transaction() as connection:
        events = vouchers.using(connection).events
        for refused in (lambda: events.deliver(sink), lambda: events.relay(sink), events.announce_expired):
            with pytest.raises(HostTransactionError) as told:
                refused()
            assert told.value.reason == (
                "events are delivered once they are committed; deliver them outside the host's transaction"
            )
        assert list(events.dead_letters()) == []
    assert sink.batches == []
