"""How far each sink has come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from partner_vouchers.domain.delivery import Held, Progress


class Deliveries(Protocol):
    """What was delivered to each sink, and what is held back.

    An event is settled for a sink once the sink has taken it or it is held; `Progress` tells which are. A held one
    waits for another try, or is a dead letter, which has no `retry_at`.
    """

    def sinks(self) -> list[str]:
        """Return the names of the sinks with any progress, in order."""
        ...

    def progress(self, sink: str) -> dict[int, Progress]:
        """Return the progress of a sink by lane; nothing for a lane, or a sink, that is new."""
        ...

    def save_progress(self, sink: str, lane: int, progress: Progress) -> None:
        """Replace the progress of a sink in a lane."""
        ...

    def forget(self, sink: str) -> None:
        """Forget a sink: its progress, and all that is held for it."""
        ...

    def hold(self, sink: str, held: Sequence[Held]) -> None:
        """Store held events, or replace those that have the same position."""
        ...

    def let_go(self, sink: str, positions: Collection[int]) -> None:
        """Forget held events."""
        ...

    def due(self, sink: str, lane: int, now: datetime, limit: int) -> list[Held]:
        """Return, by position, the waiting events to be tried by `now`: of each key only the first that waits."""
        ...

    def waiting_keys(self, sink: str, lane: int, keys: Collection[str]) -> set[str]:
        """Return those keys of which an event waits."""
        ...

    def waiting(self, sink: str) -> tuple[int, int | None]:
        """Return how many events wait, and the position of the oldest."""
        ...

    def dead(self, sink: str, after: int, limit: int) -> list[Held]:
        """Return dead letters after a position, in order."""
        ...

    def count_dead(self, sink: str) -> int:
        """Return how many dead letters there are. It has a body."""
        return len(self.dead(sink, 0, 2**31))
