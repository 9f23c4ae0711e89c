"""What a commit says is so."""

from __future__ import annotations

import psycopg
import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import CommitOutcomeUnknown, StorageError, StorageUnavailable
from tests.support.postgres import server


def test_a_transaction_in_which_a_statement_failed_cannot_be_committed(storage: PostgresStorage) -> None:
    with storage.begin() as tx:
        tx.settings.put("colour", "red")
        tx.keys.put("order-991", "asked", ())
        with pytest.raises(StorageError, match="stored already"):
            tx.keys.put("order-991", "asked", ())
        with pytest.raises(StorageError, match="can only be rolled back"):
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


def test_a_connection_that_is_lost_at_the_commit_leaves_the_outcome_unknown(schema: str) -> None:
    conninfo = psycopg.conninfo.make_conninfo(server().conninfo, application_name="to be cut")
    storage = PostgresStorage(conninfo, schema=schema)
    with storage.begin() as tx:
        tx.settings.put("colour", "red")
        cut_connections()
        with pytest.raises(CommitOutcomeUnknown, match="Call again"):
            tx.commit()
    with storage.begin(write=False) as tx:
        assert tx.settings.get("colour") is None
    storage.close()


def test_a_connection_that_is_lost_earlier_has_stored_nothing(schema: str) -> None:
    conninfo = psycopg.conninfo.make_conninfo(server().conninfo, application_name="to be cut")
    storage = PostgresStorage(conninfo, schema=schema)
    with storage.begin() as tx:
        cut_connections()
        with pytest.raises(StorageUnavailable, match="nothing was stored"):
            tx.settings.put("colour", "red")
    with storage.begin() as tx:
        tx.settings.put("colour", "green")
        tx.commit()
    storage.close()
