"""Leases in SQLite. The lease of a process that is known to be dead is free at once."""

from __future__ import annotations

from datetime import datetime

from partner_vouchers.adapters.sql.columns import from_instant
from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.adapters.sqlite.process import is_dead, this_process


class SQLiteLeases:
    """Exclusive, time-limited claims."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def take(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        row = self._db.execute(
            "SELECT owner, until, process FROM pv_leases WHERE name = ?", (name,)
        ).fetchone()
        if row is not None and row[0] != holder and row[1] >= from_instant(now) and not is_dead(row[2]):
            return False
        self._db.execute(
            "INSERT OR REPLACE INTO pv_leases (name, owner, until, process) VALUES (?, ?, ?, ?)",
            (name, holder, from_instant(until), this_process()),
        )
        return True

    def held(self, name: str, holder: str) -> bool:
        row = self._db.execute("SELECT owner FROM pv_leases WHERE name = ?", (name,)).fetchone()
        return row is not None and row[0] == holder

    def release(self, name: str, holder: str) -> None:
        self._db.execute("DELETE FROM pv_leases WHERE name = ? AND owner = ?", (name, holder))
