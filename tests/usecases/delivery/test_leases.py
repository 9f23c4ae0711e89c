"""The lease on a sink belongs to one process as long as that lives."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.errors import StorageBusy
from partner_vouchers.ports import OutboxEntry
from partner_vouchers.usecases.delivery import lease
from partner_vouchers.usecases.delivery.lease import SinkLease
from tests.support.host import MICROSECOND, PATIENCE, FixedClock, Host
from tests.support.sinks import ScriptedSink, take_all

pytestmark = pytest.mark.every_storage


def of(host: Host, sink: str = "crm") -> SinkLease:
    return SinkLease(host.vouchers._wiring, sink)


def takes(host: Host, lease: SinkLease) -> bool:
    with host.storage.begin() as tx:
        taken = lease.take(tx)
        tx.commit()
    return taken


def has(host: Host, lease: SinkLease) -> bool:
    with host.storage.begin(write=False) as tx:
        return lease.is_ours(tx)


def release(host: Host, lease: SinkLease) -> None:
    with host.storage.begin() as tx:
        lease.release(tx)
        tx.commit()


def test_a_sink_is_leased_to_one_process(host: Host) -> None:
    mine, other = of(host), of(host)
    assert takes(host, mine)
    assert not takes(host, other)
    assert (has(host, mine), has(host, other)) == (True, False)
    assert takes(host, of(host, "audit"))
    assert takes(host, mine), "again"
    release(host, other)
    assert has(host, mine)
    release(host, mine)
    assert not has(host, mine)
    assert takes(host, other)


def test_a_silent_owner_is_taken_for_dead_after_thirty_seconds(host: Host) -> None:
    mine, other = of(host), of(host)
    takes(host, mine)
    host.clock.advance(seconds=30)
    host.clock.now -= MICROSECOND
    assert not takes(host, other)
    host.clock.now += 2 * MICROSECOND
    assert takes(host, other)
    assert not has(host, mine)


def test_a_renewed_lease_lasts_thirty_seconds_more(host: Host) -> None:
    mine, other = of(host), of(host)
    takes(host, mine)
    for _ in range(3):
        host.clock.advance(seconds=20)
        host.vouchers._wiring.write(mine._renew)
    host.clock.advance(seconds=29)
    assert not takes(host, other)
    host.clock.advance(seconds=2)
    assert takes(host, other)
    host.vouchers._wiring.write(mine._renew)
    assert has(host, other), "what was lost is not renewed"


class BusyAtFirst(MemoryStorage):
    """A storage that is busy twice, and then tells that it was asked again."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int = 0
        self.asked_again: threading.Event = threading.Event()

    def begin(self, *, write: bool = True) -> Any:
        if self.left > 0:
            self.left -= 1
            if not self.left:
                self.asked_again.set()
            raise StorageBusy(reason="locked")
        return super().begin(write=write)


def test_a_renewal_that_fails_is_tried_again_until_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.001)
    storage = BusyAtFirst()
    host = Host(storage, FixedClock())
    mine = of(host)
    takes(host, mine)
    storage.left = 2
    mine.keep()
    mine.keep()
    renewing = [thread for thread in threading.enumerate() if thread.name == "partner_vouchers lease"]
    try:
        assert storage.asked_again.wait(PATIENCE)
        assert len(renewing) == 1, "one thread is enough"
        assert renewing[0].daemon, "a process that ends does not wait for it"
    finally:
        storage.left = 0
        mine.close()
    assert not renewing[0].is_alive()


# --- two who deliver to one sink ----------------------------------------------------------------------------------


def test_an_answer_that_comes_after_another_process_took_over_changes_nothing(host: Host) -> None:
    for user in ["ann"] * 5:
        host.emit_for(user)
    slow, quick = ScriptedSink(), ScriptedSink()

    def sleep(entries: Sequence[OutboxEntry]) -> Sequence[Any]:
        # Too long for its lease, and so fast on the wall clock that nothing renews it.
        host.clock.advance(seconds=31)
        slow.always = take_all
        host.vouchers.events.deliver(quick)
        return []

    slow.always = sleep
    assert host.vouchers.events.deliver(slow).delivered == 0, "its own answer was lost"
    assert len(quick.taken) == 5
    assert host.vouchers.events.deliver(ScriptedSink()).delivered == 0


def test_others_stand_by_while_one_delivers(host: Host) -> None:
    host.emit_for("ann")
    host.emit_for("ben")
    sink, other = ScriptedSink(batch_size=1), ScriptedSink()

    def meanwhile(entries: Sequence[OutboxEntry]) -> Sequence[Any]:
        assert host.vouchers.events.deliver(other).delivered == 0
        return []

    sink.always = meanwhile
    assert host.vouchers.events.deliver(sink).delivered == 2
    assert other.batches == []
