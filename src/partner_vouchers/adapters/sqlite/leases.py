"""Leases in SQLite. The lease of a process that is known to be dead is free at once."""

from __future__ import annotations

from datetime import datetime

from partner_vouchers.adapters.simple import SimpleLeases
from partner_vouchers.adapters.sql.columns import from_instant, to_instant
from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.adapters.sqlite.process import is_dead, this_process


class SQLiteLeases(SimpleLeases):
    def __init__(self, db: Database) -> None:
        self._db = db

    def stored(self, name: str) -> tuple[str, datetime] | None:
        row = self._db.execute(
            "SELECT owner, until, process FROM pv_leases WHERE name = ?", (name,)
        ).fetchone()
        return None if row is None or is_dead(row[2]) else (row[0], to_instant(row[1]))

    def store(self, name: str, lease: tuple[str, datetime] | None) -> None:
        self._db.execute("DELETE FROM pv_leases WHERE name = ?", (name,))
        if lease is not None:
            self._db.execute(
                "INSERT INTO pv_leases (name, owner, until, process) VALUES (?, ?, ?, ?)",
                (name, lease[0], from_instant(lease[1]), this_process()),
            )
