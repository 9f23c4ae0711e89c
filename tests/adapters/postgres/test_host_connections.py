"""`vouchers.using` with connections of psycopg, whatever the host has set on them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row, namedtuple_row, scalar_row
from psycopg.types.string import TextLoader
from psycopg_pool import ConnectionPool

from partner_vouchers.errors import HostTransactionError
from tests.adapters.postgres.conftest import Connect, orders, place_order
from tests.hosts.shop import refusal, rewarded
from tests.support.host import Host
from tests.support.ids import shown
from tests.support.postgres import server

# --- together ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_block_within_a_block_takes_its_code_back(host: Host, connect: Connect, autocommit: bool) -> None:
    found = host.a_list("A", "B")
    connection = connect(autocommit=autocommit)
    with connection.transaction():
        place_order(host, connection, "order-1", found.id)
        with connection.transaction(force_rollback=True):
            assert place_order(host, connection, "order-2", found.id) == "B"
        assert place_order(host, connection, "order-3", found.id) == "B"
    connection.commit()
    assert orders(connect) == [("order-1", "A"), ("order-3", "B")]


# --- the host's own settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"row_factory": dict_row},
        {"row_factory": namedtuple_row},
        {"row_factory": scalar_row},
        {"cursor_factory": psycopg.ClientCursor},
        {"cursor_factory": psycopg.RawCursor},
        {"prepare_threshold": 0},
        {"prepare_threshold": None},
    ],
    ids=shown,
)
def test_the_hosts_cursors_neither_disturb_nor_are_disturbed(
    host: Host, connect: Connect, options: dict[str, Any]
) -> None:
    found = host.a_list("A", "B", "C", campaign="CMP")
    connection = connect(**options)
    joined = host.vouchers.using(connection)
    rewards = [joined.codes.assign(campaign_id="CMP", user_id=user, idempotency_key=user) for user in "abc"]
    assert [reward.code for reward in rewards] == ["A", "B", "C"]
    assert joined.lists.get(found.id).distributed == 3
    assert connection.row_factory is options.get("row_factory", connection.row_factory)
    assert connection.cursor_factory is options.get("cursor_factory", psycopg.Cursor)
    connection.commit()
    assert rewarded(host) == ["a", "b", "c"]


def test_the_host_may_load_values_as_it_likes(host: Host, connect: Connect) -> None:
    class Loud(TextLoader):
        def load(self, data: Any) -> Any:
            return f"{super().load(data)!r}!"

    found = host.a_list("A", "B", campaign="CMP")
    connection = connect()
    for kind in ("int8", "int4", "int2", "numeric", "text", "bool", "bytea", "jsonb", "uuid", "timestamptz"):
        connection.adapters.register_loader(kind, Loud)
    assert connection.execute("SELECT 1::int8").fetchone() == ("'1'!",)
    joined = host.vouchers.using(connection)
    reward = joined.codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="k")
    assert reward.code == "A"
    assert reward.event.partner == "Puma"
    assert joined.lists.get(found.id).distributed == 1
    assert joined.codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="k").replayed
    connection.commit()
    assert rewarded(host) == ["ann"]


# --- what is refused -------------------------------------------------------------------------------------------


def test_a_connection_without_a_transaction_that_somebody_commits(host: Host, connect: Connect) -> None:
    connection = connect(autocommit=True)
    assert "connection.transaction()" in refusal(host, connection)
    with connection.transaction():
        joined = host.vouchers.using(connection)
    with pytest.raises(HostTransactionError):
        joined.partners.add("Nike")
    assert host.vouchers.partners.all() == []


@pytest.mark.parametrize("waiting", [True, False])
def test_a_pipeline(host: Host, connect: Connect, waiting: bool) -> None:
    """In which an error is told later, when a savepoint could not be rolled back any more."""
    found = host.a_list("A")
    connection = connect()
    joined = host.vouchers.using(connection)
    with connection.pipeline():
        if waiting:
            connection.execute("INSERT INTO orders VALUES ('order-1', 'x')")
        assert "pipeline" in refusal(host, connection)
        with pytest.raises(HostTransactionError, match="pipeline"):
            joined.codes.assign(list_id=found.id, user_id="ann")
    assert joined.codes.assign(list_id=found.id, user_id="ann").code == "A"
    connection.commit()
    assert orders(connect) == [("order-1", "x")] * waiting


def test_a_transaction_that_failed(host: Host, connect: Connect) -> None:
    connection = connect()
    joined = host.vouchers.using(connection)
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT * FROM nowhere")
    assert "failed" in refusal(host, connection)
    with pytest.raises(HostTransactionError, match="failed"):
        joined.partners.add("Nike")
    connection.rollback()
    joined.partners.add("Nike")
    connection.commit()
    assert [partner.name for partner in host.vouchers.partners.all()] == ["Nike"]


def test_what_is_closed_or_no_connection(host: Host, connect: Connect) -> None:
    connection = connect()
    assert "psycopg.Connection" in refusal(host, connection.cursor())
    with ConnectionPool(server().conninfo, min_size=0, max_size=1, open=True) as pool:
        assert "psycopg.Connection" in refusal(host, pool)
    connection.close()
    assert "closed" in refusal(host, connection)
