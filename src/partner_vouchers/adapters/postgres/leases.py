"""Leases in PostgreSQL. The lease of a process that is known to be dead is free at once."""

from __future__ import annotations

from datetime import datetime

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.liveness import Liveness, is_dead
from partner_vouchers.adapters.sql.columns import from_instant
from partner_vouchers.adapters.sql.session import first


class PostgresLeases:
    def __init__(self, db: Session, liveness: Liveness) -> None:
        self._db = db
        self._liveness = liveness

    def take(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        # A caller that takes many in one transaction must not wait for one while another waits for it: what others
        # have, or are taking just now, is left alone without a lock on it.
        sql = f"""
            SELECT l.owner = %s, l.until < %s OR {is_dead("l.backend")} FROM pv_leases AS l WHERE l.name = %s
        """
        row = first(self._db.fetch(sql, holder, from_instant(now), name))
        ours, ended = (False, True) if row is None else row
        if not ours and not (ended and self._db.try_lock("lease", name)):
            return False
        backend = self._liveness.enter(name, holder)
        taken = self._db.execute(
            f"""
            INSERT INTO pv_leases AS l (name, owner, until, backend) VALUES (%s, %s, %s, %s)
            ON CONFLICT (name) DO UPDATE
            SET owner = excluded.owner, until = excluded.until, backend = excluded.backend
            WHERE l.owner = excluded.owner OR l.until < %s OR {is_dead("l.backend")}
            """,
            (name, holder, from_instant(until), backend, from_instant(now)),
        )
        if taken.rowcount == 1:
            return True
        self._liveness.leave(name, holder)
        return False

    def held(self, name: str, holder: str) -> bool:
        # No other transaction releases or takes it until this one ends.
        sql = f"SELECT 1 FROM pv_leases WHERE name = %s AND owner = %s {'FOR UPDATE' if self._db.writes else ''}"
        return bool(self._db.fetch(sql, name, holder))

    def release(self, name: str, holder: str) -> None:
        self._db.execute("DELETE FROM pv_leases WHERE name = %s AND owner = %s", (name, holder))
        self._liveness.leave(name, holder)
