"""A storage in a schema of a real server, with a table of the host's beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from tests.support.host import PATIENCE, FixedClock, Host, wait_until
from tests.support.postgres import connections_of, schemas, server

Connection = psycopg.Connection[Any]
Connect = Callable[..., Connection]


@pytest.fixture
def schema() -> Iterator[str]:
    with schemas().lend() as lent:
        yield lent


@pytest.fixture
def storage(schema: str) -> Iterator[PostgresStorage]:
    with closing(PostgresStorage(server().conninfo, schema=schema, timeout=10)) as opened:
        yield opened


@pytest.fixture
def host(storage: PostgresStorage) -> Host:
    return Host(storage, FixedClock())


@pytest.fixture
def connect(schema: str) -> Iterator[Connect]:
    """Open connections of the host's, which see its table of orders."""
    opened: list[Connection] = []

    def open_one(**options: Any) -> Connection:
        opened.append(psycopg.connect(server().conninfo, **options))
        return opened[-1]

    with psycopg.connect(server().conninfo) as connection:
        connection.execute("DROP TABLE IF EXISTS orders")
        connection.execute("CREATE TABLE orders (id text PRIMARY KEY, code text NOT NULL)")
    yield open_one
    for connection in opened:
        connection.close()
    with psycopg.connect(server().conninfo) as connection:
        connection.execute("DROP TABLE orders")


def place_order(host: Host, connection: Connection, order: str, list_id: str) -> str:
    """Do what the host does in one transaction: give a code and write the order."""
    reward = host.vouchers.using(connection).codes.assign(
        list_id=list_id, user_id=order, idempotency_key=order
    )
    connection.execute("INSERT INTO orders VALUES (%s, %s)", (order, reward.code))
    return reward.code


def orders(connect: Connect) -> list[Any]:
    """Return what is committed, as somebody else sees it."""
    return connect().execute("SELECT id, code FROM orders ORDER BY id").fetchall()


def wait_until_waiting(connection: Connection) -> None:
    """Wait until a connection waits for a lock."""
    process, name = connection.info.backend_pid, connection.info.parameter_status("application_name") or ""
    wait_until(lambda: process in connections_of(name, "wait_event_type = 'Lock'"))


@pytest.fixture
def named(schema: str) -> Iterator[PostgresStorage]:
    """A storage that waits for long, and whose connections the server can tell by the name of the schema."""
    conninfo = psycopg.conninfo.make_conninfo(server().conninfo, application_name=schema)
    with closing(PostgresStorage(conninfo, schema=schema, timeout=PATIENCE)) as opened:
        yield opened
