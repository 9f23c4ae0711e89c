"""The tables are copied to another server, whose transactions have lower numbers: no event is lost or repeated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from partner_vouchers import RepeatPolicy
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.domain.delivery import Progress, lane_of
from partner_vouchers.domain.events import StockLow
from partner_vouchers.errors import SinkUnavailable, StorageNotMigrated
from tests.support.host import START, FixedClock, Host, some_codes
from tests.support.postgres import Server, schemas, server
from tests.support.sinks import ScriptedSink, fail, reject, take_all


@pytest.fixture(scope="module")
def new_server() -> Iterator[Server]:
    """A server that has seen few transactions."""
    started = Server("fsync=off")
    yield started
    started.remove()


@pytest.fixture
def old_schema(new_server: Server) -> Iterator[str]:
    """A storage on a server that has seen more."""
    server().pass_transactions(max(new_server.next_transaction() + 1_000 - server().next_transaction(), 0))
    with schemas().lend() as schema:
        yield schema
        with psycopg.connect(new_server.conninfo) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


def opened(place: Server, schema: str) -> closing[PostgresStorage]:
    return closing(PostgresStorage(place.conninfo, schema=schema))


def assign(host: Host, *users: str) -> None:
    for user in users:
        host.vouchers.codes.assign(campaign_id="CMP", user_id=user)


def test_nothing_is_lost_or_repeated(old_schema: str, new_server: Server) -> None:
    clock = FixedClock()
    quick, slow, picky = ScriptedSink("quick"), ScriptedSink("slow", batch_size=2), ScriptedSink("picky")
    picky.always = reject("ann", final=True)
    with opened(server(), old_schema) as storage:
        host = Host(storage, clock)
        host.a_list(*some_codes(50), campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
        assign(host, "ann", "bob", "cid", "ann")
        slow.next += [reject(), reject("bob")]
        slow.always = fail(SinkUnavailable(sink="slow", reason="closed"))
        for sink in (quick, slow, picky):
            host.vouchers.events.deliver(sink)
        assign(host, "ann", "bob", "dan")
        told = {entry.id: entry.event for entry in host.outbox()}
    new_server.restore(server().dump(old_schema))

    with opened(new_server, old_schema) as storage:
        for _ in range(2):
            with pytest.raises(StorageNotMigrated, match=r"another server.*migrate"):
                Host(storage, clock)
        storage.migrate()
        host = Host(storage, clock)
        assert {entry.id: entry.event for entry in host.outbox()} == told
        assign(host, "bob", "eve")
        clock.advance(hours=2)
        slow.always = picky.always = take_all
        host.vouchers.events.retry_dead_letters()
        for sink in (quick, slow, picky):
            host.vouchers.events.deliver(sink)
            taken = [entry.id for entry in sink.taken]
            assert sorted(taken) == sorted(entry.id for entry in host.outbox())
            assert {entry.id for entry in sink.taken} > told.keys()
        for sink in (quick, slow):
            for user in ("ann", "bob"):
                given = [
                    entry.event for entry in host.outbox() if getattr(entry.event, "user_id", None) == user
                ]
                received = [
                    entry.event for entry in sink.taken if getattr(entry.event, "user_id", None) == user
                ]
                assert received == given


def test_what_was_settled_stays_settled_whatever_the_order(old_schema: str, new_server: Server) -> None:
    """Transactions get their numbers in another order than their events."""
    lane = lane_of(an_event(0))
    with opened(server(), old_schema) as storage:
        transactions = [storage.begin() for _ in range(3)]
        opened_ones = [each.__enter__() for each in transactions]
        for each in opened_ones:
            each.session.execute("SELECT pg_current_xact_id()")
        for number, which in enumerate((2, 1, 0, 2, 0, 1, 1)):
            opened_ones[which].outbox.append([an_event(number)])
        for each, context in zip(opened_ones, transactions, strict=True):
            each.commit()
            context.__exit__(None, None, None)
        with storage.begin() as tx:
            entries = tx.outbox.read(0, 99)
            assert [entry.id for entry in entries] != sorted(entry.id for entry in entries)
            for ahead in range(2 ** len(entries)):
                settled = [entry.position for place, entry in enumerate(entries) if ahead >> place & 1]
                progress = Progress().settle(
                    [entry.position for entry in entries], entries[-1].position, settled
                )
                tx.deliveries.save_progress(f"{ahead}", lane, progress)
            tx.commit()
        before = left(storage, lane)
    new_server.restore(server().dump(old_schema))
    with opened(new_server, old_schema) as storage:
        storage.migrate()
        assert left(storage, lane) == before


def an_event(number: int) -> StockLow:
    return StockLow(occurred_at=START, list_id="1", partner="Puma", list_tag="sale", available=number)


def left(storage: PostgresStorage, lane: int) -> dict[str, set[str]]:
    """Return what each sink has not had yet."""
    with storage.begin(write=False) as tx:
        found: dict[str, set[str]] = {}
        for sink in tx.deliveries.sinks():
            progress = tx.deliveries.progress(sink)[lane]
            entries, _ = tx.outbox.read_lane(lane, progress.position, 99)
            found[sink] = {entry.id for entry in entries if entry.position not in progress.ahead}
        return found


def test_sequences_that_stayed_behind_are_brought_up(old_schema: str, new_server: Server) -> None:
    """Logical replication copies rows, and not how far the sequences have come."""
    with opened(server(), old_schema) as storage:
        host = Host(storage, FixedClock())
        host.a_list(*some_codes(9), campaign="CMP")
        known = {entry.id for entry in host.outbox()}
    new_server.restore(server().dump(old_schema))
    with psycopg.connect(new_server.conninfo) as connection:
        connection.execute(f"SELECT setval('{old_schema}.pv_outbox_id_seq', 1, false)".encode())
    with opened(new_server, old_schema) as storage:
        storage.migrate()
        host = Host(storage, FixedClock())
        assign(host, "ann")
        ids = [entry.id for entry in host.outbox()]
        assert len(ids) == len(set(ids)) == len(known) + 1


def test_a_server_that_has_seen_more_transactions_needs_no_call(old_schema: str, new_server: Server) -> None:
    sink = ScriptedSink()
    with opened(server(), old_schema) as storage:
        host = Host(storage, FixedClock())
        host.a_list(*some_codes(9), campaign="CMP")
        assign(host, "ann")
        host.vouchers.events.deliver(sink)
        assign(host, "bob")
    new_server.restore(server().dump(old_schema))
    new_server.pass_transactions(server().next_transaction() - new_server.next_transaction() + 1)
    with opened(new_server, old_schema) as storage:
        host = Host(storage, FixedClock())
        assign(host, "cid")
        host.vouchers.events.deliver(sink)
        assert sorted(sink.users()) == ["ann", "bob", "cid"]
