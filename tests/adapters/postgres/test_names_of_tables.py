"""Storages that reach the same tables by different names exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from psycopg.conninfo import make_conninfo

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import StorageBusy
from tests.support.postgres import server


@pytest.fixture
def named(schema: str) -> Iterator[PostgresStorage]:
    """A storage that is given the schema of the tables."""
    with closing(PostgresStorage(server().conninfo, schema=schema, timeout=0.5)) as opened:
        yield opened


@pytest.fixture
def found(schema: str) -> Iterator[PostgresStorage]:
    """A storage that finds the tables by the search path."""
    conninfo = make_conninfo(server().conninfo, options=f"-c search_path={schema}")
    with closing(PostgresStorage(conninfo, timeout=0.5)) as opened:
        yield opened


def test_a_lock_of_one_keeps_the_other_waiting(named: PostgresStorage, found: PostgresStorage) -> None:
    for one, other in ((named, found), (found, named)):
        with one.begin() as tx:
            tx.keys.get("order-991")
            assert tx.settings.get("colour") is None
            with other.begin() as waiting, pytest.raises(StorageBusy):
                waiting.keys.get("order-991")
