"""Storages that reach the same tables by different names exclude each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from psycopg.conninfo import make_conninfo

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import ListDistributed, StorageBusy, UnknownList
from tests.concurrency.state import codes_like, new_list
from tests.support.host import PATIENCE
from tests.support.postgres import server


@pytest.fixture
def named(schema: str) -> Iterator[PostgresStorage]:
    """A storage that is given the schema of the tables."""
    with closing(PostgresStorage(server().conninfo, schema=schema, timeout=1)) as opened:
        yield opened


@pytest.fixture
def found(schema: str) -> Iterator[PostgresStorage]:
    """A storage that finds the tables by the search path."""
    conninfo = make_conninfo(server().conninfo, options=f"-c search_path={schema}")
    with closing(PostgresStorage(conninfo, timeout=1)) as opened:
        yield opened


def test_a_lock_of_one_keeps_the_other_waiting(named: PostgresStorage, found: PostgresStorage) -> None:
    for one, other in ((named, found), (found, named)):
        with one.begin() as tx:
            tx.keys.get("order-991")
            assert tx.settings.get("colour") is None
            with other.begin() as waiting, pytest.raises(StorageBusy):
                waiting.keys.get("order-991")


def test_a_list_is_not_deleted_while_the_other_gives_its_codes(
    named: PostgresStorage, found: PostgresStorage
) -> None:
    one, other = PartnerVouchers(named), PartnerVouchers(found)
    for number in range(8):
        list_id = new_list(one, f"sale-{number}", codes_like("A", 3))
        start = threading.Barrier(3)

        def assign(user: str, list_id: str = list_id, start: threading.Barrier = start) -> str | None:
            start.wait(PATIENCE)
            try:
                return other.codes.assign(list_id=list_id, user_id=user).code
            except UnknownList:
                return None

        def delete(list_id: str = list_id, start: threading.Barrier = start) -> bool:
            start.wait(PATIENCE)
            try:
                one.lists.delete(list_id)
            except ListDistributed:
                return False
            return True

        with ThreadPoolExecutor(3) as threads:
            given = [threads.submit(assign, user) for user in ("ann", "bob")]
            deleted = threads.submit(delete)
            codes = [code for each in given if (code := each.result(PATIENCE))]
            assert deleted.result(PATIENCE) == (not codes)
        if codes:
            assert one.lists.get(list_id).distributed == len(codes)
