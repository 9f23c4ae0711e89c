"""How far each sink has come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from attrs import evolve

from partner_vouchers.adapters.memory.unit import Repository
from partner_vouchers.adapters.simple import SimpleDeliveries
from partner_vouchers.domain.delivery import Deferred, SinkProgress


class Deliveries(Repository, SimpleDeliveries):
    """What the sinks have, and what they did not take."""

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
        tables, log = self._unit.tables, self._unit.log
        rows = tables.deferred.setdefault(sink, {})
        for row in deferred:
            self.remove(sink, [row.position])
            log.put(rows, row.position, row)
            if not row.is_dead:
                log.put(tables.deferred_keys.setdefault((sink, row.key), {}), row.position, None)
            if row.retry_at is not None:
                log.put(tables.due.setdefault(sink, {}), row.position, row.retry_at)

    def remove(self, sink: str, positions: Collection[int]) -> None:
        tables, log = self._unit.tables, self._unit.log
        for position in positions:
            gone = log.drop(tables.deferred.get(sink, {}), position)
            if gone is not None:
                log.drop(self._of_key(sink, gone.key), position)
                log.drop(tables.due.get(sink, {}), position)

    def all_deferred(self, sink: str) -> list[Deferred]:
        rows = self._unit.tables.deferred.get(sink, {})
        return [rows[position] for position in sorted(rows)]

    def find(self, sink: str, positions: Collection[int]) -> list[Deferred]:
        rows = self._unit.tables.deferred.get(sink, {})
        return [rows[position] for position in sorted(set(positions)) if position in rows]

    def due(self, sink: str, now: datetime, limit: int) -> list[Deferred]:
        due = self._unit.tables.due.get(sink, {})
        rows = self._unit.tables.deferred.get(sink, {})
        found = sorted((retry_at, position) for position, retry_at in due.items() if retry_at <= now)
        first = (
            rows[position] for _, position in found if min(self._of_key(sink, rows[position].key)) == position
        )
        return [row for _, row in zip(range(limit), first, strict=False)]

    def promote(self, sink: str, keys: Collection[str], now: datetime) -> set[str]:
        rows = self._unit.tables.deferred.get(sink, {})
        found = {key: min(positions) for key in keys if (positions := self._of_key(sink, key))}
        first = (rows[position] for position in found.values())
        self.put(sink, [evolve(row, retry_at=now) for row in first if row.retry_at is None])
        return set(found)

    def deferred_keys(self, sink: str, keys: Collection[str]) -> set[str]:
        return {key for key in keys if self._of_key(sink, key)}

    def _of_key(self, sink: str, key: str) -> dict[int, None]:
        return self._unit.tables.deferred_keys.get((sink, key), {})
