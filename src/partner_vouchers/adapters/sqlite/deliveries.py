"""How far each sink has come, in SQLite."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from partner_vouchers.adapters.sql.columns import LAST_ID, from_instant, to_instant
from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.domain.delivery import Held, Progress

_HELD = "position, lane, key, attempts, retry_at, reason"
_WAITS = "SELECT 1 FROM pv_held WHERE sink = ?1 AND lane = ?2 AND retry_at IS NOT NULL"
# Walks from key to key, so that a user with very many waiting events costs no more than others.
_DUE = """
    WITH RECURSIVE keys (key) AS (
        SELECT min(key) FROM pv_held WHERE sink = ?1 AND lane = ?2 AND retry_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(key) FROM pv_held
                WHERE sink = ?1 AND lane = ?2 AND retry_at IS NOT NULL AND key > keys.key)
        FROM keys WHERE keys.key IS NOT NULL)
    SELECT h.position, h.lane, h.key, h.attempts, h.retry_at, h.reason
    FROM keys CROSS JOIN pv_held AS h ON h.sink = ?1 AND h.position = (
        SELECT min(position) FROM pv_held
        WHERE sink = ?1 AND lane = ?2 AND key = keys.key AND retry_at IS NOT NULL)
    WHERE h.retry_at <= ?3
    ORDER BY h.position LIMIT ?4
"""


class SQLiteDeliveries:
    """What was delivered to each sink, and what is held back."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def sinks(self) -> list[str]:
        """See `ports.Deliveries`."""
        rows = self._db.execute("SELECT DISTINCT sink FROM pv_progress")
        return sorted(sink for (sink,) in rows)

    def progress(self, sink: str) -> dict[int, Progress]:
        """See `ports.Deliveries`."""
        rows = self._db.execute("SELECT lane, position, ahead FROM pv_progress WHERE sink = ?", (sink,))
        return {lane: Progress(position, tuple(json.loads(ahead))) for lane, position, ahead in rows}

    def save_progress(self, sink: str, lane: int, progress: Progress) -> None:
        """See `ports.Deliveries`."""
        self._db.execute(
            "INSERT OR REPLACE INTO pv_progress (sink, lane, position, ahead) VALUES (?, ?, ?, ?)",
            (sink, lane, progress.position, json.dumps(progress.ahead, separators=(",", ":"))),
        )

    def forget(self, sink: str) -> None:
        """See `ports.Deliveries`."""
        self._db.execute("DELETE FROM pv_progress WHERE sink = ?", (sink,))
        for which in ("NOT NULL", "NULL"):  # each has an index of its own
            self._db.execute(f"DELETE FROM pv_held WHERE sink = ? AND retry_at IS {which}", (sink,))

    def hold(self, sink: str, held: Sequence[Held]) -> None:
        """See `ports.Deliveries`."""
        self._db.executemany(
            f"INSERT OR REPLACE INTO pv_held (sink, {_HELD}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    sink,
                    each.position,
                    each.lane,
                    each.key,
                    each.attempts,
                    None if each.retry_at is None else from_instant(each.retry_at),
                    each.reason,
                )
                for each in held
            ],
        )

    def let_go(self, sink: str, positions: Collection[int]) -> None:
        """See `ports.Deliveries`."""
        self._db.executemany(
            "DELETE FROM pv_held WHERE position = ? AND sink = ?",
            [(position, sink) for position in positions],
        )

    def due(self, sink: str, lane: int, now: datetime, limit: int) -> list[Held]:
        """See `ports.Deliveries`."""
        found = self._db.execute(f"{_WAITS} AND retry_at <= ?3 LIMIT 1", (sink, lane, from_instant(now)))
        if found.fetchone() is None:
            return []
        return _held(self._db.execute(_DUE, (sink, lane, from_instant(now), limit)))

    def waiting_keys(self, sink: str, lane: int, keys: Collection[str]) -> set[str]:
        """See `ports.Deliveries`."""
        if self._db.execute(f"{_WAITS} LIMIT 1", (sink, lane)).fetchone() is None:
            return set()
        sql = f"SELECT value FROM json_each(?3) AS k WHERE EXISTS ({_WAITS} AND key = k.value)"
        return {key for (key,) in self._db.execute(sql, (sink, lane, json.dumps(list(keys))))}

    def waiting(self, sink: str) -> tuple[int, int | None]:
        """See `ports.Deliveries`."""
        sql = "SELECT count(*), min(position) FROM pv_held WHERE sink = ? AND retry_at IS NOT NULL"
        count, oldest = self._db.execute(sql, (sink,)).fetchone()
        return count, oldest

    def dead(self, sink: str, after: int, limit: int) -> list[Held]:
        """See `ports.Deliveries`."""
        sql = f"""
            SELECT {_HELD} FROM pv_held
            WHERE sink = ? AND retry_at IS NULL AND position > ? ORDER BY position LIMIT ?
        """
        return _held(self._db.execute(sql, (sink, min(after, LAST_ID), limit)))

    def count_dead(self, sink: str) -> int:
        """See `ports.Deliveries`."""
        sql = "SELECT count(*) FROM pv_held WHERE sink = ? AND retry_at IS NULL"
        count: int = self._db.execute(sql, (sink,)).fetchone()[0]
        return count


def _held(rows: Iterable[tuple[Any, ...]]) -> list[Held]:
    return [
        Held(position, lane, key, attempts, None if retry_at is None else to_instant(retry_at), reason)
        for position, lane, key, attempts, retry_at, reason in rows
    ]
