"""Events that a newer version of the library wrote."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers import PointsDebited
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.events import ListPaused, PartnerAdded, UnreadableEvent
from partner_vouchers.wire import stored_events
from partner_vouchers.wire.stored_events import event_to_json
from tests.support.host import START, Host
from tests.support.sinks import ScriptedSink

pytestmark = pytest.mark.every_storage

NEWER = "CT Points Borrowed"


@pytest.fixture(autouse=True)
def keeps_text(host: Host) -> None:
    if isinstance(host.storage, MemoryStorage):
        pytest.skip("it keeps the events themselves")


def write(host: Host, statement: str, *values: Any) -> None:
    with host.storage.begin() as tx:
        session: Any = getattr(tx, "session")  # noqa: B009 - not every storage has one
        session.queue(statement, *values)
        tx.commit()


def write_newer(host: Host, user: str | None = "ann", name: str = NEWER) -> None:
    """Store an event as a newer version would."""
    event = PointsDebited(
        occurred_at=START,
        user_id=user or "nobody",
        wallet_id="W1",
        source="API",
        points=1,
        transaction_id="T1",
    )
    stored = json.loads(event_to_json(event)) | {"lender": "Puma"}
    if user is None:
        del stored["user_id"]
    write(host, "add_event", name, json.dumps(stored))


def test_an_unknown_event_whose_user_can_be_told_only_later_arrives_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_newer(host, None)
    host.emit_for("ann")
    sink = ScriptedSink()
    assert host.vouchers.events.deliver(sink).deferred == 1
    (_, other) = host.outbox()

    def newer(name: str, text: str) -> Any:
        return other.event if name == NEWER else stored_events.event_from_json(name, text)

    monkeypatch.setattr("partner_vouchers.adapters.sql.outbox.event_from_json", newer)
    host.clock.advance(minutes=6)
    report = host.vouchers.events.deliver(sink)
    assert (report.delivered, report.deferred, len(sink.taken)) == (1, 0, 2)


@pytest.mark.parametrize("name", [NEWER, PointsDebited.event_name])
def test_an_unknown_event_waits_with_the_later_ones_of_its_user_and_all_others_arrive(
    host: Host, name: str
) -> None:
    host.emit_for("ann")
    write_newer(host, "ann", name)
    for user in ("ben", "ann", "cleo"):
        host.emit_for(user)
    sink = ScriptedSink()
    report = host.vouchers.events.deliver(sink)
    assert sink.users() == ["ann", "ben", "cleo"]
    assert (report.deferred, report.dead_letters, report.failure) == (2, 0, None)
    backlog = host.vouchers.events.backlog("crm")
    assert (backlog.undelivered, backlog.deferred, backlog.oldest) == (2, 2, START)


def test_an_unknown_event_of_an_unknown_user_holds_nobody_back(host: Host) -> None:
    write_newer(host, None)
    with host.storage.begin() as tx:
        tx.outbox.append([PartnerAdded(occurred_at=START)])
        tx.commit()
    write_newer(host, None)
    host.emit_for("ann")
    sink = ScriptedSink()
    assert host.vouchers.events.deliver(sink).deferred == 2
    assert len(sink.taken) == 2
    for _ in range(3):
        host.clock.advance(days=1)
        assert host.vouchers.events.deliver(sink).deferred == 2, "it is never given up"


def test_an_unknown_event_arrives_once_a_newer_version_delivers(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_newer(host, "ann")
    host.emit_for("ann")
    sink = ScriptedSink()
    assert host.vouchers.events.deliver(sink).deferred == 2
    (_, later) = host.outbox()

    def newer(name: str, text: str) -> Any:
        return later.event if name == NEWER else stored_events.event_from_json(name, text)

    monkeypatch.setattr("partner_vouchers.adapters.sql.outbox.event_from_json", newer)
    host.clock.advance(minutes=6)
    assert host.vouchers.events.deliver(sink).delivered == 2
    assert [entry.position for entry in sink.taken] == [entry.position for entry in host.outbox()]


def test_very_many_unknown_events_end_no_delivery(host: Host) -> None:
    for number in range(300):
        write_newer(host, f"user-{number % 7}")
    host.emit_for("ann")
    sink = ScriptedSink(batch_size=10)
    report = host.vouchers.events.deliver(sink)
    assert (sink.users(), report.deferred) == (["ann"], 300)
    host.clock.advance(minutes=6)
    assert host.vouchers.events.deliver(sink).deferred == 300


def test_the_audit_log_shows_a_change_that_is_not_known(host: Host) -> None:
    found = host.a_list("A")
    text = event_to_json(ListPaused(occurred_at=START + timedelta(hours=1), list_id=found.id))
    write(host, "add_audit_entry", int(found.id), "ops", "list.exploded", text)
    host.vouchers.lists.edit(found.id, name="x")
    for page in (host.vouchers.audit.entries(), host.vouchers.audit.entries(list_id=found.id)):
        *_, unknown, edited = page
        assert unknown.event == UnreadableEvent(
            occurred_at=START + timedelta(hours=1), name="list.exploded", list_id=found.id
        )
        assert (unknown.actor, edited.event.event_name) == ("ops", "list.edited")
