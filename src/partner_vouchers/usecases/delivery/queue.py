"""What the owner of a sink has read of its outbox and not sent yet, and which of it goes into the next call.

The owner alone changes the state of the sink's events, so what is here is ahead of the storage by what was not
committed yet. `domain.delivery` has the table of states.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from attrs import evolve, frozen

from partner_vouchers.domain.delivery import Deferred, DeliveryState, SinkProgress, batch_limit
from partner_vouchers.domain.events import UnreadableEvent
from partner_vouchers.ports import EventSink, OutboxEntry, Transaction

_LEAST_WINDOW = 100
_MOST_BEHIND = 10_000
_DUE_AT_ONCE = 1000
_CROWDED = 20
_UNREADABLE_FOR = timedelta(minutes=5)


@frozen
class Batch:
    """Events that are sent in one call, by position.

    Attributes:
        number: grows with each call of a delivery run.
        entries: the events.
        rows: how each of them is deferred, or would be, by position. One that could not be read when it was deferred
            may have another key since then.
        deferred: the positions of those that were deferred before.
    """

    number: int
    entries: Sequence[OutboxEntry]
    rows: dict[int, Deferred]
    deferred: Collection[int] = ()

    @property
    def is_new(self) -> bool:
        """Whether it has an event that the sink never refused."""
        return any(not self.rows[entry.position].reason for entry in self.entries)

    @property
    def keys(self) -> set[str]:
        """The ordering keys of its events."""
        return {self.rows[entry.position].key for entry in self.entries}


Item = tuple[Deferred, OutboxEntry]
"""An event, and how it is deferred or would be."""


@frozen
class Read:
    """What was read in one transaction: new events, up to where, which keys are deferred, and what is due."""

    items: Sequence[Item] = ()
    reached: int = 0
    deferred_keys: Collection[str] = ()
    due: Sequence[tuple[Deferred, OutboxEntry | None]] | None = None


@frozen
class Changes:
    """What has to be stored: rows to put, positions of rows to remove, and keys whose first event becomes due."""

    put: Sequence[Deferred]
    removed: Collection[int]
    keys: Collection[str]


def key_of(entry: OutboxEntry) -> str:
    """Return the ordering key of an entry; an unreadable one of which nothing is known has one of its own."""
    key = entry.event.ordering_key
    return key if key or not isinstance(entry.event, UnreadableEvent) else f"unreadable:{entry.position}"


class Queue:
    """The events of a sink that its owner has in hand.

    It reads some way ahead of what can be sent now: if the sink does not take batches in order, only the first event
    of a key can be in flight, and the others of the key are kept behind it.
    """

    def __init__(self, sink: EventSink, progress: SinkProgress, target: int) -> None:
        """Begin after the settled events.

        Args:
            sink: the sink.
            progress: how far it has come.
            target: up to which position the outbox is read, at least.
        """
        self._sink = sink.name
        self._in_order = getattr(sink, "takes_batches_in_order", False) is True
        self._batch_size = sink.batch_size
        self._window = max(_LEAST_WINDOW, sink.batch_size * (sink.concurrency + 1))
        self._target = target
        self._base = progress
        self._reached = progress.position
        self._known: list[int] = []
        self._open: set[int] = set()
        self._waiting: list[Item] = []
        self._behind: dict[str, deque[Item]] = {}
        self._behind_count = 0
        self._due: dict[int, tuple[Deferred, OutboxEntry | None]] = {}
        self._may_be_due: bool = True
        self._busy_keys: set[str] = set()
        self._deferred_keys: set[str] = set()
        self._sent = progress.sent
        self._calls = 0
        self._put: dict[int, Deferred] = {}
        self._removed: set[int] = set()
        self._touched: set[str] = set()

    # --- reading -----------------------------------------------------------------------------------------------

    def wants_more(self) -> bool:
        """Return whether `read` could find anything."""
        return self._wants_entries() or (self._may_be_due and not self._due)

    def read(self, tx: Transaction, now: datetime) -> Read:
        """Read ahead, without changing the queue."""
        entries, reached = list[OutboxEntry](), self._reached
        if self._wants_entries():
            limit = self._window
            entries = tx.outbox.read(self._reached, limit)
            reached = entries[-1].position if entries else self._target
            if len(entries) < limit:
                reached = max(reached, self._target)
        items = [(Deferred(entry.position, entry.id, key_of(entry)), entry) for entry in entries]
        keys = {row.key for row, _ in items}
        deferred_keys = tx.deliveries.deferred_keys(self._sink, keys) if keys else set[str]()
        if not self._may_be_due or self._due:
            return Read(items, reached, deferred_keys)
        rows = tx.deliveries.due(self._sink, now, max(self._batch_size, _DUE_AT_ONCE) + len(self._removed))
        found = {entry.position: entry for entry in tx.outbox.get_many([row.position for row in rows])}
        return Read(items, reached, deferred_keys, [(row, found.get(row.position)) for row in rows])

    def add(self, read: Read) -> None:
        """Add what was read."""
        self._reached = read.reached
        self._known += [row.position for row, _ in read.items]
        fresh = [item for item in read.items if not self._base.is_settled(item[0].position)]
        self._open.update(row.position for row, _ in fresh)
        for item in fresh:
            line = None if self._in_order else self._behind.get(item[0].key)
            if line is not None:
                line.append(item)
                self._behind_count += 1
                continue
            self._waiting.append(item)
            if not self._in_order:
                self._behind[item[0].key] = deque()
        self._deferred_keys.update(read.deferred_keys)
        if read.due is not None:
            self._may_be_due = False
            # Of a key with changes that are not stored yet, the storage does not know which event is the first.
            self._due = {
                row.position: (row, entry)
                for row, entry in read.due
                if row.key not in self._busy_keys and row.key not in self._touched
            }

    def _wants_entries(self) -> bool:
        return (
            self._reached < self._target
            and 2 * len(self._waiting) <= self._window
            and self._behind_count < _MOST_BEHIND
        )

    # --- choosing ----------------------------------------------------------------------------------------------

    def next_batch(
        self, now: datetime, failures: int, suspect: int | None, *, new_only: bool = False
    ) -> Batch | None:
        """Return what to send next, which is in flight from now on; None if there is nothing to send now.

        Args:
            now: the present instant.
            failures: how often in a row the sink failed; each makes the batch smaller.
            suspect: the position of an event that is sent only if there is no other.
            new_only: whether events that the sink refused before are left out.
        """
        limit = batch_limit(self._batch_size, failures)
        rows = self._due_rows(now, limit, suspect, new_only=new_only)
        alone = any(row.failures for row, _ in rows)
        fresh = [] if alone and suspect is None else self._fresh(now, limit if alone else limit - len(rows))
        if alone and fresh:
            rows = []
        items = sorted([*fresh, *rows], key=lambda item: item[0].position)
        if not items:
            return None
        self._calls += 1
        deferred = {row.position: row for row, _ in rows}
        for row in deferred.values():
            del self._due[row.position]
            self._put[row.position] = evolve(row, state=DeliveryState.IN_FLIGHT)
        all_rows = {row.position: row for row, _ in items}
        batch = Batch(self._calls, [entry for _, entry in items], all_rows, deferred.keys())
        self._busy_keys |= batch.keys
        taken = all_rows.keys() - deferred.keys()
        self._waiting = [item for item in self._waiting if item[0].position not in taken]
        self._sent = max([self._sent, *taken])
        return batch

    def _due_rows(self, now: datetime, limit: int, suspect: int | None, *, new_only: bool) -> list[Item]:
        found = list[Item]()
        for row, entry in list(self._due.values()):
            if entry is None or isinstance(entry.event, UnreadableEvent):
                del self._due[row.position]
                self._set_aside(row, entry, now)
            elif row.key not in self._busy_keys and not (new_only and row.reason):
                found.append((row, entry))
        others = [each for each in found if each[0].position != suspect]
        found = others or found
        spoiling = [each for each in found if each[0].failures]
        if not spoiling:
            return found[:limit]
        # Those whose calls failed go by themselves, so that they spoil nothing for the others.
        chosen = list[Item]()
        for row, entry in spoiling:
            limit_with = min(limit, batch_limit(self._batch_size, row.failures))
            if len(chosen) < limit_with:
                chosen.append((row, entry))
                limit = limit_with
        return chosen

    def _fresh(self, now: datetime, limit: int) -> list[Item]:
        chosen, keys, kept = list[Item](), set[str](), list[Item]()
        for place, item in enumerate(self._waiting):
            if len(chosen) == limit:
                kept += self._waiting[place:]
                break
            row, entry = item
            if row.key in self._deferred_keys or isinstance(entry.event, UnreadableEvent):
                self._set_aside(row, entry, now)
                self._set_aside_behind(row.key, now)
            elif row.key not in self._busy_keys and (self._in_order or row.key not in keys):
                chosen.append(item)
                keys.add(row.key)
            else:
                kept.append(item)
        full = self._behind_count >= _MOST_BEHIND and self._reached < self._target
        if full and _CROWDED * len(chosen) < limit:
            # A few users with very many events must not keep the others out of sight.
            for key in self._busy_keys | keys:
                self._set_aside_behind(key, now)
        self._waiting = [*chosen, *kept]
        return chosen

    def _set_aside_behind(self, key: str, now: datetime) -> None:
        line = self._behind.pop(key, ())
        self._behind_count -= len(line)
        for row, entry in line:
            self._set_aside(row, entry, now)

    def _set_aside(self, row: Deferred, entry: OutboxEntry | None, now: datetime) -> None:
        """Defer an event that is not sent: behind another of its key, or because nothing can be sent."""
        self._open.discard(row.position)
        if entry is None:
            self._removed.add(row.position)
            self._touched.add(row.key)
            return
        if isinstance(entry.event, UnreadableEvent):
            reason = (
                f"this version of the library does not know the event {entry.event.name!r}, or a part of it"
            )
            row = evolve(
                row, state=DeliveryState.DEFERRED, retry_at=now + _UNREADABLE_FOR, reason=reason[:200]
            )
        self._put[row.position] = row
        self._deferred_keys.add(row.key)
        self._touched.add(row.key)

    def may_go_on(self) -> bool:
        """Return whether there may be more to send once the changes are stored."""
        return bool(self._touched) or self.wants_more()

    # --- what came of it -----------------------------------------------------------------------------------------

    def landed(self, batch: Batch) -> None:
        """Take note that the call of a batch has ended."""
        keys = batch.keys
        self._busy_keys -= keys
        self._move_up(batch, batch.entries)
        # A deferred event behind one that was in flight may have been passed over.
        self._may_be_due |= not keys.isdisjoint(self._deferred_keys)

    def _move_up(self, batch: Batch, ended: Iterable[OutboxEntry]) -> None:
        """Let the next events of the keys of fresh ones be sent."""
        if not self._behind:
            return
        for entry in ended:
            key = batch.rows[entry.position].key
            line = None if entry.position in batch.deferred else self._behind.get(key)
            if line:
                self._waiting.append(line.popleft())
                self._behind_count -= 1
            elif line is not None:
                del self._behind[key]

    def acknowledge(self, batch: Batch, entry: OutboxEntry) -> None:
        """Take note that the sink took an event."""
        self._open.discard(entry.position)
        key = batch.rows[entry.position].key
        if entry.position in batch.deferred:
            self._put.pop(entry.position, None)
            self._removed.add(entry.position)
            self._touched.add(key)
        elif key in self._deferred_keys:
            self._touched.add(key)

    def leave_out(
        self, batch: Batch, cancelled: Collection[int], uncertain: Collection[int], retry_at: datetime
    ) -> Batch:
        """Return a batch without events that are not sent.

        Args:
            batch: the batch.
            cancelled: the positions of events that are never sent.
            uncertain: the positions of events of which that is not known yet; later ones of their keys wait for them.
            retry_at: when the uncertain ones are looked at again.
        """
        kept, waiting = list[OutboxEntry](), set[str]()
        for entry in batch.entries:
            row = batch.rows[entry.position]
            if entry.position in cancelled:
                self.acknowledge(batch, entry)
            elif entry.position in uncertain or row.key in waiting:
                due = None if row.key in waiting else retry_at
                self.defer(evolve(row, state=DeliveryState.DEFERRED, retry_at=due))
                waiting.add(row.key)
            else:
                kept.append(entry)
        if len(kept) < len(batch.entries):
            keys = {batch.rows[entry.position].key for entry in kept}
            left = [entry for entry in batch.entries if batch.rows[entry.position].key not in keys]
            self._busy_keys.difference_update(batch.rows[entry.position].key for entry in left)
            self._move_up(batch, left)
            self._may_be_due = True
        return evolve(batch, entries=kept)

    def defer(self, row: Deferred) -> None:
        """Defer an event that the sink did not take, or make it a dead letter."""
        self._open.discard(row.position)
        self._due.pop(row.position, None)
        self._put[row.position] = row
        self._deferred_keys.add(row.key)
        self._touched.add(row.key)

    def changes(self) -> Changes:
        """Return what was not stored yet."""
        return Changes(list(self._put.values()), frozenset(self._removed), frozenset(self._touched))

    def progress(self, stored: SinkProgress) -> SinkProgress:
        """Return how far the sink has come."""
        read = self._base.read(self._known, self._open, self._reached)
        return evolve(stored, position=read.position, ahead=read.ahead, sent=self._sent)

    def stored(self, progress: SinkProgress, keys: Iterable[str]) -> None:
        """Take note that the changes were committed.

        Args:
            progress: the progress that was stored.
            keys: those of `Changes.keys` of which an event is still deferred.
        """
        self._deferred_keys -= self._touched.difference(keys)
        self._may_be_due |= bool(self._touched)
        self._put, self._removed, self._touched = {}, set(), set()
        self._base = progress
        del self._known[: bisect_right(self._known, progress.position)]
