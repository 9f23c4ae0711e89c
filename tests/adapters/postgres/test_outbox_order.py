"""The outbox: positions grow in the order of commits, so that a reader who goes on from one misses nothing."""

from __future__ import annotations

from contextlib import ExitStack
from random import Random

import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.domain.events import StockLow
from partner_vouchers.ports import OutboxEntry
from tests.support.host import START


def event(number: int) -> StockLow:
    return StockLow(occurred_at=START, list_id=str(number), partner="Puma", list_tag="sale", available=1)


def read_on(storage: PostgresStorage, read: list[OutboxEntry]) -> list[OutboxEntry]:
    with storage.begin(write=False) as tx:
        return tx.outbox.read(read[-1].position if read else 0, 100)


def numbers(entries: list[OutboxEntry]) -> list[int]:
    return [int(entry.event.list_id) for entry in entries if isinstance(entry.event, StockLow)]


def test_an_event_that_is_committed_late_is_not_missed(storage: PostgresStorage) -> None:
    read: list[OutboxEntry] = []
    with storage.begin() as slow:
        slow.outbox.append([event(1)])
        with storage.begin() as quick:
            quick.outbox.append([event(2), event(3)])
            quick.commit()
        # The later one is kept back, since what is before it could still come.
        read += read_on(storage, read)
        assert read == []
        slow.commit()
    read += read_on(storage, read)
    assert numbers(read) == [1, 2, 3]
    assert read_on(storage, read) == []


def test_how_far_a_lane_was_read_never_passes_what_may_still_come(storage: PostgresStorage) -> None:
    with storage.begin() as tx:
        tx.outbox.append([event(0)])
        tx.commit()
    with storage.begin() as slow:
        slow.outbox.append([event(1)])
        with storage.begin() as quick:
            quick.outbox.append([event(2)])
            quick.commit()
        with storage.begin() as reader:
            reached = {lane: reader.outbox.read_lane(lane, 0, 9)[1] for lane in range(16)}
            assert set(reached.values()) == {reader.outbox.last_position()}
        slow.commit()
    with storage.begin(write=False) as tx:
        later = [found for lane in range(16) for found in tx.outbox.read_lane(lane, reached[lane], 9)[0]]
        assert sorted(numbers(later)) == [1, 2]
        positions = [entry.position for entry in tx.outbox.read(0, 9)]
        assert numbers(tx.outbox.get_many(positions[::-1])) == [2, 1, 0]
        assert tx.outbox.get_many([7, positions[0] + 1]) == []


@pytest.mark.parametrize("seed", range(20))
def test_whoever_reads_on_sees_each_event_once_whatever_overlaps(storage: PostgresStorage, seed: int) -> None:
    chance = Random(seed)
    read: list[OutboxEntry] = []
    running: list[tuple[PostgresTransaction, ExitStack, int]] = []
    committed: set[int] = set()
    for number in range(25):
        if running and chance.random() < 0.5:
            tx, stack, own = running.pop(chance.randrange(len(running)))
            if chance.random() < 0.8:
                tx.commit()
                committed |= {own, own + 1000}
            stack.close()
        elif len(running) < 5:
            stack = ExitStack()
            tx = stack.enter_context(storage.begin())
            tx.outbox.append([event(number)])
            tx.outbox.append([event(number + 1000)])
            running.append((tx, stack, number))
        read += read_on(storage, read)
    for _, stack, _ in running:
        stack.close()
    read += read_on(storage, read)
    assert sorted(numbers(read)) == sorted(committed)
    positions = [entry.position for entry in read]
    assert positions == sorted(set(positions))
    assert len({entry.id for entry in read}) == len(read)


def test_what_a_transaction_does_after_others_committed_is_told_after_it(storage: PostgresStorage) -> None:
    """A host's transaction had its number long before it served the user."""
    with storage.begin() as long, storage.begin() as longer:
        for each in (longer, long):
            each.session.execute("SELECT pg_current_xact_id()")
        long.outbox.append([event(0)])
        for number in (1, 2):
            with storage.begin() as quick:
                quick.outbox.append([event(number)])
                quick.commit()
        long.outbox.append([event(3)])
        long.commit()
        longer.outbox.append([event(4)])
        assert read_on(storage, []) == []
        longer.commit()
    # Nothing happens any more that would let the last one through.
    assert numbers(read_on(storage, [])) == [0, 1, 2, 3, 4]
