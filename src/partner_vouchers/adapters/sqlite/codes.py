"""The codes in SQLite: an append-only log for each list, and a cursor that moves along it."""

from __future__ import annotations

from collections.abc import Callable

from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts
from partner_vouchers.errors import UnknownList
from partner_vouchers.ports import Taken, TakenCode
from partner_vouchers.wire.columns import (
    LAST_ID,
    POSITION_BITS,
    code_id_after,
    first_code_id,
    to_number,
)
from partner_vouchers.wire.rows import LEVELS

_NEXT_CODES = """
    SELECT c.id, c.code, s.skip_from, s.uploaded, s.distributed, s.reserved, s.withdrawn, s.announced
    FROM pv_stock AS s CROSS JOIN pv_codes AS c
    WHERE s.list_id = ? AND c.id > s.cursor AND c.id <= s.published
    ORDER BY c.id LIMIT ?
"""


class SQLiteCodes:
    """The published codes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def take(self, list_id: str, limit: int) -> Taken:
        """See `ports.Codes`. The cost is the same at a thousand codes and at a million."""
        number = to_number(list_id)
        rows = self._db.execute(_NEXT_CODES, (number, limit)).fetchall()
        if not rows or rows[-1][0] >= rows[-1][2]:
            return self._take_around_dead(list_id, limit)
        last = rows[-1]
        self._advance(number, last[0], len(rows))
        counts = Counts(last[3], last[4] + len(rows), last[5], last[6])
        return Taken([TakenCode(str(row[0]), row[1]) for row in rows], counts, LEVELS[last[7]])

    def counts(self, list_id: str) -> Counts:
        """See `ports.Codes`."""
        sql = "SELECT uploaded, distributed, reserved, withdrawn FROM pv_stock WHERE list_id = ?"
        row = self._db.execute(sql, (to_number(list_id),)).fetchone()
        if row is None:
            raise UnknownList(list_id=list_id)
        return Counts(*row)

    def withdraw(self, upload_id: str) -> int:
        """See `ports.Codes`."""
        row = self._db.execute(
            "SELECT u.list_id, u.first_code, u.last_code, s.cursor "
            "FROM pv_uploads AS u JOIN pv_stock AS s ON s.list_id = u.list_id "
            "WHERE u.id = ? AND u.status = 'Completed'",
            (to_number(upload_id),),
        ).fetchone()
        if row is None:
            return 0
        number, first, last, cursor = row
        start = max(first, cursor + 1)
        dead = self._db.execute(
            "SELECT 1 FROM pv_dead_ranges WHERE first BETWEEN ? AND ?", (first, last)
        ).fetchone()
        if start > last or dead is not None:
            return 0
        sql = "SELECT count(*) FROM pv_codes WHERE id BETWEEN ? AND ?"
        codes: int = self._db.execute(sql, (start, last)).fetchone()[0]
        if codes:
            self._db.execute("INSERT INTO pv_dead_ranges (first, last) VALUES (?, ?)", (start, last))
            self._db.execute(
                "UPDATE pv_stock SET withdrawn = withdrawn + ? WHERE list_id = ?", (codes, number)
            )
            refresh_skip(self._db, number)
        return codes

    def holder(self, scope: str, code: str, counts: Callable[[State], bool]) -> Holder | None:
        """See `ports.Codes`."""
        row = self._db.execute(
            """
            SELECT l.id, l.state
            FROM pv_active_codes AS a JOIN pv_lists AS l ON l.id = a.code_id >> ?
            WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = ?) AND a.code = ? AND l.removed = 0
              AND NOT EXISTS (
                  SELECT 1 FROM (SELECT last FROM pv_dead_ranges WHERE first <= a.code_id ORDER BY first DESC LIMIT 1)
                  WHERE last >= a.code_id
              )
            """,
            (POSITION_BITS, scope, code),
        ).fetchone()
        return Holder(str(row[0])) if row is not None and counts(State(row[1])) else None

    def remaining(self, list_id: str, after: str | None, limit: int) -> list[TakenCode]:
        """See `ports.Codes`."""
        number = to_number(list_id)
        row = self._db.execute(
            "SELECT cursor, published FROM pv_stock WHERE list_id = ?", (number,)
        ).fetchone()
        if row is None:
            return []
        cursor, published = row
        rows, _ = self._walk(number, code_id_after(after, cursor), published, limit)
        return [TakenCode(str(code_id), code) for code_id, code in rows]

    def _take_around_dead(self, list_id: str, limit: int) -> Taken:
        number = to_number(list_id)
        row = self._db.execute(
            "SELECT cursor, published, uploaded, distributed, reserved, withdrawn, announced "
            "FROM pv_stock WHERE list_id = ?",
            (number,),
        ).fetchone()
        if row is None:
            raise UnknownList(list_id=list_id)
        rows, reached = self._walk(number, row[0], row[1], limit)
        if reached > row[0]:
            self._advance(number, reached, len(rows))
            refresh_skip(self._db, number)
        codes = [TakenCode(str(code_id), code) for code_id, code in rows]
        return Taken(codes, Counts(row[2], row[3] + len(rows), row[4], row[5]), LEVELS[row[6]])

    def _walk(
        self, number: int, cursor: int, published: int, limit: int
    ) -> tuple[list[tuple[int, str]], int]:
        """Return codes behind `cursor` that are not dead, and how far the walk went."""
        found: list[tuple[int, str]] = []
        while len(found) < limit:
            dead = self._db.execute(
                "SELECT first, last FROM pv_dead_ranges "
                "WHERE first > ? AND first <= ? AND last > ? ORDER BY first LIMIT 1",
                (first_code_id(number), published, cursor),
            ).fetchone()
            end = published if dead is None else dead[0] - 1
            rows = self._db.execute(
                "SELECT id, code FROM pv_codes WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
                (cursor, end, limit - len(found)),
            ).fetchall()
            found += rows
            if len(found) == limit or dead is None:
                return found, rows[-1][0] if rows else cursor
            cursor = dead[1]
        return found, cursor

    def _advance(self, number: int, cursor: int, codes: int) -> None:
        self._db.execute(
            "UPDATE pv_stock SET cursor = ?, distributed = distributed + ? WHERE list_id = ?",
            (cursor, codes, number),
        )


def refresh_skip(db: Database, number: int) -> None:
    """Set from which id on the cursor of a list must look out for dead ranges."""
    db.execute(
        """
        UPDATE pv_stock SET skip_from = coalesce(
            (SELECT first FROM pv_dead_ranges WHERE first > ? AND first < ? AND last > cursor ORDER BY first LIMIT 1),
            ?)
        WHERE list_id = ?
        """,
        (first_code_id(number), first_code_id(number + 1), LAST_ID, number),
    )
