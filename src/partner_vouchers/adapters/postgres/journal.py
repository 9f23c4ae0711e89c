"""What a storage remembers of what happened: outbox and audit log; and its settings and leases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from partner_vouchers.adapters.postgres.assignments import assignments_by_code_id
from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.presence import Presence, is_dead
from partner_vouchers.adapters.postgres.rows import from_instant, to_list_number
from partner_vouchers.adapters.postgres.schema import STORAGE_ID
from partner_vouchers.domain.events import Event, Recorded
from partner_vouchers.ports import AuditEntry, OutboxEntry
from partner_vouchers.wire.stored_events import event_from_json, event_to_json

_ID_BITS = 48
"""A position is the number of a transaction and, in the low bits, of a row."""


class PostgresOutbox:
    """The events on their way to the sinks.

    Rows get their numbers before their transactions commit, in another order than that in which these do. So only
    rows are read whose transactions are older than every one that still runs: no row can appear among those.
    """

    def __init__(self, db: Session) -> None:
        self._db = db

    def append(self, events: Sequence[Event]) -> None:
        """See `ports.Outbox`."""
        for event in events:
            sql = "INSERT INTO pv_outbox (name, payload) VALUES (%s, %s)"
            self._db.execute(sql, (event.event_name, event_to_json(event)))

    def read(self, after: int, limit: int) -> list[OutboxEntry]:
        """See `ports.Outbox`."""
        rows = self._db.execute(
            f"""
            SELECT (SELECT value FROM pv_settings WHERE name = '{STORAGE_ID}'), xid::text, id, code_id, name, payload
            FROM pv_outbox
            WHERE (xid, id) > (%s::text::xid8, %s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY xid, id LIMIT %s
            """,
            (str(after >> _ID_BITS), after & ((1 << _ID_BITS) - 1), limit),
        ).fetchall()
        rewards = assignments_by_code_id(self._db, [row[3] for row in rows if row[3] is not None])
        return [
            OutboxEntry(
                f"{storage_id}-{number}",
                (int(xid) << _ID_BITS) + number,
                rewards[code_id].event if code_id is not None else event_from_json(name, payload),
            )
            for storage_id, xid, number, code_id, name, payload in rows
        ]


class PostgresAudit:
    """The log of changes."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def append(self, actor: str | None, events: Sequence[Recorded]) -> None:
        """See `ports.Audit`."""
        for event in events:
            self._db.execute(
                "INSERT INTO pv_audit (list_id, actor, name, payload) VALUES (%s, %s, %s, %s)",
                (
                    None if event.list_id is None else to_list_number(event.list_id),
                    actor,
                    event.event_name,
                    event_to_json(event),
                ),
            )

    def entries(self, list_id: str | None, actor: str | None, after: int, limit: int) -> list[AuditEntry]:
        """See `ports.Audit`."""
        conditions, parameters = ["id > %s"], cast(list[Any], [after])
        if list_id is not None:
            conditions.append("list_id = %s")
            parameters.append(to_list_number(list_id))
        if actor is not None:
            conditions.append("actor = %s")
            parameters.append(actor)
        sql = f"SELECT id, actor, name, payload FROM pv_audit WHERE {' AND '.join(conditions)} ORDER BY id LIMIT %s"
        return [
            AuditEntry(position, found_actor, cast(Recorded, event_from_json(name, payload)))
            for position, found_actor, name, payload in self._db.execute(sql, (*parameters, limit))
        ]


class PostgresSettings:
    """What the storage remembers about how it was set up."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def get(self, name: str) -> str | None:
        """See `ports.Settings`. Until the transaction ends nobody else reads the setting in order to write it."""
        self._db.lock("setting", name)
        row = self._db.execute("SELECT value FROM pv_settings WHERE name = %s", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, name: str, value: str) -> None:
        """See `ports.Settings`."""
        self._db.execute(
            "INSERT INTO pv_settings (name, value) VALUES (%s, %s) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )


class PostgresLeases:
    """Leases; that of a process which is known to be dead is free at once."""

    def __init__(self, db: Session, presence: Presence) -> None:
        self._db = db
        self._presence = presence

    def take(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """See `ports.Leases`."""
        backend = self._presence.enter(name, holder)
        taken = self._db.execute(
            f"""
            INSERT INTO pv_leases AS l (name, holder, until, backend) VALUES (%s, %s, %s, %s)
            ON CONFLICT (name) DO UPDATE
            SET holder = excluded.holder, until = excluded.until, backend = excluded.backend
            WHERE l.holder = excluded.holder OR l.until < %s OR {is_dead("l.backend")}
            """,
            (name, holder, from_instant(until), backend, from_instant(now)),
        )
        if taken.rowcount == 1:
            return True
        self._presence.leave(name, holder)
        return False

    def held(self, name: str, holder: str) -> bool:
        """See `ports.Leases`."""
        sql = "SELECT 1 FROM pv_leases WHERE name = %s AND holder = %s"
        return self._db.execute(sql, (name, holder)).fetchone() is not None

    def release(self, name: str, holder: str) -> None:
        """See `ports.Leases`."""
        self._db.execute("DELETE FROM pv_leases WHERE name = %s AND holder = %s", (name, holder))
        self._presence.leave(name, holder)
