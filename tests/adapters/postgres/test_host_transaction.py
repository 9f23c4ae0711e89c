"""`vouchers.using(connection)` with psycopg: the order, the code and the event stand or fall together."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from partner_vouchers import PartnerVouchersError
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.domain.events import StockExhausted, StockLow
from partner_vouchers.errors import CodesExhausted
from tests.adapters.postgres.conftest import Connect, orders, place_order, wait_until_waiting
from tests.support.host import PATIENCE, FixedClock, Host, some_codes, wait_until
from tests.support.postgres import connections_of

# --- a host that takes its time ---


def test_a_host_that_holds_a_code_for_long_stops_nobody_else(host: Host, connect: Connect) -> None:
    """Neither on a long list nor on one that is nearly empty, where its last codes are counted exactly."""
    for number in (3, 300):
        found = host.a_list(*some_codes(number), campaign=f"CMP{number}", low_stock_at=2)
        connection = connect()
        held = place_order(host, connection, f"order-{number}", found.id)
        others = host.give(found.id, "ann")
        others.append(host.vouchers.codes.assign(campaign_id=f"CMP{number}", user_id="bob").code)
        assert sorted([held, *others]) == some_codes(3)
        # The upload of more codes, too, goes on.
        assert host.upload(found.id, "MORE").accepted == 1
        connection.rollback()
        assert host.vouchers.lists.get(found.id).distributed == 2
        # What was given back goes out again, at the latest when there is nothing else.
        assert host.left(found.id)[0] == held
        if number == 3:
            assert sorted(host.give(found.id, "eve", "mallory")) == ["MORE", held]


def test_what_a_host_has_not_committed_is_neither_told_nor_counted_by_others(
    host: Host, connect: Connect
) -> None:
    found = host.a_list("A", "B")
    connection = connect()
    place_order(host, connection, "order-1", found.id)
    assert host.give(found.id, "ann") == ["B"]
    with pytest.raises(CodesExhausted):
        host.give(found.id, "bob")
    # One code is not gone yet, and may come back.
    assert host.events(StockExhausted) == []
    connection.commit()
    with pytest.raises(CodesExhausted):
        host.give(found.id, "bob")
    assert len(host.events(StockExhausted)) == 1
    with pytest.raises(CodesExhausted):
        host.give(found.id, "bob")
    assert len(host.events(StockExhausted)) == 1


def test_a_level_that_a_host_is_about_to_tell_is_not_told_twice(host: Host, connect: Connect) -> None:
    found = host.a_list(*some_codes(10), low_stock_at=9)
    connection = connect()
    place_order(host, connection, "order-1", found.id)
    assert host.give(found.id, "ann", "bob") == some_codes(3)[1:]
    assert host.events(StockLow) == []
    connection.commit()
    host.give(found.id, "eve")
    assert len(host.events(StockLow)) == 1


def test_a_level_that_a_host_told_and_took_back_is_told_by_the_next(host: Host, connect: Connect) -> None:
    found = host.a_list(*some_codes(10), low_stock_at=9)
    connection = connect()
    place_order(host, connection, "order-1", found.id)
    host.give(found.id, "ann")
    connection.rollback()
    host.give(found.id, "bob")
    assert len(host.events(StockLow)) == 1


def test_archiving_waits_for_a_host_that_holds_a_code_and_keeps_nobody_else_waiting_for_long(
    host: Host, connect: Connect
) -> None:
    found = host.a_list(*some_codes(1000))
    connection = connect()
    place_order(host, connection, "order-1", found.id)
    archived = threading.Event()

    def archive() -> int:
        view = host.vouchers.lists.archive(found.id)
        archived.set()
        return view.distributed

    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(archive)
        # Whoever comes meanwhile still gets a code.
        given = threads.submit(lambda: host.give(found.id, *(f"user-{number}" for number in range(20))))
        assert len(given.result(PATIENCE)) == 20
        assert not archived.is_set()
        connection.commit()
        assert waiting.result(PATIENCE) == 21
    with pytest.raises(PartnerVouchersError):
        host.give(found.id, "late")


class TimeLimit(Exception):
    """What the handler of a signal raises, such as the time limit of a task queue."""


def test_a_signal_while_a_call_waits_leaves_the_hosts_transaction_as_it_was(
    host: Host, storage: PostgresStorage, connect: Connect
) -> None:
    found = host.a_list("A")
    connection = connect()
    connection.execute("INSERT INTO orders VALUES ('order-1', 'none')")

    def interrupt() -> None:
        wait_until_waiting(connection)
        os.kill(os.getpid(), signal.SIGALRM)

    def raise_time_limit(*_: object) -> None:
        raise TimeLimit

    before = signal.signal(signal.SIGALRM, raise_time_limit)
    try:
        with storage.begin() as tx, ThreadPoolExecutor(1) as threads:
            tx.keys.get("order-1")
            interrupting = threads.submit(interrupt)
            with pytest.raises(TimeLimit):
                place_order(host, connection, "order-1", found.id)
            interrupting.result(PATIENCE)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert connection.execute("SELECT code FROM orders").fetchall() == [("none",)]
    connection.execute("DELETE FROM orders")
    assert place_order(host, connection, "order-1", found.id) == "A"
    connection.commit()
    assert orders(connect) == [("order-1", "A")]


def test_a_withdrawal_that_waited_for_another_one_tells_what_that_withdrew(
    named: PostgresStorage, schema: str, connect: Connect
) -> None:
    host = Host(named, FixedClock())
    upload = host.upload(host.a_list().id, "A11", "A22")
    connection = connect(options=f"-c search_path={schema}")
    withdrawn = host.vouchers.using(connection).uploads.withdraw(upload.id)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(host.vouchers.uploads.withdraw, upload.id)
        wait_until(lambda: connections_of(schema, "wait_event_type = 'Lock'"))
        connection.commit()
        assert waiting.result(PATIENCE) == withdrawn
    assert withdrawn.withdrawn == 2
