"""Where ids of users are in PostgreSQL: events without a position, too."""

from __future__ import annotations

from partner_vouchers.adapters.sql.users import SqlUsers, events_of, quoted, renamed
from partner_vouchers.domain.events import Event
from partner_vouchers.wire.stored_events import event_from_json


class PostgresUsers(SqlUsers):
    """Every column that has the id of a user."""

    def host_events(self, user_id: str) -> list[tuple[int, Event]]:
        # No event gets a position meanwhile.
        self._db.lock("event order")
        found = events_of(user_id, self._db.fetch("unordered_with_text", quoted(user_id)))
        return [*super().host_events(user_id), *((0, event_from_json(row[1], row[2])) for row in found)]

    def rename(self, user_id: str, new_id: str) -> int:
        self._db.lock("event order")
        for number, _, payload in events_of(user_id, self._db.fetch("unordered_with_text", quoted(user_id))):
            self._db.queue("replace_unordered_payload", renamed(payload, new_id), number)
        return super().rename(user_id, new_id)
