"""How far each sink has come, worked out from all that is held for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from partner_vouchers.domain.delivery import Held
from partner_vouchers.ports.deliveries import Deliveries


class SimpleDeliveries(Deliveries):
    """`Deliveries` for a storage that returns all that is held for a sink. The subclass writes the rest."""

    def all_held(self, sink: str) -> Sequence[Held]:
        """Return what is held for a sink, by position."""
        raise NotImplementedError

    def due(self, sink: str, lane: int, now: datetime, limit: int) -> list[Held]:
        """Return, by position, the waiting events to be tried by `now`: of each key only the first that waits."""
        first: dict[str, Held] = {}
        for held in self._waiting(sink):
            if held.lane == lane:
                first.setdefault(held.key, held)
        return [held for held in first.values() if held.retry_at is not None and held.retry_at <= now][:limit]

    def waiting_keys(self, sink: str, lane: int, keys: Collection[str]) -> set[str]:
        """Return those keys of which an event waits."""
        return {held.key for held in self._waiting(sink) if held.lane == lane} & set(keys)

    def waiting(self, sink: str) -> tuple[int, int | None]:
        """Return how many events wait, and the position of the oldest."""
        waiting = self._waiting(sink)
        return len(waiting), waiting[0].position if waiting else None

    def dead(self, sink: str, after: int, limit: int) -> list[Held]:
        """Return dead letters after a position, in order."""
        return [held for held in self.all_held(sink) if held.is_dead and held.position > after][:limit]

    def _waiting(self, sink: str) -> list[Held]:
        return [held for held in self.all_held(sink) if not held.is_dead]
