"""The codes in SQLite: an append-only log for each list, and a cursor that moves along it."""

from __future__ import annotations

from collections.abc import Sequence

from partner_vouchers.adapters.sql.assignments import SqlAssignments
from partner_vouchers.adapters.sql.codes import SqlCodes, taken
from partner_vouchers.adapters.sql.columns import (
    code_id_after,
    first_code_id,
    from_instant,
    to_list_number,
    to_number,
)
from partner_vouchers.adapters.sql.rows import origin_of
from partner_vouchers.adapters.sql.session import Row, first
from partner_vouchers.adapters.sqlite.session import STATEMENTS, SQLiteSession
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.errors import UnknownList
from partner_vouchers.ports import Taken, TakenCode

_NEXT_CODES = STATEMENTS["next_codes"]
_ADVANCE_CURSOR = STATEMENTS["advance_cursor"]
_ADD_ASSIGNMENT = STATEMENTS["add_assignment"]
_ADD_REWARD_EVENT = STATEMENTS["add_reward_event"]


class SQLiteCodes(SqlCodes):
    """The published codes. Taking costs the same at a thousand codes and at a million."""

    def __init__(self, db: SQLiteSession) -> None:
        self._db: SQLiteSession = db

    def take(self, list_id: str, limit: int) -> Taken:
        number = to_list_number(list_id)
        execute = self._db.execute
        rows = execute(_NEXT_CODES, (number, limit)).fetchall()
        if not rows:
            return self._take_around_dead(list_id, limit)
        last = rows[-1]
        if last[0] >= last[2]:
            return self._take_around_dead(list_id, limit)
        execute(_ADVANCE_CURSOR, (last[0], len(rows), number))
        return taken(rows, last[3:], len(rows))

    def withdraw(self, upload_id: str) -> int:
        db = self._db
        row = first(db.fetch("range_of_upload", to_number(upload_id)))
        if row is None:
            return 0
        number, first_id, last_id, cursor = row
        start = max(first_id, cursor + 1)
        if start > last_id or db.fetch("dead_range_between", first_id, last_id):
            return 0
        codes: int = db.fetch("count_codes_between", start, last_id)[0][0]
        if codes:
            db.change("add_dead_range", start, last_id)
            db.change("count_withdrawn", codes, number)
            db.change("refresh_skip", number)
        return codes

    def remaining(self, list_id: str, after: str | None, limit: int) -> list[TakenCode]:
        number = to_list_number(list_id)
        row = first(self._db.fetch("stock_of_list", number))
        if row is None:
            return []
        rows, _ = self._walk(number, code_id_after(after, row[0]), row[1], limit)
        return [TakenCode(str(code_id), code) for code_id, code in rows]

    def _take_around_dead(self, list_id: str, limit: int) -> Taken:
        number = to_list_number(list_id)
        row = first(self._db.fetch("stock_of_list", number))
        if row is None:
            raise UnknownList(list_id=list_id)
        cursor, published, *counters = row
        rows, reached = self._walk(number, cursor, published, limit)
        if reached > cursor:
            self._db.change("advance_cursor", reached, len(rows), number)
            self._db.change("refresh_skip", number)
        return taken(rows, counters, len(rows))

    def _walk(self, number: int, cursor: int, published: int, limit: int) -> tuple[list[Row], int]:
        """Return codes behind `cursor` that are not dead, and how far the walk went."""
        found: list[Row] = []
        while len(found) < limit:
            dead = first(self._db.fetch("next_dead_range", first_code_id(number), published, cursor))
            end = published if dead is None else dead[0] - 1
            rows = self._db.fetch("codes_between", cursor, end, limit - len(found))
            found += rows
            if len(found) == limit or dead is None:
                return found, rows[-1][0] if rows else cursor
            cursor = dead[1]
        return found, cursor


class SQLiteAssignments(SqlAssignments):
    """Who has which code."""

    def __init__(self, db: SQLiteSession) -> None:
        self._db: SQLiteSession = db

    def add(self, assignments: Sequence[Assignment]) -> None:
        executemany = self._db.connection.executemany
        rows = [_row(given) for given in assignments]
        executemany(_ADD_ASSIGNMENT, rows)
        executemany(_ADD_REWARD_EVENT, [row[:1] for row in rows])


def _row(given: Assignment) -> tuple[int, str, str, int, int, int]:
    snapshot = given.snapshot
    return (
        int(given.id),
        given.user_id,
        origin_of(given.campaign_id, snapshot.list_id),
        given.ordinal,
        from_instant(given.assigned_at),
        snapshot.version,
    )
