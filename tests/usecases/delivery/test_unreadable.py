"""Events that a newer version of the library wrote."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers import PointsDebited
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.events import ListPaused, UnreadableEvent
from partner_vouchers.wire import stored_events
from partner_vouchers.wire.stored_events import event_to_json
from tests.support.host import START, Host
from tests.support.sinks import ScriptedSink
from tests.usecases.delivery.stage import Stage

pytestmark = pytest.mark.every_storage

NEWER = "CT Points Borrowed"


@pytest.fixture(autouse=True)
def keeps_text(host: Host) -> None:
    if isinstance(host.storage, MemoryStorage):
        pytest.skip("it keeps the events themselves")


def write(stage: Stage, statement: str, *values: Any) -> None:
    with stage.host.storage.begin() as tx:
        session: Any = getattr(tx, "session")  # noqa: B009 - not every storage has one
        session.queue(statement, *values)
        tx.commit()


def emit_newer(stage: Stage, user: str | None, name: str = NEWER) -> None:
    """Store an event as a newer version would."""
    event = PointsDebited(
        occurred_at=START, user_id=user or "-", wallet_id="W1", source="API", points=1, transaction_id="T1"
    )
    stored = json.loads(event_to_json(event)) | {"lender": "Puma"}
    if user is None:
        del stored["user_id"]
    write(stage, "add_event", name, json.dumps(stored))


@pytest.mark.parametrize("name", [NEWER, PointsDebited.event_name])
def test_an_unknown_event_waits_with_the_later_ones_of_its_user_and_all_others_arrive(
    stage: Stage, name: str
) -> None:
    stage.emit("ann")
    emit_newer(stage, "ann", name)
    stage.emit("ben", "ann", "cleo")
    report = stage.deliver()
    assert stage.sink.users() == ["ann", "ben", "cleo"]
    assert (report.deferred, report.dead_letters, report.failure) == (2, 0, None)
    backlog = stage.events.backlog("crm")
    assert (backlog.undelivered, backlog.deferred, backlog.oldest) == (2, 2, START)


def test_an_unknown_event_of_an_unknown_user_holds_nobody_back_and_is_never_given_up(stage: Stage) -> None:
    for _ in range(2):
        emit_newer(stage, None)
        stage.emit("ann")
    assert [stage.deliver(hours=24).deferred for _ in range(4)] == [2] * 4
    assert stage.sink.users() == ["ann", "ann"]


@pytest.mark.parametrize("user", ["ann", None])
def test_an_unknown_event_arrives_once_a_newer_version_delivers(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, user: str | None
) -> None:
    emit_newer(stage, user)
    stage.emit("ann")
    assert stage.deliver().deferred == (2 if user else 1)
    known = stage.host.outbox()[1].event

    def newer(name: str, text: str) -> Any:
        return known if name == NEWER else stored_events.event_from_json(name, text)

    monkeypatch.setattr("partner_vouchers.adapters.sql.outbox.event_from_json", newer)
    stage.host.clock.advance(minutes=6)
    assert stage.deliver().deferred == 0
    assert stage.missing() == []
    if user:
        stage.require_order()


def test_very_many_unknown_events_end_no_delivery(stage: Stage) -> None:
    for number in range(150):
        emit_newer(stage, f"user-{number % 7}")
    stage.emit("ann")
    stage.sink = ScriptedSink(batch_size=10)
    assert [stage.deliver(hours=1).deferred for _ in range(2)] == [150] * 2
    assert stage.sink.users() == ["ann"]


def test_the_audit_log_shows_a_change_that_is_not_known(stage: Stage) -> None:
    found = stage.host.a_list("A")
    at = START + timedelta(hours=1)
    text = event_to_json(ListPaused(occurred_at=at, list_id=found.id))
    write(stage, "add_audit_entry", int(found.id), "ops", "list.exploded", text)
    stage.host.vouchers.lists.edit(found.id, name="x")
    audit = stage.host.vouchers.audit
    for page in (audit.entries(), audit.entries(list_id=found.id)):
        *_, unknown, edited = page
        assert unknown.event == UnreadableEvent(occurred_at=at, name="list.exploded", list_id=found.id)
        assert (unknown.actor, edited.event.event_name) == ("ops", "list.edited")


def write_about_code(stage: Stage, code_id: int) -> None:
    """Store an event about a code as a newer version would."""
    with stage.host.storage.begin() as tx:
        session: Any = getattr(tx, "session")  # noqa: B009 - not every storage has one
        session.insert_columns("add_code_events", [code_id], ["code.frozen"], ["1"])
        tx.commit()


def test_an_unknown_event_about_a_code_waits_with_the_later_ones_of_its_user(stage: Stage) -> None:
    winter = stage.host.a_list("A11", "A22")
    given = stage.host.vouchers.codes.assign(list_id=winter.id, user_id="ann").assignment
    stage.deliver()
    write_about_code(stage, int(given.id))
    stage.host.vouchers.redemptions.add(given.code, "order-1")
    stage.emit("ben")
    stage.deliver()
    assert stage.sink.users() == ["ann", "ben"]
    assert stage.events.backlog("crm").deferred == 2


def test_an_unknown_event_about_a_code_that_nobody_has_stops_no_other(stage: Stage) -> None:
    winter = stage.host.a_list("A11", "A22")
    given = stage.host.vouchers.codes.assign(list_id=winter.id, user_id="ann").assignment
    write_about_code(stage, int(given.id) + 1)
    stage.emit("ben")
    stage.deliver()
    assert stage.sink.users() == ["ann", "ben"]
    assert stage.events.backlog("crm").deferred == 1
