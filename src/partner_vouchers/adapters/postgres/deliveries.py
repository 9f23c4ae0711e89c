"""How far each sink has come, in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.sql.columns import from_instant, to_instant
from partner_vouchers.domain.delivery import Held, Progress

_HELD = "position, lane, key, attempts, retry_at, reason"

_WAITS = "sink = %(sink)s AND lane = %(lane)s AND retry_at IS NOT NULL"
# Walks from key to key, so that a user with very many waiting events costs no more than others.
_DUE = f"""
    WITH RECURSIVE keys (key) AS (
        SELECT min(key) FROM pv_held WHERE {_WAITS}
        UNION ALL
        SELECT (SELECT min(key) FROM pv_held WHERE {_WAITS} AND key > keys.key) FROM keys WHERE keys.key IS NOT NULL)
    SELECT h.position, h.lane, h.key, h.attempts, h.retry_at, h.reason
    FROM keys CROSS JOIN LATERAL (
        SELECT {_HELD} FROM pv_held WHERE {_WAITS} AND key = keys.key ORDER BY position LIMIT 1
    ) AS h
    WHERE h.retry_at <= %(now)s ORDER BY h.position LIMIT %(limit)s
"""


class PostgresDeliveries:
    """What was delivered to each sink, and what is held back."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def sinks(self) -> list[str]:
        """See `ports.Deliveries`."""
        rows = self._db.execute("SELECT DISTINCT sink FROM pv_progress")
        return sorted(sink for (sink,) in rows)

    def progress(self, sink: str) -> dict[int, Progress]:
        """See `ports.Deliveries`."""
        rows = self._db.execute("SELECT lane, position, ahead FROM pv_progress WHERE sink = %s", (sink,))
        return {lane: Progress(int(position), tuple(json.loads(ahead))) for lane, position, ahead in rows}

    def save_progress(self, sink: str, lane: int, progress: Progress) -> None:
        """See `ports.Deliveries`."""
        self._db.execute(
            """
            INSERT INTO pv_progress (sink, lane, position, ahead) VALUES (%s, %s, %s, %s)
            ON CONFLICT (sink, lane) DO UPDATE SET position = excluded.position, ahead = excluded.ahead
            """,
            (sink, lane, progress.position, json.dumps(progress.ahead, separators=(",", ":"))),
        )

    def forget(self, sink: str) -> None:
        """See `ports.Deliveries`."""
        self._db.execute("DELETE FROM pv_progress WHERE sink = %s", (sink,))
        self._db.execute("DELETE FROM pv_held WHERE sink = %s", (sink,))

    def hold(self, sink: str, held: Sequence[Held]) -> None:
        """See `ports.Deliveries`."""
        for each in held:
            retry_at = None if each.retry_at is None else from_instant(each.retry_at)
            self._db.execute(
                f"""
                INSERT INTO pv_held (sink, {_HELD}) VALUES (%s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (position, sink) DO UPDATE
                SET lane = excluded.lane, key = excluded.key, attempts = excluded.attempts,
                    retry_at = excluded.retry_at, reason = excluded.reason
                """,
                (sink, each.position, each.lane, each.key, each.attempts, retry_at, each.reason),
            )

    def let_go(self, sink: str, positions: Collection[int]) -> None:
        """See `ports.Deliveries`."""
        sql = "DELETE FROM pv_held WHERE position = ANY (%s::text[]::numeric[]) AND sink = %s"
        self._db.execute(sql, ([str(position) for position in positions], sink))

    def due(self, sink: str, lane: int, now: datetime, limit: int) -> list[Held]:
        """See `ports.Deliveries`."""
        return _held(
            self._db.execute(_DUE, {"sink": sink, "lane": lane, "now": from_instant(now), "limit": limit})
        )

    def waiting_keys(self, sink: str, lane: int, keys: Collection[str]) -> set[str]:
        """See `ports.Deliveries`."""
        sql = """
            SELECT k.key FROM unnest(%s::text[]) AS k (key) WHERE EXISTS (
                SELECT 1 FROM pv_held AS h
                WHERE h.sink = %s AND h.lane = %s AND h.key = k.key AND h.retry_at IS NOT NULL)
        """
        return {key for (key,) in self._db.execute(sql, (list(keys), sink, lane))}

    def waiting(self, sink: str) -> tuple[int, int | None]:
        """See `ports.Deliveries`."""
        sql = "SELECT count(*), min(position) FROM pv_held WHERE sink = %s AND retry_at IS NOT NULL"
        count, oldest = self._db.execute(sql, (sink,)).fetchall()[0]
        return count, None if oldest is None else int(oldest)

    def dead(self, sink: str, after: int, limit: int) -> list[Held]:
        """See `ports.Deliveries`."""
        sql = f"""
            SELECT {_HELD} FROM pv_held
            WHERE sink = %s AND retry_at IS NULL AND position > %s ORDER BY position LIMIT %s
        """
        return _held(self._db.execute(sql, (sink, after, limit)))

    def count_dead(self, sink: str) -> int:
        """See `ports.Deliveries`."""
        sql = "SELECT count(*) FROM pv_held WHERE sink = %s AND retry_at IS NULL"
        count: int = self._db.execute(sql, (sink,)).fetchall()[0][0]
        return count


def _held(rows: Iterable[tuple[Any, ...]]) -> list[Held]:
    return [
        Held(int(position), lane, key, attempts, None if retry_at is None else to_instant(retry_at), reason)
        for position, lane, key, attempts, retry_at, reason in rows
    ]
