"""What a commit says is so."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import ConnectionLost, StorageError
from tests.support.postgres import server


def test_a_transaction_in_which_a_statement_failed_cannot_be_committed(storage: PostgresStorage) -> None:
    with storage.begin() as tx:
        tx.settings.put("colour", "red")
        tx.keys.put("order-991", "asked", ())
        tx.keys.put("order-991", "asked", ())
        # What is written under a key waits for the next statement.
        with pytest.raises(StorageError, match="stored already"):
            tx.settings.get("colour")
        with pytest.raises(StorageError, match="can only be rolled back"):
            tx.commit()
    with storage.begin(write=False) as tx:
        assert tx.settings.get("colour") is None
        assert tx.keys.get("order-991") is None


def test_what_goes_with_the_commit_can_fail_it(storage: PostgresStorage) -> None:
    with storage.begin() as tx:
        tx.settings.put("colour", "red")
        tx.keys.put("order-991", "asked", ())
        tx.keys.put("order-991", "asked", ())
        with pytest.raises(StorageError, match="stored already"):
            tx.commit()
    with storage.begin(write=False) as tx:
        assert tx.settings.get("colour") is None
        assert tx.keys.get("order-991") is None


def cut_connections() -> None:
    """Let the server end every other connection, as an operator would."""
    with psycopg.connect(server().conninfo, autocommit=True) as operator:
        operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND application_name = 'to be cut'"
        )


@pytest.mark.parametrize("calls_before", [0, 1])
def test_nothing_is_unknown_where_the_server_ends_the_connection_before_the_commit(
    schema: str, calls_before: int
) -> None:
    conninfo = psycopg.conninfo.make_conninfo(server().conninfo, application_name="to be cut")
    with closing(PostgresStorage(conninfo, schema=schema)) as storage:
        for number in range(calls_before):
            with storage.begin() as tx:
                tx.keys.put(f"order-{number}", "asked", ())
                tx.commit()
        with storage.begin() as tx:
            tx.settings.put("colour", "red")
            # Goes to the server with the commit, and the server says that it did not come as far as that.
            tx.keys.put("order-991", "asked", ())
            cut_connections()
            with pytest.raises(ConnectionLost, match="nothing was stored"):
                tx.commit()
        with storage.begin(write=False) as tx:
            assert tx.keys.get("order-991") is None
