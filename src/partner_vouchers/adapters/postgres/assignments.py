"""Assignments and idempotency keys in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from partner_vouchers.adapters.postgres.driver import COUNT, Session
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.delivery import lane_of_key
from partner_vouchers.domain.events import user_key
from partner_vouchers.wire.columns import (
    code_id_after,
    first_code_id,
    from_instant,
    last_code_id,
    to_list_number,
    to_number,
)
from partner_vouchers.wire.rows import assignments_from_rows, origin_of

_ASSIGNMENT = """
    a.code_id, a.code, a.user_id, a.origin, a.ordinal, a.assigned_at,
    l.id, a.list_version, l.partner, l.tag, t.name, t.description, t.expires_at
"""
_FROM = """
    JOIN pv_lists AS l ON l.id = a.code_id >> 32
    JOIN pv_terms AS t ON t.list_id = l.id AND t.version = a.list_version
"""
_LATEST = """
    SELECT code_id FROM pv_assignments WHERE user_id = %s AND origin = %s ORDER BY ordinal DESC LIMIT 1
"""

MOST_USER_LOCKS = 1_000
"""Up to how many users of a batch are locked one by one: the server has room for some thousands of locks."""

# The row of the outbox refers to the assignment, which says all that its event says.
_ADD = """
    WITH added AS (
        INSERT INTO pv_assignments (code_id, code, user_id, origin, ordinal, assigned_at, list_version)
        VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING code_id
    )
    INSERT INTO pv_outbox (code_id, lane) SELECT code_id, %s FROM added
"""
_ADD_AND_COUNT = _ADD.replace(
    "    INSERT INTO pv_outbox", f"    , counted AS ({COUNT})\n    INSERT INTO pv_outbox"
)
_ADD_MANY = """
    WITH given AS (
        SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::integer[], %s::bigint[],
                             %s::integer[], %s::smallint[])
            WITH ORDINALITY AS g (code_id, code, user_id, origin, ordinal, assigned_at, list_version, lane, place)
    ), added AS (
        INSERT INTO pv_assignments (code_id, code, user_id, origin, ordinal, assigned_at, list_version)
        SELECT code_id, code, user_id, origin, ordinal, assigned_at, list_version FROM given
    )
    INSERT INTO pv_outbox (code_id, lane) SELECT code_id, lane FROM given ORDER BY place
