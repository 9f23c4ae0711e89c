"""`migrate()`: explicit, repeatable, safe when many do it at once; and the tables of a host that does it itself."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import SCHEMA_VERSION, PostgresStorage, schema
from partner_vouchers.errors import (
    HostTransactionError,
    InvalidInput,
    NotAPartnerVouchersStorage,
    SchemaTooNew,
    StorageError,
    StorageNotMigrated,
    StorageUnavailable,
)
from tests.concurrency.teams import Line, in_processes
from tests.support.host import FixedClock, Host
from tests.support.postgres import connections_of, server
from tests.support.sinks import ScriptedSink
from tests.support.upgrades import require_deliveries_kept

NUMBERS = count()


@pytest.fixture
def new_schema() -> Iterator[str]:
    """The name of a schema that does not exist, with all that a name may have."""
    name = f'Shop "{next(NUMBERS)}" %s 50% x?y; ünd\'s'
    yield name
    with psycopg.connect(server().conninfo) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


def opened(schema: str | None, prefix: str = "pv_") -> closing[PostgresStorage]:
    return closing(PostgresStorage(server().conninfo, schema=schema, prefix=prefix))


def test_a_storage_that_was_not_migrated_says_so(new_schema: str) -> None:
    with opened(new_schema) as storage:
        for _ in range(2):
            with pytest.raises(StorageNotMigrated, match="migrate"):
                PartnerVouchers(storage).check()
        storage.migrate()
        host = Host(storage, FixedClock())
        found = host.a_list("A", "B", "C C", campaign="CMP")
        assert host.vouchers.codes.assign(campaign_id="CMP", user_id="ann").code == "A"
        assert host.vouchers.codes.assign_many(["ben"], campaign_id="CMP").rewards[0].code == "B"
        assert host.vouchers.lists.find(text="sale").items[0].distributed == 2
        with psycopg.connect(server().conninfo) as connection:
            joined = host.vouchers.using(connection)
            assert [each.list_id for each in joined.codes.of_user("ann")] == [found.id]


def test_migrating_again_changes_nothing(new_schema: str) -> None:
    with opened(new_schema) as storage:
        storage.migrate()
        host = Host(storage, FixedClock())
        host.a_list("A", campaign="CMP")
        with host.nothing_changes():
            storage.migrate()


def test_codes_and_what_the_sinks_have_are_kept_from_version_1(new_schema: str) -> None:
    written = Path(__file__).parent / "upgrades" / "version_1.sql"
    with opened(new_schema) as storage, psycopg.connect(server().conninfo) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(new_schema)))
        connection.execute(schema._script(storage._names, 1).encode())
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(new_schema)))
        connection.execute("DELETE FROM pv_settings")
        connection.execute(written.read_text().encode())
        connection.commit()
        storage.migrate()
        require_deliveries_kept(storage, written.with_suffix(".json"))
        vouchers = Host(storage, FixedClock()).vouchers
        found = vouchers.lists.get("1")
        assert (found.uploaded, found.available, found.distributed, found.retired) == (60, 30, 30, 0)
        assert sum(vouchers.lists.distribution("1").values()) == 30
        assert vouchers.codes.assign(list_id="1", user_id="late").code == "PM000030"


def test_processes_that_migrate_at_once(new_schema: str) -> None:
    conninfo = server().conninfo
    ids = in_processes(migrate, [(conninfo, new_schema)] * 2)
    assert len(set(ids)) == 1


def migrate(_: Line, conninfo: str, schema: str) -> str:
    with closing(PostgresStorage(conninfo, schema=schema)) as storage:
        storage.migrate()
        with storage.begin(write=False) as tx:
            return tx.settings.get("storage id") or ""


def test_a_host_that_migrates_by_its_own_tool(new_schema: str) -> None:
    with opened(new_schema, "vouchers_") as storage, psycopg.connect(server().conninfo) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(new_schema)))
        connection.execute(storage.schema_sql().encode())
        connection.commit()
        storage.migrate()
        host = Host(storage, FixedClock())
        assert host.give(host.a_list("A").id, "ann") == ["A"]
        assert storage.schema_sql(after=SCHEMA_VERSION) == ""


def test_two_storages_in_one_schema_do_not_see_each_other(new_schema: str) -> None:
    with opened(new_schema, "a_") as one, opened(new_schema, "b_") as other:
        hosts: list[Host] = []
        for storage in (one, other):
            storage.migrate()
            hosts.append(Host(storage, FixedClock()))
        hosts[0].a_list("A")
        assert hosts[1].vouchers.partners.all() == []


def test_a_newer_schema_and_a_table_of_another_program_are_refused(new_schema: str) -> None:
    with opened(new_schema) as storage, psycopg.connect(server().conninfo, autocommit=True) as connection:
        storage.migrate()
        settings = sql.Identifier(new_schema, "pv_settings")
        connection.execute(
            sql.SQL("UPDATE {} SET value = '99' WHERE name = 'schema version'").format(settings)
        )
        with opened(new_schema) as newer:
            for use in (newer.migrate, PartnerVouchers(newer).check):
                with pytest.raises(SchemaTooNew):
                    use()
        connection.execute(sql.SQL("DROP TABLE {}").format(settings))
        connection.execute(sql.SQL("CREATE TABLE {} (colour text)").format(settings))
        with opened(new_schema) as foreign:
            for use in (foreign.migrate, PartnerVouchers(foreign).check):
                with pytest.raises(NotAPartnerVouchersStorage):
                    use()


def test_a_database_without_unicode_is_refused() -> None:
    with psycopg.connect(server().conninfo, autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        try:
            with (
                closing(
                    PostgresStorage(server().conninfo.replace("dbname=postgres", "dbname=latin"))
                ) as storage,
                pytest.raises(StorageError, match="UTF8"),
            ):
                storage.migrate()
        finally:
            connection.execute("DROP DATABASE latin WITH (FORCE)")


def test_a_server_that_is_not_there_is_a_typed_error() -> None:
    with (
        closing(PostgresStorage("host=/nonexistent dbname=shop", timeout=0.2)) as storage,
        pytest.raises(StorageUnavailable, match=r"within 0\.2 seconds.*/nonexistent"),
    ):
        storage.migrate()


def test_a_pool_of_the_hosts_that_was_not_opened_is_told() -> None:
    pool = ConnectionPool(server().conninfo, open=False)
    with pytest.raises(StorageUnavailable, match="is not open yet"):
        PostgresStorage(pool).migrate()


def test_a_pool_of_the_hosts_is_left_as_it_was(new_schema: str) -> None:
    with ConnectionPool(server().conninfo, min_size=1, max_size=3, open=True) as pool:
        storage = PostgresStorage(pool, schema=new_schema)
        storage.migrate()
        host = Host(storage, FixedClock())
        assert host.give(host.a_list("A").id, "ann") == ["A"]
        storage.close()
        with pool.connection() as connection:
            assert not connection.autocommit
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert pool.get_stats()["requests_num"] > 1


class AsFloat(Loader):
    """A host may read numbers as it likes."""

    def load(self, data: Buffer) -> float:
        return float(bytes(data))


def read_as_float(connection: psycopg.Connection[Any]) -> None:
    for kind in ("int8", "numeric"):
        connection.adapters.register_loader(kind, AsFloat)


@pytest.mark.parametrize(
    "options",
    [
        {"row_factory": dict_row, "prepare_threshold": 0},
        {"row_factory": dict_row, "cursor_factory": psycopg.ClientCursor},
    ],
)
def test_a_pool_whose_connections_have_their_own_ideas(schema: str, options: dict[str, Any]) -> None:
    with ConnectionPool(
        server().conninfo, max_size=4, open=True, kwargs=options, configure=read_as_float
    ) as pool:
        storage = PostgresStorage(pool, schema=schema)
        host, sink = Host(storage, FixedClock()), ScriptedSink()
        assert host.give(host.a_list("A", "B").id, "ann", "bob") == ["A", "B"]
        host.vouchers.events.deliver(sink)
        assert sorted(sink.users()) == ["ann", "bob"]
        assert {entry.position for entry in sink.taken} == {entry.position for entry in host.outbox()}


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_connection_without_unicode_is_refused(schema: str, encoding: str) -> None:
    conninfo = f"{server().conninfo} client_encoding={encoding}"
    with (
        ConnectionPool(conninfo, open=True, min_size=1) as pool,
        pytest.raises(StorageError, match="client_encoding"),
    ):
        PostgresStorage(pool, schema=schema).migrate()
    with (
        closing(PostgresStorage(conninfo, schema=schema)) as storage,
        psycopg.connect(conninfo) as connection,
    ):
        host = Host(storage, FixedClock())
        assert host.give(host.a_list("€📌").id, "ann") == ["€📌"]
        with pytest.raises(HostTransactionError, match="client_encoding"):
            host.vouchers.using(connection)


def test_what_the_role_may_not_do_is_told(new_schema: str) -> None:
    with opened(new_schema) as storage, psycopg.connect(server().conninfo, autocommit=True) as connection:
        storage.migrate()
        connection.execute("CREATE ROLE stranger LOGIN")
        try:
            conninfo = server().conninfo.replace("user=postgres", "user=stranger")
            with (
                closing(PostgresStorage(conninfo, schema="other")) as other,
                pytest.raises(StorageError, match="grant"),
            ):
                other.migrate()
        finally:
            connection.execute("DROP ROLE stranger")


@pytest.mark.parametrize(
    "conninfo",
    ["postgresql+psycopg://shop:hunter2@db.example/shop", "hots=db.example password=hunter2", "hunter2"],
)
def test_what_is_no_connection_string_is_told_at_once_and_without_the_password(conninfo: str) -> None:
    with pytest.raises(InvalidInput, match="conninfo") as refused:
        PostgresStorage(conninfo)
    assert refused.value.__context__ is None
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "arguments, field",
    [
        ({"max_connections": 2}, "max_connections"),
        ({"max_connections": True}, "max_connections"),
        ({"max_connections": "10"}, "max_connections"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1.0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": "30"}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"conninfo": b"dbname=shop"}, "conninfo"),
        ({"conninfo": "dbname=\ud800"}, "conninfo"),
        ({"conninfo": "dbname=a\0b"}, "conninfo"),
        ({"schema": "\ud800"}, "schema"),
        ({"schema": b"shop"}, "schema"),
        *(({"schema": schema}, "schema") for schema in ("", "x\0", "ü" * 32, 7)),
        ({"prefix": ["pv_"]}, "prefix"),
        *(
            ({"prefix": prefix}, "prefix")
            for prefix in ("", "Pv_", "1pv", "pv-", "pv_; DROP TABLE x", "p" * 31, None, 7)
        ),
        *(({"conninfo": source}, "conninfo") for source in (None, 7, ["dbname=shop"])),
    ],
    ids=str,
)
def test_a_wrong_argument_is_refused_with_its_name(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        PostgresStorage(**{"conninfo": "", **arguments})
    assert refused.value.field == field
    assert refused.value.__cause__ is refused.value.__context__ is None


@pytest.mark.parametrize("version", [-1, SCHEMA_VERSION + 1, "1", 1.0, True, None])
def test_there_is_no_sql_after_a_version_that_does_not_exist(version: Any) -> None:
    with pytest.raises(InvalidInput, match="after"):
        PostgresStorage("").schema_sql(after=version)


@pytest.mark.parametrize("connections", [3, 5])
def test_more_uploads_at_once_than_there_are_connections(schema: str, connections: int) -> None:
    """Each needs several connections: none may wait for one that another keeps while it waits, too."""
    conninfo = make_conninfo(server().conninfo, application_name=schema)
    with closing(PostgresStorage(conninfo, schema=schema, max_connections=connections)) as storage:
        host = Host(storage, FixedClock())
        lists = [host.a_list().id for _ in range(8)]
        storage.close()
        with ThreadPoolExecutor(len(lists)) as threads:
            uploads = list(threads.map(lambda found: host.upload(found, f"PM-{found}"), lists))
        assert [upload.accepted for upload in uploads] == [1] * len(lists)
        assert len(connections_of(schema)) <= connections
