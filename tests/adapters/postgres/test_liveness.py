"""The connection that a process keeps open for its leases."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import psycopg

from partner_vouchers.adapters.postgres import PostgresStorage
from tests.support.host import START, wait_until
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


def test_the_server_does_not_end_it_because_it_is_idle(schema: str) -> None:
    described, witness = (
        psycopg.conninfo.make_conninfo(
            server().conninfo, application_name=name, options="-c idle_session_timeout=100"
        )
        for name in (schema, f"{schema} witness")
    )
    with closing(PostgresStorage(described, schema=schema, timeout=5)) as storage:
        with storage.begin() as tx:
            assert tx.leases.take("lease", "me", START, START + HOUR)
            tx.commit()
        idle = psycopg.connect(witness)
        wait_until(lambda: not connections_of(f"{schema} witness"))
        idle.close()
        with storage.begin() as tx:
            assert not tx.leases.take("lease", "another", START, START + HOUR)
