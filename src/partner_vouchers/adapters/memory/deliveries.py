"""How far each sink has come."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from partner_vouchers.adapters.memory.unit import Repository
from partner_vouchers.domain.delivery import Held, Progress
from partner_vouchers.ports.simple import SimpleDeliveries


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
        log.drop(tables.progress, sink)
        log.drop(tables.held, sink)

    def hold(self, sink: str, held: Sequence[Held]) -> None:
        tables, log = self._unit.tables, self._unit.log
        if sink not in tables.held:
            log.put(tables.held, sink, {})
        for each in held:
            log.put(tables.held[sink], each.position, each)

    def let_go(self, sink: str, positions: Collection[int]) -> None:
        held = self._unit.tables.held.get(sink, {})
        for position in positions:
            self._unit.log.drop(held, position)

    def all_held(self, sink: str) -> list[Held]:
        held = self._unit.tables.held.get(sink, {})
        return [held[position] for position in sorted(held)]
