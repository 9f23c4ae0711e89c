"""An exhausted list costs nothing to pass over, and a code that comes back is found all the same."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

import psycopg
import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.names import STATEMENTS
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.errors import CodesExhausted
from tests.adapters.postgres.conftest import Connect
from tests.support.host import FixedClock, Host, some_codes
from tests.support.postgres import server


def pages_read_to_take(schema: str, list_id: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many pages the server reads to take a code, as far as a new process knows."""
    asked = list[tuple[Any, ...]]()
    fetch = Session.fetch

    def listen(session: Session, statement: str, *values: Any) -> Any:
        if statement == "take_codes":
            asked.append(values)
        return fetch(session, statement, *values)

    with closing(PostgresStorage(server().conninfo, schema=schema)) as new, monkeypatch.context() as patch:
        patch.setattr(Session, "fetch", listen)
        with new.begin() as tx:
            tx.codes.take(list_id, 1)
        with new.begin() as tx:
            rows = tx.session.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {STATEMENTS['take_codes']}", *asked[0])
    plan = "\n".join(row[0] for row in rows)
    # The first line about buffers is that of the whole statement.
    pages = re.search(r"Buffers: shared (?:hit=(\d+))?(?: ?read=(\d+))?", plan)
    assert pages is not None
    return sum(int(count or 0) for count in pages.groups())


def marked(storage: PostgresStorage, list_id: str) -> bool:
    with storage.begin(write=False) as tx:
        assert isinstance(tx, PostgresTransaction)
        sql = "SELECT emptied = published FROM pv_stock WHERE list_id = %s"
        return bool(tx.session.execute(sql, (int(list_id),)).fetchall()[0][0])


def empty(host: Host, list_id: str, codes: int) -> None:
    for part in range(0, codes, 5_000):
        users = [f"user-{number}" for number in range(part, min(part + 5_000, codes))]
        host.vouchers.codes.assign_many(users, list_id=list_id)


def test_an_exhausted_list_is_passed_over_without_looking_even_while_an_old_snapshot_is_open(
    host: Host, storage: PostgresStorage, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.a_list(*some_codes(10_000))
    with psycopg.connect(server().conninfo) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1")
        empty(host, found.id, 9_999)
        assert pages_read_to_take(schema, found.id, monkeypatch) > 50
        host.give(found.id, "last")
        assert marked(storage, found.id)
        assert pages_read_to_take(schema, found.id, monkeypatch) < 20
        with pytest.raises(CodesExhausted):
            host.vouchers.codes.assign(list_id=found.id, user_id="late")
        host.upload(found.id, "NEW")
        with closing(PostgresStorage(server().conninfo, schema=schema)) as other:
            assert Host(other, FixedClock()).give(found.id, "late") == ["NEW"]


def test_a_list_that_was_exhausted_before_is_marked_by_whoever_passes_it_over(
    host: Host, storage: PostgresStorage
) -> None:
    first, second = host.a_list("A", campaign="CMP"), host.a_list("B", campaign="CMP")
    host.give(first.id, "ann")
    with storage.begin() as tx:
        assert isinstance(tx, PostgresTransaction)
        tx.session.execute("UPDATE pv_stock SET emptied = list_id << 32")
        tx.commit()
    assert not marked(storage, first.id)
    assert host.vouchers.codes.assign(campaign_id="CMP", user_id="ben").list_id == second.id
    assert marked(storage, first.id)


def test_a_list_is_not_marked_while_an_open_transaction_may_give_a_code_back(
    host: Host, storage: PostgresStorage, connect: Connect
) -> None:
    found = host.a_list("A", "B")
    connection = connect()
    joined = host.vouchers.using(connection)
    assert joined.codes.assign(list_id=found.id, user_id="ann").code == "A"
    assert host.give(found.id, "ben") == ["B"]
    with pytest.raises(CodesExhausted):
        host.vouchers.codes.assign(list_id=found.id, user_id="cleo")
    assert not marked(storage, found.id)
    connection.rollback()
    assert host.give(found.id, "cleo") == ["A"]
    assert marked(storage, found.id)


def test_a_mark_of_a_transaction_that_is_rolled_back_hides_nothing(
    host: Host, storage: PostgresStorage
) -> None:
    found = host.a_list("A")
    with storage.begin() as tx:
        assert len(tx.codes.take(found.id, 2).codes) == 1
        assert tx.codes.take(found.id, 1).codes == []
    assert not marked(storage, found.id)
    assert host.give(found.id, "ann") == ["A"]
