"""Assignments and idempotency keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from partner_vouchers.adapters.sql.columns import (
    code_id_after,
    first_code_id,
    last_code_id,
    to_list_number,
    to_number,
)
from partner_vouchers.adapters.sql.rows import assignments_from_rows, origin_of
from partner_vouchers.adapters.sql.session import Repository, Session, first
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.ports.codes import NOTHING, Holding

RESERVES = Holding(has_reservation=True)


class SqlAssignments(Repository):
    """Who has which code. How they are added differs."""

    def holding(self, user_id: str, campaign_id: str | None, list_id: str | None) -> Holding:
        origin = origin_of(campaign_id, list_id)
        # Until the transaction ends nobody else asks for this user there.
        self._db.lock("user", user_id, origin)
        rows = self._db.fetch("holding_of_user", user_id, origin, user_id, origin)
        if not rows:
            return NOTHING
        given, reserves = None, False
        for code_id, is_reserved in rows:
            if is_reserved:
                reserves = True
            else:
                given = code_id
        if given is None:
            return RESERVES
        last = assignments_from_rows(self._db.fetch("assignment_by_id", given))[0]
        held = last if last.revoked_at is None else self._held([user_id], origin).get(user_id)
        return Holding(held, last.ordinal, reserves)

    def holdings(
        self, user_ids: Sequence[str], campaign_id: str | None, list_id: str | None
    ) -> dict[str, Holding]:
        origin, users = origin_of(campaign_id, list_id), json.dumps(user_ids)
        self._db.lock_many([("user", user_id, origin) for user_id in user_ids])
        latest = assignments_from_rows(self._db.fetch("latest_of_users", users, origin))
        found = {user_id: RESERVES for (user_id,) in self._db.fetch("reserving_users", users, origin)}
        revoked = [last.user_id for last in latest if last.revoked_at is not None]
        held = self._held(revoked, origin) if revoked else {}
        for last in latest:
            kept = last if last.revoked_at is None else held.get(last.user_id)
            found[last.user_id] = Holding(kept, last.ordinal, last.user_id in found)
        return found

    def _held(self, user_ids: Sequence[str], origin: str) -> dict[str, Assignment]:
        """Return what users hold whose latest code was revoked."""
        rows = self._db.fetch("held_by_users", json.dumps(user_ids), origin)
        return {assignment.user_id: assignment for assignment in assignments_from_rows(rows)}

    def get_many(self, ids: Sequence[str]) -> list[Assignment]:
        numbers = json.dumps([to_number(each) for each in ids])
        return assignments_from_rows(self._db.fetch("assignments_by_ids", numbers))

    def of_user(self, user_id: str) -> list[Assignment]:
        return assignments_from_rows(self._db.fetch("assignments_of_user", user_id))

    def of_code(self, code: str) -> list[Assignment]:
        return assignments_from_rows(self._db.fetch("assignments_of_code", code))

    def of_list(self, list_id: str, after: str | None, limit: int) -> list[Assignment]:
        number = to_list_number(list_id)
        start = code_id_after(after, first_code_id(number))
        return assignments_from_rows(
            self._db.fetch("assignments_of_list", start, last_code_id(number), limit)
        )


class SqlIdempotencyKeys(Repository):
    def get(self, key: str) -> tuple[str, tuple[str, ...]] | None:
        # Until the transaction ends nobody else asks for this key.
        self._db.lock("key", key)
        row = first(self._db.fetch("key", key))
        return None if row is None else (row[0], tuple(row[1].split()))

    def put(self, key: str, fingerprint: str, results: tuple[str, ...]) -> None:
        self._db.queue("add_key", key, fingerprint, " ".join(results))


def assignments_by_code_id(db: Session, code_ids: Iterable[int]) -> dict[int, Assignment]:
    """Return assignments by the ids of their codes."""
    rows = db.fetch("assignments_by_ids", json.dumps(list(code_ids)))
    return {row[0]: found for row, found in zip(rows, assignments_from_rows(rows), strict=True)}
