"""The outbox and the leases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.liveness import Liveness, is_dead
from partner_vouchers.adapters.postgres.schema import STORAGE_ID
from partner_vouchers.adapters.sql.assignments import assignments_by_code_id
from partner_vouchers.adapters.sql.columns import from_instant
from partner_vouchers.domain.delivery import lane_of
from partner_vouchers.domain.events import Event
from partner_vouchers.ports import OutboxEntry
from partner_vouchers.wire.stored_events import event_from_json, event_to_json

ID_BITS = 48
"""A position is the number of a transaction and, in the low bits, of a row."""

POSITION = f"(o.xid::text::numeric * {2**ID_BITS} + o.id)"
"""SQL of the position of a row of the outbox."""

# Of a transaction that is older than every one that still runs, and so are all before it.
_SETTLED = "o.xid < pg_snapshot_xmin(pg_current_snapshot())"
_AFTER = "(o.xid, o.id) > (%s::text::xid8, %s)"
_ENTRY = f"{POSITION}, o.id, o.code_id, o.name, o.payload"


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
            sql = "INSERT INTO pv_outbox (name, payload, lane) VALUES (%s, %s, %s)"
            self._db.execute(sql, (event.event_name, event_to_json(event), lane_of(event)))

    def read(self, after: int, limit: int) -> list[OutboxEntry]:
        """See `ports.Outbox`."""
        sql = (
            f"SELECT {_ENTRY} FROM pv_outbox AS o WHERE {_AFTER} AND {_SETTLED} ORDER BY o.xid, o.id LIMIT %s"
        )
        return self._entries(self._db.execute(sql, (*_parts(after), limit)).fetchall())

    def read_lane(self, lane: int, after: int, limit: int) -> tuple[list[OutboxEntry], int]:
        """See `ports.Outbox`."""
        # How far was read must be told by the same statement: a later one might see more.
        rows = self._db.execute(
            f"""
            SELECT newest.position, e.* FROM (
                SELECT {POSITION} AS position FROM pv_outbox AS o WHERE {_SETTLED}
                ORDER BY o.xid DESC, o.id DESC LIMIT 1
            ) AS newest LEFT JOIN LATERAL (
                SELECT {_ENTRY} FROM pv_outbox AS o
                WHERE {_AFTER} AND o.lane = %s AND {_SETTLED} ORDER BY o.xid, o.id LIMIT %s
            ) AS e (position, id, code_id, name, payload) ON true
            ORDER BY e.position
            """,
            (*_parts(after), lane, limit),
        ).fetchall()
        found = [row[1:] for row in rows if row[1] is not None]
        if len(found) == limit:
            return self._entries(found), int(found[-1][0])
        return self._entries(found), max([after, *(int(row[0]) for row in rows[:1])])

    def get_many(self, positions: Sequence[int]) -> list[OutboxEntry]:
        """See `ports.Outbox`."""
        parts = [_parts(position) for position in positions]
        sql = f"""
            SELECT {_ENTRY}
            FROM unnest(%s::text[]::xid8[], %s::bigint[]) WITH ORDINALITY AS p (xid, id, place)
            JOIN pv_outbox AS o ON o.xid = p.xid AND o.id = p.id ORDER BY p.place
        """
        rows = self._db.execute(sql, ([xid for xid, _ in parts], [number for _, number in parts]))
        return self._entries(rows.fetchall())

    def count(self, after: int, limit: int) -> int:
        """See `ports.Outbox`."""
        sql = f"SELECT count(*) FROM (SELECT 1 FROM pv_outbox AS o WHERE {_AFTER} AND {_SETTLED} LIMIT %s) AS behind"
        number: int = self._db.execute(sql, (*_parts(after), limit)).fetchall()[0][0]
        return number

    def last_position(self) -> int:
        """See `ports.Outbox`."""
        sql = f"SELECT {POSITION} FROM pv_outbox AS o WHERE {_SETTLED} ORDER BY o.xid DESC, o.id DESC LIMIT 1"
        row = self._db.execute(sql).fetchone()
        return 0 if row is None else int(row[0])

    def remove(self, until: int) -> int:
        """See `ports.Outbox`."""
        sql = f"""
            DELETE FROM pv_outbox AS o WHERE (o.xid, o.id) <= (%s::text::xid8, %s) AND {_SETTLED}
                AND NOT EXISTS (SELECT 1 FROM pv_held AS h WHERE h.position = {POSITION})
        """
        return self._db.execute(sql, _parts(until)).rowcount

    def _entries(self, rows: Sequence[tuple[Any, ...]]) -> list[OutboxEntry]:
        if not rows:
            return []
        sql = "SELECT value FROM pv_settings WHERE name = %s"
        (storage_id,) = self._db.execute(sql, (STORAGE_ID,)).fetchall()[0]
        rewards = assignments_by_code_id(self._db, [row[2] for row in rows if row[2] is not None])
        return [
            OutboxEntry(
                f"{storage_id}-{number}",
                int(position),
                rewards[code_id].event if code_id is not None else event_from_json(name, payload),
            )
            for position, number, code_id, name, payload in rows
        ]


def _parts(position: int) -> tuple[str, int]:
    return str(max(position, 0) >> ID_BITS), max(position, 0) & ((1 << ID_BITS) - 1)


class PostgresLeases:
    """Leases; that of a process which is known to be dead is free at once."""

    def __init__(self, db: Session, liveness: Liveness) -> None:
        self._db = db
        self._liveness = liveness

    def take(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """See `ports.Leases`.

        Who asks for many in one transaction must not wait for one while another waits for it: what others have, or
        are taking just now, is left alone without a lock on it.
        """
        sql = f"""
            SELECT l.holder = %s, l.until < %s OR {is_dead("l.backend")} FROM pv_leases AS l WHERE l.name = %s
        """
        row = self._db.execute(sql, (holder, from_instant(now), name)).fetchone()
        ours, ended = (False, True) if row is None else row
        if not ours and not (ended and self._db.try_lock("lease", name)):
            return False
        backend = self._liveness.enter(name, holder)
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
        self._liveness.leave(name, holder)
        return False

    def held(self, name: str, holder: str) -> bool:
        """See `ports.Leases`. Until the transaction ends nobody else gives it back, or takes it."""
        sql = f"SELECT 1 FROM pv_leases WHERE name = %s AND holder = %s {'FOR UPDATE' if self._db.writes else ''}"
        return self._db.execute(sql, (name, holder)).fetchone() is not None

    def release(self, name: str, holder: str) -> None:
        """See `ports.Leases`."""
        self._db.execute("DELETE FROM pv_leases WHERE name = %s AND holder = %s", (name, holder))
        self._liveness.leave(name, holder)
