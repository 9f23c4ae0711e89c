"""Redemptions in PostgreSQL: what is looked at is locked first."""

from __future__ import annotations

import json
from collections.abc import Sequence

from partner_vouchers.adapters.sql.columns import POSITION_BITS
from partner_vouchers.adapters.sql.redemptions import SqlRedemptions


class PostgresRedemptions(SqlRedemptions):
    """Which codes were used."""

    def _lock(self, code_ids: Sequence[int]) -> bool:
        db = self._db
        if not db.writes or not code_ids:
            return False
        for number in sorted({code_id >> POSITION_BITS for code_id in code_ids}):
            db.share_list(number)
        # In this order: a code that was being taken is assigned when its lock is free.
        ids = json.dumps(code_ids)
        db.fetch("lock_available", ids)
        db.fetch("lock_returned", ids)
        db.fetch("lock_assigned", ids)
        return True
