"""The codes in PostgreSQL: a queue for each list, of which everybody takes what nobody else is taking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.heads import Heads
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts, LowStock, StockLevel, stock_level
from partner_vouchers.errors import UnknownList
from partner_vouchers.ports import Taken, TakenCode
from partner_vouchers.wire.columns import (
    code_id_after,
    first_code_id,
    to_list_number,
    to_low_stock,
    to_number,
)
from partner_vouchers.wire.rows import LEVELS

NEAR = 128
"""How near to the next stock level, in codes, the takers of a list queue to count exactly."""

_MANY_PARTS = 64
"""Above how many parts a counter is summed up."""

_STOCK = """
    s.uploaded, d.codes, s.reserved, s.withdrawn, a.level, l.low_stock_at, d.parts, l.used_before
    FROM pv_stock AS s JOIN pv_lists AS l ON l.id = s.list_id JOIN pv_announced AS a ON a.list_id = s.list_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(codes), 0)::bigint AS codes, count(*) AS parts
        FROM pv_distributed WHERE list_id = s.list_id
    ) AS d WHERE s.list_id = %s
"""

# The inner SELECT passes over what others are taking just now. The counters are those before the transaction.
_TAKE = f"""
    WITH taken AS (
        DELETE FROM pv_codes WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM pv_codes
            WHERE id > %s AND id <= (SELECT published FROM pv_stock WHERE list_id = %s)
            ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
        RETURNING id, code
    ), stock AS (SELECT {_STOCK})
    SELECT taken.id, taken.code, stock.* FROM stock LEFT JOIN taken ON true ORDER BY taken.id
