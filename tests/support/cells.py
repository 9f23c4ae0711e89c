"""All that is in the tables of a storage, as SQL reads it."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
from psycopg import sql

from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import Storage
from tests.support.postgres import server


def cells(storage: Storage, tables_of: Any = None) -> list[tuple[str, str, str]]:
    """Return every value of every column of every table as text, with its table and column."""
    found: list[tuple[str, str, str]] = []
    if isinstance(storage, SQLiteStorage):
        database = sqlite3.connect(repr(storage).split("'")[1])
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in names:
            cursor = database.execute(f"SELECT * FROM {table}")
            columns = [each[0] for each in cursor.description]
            for row in cursor:
                found += [(table, column, str(value)) for column, value in zip(columns, row, strict=True)]
        database.close()
        return found
    with psycopg.connect(server().conninfo) as connection:
        names = [
            row[0]
            for row in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = %s", (tables_of,)
            ).fetchall()
        ]
        for table in names:
            query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(tables_of, table))
            answer = connection.execute(query)
            columns = [each.name for each in answer.description or ()]
            for values in answer.fetchall():
                found += [(table, column, str(value)) for column, value in zip(columns, values, strict=True)]
    return found
