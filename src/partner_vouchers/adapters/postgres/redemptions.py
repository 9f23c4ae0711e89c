"""Redemptions in PostgreSQL: what is looked at is locked first."""

from __future__ import annotations

import json
from collections.abc import Sequence

from partner_vouchers.adapters.sql.columns import POSITION_BITS
from partner_vouchers.adapters.sql.redemptions import SqlRedemptions


class PostgresRedemptions(SqlRedemptions):
    def _lock(self, code_ids: Sequence[int]) -> None:
        # In this order: a code that was being taken is assigned when its lock is free.
        self._lock_rows(code_ids, "lock_available", "lock_returned", "lock_assigned")

    def _lock_assigned(self, code_ids: Sequence[int]) -> None:
        self._lock_rows(code_ids, "lock_assigned")

    def _lock_rows(self, code_ids: Sequence[int], *statements: str) -> None:
        db = self._db
        if not db.writes or not code_ids:
            return
        for number in sorted({code_id >> POSITION_BITS for code_id in code_ids}):
            db.share_list(number)
        ids = json.dumps(code_ids)
        for statement in statements:
            db.fetch(statement, ids)
