"""Where ids of users are."""

from __future__ import annotations

import json
from collections.abc import Iterator

from partner_vouchers.adapters.sql.session import Repository, Row
from partner_vouchers.domain.events import Event, user_key
from partner_vouchers.wire.stored_events import event_from_json


class SqlUsers(Repository):
    """Every column that has the id of a user."""

    def host_events(self, user_id: str) -> list[tuple[int, Event]]:
        return [(max(row[0], 0), event_from_json(row[1], row[2])) for row in self._events(user_id)]

    def rename(self, user_id: str, new_id: str) -> int:
        db = self._db
        for position, _, payload in self._events(user_id):
            db.queue("replace_payload", _renamed(payload, new_id), position)
        db.change("rename_assignments", new_id, user_id)
        db.change("rename_deferred", user_key(new_id), user_id, new_id, user_key(user_id))
        ended = db.change("rename_ended_reservations", new_id, user_id)
        return ended + db.change("rename_reservations", new_id, user_id)

    def _events(self, user_id: str) -> list[Row]:
        # Whoever is confirming or ending one of these writes the id elsewhere: it has done so, or will see the new one.
        self._db.fetch("lock_reservations_of_user", user_id)
        # No event gets its position meanwhile.
        self._db.lock("event order")
        quoted = json.dumps(user_id, ensure_ascii=False)
        return list(_events_of(user_id, self._db.fetch("events_with_text", quoted)))


def _events_of(user_id: str, rows: list[Row]) -> Iterator[Row]:
    """Yield those rows of events that are about a user; the last column is the JSON."""
    for row in rows:
        try:
            stored = json.loads(row[-1])
        except ValueError:
            continue
        if isinstance(stored, dict) and stored.get("user_id") == user_id:
            yield row


def _renamed(payload: str, new_id: str) -> str:
    """Return the JSON of an event about another user."""
    return json.dumps(json.loads(payload) | {"user_id": new_id}, ensure_ascii=False, separators=(",", ":"))
