"""The connection that a process keeps open for its leases."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import psycopg

from partner_vouchers.adapters.postgres import PostgresStorage
from tests.support.host import START
from tests.support.postgres import connections_of, end, server

HOUR = timedelta(hours=1)


def test_it_is_replaced_as_often_as_it_breaks_while_there_are_leases(schema: str) -> None:
    described = psycopg.conninfo.make_conninfo(server().conninfo, application_name=schema)
    with closing(PostgresStorage(described, schema=schema, max_connections=3, timeout=5)) as storage:
        for number in range(6):
            with storage.begin() as tx:
                assert tx.leases.take(f"lease {number}", "me", START, START + HOUR)
                tx.commit()
            end(*connections_of(schema))
