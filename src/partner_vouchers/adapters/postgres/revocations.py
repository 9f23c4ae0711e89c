"""Codes that were taken back from users, in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.sql.columns import to_number
from partner_vouchers.adapters.sql.revocations import SqlRevocations
from partner_vouchers.adapters.sql.session import first
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.ports.revocations import Unsent


class PostgresRevocations(SqlRevocations):
    """Codes that were taken back.

    The owner of a sink must not send an event while another transaction decides that nobody has seen its code. Whoever
    revokes shares one lock; an owner that gets it alone knows that nobody revokes. Otherwise it locks the assignments
    of its events one by one, and leaves out those that are locked.
    """

    _db: Session

    def get_for_update(self, assignment_id: str) -> Assignment | None:
        code_id = to_number(assignment_id)
        row = first(self._db.fetch("origin_of_assignment", code_id))
        if row is None:
            return None
        # In the order in which these locks are taken where a code is assigned.
        self._db.share_list(code_id >> 32)
        self._db.lock("user", *row)
        self._db.share("revocations")
        self._db.share("counts", row[1])
        self._db.fetch("lock_assignment", code_id)
        return self._assignment(code_id)

    def event_position(self, assignment_id: str) -> int | None:
        found = super().event_position(assignment_id)
        if found is None:
            row = first(self._db.fetch("event_without_position", to_number(assignment_id)))
            found = super().event_position(assignment_id) if row is None else 0
        return found

    def unsent(self, positions: Collection[int]) -> Unsent:
        asked = json.dumps(list(positions))
        uncertain = set[int]()
        if not self._db.try_lock("revocations"):
            uncertain.update(row[0] for row in self._db.fetch("voucher_events", asked))
            uncertain.difference_update(row[0] for row in self._db.fetch("lock_sent", asked))
        cancelled = self._cancelled(positions)
        return Unsent(cancelled, frozenset(uncertain - cancelled))

    def _add_entry(self, new_id: int, code: str) -> None:
        self._db.queue("add_restocked", new_id, code)

    def _retire(self, number: int) -> None:
        self._db.queue("count_restocked", number)
        self._db.queue("count_revoked", number)
