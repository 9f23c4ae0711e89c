"""A connection to SQLite within a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import ClassVar

from partner_vouchers.adapters.sql.session import Row, Value
from partner_vouchers.adapters.sql.statements import load_statements
from partner_vouchers.adapters.sqlite.driver import Database

STATEMENTS = load_statements("partner_vouchers.adapters.sql", "partner_vouchers.adapters.sqlite")

_text = STATEMENTS.get

_MOST_AT_ONCE = 256
"""How many rows one statement inserts at most: one for each row takes twice as long.

The last rows come in powers of two, so that few statements are prepared.
"""


class SQLiteSession:
    """A connection within one transaction after another (`sql.session.Session`).

    One transaction writes at a time, so locks are free.

    Attributes:
        connection: the connection.
        execute: executes the text of a statement, where a call less counts. The rows of the one before are lost then.
        writes: whether the transaction may write.
    """

    __slots__ = ("connection", "execute", "writes")

    statements: ClassVar[Mapping[str, str]] = STATEMENTS

    def __init__(
        self, connection: Database, execute: Callable[..., sqlite3.Cursor], *, writes: bool = False
    ) -> None:
        self.connection: Database = connection
        self.execute: Callable[..., sqlite3.Cursor] = execute
        self.writes: bool = writes

    def fetch(self, statement: str, *parameters: Value) -> list[Row]:
        return self.execute(_text(statement, statement), parameters).fetchall()

    def change(self, statement: str, *parameters: Value) -> int:
        return self.execute(_text(statement, statement), parameters).rowcount

    def queue(self, statement: str, *parameters: Value) -> None:
        self.execute(_text(statement, statement), parameters)

    def queue_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        self.connection.executemany(_text(statement, statement), rows)

    def insert_columns(self, statement: str, *columns: Sequence[Value]) -> None:
        text, width, start, count = STATEMENTS[statement], len(columns), 0, len(columns[0])
        while start < count:
            rows = min(_MOST_AT_ONCE, 1 << (count - start).bit_length() - 1)
            values: list[Value] = [None] * (rows * width)
            for place, column in enumerate(columns):
                values[place::width] = column[start : start + rows]
            self.execute(_of_many(text, rows), values)
            start += rows

    def lock(self, *about: str) -> None:
        pass

    def share(self, *about: str) -> None:
        pass

    def lock_many(self, about: Iterable[Sequence[str]]) -> None:
        pass

    def share_list(self, number: int) -> None:
        pass

    def lock_list(self, number: int) -> None:
        pass


@cache
def _of_many(insert: str, rows: int) -> str:
    if rows == 1:
        return insert
    head, row = insert.rsplit("VALUES ", 1)
    return f"{head}VALUES {', '.join([row] * rows)}"
