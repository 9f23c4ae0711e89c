"""`vouchers.using(connection)`: the host's order, the code and the event stand or fall together."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers import RepeatPolicy
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import (
    CodesExhausted,
    HostTransactionError,
    PartnerExists,
    StorageBusy,
    StorageError,
)
from tests.support.host import Host

pytestmark = pytest.mark.every_storage

Connect = Callable[..., sqlite3.Connection]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def storage(database: Path) -> Iterator[SQLiteStorage]:
    """A storage in the host's own database, with its orders."""
    opened = SQLiteStorage(database, synchronous="NORMAL", busy_timeout=0.1)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, code TEXT NOT NULL)")
    yield opened
    opened.close()


@pytest.fixture
def connect(database: Path) -> Iterator[Connect]:
    opened: list[sqlite3.Connection] = []

    def open_one(**options: Any) -> sqlite3.Connection:
        opened.append(sqlite3.connect(database, timeout=0.1, **options))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


def place_order(host: Host, connection: sqlite3.Connection, order: str, list_id: str) -> str:
    """Do what the host does in one transaction: give a code and write the order."""
    reward = host.vouchers.using(connection).codes.assign(
        list_id=list_id, user_id=order, idempotency_key=order
    )
    connection.execute("INSERT INTO orders VALUES (?, ?)", (order, reward.code))
    return reward.code


def orders(connect: Connect) -> list[tuple[str, str]]:
    return connect().execute("SELECT id, code FROM orders ORDER BY id").fetchall()


MODES: list[Any] = ["DEFERRED", "IMMEDIATE", "EXCLUSIVE", "", None]
NEWER_MODES = [] if sys.version_info < (3, 12) else [{"autocommit": False}]
OPTIONS: list[dict[str, Any]] = [{"isolation_level": mode} for mode in MODES] + NEWER_MODES


def begin(connection: sqlite3.Connection) -> None:
    """Begin a transaction where the connection does not do so by itself."""
    if connection.isolation_level is None:
        connection.execute("BEGIN")


# --- together ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_order_the_code_and_the_event_are_committed_together_or_not_at_all(
    host: Host, connect: Connect, options: dict[str, Any]
) -> None:
    found = host.a_list("A", "B")
    connection = connect(**options)
    with host.nothing_changes():
        begin(connection)
        place_order(host, connection, "order-1", found.id)
        connection.rollback()
        # Nor does a call leave anything that fails as the first one.
        begin(connection)
        with pytest.raises(CodesExhausted):
            host.vouchers.using(connection).codes.assign_many(["a", "b", "c"], list_id=found.id)
        connection.commit()
        begin(connection)
        assert place_order(host, connection, "order-1", found.id) == "A"
        assert orders(connect) == []
    assert connection.in_transaction
    connection.commit()
    assert orders(connect) == [("order-1", "A")]
    assert [event.user_id for event in host.events(VoucherRewarded)] == ["order-1"]
    assert host.vouchers.lists.get(found.id).distributed == 1
    assert host.give(found.id, "next") == ["B"]


# --- the host's own settings -----------------------------------------------------------------------------------


def by_name(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


@pytest.mark.parametrize("row_factory", [sqlite3.Row, by_name, lambda cursor, row: row[:1]])
@pytest.mark.parametrize("text_factory", [str, bytes, lambda text: text.decode()[::-1]])
def test_the_hosts_factories_neither_disturb_nor_are_disturbed(
    host: Host, connect: Connect, row_factory: Any, text_factory: Any
) -> None:
    found = host.a_list("CODE1", "CODE2", campaign="CMP")
    connection = connect()
    connection.row_factory = row_factory
    connection.text_factory = text_factory
    joined = host.vouchers.using(connection)
    reward = joined.codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="k")
    assert (reward.code, reward.event.partner) == ("CODE1", "Puma")
    assert joined.lists.get(found.id).name == "Winter Sale"
    with pytest.raises(PartnerExists):
        joined.partners.add("Puma")
    assert connection.row_factory is row_factory
    assert connection.text_factory is text_factory
    connection.commit()
    assert host.vouchers.codes.assign(campaign_id="CMP", user_id="ann").assignment == reward.assignment


# --- what is refused -------------------------------------------------------------------------------------------


