"""Work on one lane: form batches of it, and settle what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import field, frozen

from partner_vouchers.domain.delivery import Held, Progress, choose_due
from partner_vouchers.ports import OutboxEntry, Transaction

_LEAST_WINDOW = 100
_USUAL_WINDOW = 1000

_CROWDED = 20


@frozen
class Batch:
    """Events of a lane that are tried together, at most one of each key, by position.

    Attributes:
        entries: the events.
        held: those of them that were held already, by position.
        parked: events that must wait for an earlier one of their key, which is held.
    """

    entries: Sequence[OutboxEntry] = ()
    held: dict[int, Held] = field(factory=dict)
    parked: Sequence[Held] = ()

    def settles(self) -> set[int]:
        """Return the positions that need not be read again, whatever becomes of the batch."""
        fresh = {entry.position for entry in self.entries} - self.held.keys()
        return fresh | {each.position for each in self.parked}


class LaneWork:
    """What one relay knows of a lane while it has the lease on it, so that nobody else changes it.

    It reads some way ahead of what can be sent now, since of a user who has many events only the first can.

    Attributes:
        lane: the lane.
        batches: how many batches of it were settled.
    """

    def __init__(self, sink: str, lane: int, batch_size: int, target: int) -> None:
        """Begin to work on a lane.

        Args:
            sink: the name of the sink.
            lane: the lane.
            batch_size: the most events of a batch.
            target: up to which position the outbox is read, at least.
        """
        self.lane = lane
        self._sink = sink
        self._batch_size = batch_size
        self._target = target
        self._window = max(_LEAST_WINDOW, min(2 * batch_size, _USUAL_WINDOW), batch_size)
        self.batches: int = 0
        self._progress: Progress | None = None
        self._reached = 0
        self._read: list[int] = []
        self._open: list[OutboxEntry] = []
        self._due: list[Held] = []

    def next_batch(self, tx: Transaction, now: datetime, limit: int) -> Batch:
        """Return what to try next, at most `limit` events; an empty batch where there is nothing to do now."""
        if self._progress is None:
            self._progress = tx.deliveries.progress(self._sink).get(self.lane, Progress())
            self._reached = self._progress.position
        if not self._due:
            # Many at once: of very many that wait, to find the first takes long.
            self._due = tx.deliveries.due(self._sink, self.lane, now, max(self._batch_size, _USUAL_WINDOW))
        due = choose_due(self._due, self._batch_size)
        held = {each.position: each for each in due[:limit]}
        entries = tx.outbox.get_many(list(held)) if held else []
        if any(each.attempts for each in held.values()):
            return Batch(entries, held)
        self._look_ahead(tx, self._progress)
        fresh, parked = self._choose(tx, now, limit, entries)
        return Batch(sorted([*entries, *fresh], key=lambda entry: entry.position), held, parked)

    def settle(self, tx: Transaction, batch: Batch, not_taken: Sequence[Held]) -> bool:
        """Store what became of a batch.

        Returns:
            False, and stores nothing, where the sink was forgotten meanwhile.
        """
        stored = tx.deliveries.progress(self._sink).get(self.lane)
        if stored is None or self._progress is None:
            return False
        missed = {each.position for each in not_taken}
        tx.deliveries.hold(self._sink, [*not_taken, *batch.parked])
        tx.deliveries.let_go(self._sink, [position for position in batch.held if position not in missed])
        progress = self._progress.settle(self._read, self._reached, batch.settles())
        if progress != stored:
            tx.deliveries.save_progress(self._sink, self.lane, progress)
        return True

    def has_more(self, tx: Transaction, now: datetime, batch: Batch) -> bool:
        """Tell whether there may be something to do once a batch is settled."""
        if self._reached < self._target or len(self._open) > len(batch.settles()):
            return True
        if any(each.position not in batch.held for each in self._due):
            return True
        return bool(tx.deliveries.due(self._sink, self.lane, now, 1))

    def settled(self, batch: Batch) -> None:
        """Take note that `settle` was committed."""
        self.batches += 1
        done = batch.settles()
        self._open = [entry for entry in self._open if entry.position not in done]
        self._due = [each for each in self._due if each.position not in batch.held]
        if self._progress is not None:
            self._progress = progress = self._progress.settle(self._read, self._reached, done)
            self._read = [position for position in self._read if position > progress.position]

    def _look_ahead(self, tx: Transaction, progress: Progress) -> None:
        if 2 * len(self._open) > self._window or self._reached >= self._target:
            return
        ahead = {position for position in progress.ahead if position > self._reached}
        entries, self._reached = tx.outbox.read_lane(
            self.lane, self._reached, self._window - len(self._open) + len(ahead)
        )
        self._read += [entry.position for entry in entries]
        self._open += [entry for entry in entries if entry.position not in ahead]

    def _choose(
        self, tx: Transaction, now: datetime, limit: int, due: Sequence[OutboxEntry]
    ) -> tuple[list[OutboxEntry], list[Held]]:
        """Return the first open event of each key that has none waiting, and those that have to wait."""
        if not self._open:
            return [], []
        keyed = [(entry.event.ordering_key, entry) for entry in self._open]
        waiting = tx.deliveries.waiting_keys(self._sink, self.lane, {key for key, _ in keyed})
        room = limit - len(due)
        chosen, behind = dict[str, OutboxEntry](), list[tuple[str, OutboxEntry]]()
        for key, entry in keyed:
            if key in waiting or (key in chosen or len(chosen) >= room):
                behind.append((key, entry))
            else:
                chosen[key] = entry
        # A few users with very many events must not keep the others out of sight.
        crowded = len(self._open) >= self._window and _CROWDED * (len(chosen) + len(due)) < limit
        parked = [
            Held(entry.position, self.lane, key, 0, now)
            for key, entry in behind
            if key in waiting or (crowded and key in chosen)
        ]
        return list(chosen.values()), parked
