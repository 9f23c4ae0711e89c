"""What was done: events, the audit log, uploads; and what must be remembered while doing it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import islice

from partner_vouchers import ports
from partner_vouchers.adapters import simple
from partner_vouchers.adapters.memory.unit import Repository, Unit
from partner_vouchers.domain.delivery import Deferred, SinkProgress
from partner_vouchers.domain.events import AuditedEvent, Event
from partner_vouchers.domain.uploads import RowFault, Upload
from partner_vouchers.errors import StorageError
from partner_vouchers.ports import AuditEntry, OutboxEntry


class IdempotencyKeys(Repository, ports.IdempotencyKeys):
    def get(self, key: str) -> tuple[str, tuple[str, ...]] | None:
        return self._unit.tables.keys.get(key)

    def put(self, key: str, fingerprint: str, results: tuple[str, ...]) -> None:
        if key in self._unit.tables.keys:
            raise StorageError(reason=f"idempotency key {key!r} is stored already; read it with `get`")
        self._unit.log.put(self._unit.tables.keys, key, (fingerprint, results))


class Outbox(Repository, ports.Outbox):
    def __init__(self, unit: Unit, origin: str) -> None:
        """Take the name of the storage, with which the ids of its events begin."""
        super().__init__(unit)
        self._origin = origin

    def append(self, events: Sequence[Event]) -> None:
        tables, log = self._unit.tables, self._unit.log
        for event in events:
            position = next(tables.outbox_positions)
            log.append(tables.outbox, OutboxEntry(f"{self._origin}-{position}", position, event))

    def read(self, after: int, limit: int) -> list[OutboxEntry]:
        start = self._index(after)
        return self._unit.tables.outbox[start : start + limit]

    def count(self, after: int, until: int, limit: int) -> int:
        return min(max(self._index(until) - self._index(after), 0), limit)

    def last_position(self) -> int:
        outbox = self._unit.tables.outbox
        return outbox[-1].position if outbox else 0

    def remove(self, until: int) -> int:
        tables = self._unit.tables
        kept_for_sinks = {position for rows in tables.deferred.values() for position in rows}
        kept = [
            entry for entry in tables.outbox if entry.position > until or entry.position in kept_for_sinks
        ]
        removed = len(tables.outbox) - len(kept)
        self._unit.log.keep(tables.outbox, kept)
        return removed

    def _index(self, position: int) -> int:
        return bisect_right(self._unit.tables.outbox, position, key=lambda entry: entry.position)


class Audit(Repository, ports.Audit):
    def append(self, actor: str | None, events: Sequence[AuditedEvent]) -> None:
        tables, log = self._unit.tables, self._unit.log
        for event in events:
            log.append(tables.audit, AuditEntry(next(tables.audit_positions), actor, event))

    def entries(self, list_id: str | None, actor: str | None, after: int, limit: int) -> list[AuditEntry]:
        log = self._unit.tables.audit
        start = bisect_right(log, after, key=lambda entry: entry.position)
        found = (
            entry
            for entry in islice(log, start, None)
            if (list_id is None or entry.event.list_id == list_id) and (actor is None or entry.actor == actor)
        )
        return list(islice(found, limit))


class Uploads(Repository, simple.SimpleUploads[ports.Transaction]):
    def new_id(self) -> str:
        return str(next(self._unit.tables.upload_ids))

    def add(self, upload: Upload) -> None:
        tables, log = self._unit.tables, self._unit.log
        tables.list(upload.list_id)
        if upload.id in tables.ids_of_uploads:
            raise StorageError(
                reason=f"the id {upload.id} was already used for an upload; take another from `new_id`"
            )
        log.put(tables.uploads, upload.id, upload)
        log.put(tables.ids_of_uploads, upload.id, None)
        log.put(tables.pieces, upload.id, {})

    def replace(self, upload: Upload) -> None:
        self._unit.log.put(self._unit.tables.uploads, upload.id, upload)

    def get(self, upload_id: str) -> Upload | None:
        return self._unit.tables.uploads.get(upload_id)

    def all_stored(self) -> Iterable[Upload]:
        return self._unit.tables.uploads.values()

    def insert_piece(self, upload_id: str, index: int, data: bytes) -> None:
        self._unit.log.put(self._unit.tables.pieces[upload_id], index, bytes(data))

    def piece(self, upload_id: str, index: int) -> bytes | None:
        return self._unit.tables.pieces.get(upload_id, {}).get(index)

    def faults(self, upload_id: str, after_line: int, limit: int) -> list[RowFault]:
        faults = self._unit.tables.faults.get(upload_id, [])
        start = bisect_right(faults, after_line, key=lambda fault: fault.line)
        return faults[start : start + limit]


class Leases(Repository, simple.SimpleLeases):
    """Promises that one process works on a thing. All holders live in this process, so none is ever dead."""

    def stored(self, name: str) -> tuple[str, datetime] | None:
        return self._unit.tables.leases.get(name)

    def store(self, name: str, lease: tuple[str, datetime] | None) -> None:
        if lease is None:
            self._unit.log.drop(self._unit.tables.leases, name)
        else:
            self._unit.log.put(self._unit.tables.leases, name, lease)


class Settings(Repository, ports.Settings):
    def get(self, name: str) -> str | None:
        return self._unit.tables.settings.get(name)

    def put(self, name: str, value: str) -> None:
        self._unit.log.put(self._unit.tables.settings, name, value)


class Deliveries(Repository, simple.SimpleDeliveries):
    def sinks(self) -> list[str]:
        return sorted(self._unit.tables.progress)

    def progress(self, sink: str) -> SinkProgress | None:
        return self._unit.tables.progress.get(sink)

    def save_progress(self, sink: str, progress: SinkProgress) -> None:
        self._unit.log.put(self._unit.tables.progress, sink, progress)

    def forget(self, sink: str) -> None:
        tables, log = self._unit.tables, self._unit.log
        self.remove(sink, list(tables.deferred.get(sink, ())))
        log.drop(tables.progress, sink)

    def put(self, sink: str, deferred: Sequence[Deferred]) -> None:
        rows = self._unit.tables.deferred.setdefault(sink, {})
        for row in deferred:
            self._unit.log.put(rows, row.position, row)

    def remove(self, sink: str, positions: Collection[int]) -> None:
        for position in positions:
            self._unit.log.drop(self._unit.tables.deferred.get(sink, {}), position)

    def all_deferred(self, sink: str) -> list[Deferred]:
        rows = self._unit.tables.deferred.get(sink, {})
        return [rows[position] for position in sorted(rows)]
