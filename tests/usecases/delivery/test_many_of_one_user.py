"""Many events of one user at a sink that is sent one of them at a time."""

from __future__ import annotations

from typing import Any

import pytest

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.usecases.delivery import queue
from tests.support.host import FixedClock, Host
from tests.support.sinks import ScriptedSink


class CountingStorage(MemoryStorage):
    """A storage that counts the transactions that write."""

    writes: int = 0

    def begin(self, *, write: bool = True) -> Any:
        self.writes += write
        return super().begin(write=write)


def test_each_event_costs_one_transaction_that_writes() -> None:
    storage, sink = CountingStorage(), ScriptedSink(batch_size=100)
    host = Host(storage, FixedClock())
    for _ in range(300):
        host.emit_for("ann")
    storage.writes = 0
    assert host.vouchers.events.deliver(sink).delivered == 300
    assert storage.writes < 310
    assert [entry.position for entry in sink.taken] == [entry.position for entry in host.outbox()]


def test_other_users_do_not_wait_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "_MOST_BEHIND", 300)
    host, sink = Host(MemoryStorage(), FixedClock()), ScriptedSink(batch_size=100)
    for _ in range(700):
        host.emit_for("ann")
    host.emit_for("ben")
    host.vouchers.events.deliver(sink)
    users = sink.users()
    assert users.count("ann") == 700
    assert users.index("ben") < 20
    of_ann = [entry.position for entry in sink.taken if getattr(entry.event, "user_id", None) == "ann"]
    assert of_ann == sorted(of_ann)
