"""How far each sink has come, worked out from all that is deferred for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from attrs import evolve

from partner_vouchers.domain.delivery import Deferred
from partner_vouchers.ports.deliveries import Deliveries


class SimpleDeliveries(Deliveries):
    """`Deliveries` for a storage that can return all that is deferred for a sink. The subclass writes the rest."""

    def all_deferred(self, sink: str) -> Sequence[Deferred]:
        """Return the deferred events and dead letters of a sink, by position."""
        raise NotImplementedError

    def find(self, sink: str, positions: Collection[int]) -> list[Deferred]:
        return [row for row in self.all_deferred(sink) if row.position in positions]

    def due(self, sink: str, now: datetime, limit: int) -> list[Deferred]:
        due = [row for row in self._first(sink).values() if row.retry_at is not None and row.retry_at <= now]
        return sorted(due, key=lambda row: (row.retry_at, row.position))[:limit]

    def promote(self, sink: str, keys: Collection[str], now: datetime) -> set[str]:
        found = {key: row for key, row in self._first(sink).items() if key in keys}
        self.put(sink, [evolve(row, retry_at=now) for row in found.values() if row.retry_at is None])
        return set(found)

    def deferred_keys(self, sink: str, keys: Collection[str]) -> set[str]:
        return self._first(sink).keys() & set(keys)

    def backlog(self, sink: str) -> tuple[int, int | None]:
        rows = [row for row in self.all_deferred(sink) if not row.is_dead]
        return len(rows), rows[0].position if rows else None

    def dead(self, sink: str, after: int, limit: int) -> list[Deferred]:
        return [row for row in self.all_deferred(sink) if row.is_dead and row.position > after][:limit]

    def dead_with_ids(self, sink: str, ids: Collection[str]) -> list[Deferred]:
        return [row for row in self.all_deferred(sink) if row.is_dead and row.id in ids]

    def count_dead(self, sink: str) -> int:
        return sum(row.is_dead for row in self.all_deferred(sink))

    def _first(self, sink: str) -> dict[str, Deferred]:
        first: dict[str, Deferred] = {}
        for row in self.all_deferred(sink):
            if not row.is_dead:
                first.setdefault(row.key, row)
        return first
