"""Relays that run in threads, side by side, while codes are given out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from partner_vouchers import PartnerVouchers, RepeatPolicy
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.ports import OutboxEntry, Rejection, Storage
from partner_vouchers.testing.driver import outbox
from partner_vouchers.usecases.delivery.relay import Relay
from tests.support.host import PATIENCE, FixedClock, Host, some_codes, wait_until
from tests.support.sinks import ScriptedSink


@contextmanager
def running(*relays: Relay) -> Iterator[list[Future[None]]]:
    """Run relays in threads, and stop them at the end."""
    with ThreadPoolExecutor(len(relays)) as threads:
        started = [threads.submit(relay.run) for relay in relays]
        try:
            yield started
        finally:
            for relay in relays:
                relay.stop()
        for each in started:
            each.result(PATIENCE)


class OneAtATime(ScriptedSink):
    """A sink that notices when two calls with events of one user overlap."""

    def __init__(self, name: str, concurrency: int) -> None:
        super().__init__(name, batch_size=5, concurrency=concurrency)
        self.under_way: set[str] = set()
        self.overlaps: list[str] = []
        self._lock = threading.Lock()

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        keys = {entry.event.ordering_key for entry in entries}
        with self._lock:
            self.overlaps += keys & self.under_way
            self.under_way |= keys
        time.sleep(0.001)
        try:
            return super().send(entries)
        finally:
            with self._lock:
                self.under_way -= keys


@pytest.fixture
def vouchers(storage: Storage) -> PartnerVouchers:
    host = Host(storage, FixedClock())
    host.a_list(*some_codes(600), campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    return host.vouchers


def in_order(taken: list[OutboxEntry]) -> bool:
    by_key: dict[str, list[int]] = {}
    for entry in taken:
        by_key.setdefault(entry.event.ordering_key, []).append(entry.position)
    return all(positions == sorted(positions) for positions in by_key.values())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_relays_share_the_work_while_codes_are_given_out(
    storage: Storage, vouchers: PartnerVouchers, concurrency: int
) -> None:
    sink = OneAtATime("crm", concurrency)
    relays = [
        PartnerVouchers(storage, clock=FixedClock()).events.relay(sink, interval=0.01) for _ in range(3)
    ]
    with running(*relays):
        for number in range(200):
            vouchers.codes.assign(campaign_id="CMP", user_id=f"user-{number % 29}")
        # Some may not be there to be read yet, as long as a relay's transaction is open.
        wait_until(lambda: sum(isinstance(entry.event, VoucherRewarded) for entry in sink.taken) > 199)
        wait_until(lambda: len(sink.taken) >= len(outbox(storage)))
    assert sorted(entry.position for entry in sink.taken) == [entry.position for entry in outbox(storage)]
    assert in_order(sink.taken)
    assert sink.overlaps == []
