"""`using(connection)` takes part in transactions on the tables of the storage, and never on those of a copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import HostTransactionError
from tests.support.host import FixedClock, Host
from tests.support.postgres import Server, server

NUMBERS = count()


def on_database(name: str, of: Server | None = None) -> str:
    return make_conninfo((of or server()).conninfo, dbname=name)


@pytest.fixture
def database() -> Iterator[str]:
    """A database of its own, since a template may have no connections."""
    name = f"shop_{next(NUMBERS)}"
    with psycopg.connect(server().conninfo, autocommit=True) as operator:
        operator.execute(f"CREATE DATABASE {name}".encode())
        yield name
        for each in (name, f"{name}_copy"):
            operator.execute(f"DROP DATABASE IF EXISTS {each} WITH (FORCE)".encode())


def stocked(conninfo: str, schema: str | None = None) -> str:
    """Set a storage up with one code, and return the id of its list."""
    with closing(PostgresStorage(conninfo, schema=schema)) as storage:
        storage.migrate()
        return Host(storage, FixedClock()).a_list("A").id


def require_refused(
    storage: PostgresStorage, conninfo: str, list_id: str, search_path: str = "public"
) -> None:
    """Try to assign in a host's transaction on a copy, and find that nothing was taken there."""
    host = Host(storage, FixedClock())
    with psycopg.connect(conninfo, options=f"-c search_path={search_path}") as connection:
        with pytest.raises(HostTransactionError, match="copy"):
            host.vouchers.using(connection).codes.assign(list_id=list_id, user_id="ann")
        assert connection.execute("SELECT count(*) FROM pv_codes").fetchone() == (1,)


def test_a_database_made_from_that_of_the_storage(database: str) -> None:
    list_id = stocked(on_database(database))
    with psycopg.connect(server().conninfo, autocommit=True) as operator:
        operator.execute(f"CREATE DATABASE {database}_copy TEMPLATE {database}".encode())
    with closing(PostgresStorage(on_database(database))) as storage:
        require_refused(storage, on_database(f"{database}_copy"), list_id)
        with psycopg.connect(on_database(database)) as connection:
            assert Host(storage, FixedClock()).vouchers.using(connection).lists.get(list_id).available == 1


def test_a_dump_that_was_restored_into_another_schema(database: str) -> None:
    conninfo = on_database(database)
    list_id = stocked(conninfo, "one")
    with psycopg.connect(conninfo, autocommit=True) as operator:
        operator.execute("ALTER SCHEMA one RENAME TO two")
        server().restore(server().dump("two", database=database).replace(b"two", b"one"), database=database)
    # One name of the tables, two places.
    options = "-c search_path=one"
    with closing(PostgresStorage(make_conninfo(conninfo, options=options))) as storage:
        require_refused(storage, conninfo, list_id, "two")
        with psycopg.connect(conninfo, options=options) as connection:
            assert Host(storage, FixedClock()).vouchers.using(connection).lists.get(list_id).available == 1


@pytest.mark.deep
def test_a_dump_that_was_restored_on_another_server_and_a_server_that_was_started_anew(database: str) -> None:
    list_id = stocked(on_database(database), "vouchers")
    other = Server()
    try:
        other.restore(server().dump("vouchers", database=database))
        with closing(PostgresStorage(on_database(database), schema="vouchers")) as storage:
            require_refused(storage, other.conninfo, list_id, "vouchers")
        options = "-c search_path=vouchers"
        with closing(PostgresStorage(other.conninfo, schema="vouchers")) as storage:
            host = Host(storage, FixedClock())
            for _ in range(2):
                with psycopg.connect(other.conninfo, options=options) as connection:
                    assert host.vouchers.using(connection).lists.get(list_id).available == 1
                other.crash()
    finally:
        other.remove()
