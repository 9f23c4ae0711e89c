"""The PostgreSQL storage under the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import HostTransactionError
from partner_vouchers.ports import Storage
from tests.support.contracts import LENT, InPostgres
from tests.support.postgres import schemas, server


@pytest.fixture(autouse=True)
def give_back() -> Iterator[None]:
    yield
    LENT.give_back(lambda _: True)


class TestPostgresStorage(InPostgres):
    def test_a_connection_to_another_database_is_refused(self, storage: Storage) -> None:
        elsewhere = server().conninfo.replace("dbname=postgres", "dbname=template1")
        with (
            closing(psycopg.connect(elsewhere)) as connection,
            pytest.raises(HostTransactionError),
            storage.join(connection).begin(),
        ):
            pass


@pytest.mark.deep
class TestPostgresStorageOnAPoolOfTheHost(TestPostgresStorage):
    """Whose connections take other ways: what was prepared on them is not ours to rely on."""

    def new_storage(self, place: Path) -> PostgresStorage:
        return PostgresStorage(schemas().pool, schema=LENT.at(place))
