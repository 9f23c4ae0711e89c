"""How far each sink has come."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from partner_vouchers.adapters.memory.unit import Repository
from partner_vouchers.adapters.simple import SimpleDeliveries
from partner_vouchers.domain.delivery import Deferred, SinkProgress


class Deliveries(Repository, SimpleDeliveries):
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
