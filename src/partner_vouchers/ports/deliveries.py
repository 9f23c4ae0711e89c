"""How far each sink has come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from partner_vouchers.domain.delivery import Deferred, SinkProgress


class Deliveries(Protocol):
    """The progress of the sinks, and the events that they did not take.

    `domain.delivery` explains the states of an event.
    """

    def sinks(self) -> list[str]:
        """Return the names of the sinks that have any progress, in order."""

    def progress(self, sink: str) -> SinkProgress | None:
        """Return the progress of a sink; None for a sink that is not known."""

    def progress_for_update(self, sink: str) -> SinkProgress | None:
        """Return the progress of a sink; no other transaction saves it until this one ends.

        It has a body for storages with one writer at a time.
        """
        return self.progress(sink)

    def save_progress(self, sink: str, progress: SinkProgress) -> None:
        """Store or replace the progress of a sink."""

    def forget(self, sink: str) -> None:
        """Remove the progress of a sink and all its deferred events and dead letters."""

    def put(self, sink: str, deferred: Sequence[Deferred]) -> None:
        """Store deferred events, or replace those that have the same position."""

    def remove(self, sink: str, positions: Collection[int]) -> None:
        """Remove deferred events."""

    def find(self, sink: str, positions: Collection[int]) -> list[Deferred]:
        """Return the deferred events and dead letters at these positions, in order."""

    def due(self, sink: str, now: datetime, limit: int) -> list[Deferred]:
        """Return events whose `retry_at` has come, by `retry_at` and position.

        Dead letters are left out, and so is an event that has an earlier one of its key before it. Those that are in
        flight are included: their process may have died.
        """

    def promote(self, sink: str, keys: Collection[str], now: datetime) -> set[str]:
        """Make the first event of each key due now, if it has no `retry_at`; return the keys that have one.

        Dead letters are left out.
        """

    def deferred_keys(self, sink: str, keys: Collection[str]) -> set[str]:
        """Return those keys of which an event is deferred or in flight; dead letters are left out."""

    def backlog(self, sink: str) -> tuple[int, int | None]:
        """Return how many events are deferred or in flight, and the position of the oldest."""

    def dead(self, sink: str, after: int, limit: int) -> list[Deferred]:
        """Return dead letters after a position, in order."""

    def dead_with_ids(self, sink: str, ids: Collection[str]) -> list[Deferred]:
        """Return the dead letters with these ids, in order."""

    def count_dead(self, sink: str) -> int:
        """Return how many dead letters there are."""
