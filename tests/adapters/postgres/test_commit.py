"""What a commit says is so."""

from __future__ import annotations

import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import ConnectionLost, StorageError
from tests.support.postgres import connections_of, end


@pytest.mark.parametrize("told_before", [True, False])
def test_a_transaction_in_which_a_statement_failed_cannot_be_committed(
    storage: PostgresStorage, told_before: bool
) -> None:
    with storage.begin() as tx:
        tx.settings.put("colour", "red")
        tx.keys.put("order-991", "asked", ())
        tx.keys.put("order-991", "asked", ())
        # What is written under a key waits for the next statement, or goes with the commit.
        if told_before:
            with pytest.raises(StorageError, match="stored already"):
                tx.settings.get("colour")
        with pytest.raises(
            StorageError, match="can only be rolled back" if told_before else "stored already"
        ):
            tx.commit()
    with storage.begin(write=False) as tx:
        assert tx.settings.get("colour") is None
        assert tx.keys.get("order-991") is None


@pytest.mark.parametrize("calls_before", [0, 1])
def test_nothing_is_unknown_where_the_server_ends_the_connection_before_the_commit(
    named: PostgresStorage, schema: str, calls_before: int
) -> None:
    for number in range(calls_before):
        with named.begin() as tx:
            tx.keys.put(f"order-{number}", "asked", ())
            tx.commit()
    with named.begin() as tx:
        tx.settings.put("colour", "red")
        # Goes to the server with the commit, and the server says that it did not come as far as that.
        tx.keys.put("order-991", "asked", ())
        end(*connections_of(schema))
        with pytest.raises(ConnectionLost, match="nothing was stored"):
            tx.commit()
    with named.begin(write=False) as tx:
        assert tx.keys.get("order-991") is None