def test_a_connection_that_commits_by_itself_is_refused(host: Host, connect: Connect) -> None:
    found = host.a_list("A")
    connection = connect(isolation_level=None)
    joined = host.vouchers.using(connection)
    with host.nothing_changes():
        for call in (
            lambda: joined.codes.assign(list_id=found.id, user_id="ann"),
            lambda: joined.lists.get(found.id),
        ):
            with pytest.raises(HostTransactionError, match="BEGIN") as refused:
                call()
            assert refused.value.code == "host_transaction"
    assert not connection.in_transaction


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the attribute is new in Python 3.12")
def test_a_connection_with_autocommit_on_is_refused(host: Host, connect: Connect) -> None:
    found = host.a_list("A")
    with host.nothing_changes(), pytest.raises(HostTransactionError):
        host.vouchers.using(connect(autocommit=True)).codes.assign(list_id=found.id, user_id="ann")


def test_another_way_to_the_same_file_is_fine(host: Host, database: Path, tmp_path: Path) -> None:
    found = host.a_list("A")
    link = tmp_path / "link.db"
    link.symlink_to(database)
    with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True)) as connection:
        assert place_order(host, connection, "order-1", found.id) == "A"
    with closing(sqlite3.connect(link)) as connection:
        assert place_order(host, connection, "order-1", found.id) == "A"


# --- others ------------------------------------------------------------------------------------------------------


def test_others_wait_for_the_host_and_give_up(host: Host, connect: Connect) -> None:
    found = host.a_list("A", "B")
    connection = connect()
    place_order(host, connection, "order-1", found.id)
    with pytest.raises(StorageBusy):
        host.give(found.id, "ann")
    assert host.vouchers.lists.get(found.id).available == 2
    connection.commit()
    assert host.give(found.id, "ann") == ["B"]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_host_waits_for_others_and_gives_up(
    host: Host, connect: Connect, options: dict[str, Any]
) -> None:
    found = host.a_list("A")
    writer = connect(isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    connection = connect(**options)
    begin(connection)
    with pytest.raises(StorageBusy):
        host.vouchers.using(connection).codes.assign(list_id=found.id, user_id="ann")
    writer.execute("ROLLBACK")
    connection.rollback()
    begin(connection)
    assert place_order(host, connection, "order-1", found.id) == "A"


def test_a_host_whose_view_is_out_of_date_is_told_at_once(host: Host, connect: Connect) -> None:
    found = host.a_list("A", "B")
    connection = connect(isolation_level=None)
    connection.execute("BEGIN")
    assert orders(connect) == connection.execute("SELECT id, code FROM orders").fetchall()
    assert host.give(found.id, "ann") == ["A"]
    with host.nothing_changes():
        with pytest.raises(StorageBusy, match="began by reading"):
            host.vouchers.using(connection).codes.assign(list_id=found.id, user_id="ben")
        with pytest.raises(sqlite3.OperationalError, match="no such savepoint"):
            connection.execute("RELEASE pv_unit")
        assert host.vouchers.using(connection).lists.get(found.id).distributed == 0
    connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    assert host.vouchers.using(connection).codes.assign(list_id=found.id, user_id="ben").code == "B"
    connection.execute("COMMIT")


def test_a_change_in_a_hosts_transaction_that_was_rolled_back_is_forgotten(
    host: Host, connect: Connect
) -> None:
    found = host.a_list("A", "B", campaign="CMP")
    codes = host.vouchers.codes
    assert codes.assign(campaign_id="CMP", user_id="ann").code == "A"
    connection = connect()
    joined = host.vouchers.using(connection)
    joined.lists.edit(found.id, name="Never")
    joined.campaigns.link(found.id, "CMP", repeat=RepeatPolicy.NEW_CODE)
    assert joined.codes.assign(campaign_id="CMP", user_id="ann").event.list_name == "Never"
    connection.rollback()
    again = codes.assign(campaign_id="CMP", user_id="ann")
    assert (again.code, again.replayed) == ("A", True)
    assert codes.assign(campaign_id="CMP", user_id="ben").event.list_name == "Winter Sale"


def test_a_host_may_stream_while_it_writes(host: Host, connect: Connect) -> None:
    found = host.a_list(*(f"A{number}" for number in range(5)))
    host.give(found.id, "ann", "ben")
    connection = connect()
    joined = host.vouchers.using(connection)
    seen = []
    for held in joined.codes.assignments(found.id):
        seen.append(held.user_id)
        connection.execute("INSERT INTO orders VALUES (?, ?)", (held.user_id, "x"))
    connection.commit()
    assert seen == ["ann", "ben"]


# --- the storage in memory, where a transaction of its own stands in for the host's --------------------------------


def test_a_thread_that_would_wait_for_itself_is_told(host: Host) -> None:
    found = host.a_list("A")
    for storage in (host.storage, MemoryStorage()):
        with storage.begin(), pytest.raises(StorageError, match="open already"), storage.begin():
            pass
    with host.storage.begin(), pytest.raises(StorageError):
        host.give(found.id, "ann")
    assert host.give(found.id, "ann") == ["A"]
