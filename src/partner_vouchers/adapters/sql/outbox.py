"""The events on their way to the sinks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from attrs import evolve

from partner_vouchers import ports
from partner_vouchers.adapters.sql.assignments import assignments_by_code_id
from partner_vouchers.adapters.sql.columns import to_instant
from partner_vouchers.adapters.sql.redemptions import event_of_code, redemptions_of
from partner_vouchers.adapters.sql.revocations import revocations_of
from partner_vouchers.adapters.sql.rows import campaign_of
from partner_vouchers.adapters.sql.session import Repository, Row, Session
from partner_vouchers.domain.assignment import event_of
from partner_vouchers.domain.events import CodeRevoked, Event, UnreadableEvent
from partner_vouchers.ports import OutboxEntry
from partner_vouchers.wire.stored_events import event_from_json, event_id, event_to_json

STORAGE_ID = "storage id"
"""The name of the setting that tells storages apart."""


class SqlOutbox(Repository, ports.Outbox):
    """The events, in a database in which a row has its position when it is committed."""

    def append(self, events: Sequence[Event]) -> None:
        self._db.queue_many("add_event", [(event.event_name, event_to_json(event)) for event in events])

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
        told = _CodeEvents(self._db, rows)
        entries = list[OutboxEntry]()
        for position, number, nonce, code_id, name, payload, code, user_id, origin, at, version in rows:
            event: Event
            if code_id is None:
                event = event_from_json(name, payload)
            elif name is None:
                snapshot = told.snapshots[code_id >> 32, version]
                event = event_of(code, user_id, campaign_of(origin), _instant(at), snapshot)
            else:
                event = told.event(code_id, name, payload)
            entries.append(OutboxEntry(event_id(storage_id, number, nonce), position, event))
        return entries


# The codes of a batch were given at one instant.
_instant = lru_cache(1024)(to_instant)


class _CodeEvents:
    """Makes the events about codes from what is stored: assignments, revocations and redemptions.

    Attributes:
        snapshots: what the lists of the assignments said, by list and version.
    """

    def __init__(self, db: Session, rows: Sequence[Row]) -> None:
        named, names = set[int](), set[str]()
        # One code for each version of a list: many events share what their list said.
        versions = dict[tuple[int, int], int]()
        for _, _, _, code_id, name, _, _, _, _, _, version in rows:
            if code_id is not None and name is None:
                versions[code_id >> 32, version] = code_id
            elif code_id is not None:
                named.add(code_id)
                names.add(name)
        given = assignments_by_code_id(db, {*versions.values(), *named})
        self.snapshots = {version: given[code_id].snapshot for version, code_id in versions.items()}
        self._given = {code_id: given[code_id] for code_id in named if code_id in given}
        later = {each.id: each for each in self._given.values()}
        self._redemptions = redemptions_of(db, later) if later else {}
        self._revocations = revocations_of(db, later) if CodeRevoked.event_name in names else {}

    def event(self, code_id: int, name: str, payload: str) -> Event:
        """Return an event other than that of the assignment."""
        given = self._given.get(code_id)
        if given is None:
            return event_from_json(name, payload)
        if name == CodeRevoked.event_name and given.id in self._revocations:
            return self._revocations[given.id].event
        found = event_of_code(name, payload, self._redemptions.get(given.id, ()))
        if found is not None:
            return found
        event = event_from_json(name, payload)
        if isinstance(event, UnreadableEvent) and event.user_id is None:
            return evolve(event, user_id=given.user_id, list_id=given.list_id)
        return event
