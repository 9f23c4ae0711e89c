"""Use a connection of aiosqlite as one of `sqlite3`, where a greenlet of SQLAlchemy waits for its answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from partner_vouchers.adapters.sql.bridge import Bridge
from partner_vouchers.ports import AsyncHostConnection


class BridgedConnection(Bridge):
    """A connection of a host's `AsyncSession` or `AsyncConnection`, within its `run_sync()`.

    Each statement is one trip to the thread of aiosqlite, which brings all rows back.
    """

    def __init__(self, host: AsyncHostConnection) -> None:
        self._driver = host.driver
        self._wait_for = host.wait_for

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return bool(self._driver.in_transaction)

    @property
    def isolation_level(self) -> Any:
        """How the driver begins transactions."""
        return self._driver.isolation_level

    @property
    def autocommit(self) -> Any:
        """The same, from Python 3.12 on."""
        return getattr(self._driver._conn, "autocommit", -1)

    @property
    def text_factory(self) -> Any:
        """How strings are read."""
        return self._driver.text_factory

    @text_factory.setter
    def text_factory(self, factory: Any) -> None:
        self._driver.text_factory = factory

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Answer:
        """Execute a statement. Rows are tuples, whatever the host's own row factory does."""
        return self._run(lambda cursor: cursor.execute(sql, parameters))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Answer:
        """Execute a statement for each of many rows of parameters."""
        rows = list(parameters)
        return self._run(lambda cursor: cursor.executemany(sql, rows))

    def execute_all(self, *statements: str) -> None:
        """Execute statements without parameters in one trip, also if the task is cancelled meanwhile."""
        self._run(lambda cursor: [cursor.execute(statement) for statement in statements])

    def _run(self, work: Callable[[sqlite3.Cursor], object]) -> Answer:
        def in_thread_of_the_connection() -> Answer:
            cursor = sqlite3.Cursor(self._driver._conn)
            cursor.row_factory = None
            work(cursor)
            return Answer(cursor.fetchall(), cursor.rowcount)

        answer: Answer = self.wait_to_the_end(self._driver._execute(in_thread_of_the_connection))
        return answer


class Answer:
    """What a statement returned.

    Attributes:
        rowcount: how many rows it changed.
    """

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = iter(rows)
        self.rowcount: int = rowcount

    def __iter__(self) -> Answer:
        return self

    def __next__(self) -> Any:
        return next(self._rows)

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        """Return the other rows."""
        return list(self._rows)