"""


class PostgresCodes:
    """The published codes."""

    def __init__(self, db: Session, heads: Heads, taken: dict[int, int]) -> None:
        self._db = db
        self._heads = heads
        self._taken = taken

    def take(self, list_id: str, limit: int) -> Taken:
        """See `ports.Codes`. The cost is the same at a thousand codes and at a million."""
        number = to_list_number(list_id)
        self._db.share_list(number)
        start = first_code_id(number)
        after = self._taken.get(number) or self._heads.after(number, start)
        codes, found = self._take(number, after, limit)
        if found is None:
            raise UnknownList(list_id=list_id)
        stock = found
        if len(codes) < limit and after > start:
            # What was given back lies further in front.
            self._heads.forget(number)
            more, found = self._take(number, start, limit - len(codes))
            codes, stock = codes + more, found or stock
        if not self._db.joined and self._is_near(stock):
            # One after the other, until the level is told. A host's transaction would keep the others waiting for
            # too long: what it takes is told by whoever asks next.
            self._db.lock("stock", str(number))
            more, found = self._take(number, start, limit - len(codes))
            codes, stock = codes + more, found or stock
        elif codes and stock.parts > _MANY_PARTS and not self._db.joined:
            self._sum_up(number)
        if codes:
            self._taken[number] = codes[-1][0]
        announced = self._announced(number, stock)
        taken = [TakenCode(str(code_id), code) for code_id, code in sorted(codes)]
        return Taken(taken, stock.counts, announced)

    def counts(self, list_id: str) -> Counts:
        """See `ports.Codes`."""
        stock = self._stock(to_list_number(list_id))
        if stock is None:
            raise UnknownList(list_id=list_id)
        return stock.counts

    def withdraw(self, upload_id: str) -> int:
        """See `ports.Codes`. A code that somebody is taking just now is waited for."""
        row = self._db.execute(
            "SELECT list_id, first_code, last_code FROM pv_uploads WHERE id = %s AND status = 'Completed'",
            (to_number(upload_id),),
        ).fetchone()
        if row is None or row[1] is None:
            return 0
        number, first, last = row
        codes = self._db.execute("DELETE FROM pv_codes WHERE id BETWEEN %s AND %s", (first, last)).rowcount
        if codes:
            sql = "UPDATE pv_stock SET withdrawn = withdrawn + %s WHERE list_id = %s"
            self._db.execute(sql, (codes, number))
        return codes

    def holder(self, scope: str, code: str, counts: Callable[[State], bool]) -> Holder | None:
        """See `ports.Codes`."""
        row = self._db.execute(
            """
            SELECT l.id, l.state
            FROM pv_active_codes AS a JOIN pv_lists AS l ON l.id = a.code_id >> 32
            JOIN pv_stock AS s ON s.list_id = l.id
            WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = %s) AND a.code = %s AND l.removed = 0
              AND (EXISTS (SELECT 1 FROM pv_assignments WHERE code_id = a.code_id)
                   OR EXISTS (SELECT 1 FROM pv_codes WHERE id = a.code_id AND id <= s.published))
            """,
            (scope, code),
        ).fetchone()
        return Holder(str(row[0])) if row is not None and counts(State(row[1])) else None

    def remaining(self, list_id: str, after: str | None, limit: int) -> list[TakenCode]:
        """See `ports.Codes`."""
        number = to_list_number(list_id)
        rows = self._db.execute(
            """
            SELECT id, code FROM pv_codes
            WHERE id > %s AND id <= (SELECT published FROM pv_stock WHERE list_id = %s) ORDER BY id LIMIT %s
            """,
            (code_id_after(after, first_code_id(number)), number, limit),
        )
        return [TakenCode(str(code_id), code) for code_id, code in rows]

    def _take(self, number: int, after: int, limit: int) -> tuple[list[tuple[int, str]], _Stock | None]:
        rows = self._db.fetch(_TAKE, after, number, limit, number)
        if not rows:
            return [], None
        codes = [(row[0], row[1]) for row in rows if row[0] is not None]
        if codes:
            self._db.given[number] = self._db.given.get(number, 0) + len(codes)
        return codes, _Stock(rows[0][2:], self._db.given.get(number, 0))

    def _stock(self, number: int) -> _Stock | None:
        self._db.count_given()
        row = self._db.execute(f"SELECT {_STOCK}", (number,)).fetchone()
        return None if row is None else _Stock(row, 0)

    def _is_near(self, stock: _Stock) -> bool:
        """Tell whether those who take codes at the same time could bring the list to another level."""
        counts = stock.counts
        nearly = Counts(counts.uploaded, counts.distributed + NEAR, counts.reserved, counts.withdrawn)
        return stock_level(nearly, stock.low_stock_at, stock.used_before) > stock.announced

    def _announced(self, number: int, stock: _Stock) -> StockLevel:
        """Return the level that was announced, holding it where this transaction should announce another."""
        level = stock_level(stock.counts, stock.low_stock_at, stock.used_before)
        if level is stock.announced:
            return level
        sql = "SELECT level FROM pv_announced WHERE list_id = %s FOR UPDATE SKIP LOCKED"
        row = self._db.execute(sql, (number,)).fetchone()
        # Where another transaction holds it, that one is about to tell; if it is undone, the next request tells.
        return level if row is None else LEVELS[row[0]]

    def _sum_up(self, number: int) -> None:
        """Add up the parts of the counter that nobody is changing."""
        self._db.execute(
            """
            WITH parts AS (
                DELETE FROM pv_distributed WHERE ctid = ANY (ARRAY(
                    SELECT ctid FROM pv_distributed
                    WHERE list_id = %s AND connection <> pg_backend_pid() FOR UPDATE SKIP LOCKED))
                RETURNING codes
            )
            INSERT INTO pv_distributed AS d (list_id, connection, codes)
            SELECT %s, pg_backend_pid(), coalesce(sum(codes), 0) FROM parts
            ON CONFLICT (list_id, connection) DO UPDATE SET codes = d.codes + excluded.codes
            """,
            (number, number),
        )


class _Stock:
    """The counters of a list after a transaction took some codes, and what else there is to know of its stock."""

    def __init__(self, row: tuple[Any, ...], taken: int) -> None:
        self.counts: Counts = Counts(row[0], row[1] + taken, row[2], row[3])
        self.announced: StockLevel = LEVELS[row[4]]
        self.low_stock_at: LowStock | None = to_low_stock(row[5])
        self.parts: int = row[6]
        self.used_before: int = row[7]
