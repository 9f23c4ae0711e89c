"""A lane belongs to one relay as long as that lives."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.errors import ConnectionLost, StorageBusy
from partner_vouchers.usecases.delivery import leases
from partner_vouchers.usecases.delivery.leases import LaneLeases
from tests.support.host import MICROSECOND, PATIENCE, FixedClock, Host
from tests.support.storages import GivingUpStorage


def of(host: Host, holder: str, sink: str = "crm") -> LaneLeases:
    return LaneLeases(host.vouchers._wiring, sink, holder)


def takes(host: Host, relay: LaneLeases, lane: int = 0) -> bool:
    with host.storage.begin() as tx:
        taken = relay.take(tx, lane)
        tx.commit()
    return taken


def holds(host: Host, relay: LaneLeases, lane: int = 0) -> bool:
    with host.storage.begin(write=False) as tx:
        return relay.held(tx, lane)


def test_a_lane_of_a_sink_is_leased_to_one_relay(host: Host) -> None:
    mine, other = of(host, "mine"), of(host, "other")
    assert takes(host, mine)
    assert not takes(host, other)
    assert (holds(host, mine), holds(host, other)) == (True, False)
    assert takes(host, other, lane=1)
    assert takes(host, of(host, "other", sink="audit"))
    assert takes(host, mine), "again"


def test_a_lane_that_is_given_back_is_free(host: Host) -> None:
    mine, other = of(host, "mine"), of(host, "other")
    takes(host, mine)
    with host.storage.begin() as tx:
        mine.release(tx, 0)
        tx.commit()
    assert not holds(host, mine)
    assert takes(host, other)


def test_a_relay_that_ends_gives_all_its_lanes_back_and_no_others(host: Host) -> None:
    mine, other = of(host, "mine"), of(host, "other")
    for lane in (0, 1):
        takes(host, mine, lane)
    takes(host, other, lane=2)
    mine.close()
    assert [takes(host, other, lane) for lane in (0, 1)] == [True, True]
    assert holds(host, other, lane=2)


def test_a_silent_relay_is_taken_for_dead_after_thirty_seconds(host: Host) -> None:
    mine, other = of(host, "mine"), of(host, "other")
    takes(host, mine)
    host.clock.advance(seconds=30)
    host.clock.now -= MICROSECOND
    assert not takes(host, other)
    host.clock.now += 2 * MICROSECOND
    assert takes(host, other)
    assert not holds(host, mine)


def test_a_renewed_lease_holds_for_thirty_seconds_more(host: Host) -> None:
    mine, other = of(host, "mine"), of(host, "other")
    for lane in (0, 1):
        takes(host, mine, lane)
    for _ in range(3):
        host.clock.advance(seconds=20)
        mine._renew()
    host.clock.advance(seconds=29)
    assert [takes(host, other, lane) for lane in (0, 1)] == [False, False]
    host.clock.advance(seconds=2)
    assert takes(host, other)


def test_what_was_lost_or_given_back_is_not_renewed(host: Host) -> None:
    mine, other = of(host, "mine"), of(host, "other")
    for lane in (0, 1, 2):
        takes(host, mine, lane)
    host.clock.advance(seconds=31)
    takes(host, other, lane=0)
    with host.storage.begin() as tx:
        mine.release(tx, 1)
        tx.commit()
    mine._renew()
    assert holds(host, other, lane=0)
    assert [holds(host, mine, lane) for lane in (0, 1, 2)] == [False, False, True]
    host.clock.advance(seconds=31)
    mine._renew()
    assert not holds(host, mine, lane=0), "nor when the other is dead"


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_relay_that_ends_gives_its_lanes_back_where_that_has_to_be_done_again(step: int) -> None:
    storage = GivingUpStorage(MemoryStorage(), lambda: ConnectionLost(reason="cut"))
    host = Host(storage, FixedClock())
    mine = of(host, "mine")
    for lane in (0, 1):
        takes(host, mine, lane)
    storage.give_up(step)
    mine.close()
    assert storage.gave_up == 1
    assert [holds(host, mine, lane) for lane in (0, 1)] == [False, False]


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


def test_a_renewal_that_fails_is_tried_again_until_the_relay_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_RENEW_SECONDS", 0.001)
    storage = BusyAtFirst()
    host = Host(storage, FixedClock())
    mine = of(host, "mine")
    takes(host, mine)
    storage.left = 2
    mine.beat()
    mine.beat()
    hearts = [thread for thread in threading.enumerate() if thread.name == "partner_vouchers leases"]
    try:
        assert storage.asked_again.wait(PATIENCE)
        assert len(hearts) == 1, "one heart is enough"
        assert hearts[0].daemon, "a process that ends does not wait for it"
    finally:
        storage.left = 0
        mine.close()
    assert not hearts[0].is_alive()
    assert not holds(host, mine)
