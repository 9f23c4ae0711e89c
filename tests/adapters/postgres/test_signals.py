"""An exception of a signal handler, at any instruction of a call, leaves a whole transaction behind, or none."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count

import pytest
from psycopg.conninfo import make_conninfo

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from tests.concurrency.state import codes_like, new_list
from tests.support.interrupts import TimeLimit, interrupted_at
from tests.support.postgres import connections_of, server

SIZE = 3
"""How many transactions there may be at a time; one more connection is kept for leases."""
NUMBERS = count()


@pytest.fixture
def storage(schema: str) -> Iterator[PostgresStorage]:
    """A storage with few connections, whose calls give up soon."""
    conninfo = make_conninfo(server().conninfo, application_name=schema)
    with closing(PostgresStorage(conninfo, schema=schema, max_connections=SIZE + 1, timeout=5)) as opened:
        yield opened


def require_room(storage: PostgresStorage) -> None:
    """Use all connections for transactions at the same time."""
    with ThreadPoolExecutor(SIZE) as threads:
        contexts = list(threads.map(lambda _: storage.begin(write=False), range(SIZE)))
        list(threads.map(lambda context: context.__enter__(), contexts))
        for context in contexts:
            context.__exit__(None, None, None)


@pytest.mark.parametrize("step", [101, pytest.param(7, marks=pytest.mark.deep)])
def test_an_assignment(storage: PostgresStorage, schema: str, step: int) -> None:
    vouchers = PartnerVouchers(storage)
    list_id = new_list(vouchers, "sale", codes_like("A", 4_000))

    def assign(number: int) -> str:
        return vouchers.codes.assign(
            list_id=list_id, user_id=f"user-{number}", idempotency_key=f"key-{number}"
        ).code

    for _ in range(3):
        assign(next(NUMBERS))
    at = step
    while True:
        number = next(NUMBERS)
        # Those of the driver count too.
        interrupt = interrupted_at(at, lambda number=number: assign(number), of=("",), kind=TimeLimit)  # type: ignore[misc]
        if interrupt is None:
            break
        # The exception is still there, and so are all frames of the call.
        assert assign(number), at
        assert assign(next(NUMBERS)), at
        assert connections_of(schema, "state <> 'idle'") == [], at
        at += step
    # Other threads get the connection at the latest once the exception has been handled.
    require_room(storage)
    state = vouchers.lists.get(list_id)
    assert state.distributed == len(list(vouchers.codes.assignments(list_id)))
