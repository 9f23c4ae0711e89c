"""The outbox: positions grow in the order of commits, so that a reader who goes on from one misses nothing."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from random import Random

import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.domain.events import StockLow
from partner_vouchers.ports import OutboxEntry
from tests.support.host import START, FixedClock, Host
from tests.support.sinks import ScriptedSink


def event(number: int) -> StockLow:
    return StockLow(occurred_at=START, list_id=str(number), partner="Puma", list_tag="sale", available=1)


def read_on(storage: PostgresStorage, read: list[OutboxEntry]) -> list[OutboxEntry]:
    with storage.begin() as tx:
        tx.outbox.order()
        tx.commit()
    with storage.begin(write=False) as tx:
        return tx.outbox.read(read[-1].position if read else 0, 100)


def numbers(entries: list[OutboxEntry]) -> list[int]:
    return [int(entry.event.list_id) for entry in entries if isinstance(entry.event, StockLow)]


def test_the_backlog_shows_what_an_open_transaction_holds_back(storage: PostgresStorage) -> None:
    clock = FixedClock()
    host, sink = Host(storage, clock), ScriptedSink()
    host.vouchers.events.deliver(sink)
    with storage.begin() as slow:
        slow.session.execute("SELECT pg_current_xact_id()")
        host.emit_for("ann")
        clock.advance(minutes=5)
        host.emit_for("ben")
        clock.advance(minutes=5)
        assert host.vouchers.events.deliver(sink).delivered == 0
        backlog = host.vouchers.events.backlog("crm")
        assert (backlog.undelivered, backlog.deferred, backlog.at_least) == (2, 0, False)
        assert (backlog.oldest, backlog.held_back_since) == (START, START)
        assert backlog.age == timedelta(minutes=10)
    backlog = host.vouchers.events.backlog("crm")
    assert (backlog.undelivered, backlog.oldest, backlog.held_back_since) == (2, START, None)
    assert host.vouchers.events.deliver(sink).delivered == 2
    assert host.vouchers.events.backlog("crm").undelivered == 0


def test_a_new_sink_from_now_on_gets_nothing_that_was_committed_before(storage: PostgresStorage) -> None:
    host, sink = Host(storage, FixedClock()), ScriptedSink()
    host.emit_for("before")
    host.vouchers.events.deliver(sink, from_now=True)
    host.emit_for("after")
    host.vouchers.events.deliver(sink, from_now=True)
    assert sink.users() == ["after"]


def test_tables_that_were_copied_from_a_server_with_greater_numbers_are_delivered(
    storage: PostgresStorage,
) -> None:
    host, sink = Host(storage, FixedClock()), ScriptedSink()
    host.vouchers.events.deliver(sink)
    for user in ("ann", "ben", "ann"):
        host.emit_for(user)
    with storage.begin() as tx:
        tx.session.execute("UPDATE pv_outbox SET xid = (xid::text::bigint + 1000000000)::text::xid8")
        tx.commit()
    host.emit_for("cleo")
    host.emit_for("ann")
    host.vouchers.events.deliver(sink)
    assert [entry.position for entry in host.outbox()] == [1, 2, 3, 4, 5]
    users = [getattr(entry.event, "user_id", None) for entry in host.outbox()]
    assert users == ["ann", "ben", "ann", "cleo", "ann"]
    assert len({entry.id for entry in sink.taken}) == 5


def test_an_id_does_not_come_again_when_a_number_does(storage: PostgresStorage) -> None:
    """As after a restored dump, which numbers new events as those that were lost."""
    host = Host(storage, FixedClock())
    host.emit_for("ann")
    (lost,) = host.outbox()
    number = int(lost.id.split("-")[-2])
    with storage.begin() as tx:
        tx.session.execute("DELETE FROM pv_events")
        tx.session.execute("SELECT setval(pg_get_serial_sequence('pv_outbox', 'id'), %s, false)", (number,))
        tx.commit()
    host.emit_for("ann")
    (new,) = host.outbox()
    assert new.position == lost.position
    assert new.id.rpartition("-")[0] == lost.id.rpartition("-")[0]
    assert new.id != lost.id


@pytest.mark.parametrize("seed", range(4))
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
        assert long.outbox.unordered(9).count == 1
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
