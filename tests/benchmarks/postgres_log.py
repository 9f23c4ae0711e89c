"""What a call sends to PostgreSQL, read from the server's log, to be sent again by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import psycopg

from tests.support.postgres import Server

_STATEMENT = re.compile(
    r"^LOG:  (?:execute \S+|statement): (.*?)$(?:\nDETAIL:  Parameters: (.*?)$)?(?=\n(?:LOG|$)|\Z)",
    re.M | re.S,
)
_VALUE = re.compile(r"\$\d+ = '((?:[^']|'')*)'")
_PLACE = re.compile(r"\$\d+(?:::\w+)?")


class StatementsOfACall:
    """The statements of one call that gives a code, with the values of this call."""

    def __init__(self, server: Server, call: Callable[[], object]) -> None:
        log = server._home / "log"
        before = log.stat().st_size
        call()
        with log.open(encoding="utf-8") as file:
            file.seek(before)
            found = _STATEMENT.findall(file.read())
        self._statements = [
            (_PLACE.sub("%s", statement.replace("%", "%%")).encode(), _VALUE.findall(values))
            for statement, values in found
        ]
        self._taking = next(i for i, (sql, _) in enumerate(self._statements) if b"DELETE FROM" in sql)
        assert self._taking < len(self._statements) - 2

    def run(self, connection: psycopg.Connection[Any], user: str, other: str) -> None:
        """Send the statements again, for another user, with as few waits as the library has."""
        cursor = connection.cursor()
        first, rest = self._statements[: self._taking + 1], self._statements[self._taking + 1 :]
        with connection.pipeline():
            for sql, values in first:
                cursor.execute(sql, [other if value == user else value for value in values], prepare=True)
            code_id, code = cursor.fetchall()[0][:2]
            for sql, values in rest:
                if values:
                    values = [str(code_id), code, other, *values[3:]]
                cursor.execute(sql, values, prepare=True)
