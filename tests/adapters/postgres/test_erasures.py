"""A user is forgotten while other transactions are busy with what is stored about the user."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.revocations import PostgresRevocations
from partner_vouchers.domain.erasure import ErasureReport
from partner_vouchers.ports import Unsent
from tests.adapters.postgres.conftest import Connect
from tests.support.cells import cells
from tests.support.host import PATIENCE, FixedClock, Host, wait_until
from tests.support.postgres import connections_of
from tests.support.sinks import ScriptedSink


@pytest.mark.parametrize("end", ["confirm", "release"])
def test_an_erasure_waits_for_whoever_ends_a_reservation_of_the_user(
    named: PostgresStorage, schema: str, connect: Connect, end: str
) -> None:
    host = Host(named, FixedClock())
    list_id = host.a_list("A11").id
    reserved = host.vouchers.codes.reserve(list_id=list_id, user_id="quokka", ttl=timedelta(hours=1))
    connection = connect(options=f"-c search_path={schema}")
    getattr(host.vouchers.using(connection).codes, end)(reserved.id)
    with ThreadPoolExecutor(1) as thread:
        erasure = thread.submit(host.vouchers.codes.forget_user, "quokka")
        wait_until(lambda: erasure.done() or connections_of(schema, "wait_event_type = 'Lock'"))
        connection.commit()
        erasure.result(PATIENCE)
    assert [each for each in cells(named, schema) if "quokka" in each[2]] == []


def test_who_reserves_while_being_forgotten_is_a_new_user(
    named: PostgresStorage, schema: str, connect: Connect
) -> None:
    host = Host(named, FixedClock())
    list_id = host.a_list("A11", "A22").id
    reserve = partial(host.vouchers.codes.reserve, list_id=list_id, user_id="ann", ttl=timedelta(hours=1))
    reserve()
    connection = connect(options=f"-c search_path={schema}")
    host.vouchers.using(connection).codes.forget_user("ann")
    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(reserve)
        wait_until(lambda: asking.done() or connections_of(schema, "wait_event_type = 'Lock'"))
        connection.commit()
        reserved = asking.result(PATIENCE)
    assert (reserved.user_id, reserved.code) == ("ann", "A22")


def test_an_erasure_waits_for_a_run_that_is_about_to_send(
    named: PostgresStorage, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, sink = Host(named, FixedClock()), ScriptedSink()
    host.emit_for("ann")
    erasures: list[Future[ErasureReport]] = []
    decide = PostgresRevocations.unsent

    def forget_meanwhile(revocations: PostgresRevocations, positions: Collection[int]) -> Unsent:
        if not erasures:
            erasures.append(threads.submit(host.vouchers.codes.forget_user, "ann"))
            wait_until(
                lambda: erasures[0].done() or connections_of(schema, "wait_event_type = 'Lock'"),
            )
        return decide(revocations, positions)

    monkeypatch.setattr(PostgresRevocations, "unsent", forget_meanwhile)
    with ThreadPoolExecutor(1) as threads:
        host.vouchers.events.deliver(sink)
        report = erasures[0].result(PATIENCE)
    assert sink.users() == ["ann"]
    assert (report.cancelled, report.delivered) == ({}, {"crm": 1})
