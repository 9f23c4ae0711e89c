"""Forget a user: no field of any table holds the id afterwards, and nothing else is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers import RepeatPolicy
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.erasure import ErasureReport, is_pseudonym
from partner_vouchers.domain.events import CodeRevoked
from partner_vouchers.domain.promo_events import PointsDebited, VoucherRewarded
from partner_vouchers.sinks.memory import MemorySink
from tests.support.cells import cells
from tests.support.host import FixedClock, Host

USER = 'user-quokka "Bén"'


class Broken(MemorySink):
    """A sink that fails, and quotes the user in its error."""

    def send(self, entries: Any) -> Any:
        raise ConnectionError(f"no profile {USER}")


def everything_about(host: Host, user: str) -> str:
    """Make the storage keep the id of a user wherever it can; return the list."""
    vouchers = host.vouchers
    taken, broken = MemorySink(name="taken"), Broken(name="broken")
    vouchers.events.deliver(taken)
    winter = host.a_list("A", "B", "C", "D", campaign="CMP").id
    first = vouchers.codes.assign(campaign_id="CMP", user_id=user, idempotency_key="k")
    vouchers.redemptions.add("A", "order-1")
    host.emit_for(user)
    vouchers.events.deliver(taken)
    vouchers.events.deliver(broken)
    vouchers.codes.revoke(first.id)
    vouchers.codes.assign(list_id=winter, user_id=user)
    host.emit_for(user)
    vouchers.codes.assign(list_id=winter, user_id="other")
    return winter


@pytest.mark.every_storage
def test_no_field_of_any_table_holds_the_id(host: Host) -> None:
    storage = host.storage
    if not isinstance(storage, SQLiteStorage | PostgresStorage):
        pytest.skip("it has no tables")
    everything_about(host, USER)
    other = host.a_list("R", "S").id
    reserved = host.vouchers.codes.reserve(list_id=other, user_id=USER, ttl=timedelta(hours=1))
    schema = None if isinstance(storage, SQLiteStorage) else repr(storage).split('"')[1]
    shown = {(table, column) for table, column, value in cells(storage, schema) if "quokka" in value}
    assert {("pv_assignments", "user_id"), ("pv_deferred", "key")} <= shown
    assert {table for table, column in shown if column == "payload"}
    assert host.vouchers.codes.forget_user(USER).reservations == 1
    assert is_pseudonym(host.vouchers.codes.confirm(reserved.id).user_id)
    assert [each for each in cells(storage, schema) if "quokka" in each[2]] == []
    host.vouchers.events.deliver(MemorySink(name="taken"))
    assert [each for each in cells(storage, schema) if "quokka" in each[2]] == []


def test_the_record_stays_with_a_pseudonym(host: Host) -> None:
    winter = everything_about(host, "user-1")
    counts = host.vouchers.lists.stock(winter).counts
    report = host.vouchers.codes.forget_user("user-1")
    assert (report.assignments, report.redemptions) == (2, 1)
    assert host.vouchers.lists.stock(winter).counts == counts
    assert host.vouchers.codes.of_user("user-1", revoked=True) == []
    given = list(host.vouchers.codes.assignments(winter))
    [pseudonym] = {each.user_id for each in given if each.user_id != "other"}
    assert is_pseudonym(pseudonym)
    assert len(host.vouchers.codes.of_user(pseudonym, revoked=True)) == 2
    assert {event.user_id for event in host.events(CodeRevoked)} == {pseudonym}
    again = host.vouchers.codes.assign(campaign_id="CMP", user_id="user-1")
    assert (again.code, again.assignment.ordinal, again.replayed) == ("D", 1, False)


@pytest.mark.every_storage
def test_promo_events_that_were_not_sent_are_cancelled(host: Host, clock: FixedClock) -> None:
    everything_about(host, "user-1")
    report = host.vouchers.codes.forget_user("user-1")
    assert report.delivered == {"taken": 2}
    # The first code was revoked before, which cancelled its event at the sink that failed.
    assert report.cancelled == {"taken": 2, "broken": 3}
    clock.advance(days=1)
    sinks = {name: MemorySink(name=name) for name in ("taken", "broken")}
    for sink in sinks.values():
        host.vouchers.events.deliver(sink)
        promo = [event for event in sink.events if isinstance(event, VoucherRewarded | PointsDebited)]
        assert {event.user_id for event in promo} == {"other"}
        assert host.vouchers.events.backlog(sink.name).undelivered == 0


def test_a_reservation_that_is_confirmed_afterwards_sends_no_event(host: Host) -> None:
    reserved = host.vouchers.codes.reserve(list_id=host.a_list("A").id, user_id=USER, ttl=timedelta(hours=1))
    host.vouchers.codes.forget_user(USER)
    host.vouchers.codes.confirm(reserved.id)
    sink = MemorySink()
    host.vouchers.events.deliver(sink)
    assert [event for event in sink.events if isinstance(event, VoucherRewarded)] == []
    assert host.vouchers.events.backlog(sink.name).undelivered == 0


def test_forgetting_twice_finds_nothing(host: Host) -> None:
    everything_about(host, "user-1")
    host.vouchers.codes.forget_user("user-1")
    assert host.vouchers.codes.forget_user("user-1") == ErasureReport()


@pytest.mark.every_storage
def test_promo_events_are_counted_as_cancelled_also_before_they_have_positions(host: Host) -> None:
    host.vouchers.events.deliver(MemorySink(name="crm"))
    found = host.a_list("A", "B", campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    assert found.available == 2
    first, _ = [host.vouchers.codes.assign(campaign_id="CMP", user_id=USER) for _ in range(2)]
    host.emit_for(USER)
    host.vouchers.codes.revoke(first.assignment.id, reason="fraud")
    report = host.vouchers.codes.forget_user(USER)
    # That of the revoked code was cancelled before.
    assert (report.cancelled, report.delivered) == ({"crm": 2}, {})