"""


class PostgresAssignments:
    """Who has which code."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def add(self, assignments: Sequence[Assignment]) -> None:
        """See `ports.Assignments`."""
        rows = [
            (
                to_number(given.id),
                given.code,
                given.user_id,
                origin_of(given.campaign_id, given.list_id),
                given.ordinal,
                from_instant(given.assigned_at),
                given.terms.version,
                lane_of_key(user_key(given.user_id)),
            )
            for given in assignments
        ]
        if len(rows) == 1:
            row, lane = rows[0][:-1], rows[0][-1]
            given = self._db.given
            if given:
                # One statement less for nearly every assignment.
                self._db.queue(_ADD_AND_COUNT, *row, *given.popitem(), lane)
            else:
                self._db.queue(_ADD, *row, lane)
        elif rows:
            self._db.execute(_ADD_MANY, [list(column) for column in zip(*rows, strict=True)])

    def latest(self, user_id: str, campaign_id: str | None, list_id: str | None) -> Assignment | None:
        """See `ports.Assignments`. Until the transaction ends nobody else asks for this user there."""
        origin = origin_of(campaign_id, list_id)
        self._db.lock("user", user_id, origin)
        # Nearly always there is none, and nothing to join.
        found = self._db.fetch(_LATEST, user_id, origin)
        return self.get_many([str(found[0][0])])[0] if found else None

    def latest_of_many(
        self, user_ids: Sequence[str], campaign_id: str | None, list_id: str | None
    ) -> dict[str, Assignment]:
        """See `ports.Assignments`.

        Of more users than the server could lock one by one, a request that races with another fails on the
        constraint of the table, with nothing stored.
        """
        origin = origin_of(campaign_id, list_id)
        if len(user_ids) <= MOST_USER_LOCKS:
            self._db.lock_all(self._db.names.lock_key("user", user_id, origin) for user_id in user_ids)
        sql = f"""
            SELECT {_ASSIGNMENT}
            FROM unnest(%s::text[]) AS u (user_id)
            CROSS JOIN LATERAL (
                SELECT * FROM pv_assignments WHERE user_id = u.user_id AND origin = %s ORDER BY ordinal DESC LIMIT 1
            ) AS a {_FROM}
        """
        rows = self._db.execute(sql, (list(user_ids), origin))
        return {assignment.user_id: assignment for assignment in assignments_from_rows(rows)}

    def get_many(self, ids: Sequence[str]) -> list[Assignment]:
        """See `ports.Assignments`."""
        sql = f"""
            SELECT {_ASSIGNMENT}
            FROM unnest(%s::bigint[]) WITH ORDINALITY AS i (code_id, place)
            JOIN pv_assignments AS a ON a.code_id = i.code_id {_FROM} ORDER BY i.place
        """
        return assignments_from_rows(self._db.execute(sql, ([to_number(found) for found in ids],)))

    def of_user(self, user_id: str) -> list[Assignment]:
        """See `ports.Assignments`."""
        sql = f"""
            SELECT {_ASSIGNMENT} FROM pv_assignments AS a {_FROM}
            WHERE a.user_id = %s ORDER BY a.assigned_at, a.ordinal, a.code_id
        """
        return assignments_from_rows(self._db.execute(sql, (user_id,)))

    def of_code(self, code: str) -> list[Assignment]:
        """See `ports.Assignments`."""
        sql = f"""
            SELECT {_ASSIGNMENT}
            FROM (
                SELECT c.code_id FROM pv_scopes AS s JOIN pv_active_codes AS c ON c.scope_id = s.id AND c.code = %s
                UNION SELECT code_id FROM pv_superseded_codes WHERE code = %s
            ) AS h
            JOIN pv_assignments AS a ON a.code_id = h.code_id {_FROM} ORDER BY a.code_id
        """
        return assignments_from_rows(self._db.execute(sql, (code, code)))

    def of_list(self, list_id: str, after: str | None, limit: int) -> list[Assignment]:
        """See `ports.Assignments`."""
        number = to_list_number(list_id)
        sql = f"""
            SELECT {_ASSIGNMENT} FROM pv_assignments AS a {_FROM}
            WHERE a.code_id > %s AND a.code_id <= %s ORDER BY a.code_id LIMIT %s
        """
        start = code_id_after(after, first_code_id(number))
        return assignments_from_rows(self._db.execute(sql, (start, last_code_id(number), limit)))


class PostgresIdempotencyKeys:
    """The results of requests that carried an idempotency key."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def get(self, key: str) -> tuple[str, tuple[str, ...]] | None:
        """See `ports.IdempotencyKeys`. Until the transaction ends nobody else asks for this key."""
        self._db.lock("key", key)
        sql = "SELECT fingerprint, code_ids FROM pv_idempotency_keys WHERE key = %s"
        rows = self._db.fetch(sql, key)
        return (rows[0][0], tuple(rows[0][1].split())) if rows else None

    def put(self, key: str, fingerprint: str, assignment_ids: tuple[str, ...]) -> None:
        """See `ports.IdempotencyKeys`."""
        self._db.queue(
            "INSERT INTO pv_idempotency_keys (key, fingerprint, code_ids) VALUES (%s, %s, %s)",
            key,
            fingerprint,
            " ".join(assignment_ids),
        )


def assignments_by_code_id(db: Session, code_ids: Iterable[int]) -> dict[int, Assignment]:
    """Return assignments by the ids of their codes."""
    sql = f"SELECT {_ASSIGNMENT} FROM pv_assignments AS a {_FROM} WHERE a.code_id = ANY(%s::bigint[])"
    return {int(found.id): found for found in assignments_from_rows(db.execute(sql, (list(code_ids),)))}
