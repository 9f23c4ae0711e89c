"""Schemas and prefixes that need quoting, in every kind of statement."""

from __future__ import annotations

from contextlib import closing

import psycopg

from partner_vouchers.adapters.postgres import PostgresStorage
from tests.support.host import FixedClock, Host
from tests.support.postgres import server

ODD = 'it\'s "50%" x?y'


def test_a_schema_may_have_any_name() -> None:
    try:
        with closing(PostgresStorage(server().conninfo, schema=ODD, prefix="my_")) as storage:
            storage.migrate()
            host = Host(storage, FixedClock())
            found = host.a_list("A", "B", "C C", campaign="CMP")
            assert host.vouchers.codes.assign(campaign_id="CMP", user_id="ann").code == "A"
            assert host.vouchers.codes.assign_many(["ben"], campaign_id="CMP").rewards[0].code == "B"
            assert host.vouchers.lists.find(text="sale").items[0].distributed == 2
            with psycopg.connect(server().conninfo) as connection:
                joined = host.vouchers.using(connection)
                assert [each.list_id for each in joined.codes.of_user("ann")] == [found.id]
    finally:
        with psycopg.connect(server().conninfo) as connection:
            connection.execute(
                "DROP SCHEMA IF EXISTS " + psycopg.sql.Identifier(ODD).as_string(None) + " CASCADE"
            )
