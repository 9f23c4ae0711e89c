"""The statements of delivery use the indexes they were given, whatever statistics SQLite has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.adapters.sqlite.session import STATEMENTS
from tests.support.host import START, FixedClock, Host
from tests.support.many_deferred import HOT, defer_many
from tests.support.sinks import ScriptedSink


@pytest.fixture(params=["never analyzed", "analyzed while empty", "analyzed while full"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLiteStorage]:
    opened = SQLiteStorage(tmp_path / "vouchers.db", synchronous="NORMAL")
    if request.param == "analyzed while empty":
        analyze(opened)
    # Most of it is due, so that an index by time would be tempting.
    defer_many(opened, 4000, retry_at=START)
    if request.param == "analyzed while full":
        analyze(opened)
    yield opened
    opened.close()


def analyze(storage: SQLiteStorage) -> None:
    with storage.begin() as tx:
        tx.session.execute("ANALYZE")
        tx.commit()


@pytest.mark.parametrize("name", HOT)
def test_no_statement_reads_a_table_from_end_to_end(storage: SQLiteStorage, name: str) -> None:
    with storage.begin(write=False) as tx:
        statement = STATEMENTS[name]
        values = [1] * statement.count("?")
        plan = [row[3] for row in tx.session.fetch(f"EXPLAIN QUERY PLAN {statement}", *values)]
    scans = [
        step for step in plan if step.startswith("SCAN") and "json_each" not in step and "VIRTUAL" not in step
    ]
    assert [step for step in scans if "CONSTANT ROW" not in step and "found" not in step] == []
    if name in ("first_of_keys", "has_deferred", "count_deferred"):
        assert any("pv_deferred_key" in step for step in plan)


def test_very_many_deferred_events_are_delivered_in_as_many_batches_as_they_fill(
    storage: SQLiteStorage,
) -> None:
    host, sink = Host(storage, FixedClock()), ScriptedSink(batch_size=500)
    host.vouchers.events.retry_dead_letters()
    assert host.vouchers.events.deliver(sink).delivered == 4000
    assert len(sink.batches) <= 12
    assert len({entry.id for entry in sink.taken}) == 4000
