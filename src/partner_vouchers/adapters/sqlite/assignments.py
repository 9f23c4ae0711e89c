"""Assignments and idempotency keys in SQLite."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.delivery import lane_of_key
from partner_vouchers.domain.events import user_key
from partner_vouchers.wire.columns import (
    POSITION_BITS,
    code_id_after,
    first_code_id,
    from_instant,
    to_number,
)
from partner_vouchers.wire.rows import assignments_from_rows, origin_of

_ASSIGNMENT = """
    a.code_id, c.code, a.user_id, a.origin, a.ordinal, a.assigned_at,
    l.id, a.list_version, l.partner, l.tag, t.name, t.description, t.expires_at
"""
_FROM = f"""
    JOIN pv_codes AS c ON c.id = a.code_id
    JOIN pv_lists AS l ON l.id = a.code_id >> {POSITION_BITS}
    JOIN pv_terms AS t ON t.list_id = l.id AND t.version = a.list_version
"""

_LATEST = f"""
    SELECT {_ASSIGNMENT} FROM pv_assignments AS a {_FROM}
    WHERE a.user_id = ? AND a.origin = ? ORDER BY a.ordinal DESC LIMIT 1
"""


class SQLiteAssignments:
    """Who has which code."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, assignments: Sequence[Assignment]) -> None:
        """See `ports.Assignments`. The outbox refers to the assignment, which says all that its event says."""
        rows = [
            (
                int(given.id),
                given.user_id,
                origin_of(given.campaign_id, given.list_id),
                given.ordinal,
                from_instant(given.assigned_at),
                given.terms.version,
            )
            for given in assignments
        ]
        self._db.executemany(
            "INSERT INTO pv_assignments (code_id, user_id, origin, ordinal, assigned_at, list_version) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
        self._db.executemany(
            "INSERT INTO pv_outbox (code_id, lane) VALUES (?, ?)",
            [(row[0], lane_of_key(user_key(row[1]))) for row in rows],
        )

    def latest(self, user_id: str, campaign_id: str | None, list_id: str | None) -> Assignment | None:
        """See `ports.Assignments`."""
        row = self._db.execute(_LATEST, (user_id, origin_of(campaign_id, list_id))).fetchone()
        return None if row is None else assignments_from_rows([row])[0]

    def latest_of_many(
        self, user_ids: Sequence[str], campaign_id: str | None, list_id: str | None
    ) -> dict[str, Assignment]:
        """See `ports.Assignments`."""
        # CROSS JOIN keeps the planner from walking through all assignments to find these users.
        sql = f"""
            SELECT {_ASSIGNMENT}
            FROM json_each(?) AS u
            CROSS JOIN pv_assignments AS a ON a.user_id = u.value AND a.origin = ? {_FROM}
            ORDER BY a.user_id, a.ordinal
        """
        rows = self._db.execute(sql, (json.dumps(user_ids), origin_of(campaign_id, list_id)))
        return {assignment.user_id: assignment for assignment in assignments_from_rows(rows)}

    def get_many(self, ids: Sequence[str]) -> list[Assignment]:
        """See `ports.Assignments`."""
        sql = f"""
            SELECT {_ASSIGNMENT}
            FROM json_each(?) AS i CROSS JOIN pv_assignments AS a ON a.code_id = i.value {_FROM} ORDER BY i.key
        """
        return assignments_from_rows(
            self._db.execute(sql, (json.dumps([to_number(found) for found in ids]),))
        )

    def of_user(self, user_id: str) -> list[Assignment]:
        """See `ports.Assignments`."""
        sql = f"""
            SELECT {_ASSIGNMENT} FROM pv_assignments AS a {_FROM}
            WHERE a.user_id = ? ORDER BY a.assigned_at, a.ordinal, a.code_id
        """
        return assignments_from_rows(self._db.execute(sql, (user_id,)))

    def of_code(self, code: str) -> list[Assignment]:
        """See `ports.Assignments`."""
        sql = f"""
            SELECT {_ASSIGNMENT}
            FROM (
                SELECT code_id FROM pv_active_codes WHERE scope_id IN (SELECT id FROM pv_scopes) AND code = ?
                UNION SELECT code_id FROM pv_superseded_codes WHERE code = ?
            ) AS h
            CROSS JOIN pv_assignments AS a ON a.code_id = h.code_id {_FROM} ORDER BY a.code_id
        """
        return assignments_from_rows(self._db.execute(sql, (code, code)))

    def of_list(self, list_id: str, after: str | None, limit: int) -> list[Assignment]:
        """See `ports.Assignments`."""
        number = to_number(list_id)
        start = code_id_after(after, first_code_id(number))
        sql = f"""
            SELECT {_ASSIGNMENT} FROM pv_assignments AS a {_FROM}
            WHERE a.code_id > ? AND a.code_id < ? ORDER BY a.code_id LIMIT ?
        """
        return assignments_from_rows(self._db.execute(sql, (start, first_code_id(number + 1), limit)))


class SQLiteIdempotencyKeys:
    """The results of requests that carried an idempotency key."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, key: str) -> tuple[str, tuple[str, ...]] | None:
        """See `ports.IdempotencyKeys`."""
        sql = "SELECT fingerprint, code_ids FROM pv_idempotency_keys WHERE key = ?"
        row = self._db.execute(sql, (key,)).fetchone()
        return None if row is None else (row[0], tuple(row[1].split()))

    def put(self, key: str, fingerprint: str, assignment_ids: tuple[str, ...]) -> None:
        """See `ports.IdempotencyKeys`."""
        self._db.execute(
            "INSERT INTO pv_idempotency_keys (key, fingerprint, code_ids) VALUES (?, ?, ?)",
            (key, fingerprint, " ".join(assignment_ids)),
        )


def assignments_by_code_id(db: Database, code_ids: Iterable[int]) -> dict[int, Assignment]:
    """Return assignments by the ids of their codes."""
    sql = f"SELECT {_ASSIGNMENT} FROM json_each(?) AS i CROSS JOIN pv_assignments AS a ON a.code_id = i.value {_FROM}"
    return {
        int(found.id): found
        for found in assignments_from_rows(db.execute(sql, (json.dumps(list(code_ids)),)))
    }
