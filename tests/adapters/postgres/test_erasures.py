"""A user is forgotten while a delivery run decides what it sends."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.revocations import PostgresRevocations
from partner_vouchers.domain.erasure import ErasureReport
from partner_vouchers.ports import Unsent
from tests.support.host import PATIENCE, FixedClock, Host, wait_until
from tests.support.postgres import connections_of
from tests.support.sinks import ScriptedSink


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
