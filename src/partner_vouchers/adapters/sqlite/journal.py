"""What a storage remembers of what happened: outbox and audit log; and its settings and leases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from partner_vouchers.adapters.sqlite.assignments import assignments_by_code_id
from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.adapters.sqlite.process import is_dead, this_process
from partner_vouchers.adapters.sqlite.rows import from_instant, to_number
from partner_vouchers.domain.events import Event, Recorded
from partner_vouchers.ports import AuditEntry, OutboxEntry
from partner_vouchers.wire.stored_events import event_from_json, event_to_json

STORAGE_ID = "storage id"


class SQLiteOutbox:
    """The events on their way to the sinks."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def append(self, events: Sequence[Event]) -> None:
        """See `ports.Outbox`."""
        self._db.executemany(
            "INSERT INTO pv_outbox (name, payload) VALUES (?, ?)",
            [(event.event_name, event_to_json(event)) for event in events],
        )

    def read(self, after: int, limit: int) -> list[OutboxEntry]:
        """See `ports.Outbox`."""
        (storage_id,) = self._db.execute(
            "SELECT value FROM pv_settings WHERE name = ?", (STORAGE_ID,)
        ).fetchone()
        rows = self._db.execute(
            "SELECT id, code_id, name, payload FROM pv_outbox WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        ).fetchall()
        rewards = assignments_by_code_id(self._db, [row[1] for row in rows if row[1] is not None])
        return [
            OutboxEntry(
                f"{storage_id}-{position}",
                position,
                rewards[code_id].event if code_id is not None else event_from_json(name, payload),
            )
            for position, code_id, name, payload in rows
        ]


class SQLiteAudit:
    """The log of changes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def append(self, actor: str | None, events: Sequence[Recorded]) -> None:
        """See `ports.Audit`."""
        self._db.executemany(
            "INSERT INTO pv_audit (list_id, actor, name, payload) VALUES (?, ?, ?, ?)",
            [
                (
                    None if event.list_id is None else to_number(event.list_id),
                    actor,
                    event.event_name,
                    event_to_json(event),
                )
                for event in events
            ],
        )

    def entries(self, list_id: str | None, actor: str | None, after: int, limit: int) -> list[AuditEntry]:
        """See `ports.Audit`."""
        conditions, parameters = ["id > ?"], [cast(object, after)]
        if list_id is not None:
            conditions.append("list_id = ?")
            parameters.append(to_number(list_id))
        if actor is not None:
            conditions.append("actor = ?")
            parameters.append(actor)
        sql = f"SELECT id, actor, name, payload FROM pv_audit WHERE {' AND '.join(conditions)} ORDER BY id LIMIT ?"
        return [
            AuditEntry(position, found_actor, cast(Recorded, event_from_json(name, payload)))
            for position, found_actor, name, payload in self._db.execute(sql, (*parameters, limit))
        ]


class SQLiteSettings:
    """What the storage remembers about how it was set up."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, name: str) -> str | None:
        """See `ports.Settings`."""
        row = self._db.execute("SELECT value FROM pv_settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, name: str, value: str) -> None:
        """See `ports.Settings`."""
        self._db.execute("INSERT OR REPLACE INTO pv_settings (name, value) VALUES (?, ?)", (name, value))


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
