"""The outbox and the leases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from partner_vouchers.adapters.sql.assignments import assignments_by_code_id
from partner_vouchers.adapters.sql.columns import from_instant
from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.adapters.sqlite.process import is_dead, this_process
from partner_vouchers.adapters.sqlite.session import SQLiteSession
from partner_vouchers.domain.delivery import lane_of
from partner_vouchers.domain.events import Event
from partner_vouchers.ports import OutboxEntry
from partner_vouchers.wire.stored_events import event_from_json, event_to_json

STORAGE_ID = "storage id"
_ENTRY = "id, code_id, name, payload"


class SQLiteOutbox:
    """The events on their way to the sinks."""

    def __init__(self, session: SQLiteSession) -> None:
        self._session = session
        self._db = session.connection

    def append(self, events: Sequence[Event]) -> None:
        """See `ports.Outbox`."""
        self._db.executemany(
            "INSERT INTO pv_outbox (name, payload, lane) VALUES (?, ?, ?)",
            [(event.event_name, event_to_json(event), lane_of(event)) for event in events],
        )

    def read(self, after: int, limit: int) -> list[OutboxEntry]:
        """See `ports.Outbox`."""
        sql = f"SELECT {_ENTRY} FROM pv_outbox WHERE id > ? ORDER BY id LIMIT ?"
        return self._entries(self._db.execute(sql, (after, limit)).fetchall())

    def read_lane(self, lane: int, after: int, limit: int) -> tuple[list[OutboxEntry], int]:
        """See `ports.Outbox`."""
        sql = f"SELECT {_ENTRY} FROM pv_outbox WHERE id > ? AND lane = ? ORDER BY id LIMIT ?"
        rows = self._db.execute(sql, (after, lane, limit)).fetchall()
        reached = rows[-1][0] if len(rows) == limit else max(after, self.last_position())
        return self._entries(rows), reached

    def get_many(self, positions: Sequence[int]) -> list[OutboxEntry]:
        """See `ports.Outbox`."""
        sql = """
            SELECT o.id, code_id, name, payload
            FROM json_each(?) AS p CROSS JOIN pv_outbox AS o ON o.id = p.value ORDER BY p.key
        """
        return self._entries(self._db.execute(sql, (json.dumps(list(positions)),)).fetchall())

    def count(self, after: int, limit: int) -> int:
        """See `ports.Outbox`."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM pv_outbox WHERE id > ? LIMIT ?)"
        number: int = self._db.execute(sql, (after, limit)).fetchone()[0]
        return number

    def last_position(self) -> int:
        """See `ports.Outbox`."""
        position: int = self._db.execute("SELECT ifnull(max(id), 0) FROM pv_outbox").fetchone()[0]
        return position

    def remove(self, until: int) -> int:
        """See `ports.Outbox`. The newest entry stays, or its position would be used again."""
        sql = """
            DELETE FROM pv_outbox WHERE id <= ? AND id < (SELECT max(id) FROM pv_outbox)
                AND NOT EXISTS (SELECT 1 FROM pv_held WHERE position = pv_outbox.id)
        """
        return self._db.execute(sql, (until,)).rowcount

    def _entries(self, rows: list[tuple[Any, ...]]) -> list[OutboxEntry]:
        if not rows:
            return []
        (storage_id,) = self._db.execute(
            "SELECT value FROM pv_settings WHERE name = ?", (STORAGE_ID,)
        ).fetchone()
        rewards = assignments_by_code_id(self._session, [row[1] for row in rows if row[1] is not None])
        return [
            OutboxEntry(
                f"{storage_id}-{position}",
                position,
                rewards[code_id].event if code_id is not None else event_from_json(name, payload),
            )
            for position, code_id, name, payload in rows
        ]


class SQLiteLeases:
    """Leases; that of a process which is known to be dead is free at once."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def take(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """See `ports.Leases`."""
        row = self._db.execute(
            "SELECT holder, until, process FROM pv_leases WHERE name = ?", (name,)
        ).fetchone()
        if row is not None and row[0] != holder and row[1] >= from_instant(now) and not is_dead(row[2]):
            return False
        self._db.execute(
            "INSERT OR REPLACE INTO pv_leases (name, holder, until, process) VALUES (?, ?, ?, ?)",
            (name, holder, from_instant(until), this_process()),
        )
        return True

    def held(self, name: str, holder: str) -> bool:
        """See `ports.Leases`."""
        row = self._db.execute("SELECT holder FROM pv_leases WHERE name = ?", (name,)).fetchone()
        return row is not None and row[0] == holder

    def release(self, name: str, holder: str) -> None:
        """See `ports.Leases`."""
        self._db.execute("DELETE FROM pv_leases WHERE name = ? AND holder = ?", (name, holder))
