"""How far each sink has come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import islice

from partner_vouchers.adapters.memory.unit import Repository
from partner_vouchers.adapters.simple import SimpleDeliveries
from partner_vouchers.domain.delivery import Held, Progress


class Deliveries(Repository, SimpleDeliveries):
    """What was delivered to each sink, and what is held back."""

    def sinks(self) -> list[str]:
        return sorted(self._unit.tables.progress)

    def progress(self, sink: str) -> dict[int, Progress]:
        return dict(self._unit.tables.progress.get(sink, {}))

    def save_progress(self, sink: str, lane: int, progress: Progress) -> None:
        tables, log = self._unit.tables, self._unit.log
        if sink not in tables.progress:
            log.put(tables.progress, sink, {})
        log.put(tables.progress[sink], lane, progress)

    def forget(self, sink: str) -> None:
        tables, log = self._unit.tables, self._unit.log
        self.let_go(sink, list(tables.held.get(sink, ())))
        log.drop(tables.progress, sink)
        log.drop(tables.held, sink)

    def hold(self, sink: str, held: Sequence[Held]) -> None:
        tables, log = self._unit.tables, self._unit.log
        if sink not in tables.held:
            log.put(tables.held, sink, {})
        for each in held:
            self.let_go(sink, [each.position])
            log.put(tables.held[sink], each.position, each)
            if not each.is_dead:
                by_key = tables.waiting.setdefault((sink, each.lane), {})
                log.put(by_key.setdefault(each.key, {}), each.position, None)

    def let_go(self, sink: str, positions: Collection[int]) -> None:
        tables, log = self._unit.tables, self._unit.log
        for position in positions:
            gone = log.drop(tables.held.get(sink, {}), position)
            if gone is not None and not gone.is_dead:
                by_key = tables.waiting[sink, gone.lane]
                log.drop(by_key[gone.key], position)

    def due(self, sink: str, lane: int, now: datetime, limit: int) -> list[Held]:
        held, by_key = self._unit.tables.held.get(sink, {}), self._unit.tables.waiting.get((sink, lane), {})
        first = sorted(min(positions) for positions in by_key.values() if positions)
        found = (held[position] for position in first)
        due = (each for each in found if each.retry_at is not None and each.retry_at <= now)
        return list(islice(due, limit))

    def waiting_keys(self, sink: str, lane: int, keys: Collection[str]) -> set[str]:
        by_key = self._unit.tables.waiting.get((sink, lane), {})
        return {key for key in keys if by_key.get(key)}

    def all_held(self, sink: str) -> list[Held]:
        held = self._unit.tables.held.get(sink, {})
        return [held[position] for position in sorted(held)]
