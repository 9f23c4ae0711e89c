"""Two transactions save the progress of a sink at the same time: what one of them has sent is not sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.outbox import PostgresOutbox
from partner_vouchers.adapters.sql.deliveries import SqlDeliveries
from tests.support.host import PATIENCE, FixedClock, Host, wait_until
from tests.support.postgres import connections_of
from tests.support.sinks import ScriptedSink, reject
from tests.usecases.delivery.stage import Stage

Meanwhile = Callable[[type, str], Future[Any]]


@pytest.fixture
def stage(named: PostgresStorage) -> Stage:
    return Stage(Host(named, FixedClock()), ScriptedSink())


@pytest.fixture
def deliver_meanwhile(stage: Stage, schema: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meanwhile]:
    """Deliver in another thread the next time that a method is called, until that is done or waits for a lock."""
    with ThreadPoolExecutor(1) as thread:

        def when_called(part: type, method: str) -> Future[Any]:
            original, delivered = getattr(part, method), Future[Any]()

            def call(*arguments: Any) -> Any:
                monkeypatch.setattr(part, method, original)
                delivering = thread.submit(stage.deliver)
                delivering.add_done_callback(lambda done: delivered.set_result(done.result()))
                wait_until(lambda: delivering.done() or connections_of(schema, "wait_event_type = 'Lock'"))
                return original(*arguments)

            monkeypatch.setattr(part, method, call)
            return delivered

        yield when_called


def test_retried_dead_letters_leave_the_progress_alone(stage: Stage, deliver_meanwhile: Meanwhile) -> None:
    stage.sink.next.append(reject("ann", final=True))
    stage.emit("ann", "ben")
    stage.deliver()
    stage.emit("cleo", "dan")
    delivered = deliver_meanwhile(SqlDeliveries, "put")
    assert stage.events.retry_dead_letters() == 1
    delivered.result(PATIENCE)
    stage.drain()


def test_a_sink_becomes_known_once(stage: Stage, deliver_meanwhile: Meanwhile) -> None:
    stage.emit("ann", "ben")
    delivered = deliver_meanwhile(PostgresOutbox, "order")
    stage.deliver()
    delivered.result(PATIENCE)
    stage.drain()
