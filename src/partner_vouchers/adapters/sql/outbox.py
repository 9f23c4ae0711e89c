"""The events on their way to the sinks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from partner_vouchers.adapters.sql.assignments import assignments_by_code_id
from partner_vouchers.adapters.sql.session import Row, Session
from partner_vouchers.domain.events import Event
from partner_vouchers.ports import OutboxEntry, Unordered
from partner_vouchers.wire.stored_events import event_from_json, event_id, event_to_json

STORAGE_ID = "storage id"
"""The name of the setting that tells storages apart."""


class SqlOutbox:
    """The events, in a database in which a row has its position when it is committed."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def append(self, events: Sequence[Event]) -> None:
        self._db.queue_many("add_event", [(event.event_name, event_to_json(event)) for event in events])

    def can_order(self) -> bool:
        return False

    def order(self) -> bool:
        return False

    def unordered(self, limit: int) -> Unordered:
        return Unordered()

    def read(self, after: int, limit: int) -> list[OutboxEntry]:
        return self._entries(self._db.fetch("events_after", after, limit))

    def get_many(self, positions: Sequence[int]) -> list[OutboxEntry]:
        return self._entries(self._db.fetch("events_at", json.dumps(list(positions)))) if positions else []

    def count(self, after: int, until: int, limit: int) -> int:
        return int(self._db.fetch("count_events", after, until, limit)[0][0])

    def last_position(self) -> int:
        return int(self._db.fetch("last_event")[0][0])

    def remove(self, until: int) -> int:
        return self._db.change("remove_events", until)

    def _entries(self, rows: Sequence[Row]) -> list[OutboxEntry]:
        if not rows:
            return []
        storage_id = str(self._db.fetch("setting", STORAGE_ID)[0][0])
        rewards = assignments_by_code_id(self._db, _codes(rows))
        return [
            OutboxEntry(
                event_id(storage_id, number, nonce),
                position,
                rewards[code_id].event if code_id is not None else event_from_json(name, payload),
            )
            for position, number, nonce, code_id, name, payload in rows
        ]


def _codes(rows: Iterable[Row]) -> list[int]:
    return [code_id for _, _, _, code_id, _, _ in rows if code_id is not None]
