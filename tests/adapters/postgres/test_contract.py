"""The PostgreSQL storage under the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import HostTransactionError
from partner_vouchers.ports import Storage
from partner_vouchers.testing import HostConnection, StorageContract
from tests.support.postgres import schemas, server


class Lent:
    """The schemas of the storages that a test has made."""

    def __init__(self) -> None:
        self._schemas: dict[Path, tuple[str, ExitStack]] = {}

    def at(self, place: Path) -> str:
        if place not in self._schemas:
            # Of the many storages that one test makes, those that are over.
            self.give_back(lambda made: not made.exists())
            stack = ExitStack()
            self._schemas[place] = stack.enter_context(schemas().lend()), stack
        return self._schemas[place][0]

    def give_back(self, is_over: Callable[[Path], bool]) -> None:
        for place in [made for made in self._schemas if is_over(made)]:
            self._schemas.pop(place)[1].close()


LENT = Lent()


@pytest.fixture(autouse=True)
def give_back() -> Iterator[None]:
    yield
    LENT.give_back(lambda _: True)


class TestPostgresStorage(StorageContract):
    def new_storage(self, place: Path) -> PostgresStorage:
        return PostgresStorage(server().conninfo, schema=LENT.at(place))

    def reopen(self, storage: Storage, place: Path) -> PostgresStorage:
        self.close(storage)
        return self.new_storage(place)

    def second_connection(self, storage: Storage, place: Path) -> PostgresStorage:
        return self.new_storage(place)

    def second_process(self, storage: Storage, place: Path) -> Callable[[], Storage]:
        return partial(PostgresStorage, server().conninfo, schema=LENT.at(place))

    @contextmanager
    def host_connection(self, storage: Storage, place: Path) -> Iterator[HostConnection]:
        with closing(psycopg.connect(server().conninfo)) as connection:
            yield HostConnection(connection, commit=connection.commit, rollback=connection.rollback)

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
