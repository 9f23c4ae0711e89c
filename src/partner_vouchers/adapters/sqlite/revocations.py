"""Codes that were taken back from users, in SQLite."""

from __future__ import annotations

from partner_vouchers.adapters.sql.revocations import SqlRevocations


class SQLiteRevocations(SqlRevocations):
    """Codes that were taken back. One transaction writes at a time, so nothing is locked."""

    def _add_entry(self, new_id: int, code: str) -> None:
        self._db.queue("add_restocked_code", new_id, code)
        self._db.queue("add_restocked", new_id)

    def _retire(self, number: int) -> None:
        self._db.queue("count_revoked", number)
