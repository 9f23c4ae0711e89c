"""Codes that were taken back from users."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime

from partner_vouchers.adapters.sql.columns import from_instant, to_instant, to_list_number, to_number
from partner_vouchers.adapters.sql.rows import assignments_from_rows
from partner_vouchers.adapters.sql.session import Repository, Row, Session, first
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.revocation import Revocation
from partner_vouchers.errors import StorageError
from partner_vouchers.ports.revocations import Unsent


class SqlRevocations(Repository):
    def get_for_update(self, assignment_id: str) -> Assignment | None:
        return self._assignment(to_number(assignment_id))

    def get(self, assignment_id: str) -> Revocation | None:
        code_id = to_number(assignment_id)
        row = first(self._db.fetch("revocation_of_code", code_id))
        given = None if row is None else self._assignment(code_id)
        return None if row is None or given is None else revocation_of(row, given)

    def upload_is_withdrawn(self, assignment_id: str) -> bool:
        code_id = to_number(assignment_id)
        return bool(self._db.fetch("source_upload_is_withdrawn", code_id >> 32, code_id, code_id))

    def event_position(self, assignment_id: str) -> int | None:
        row = first(self._db.fetch("event_of_assignment", to_number(assignment_id)))
        return None if row is None else int(row[0])

    def counted_at(self, assignment_id: str) -> datetime:
        return to_instant(self._db.fetch("counted_at", to_number(assignment_id))[0][0])

    def add(self, revocation: Revocation) -> None:
        db, given = self._db, revocation.assignment
        code_id, number = to_number(given.id), to_list_number(given.list_id)
        if db.fetch("revocation_of_code", code_id):
            raise StorageError(reason="the assignment was revoked before; read it with get_for_update")
        new_id: int | None = None
        if revocation.restocked:
            new_id = int(db.fetch("next_restocked_id", number)[0][0])
            self._add_entry(new_id, given.code)
            db.queue("supersede_entry", given.code, code_id)
            db.queue("move_entry", new_id, number, given.code, code_id)
            db.queue("count_restocked", number)
        else:
            self._retire(number)
        revoked_at = from_instant(revocation.revoked_at)
        db.queue("add_revocation", code_id, revoked_at, revocation.actor, revocation.reason, new_id)
        db.insert_columns("add_code_events", [code_id], [revocation.event.event_name], ["1"])

    def unsent(self, positions: Collection[int]) -> Unsent:
        return Unsent(self._cancelled(positions))

    def _cancelled(self, positions: Collection[int]) -> frozenset[int]:
        rows = self._db.fetch("revoked_events", json.dumps(list(positions)))
        return frozenset(row[0] for row in rows)

    def _assignment(self, code_id: int) -> Assignment | None:
        return first(assignments_from_rows(self._db.fetch("assignment_by_id", code_id)))

    def _add_entry(self, new_id: int, code: str) -> None:
        """Store a new entry of a code as one that came back."""
        raise NotImplementedError

    def _retire(self, number: int) -> None:
        """Count a code of a list as retired and no longer as distributed."""
        raise NotImplementedError


def revocation_of(row: Sequence[object], given: Assignment) -> Revocation:
    """Return the revocation of a row and its assignment."""
    revoked_at, actor, reason, restocked_as = row
    return Revocation(given, to_instant(revoked_at), actor, reason, restocked_as is not None)  # type: ignore[arg-type]


def revocations_of(db: Session, assignments: dict[str, Assignment]) -> dict[str, Revocation]:
    """Return the revocations of assignments, by assignment id."""
    rows: list[Row] = db.fetch("revocations_of_codes", json.dumps([int(each) for each in assignments]))
    return {str(row[0]): revocation_of(row[1:], assignments[str(row[0])]) for row in rows}
