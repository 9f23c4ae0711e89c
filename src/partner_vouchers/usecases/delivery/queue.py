"""What the owner of a sink has read of its outbox and not sent yet, and which of it goes into the next call.

The owner alone changes the state of the sink's events, so what is here is ahead of the storage by what was not
committed yet. `domain.delivery` has the table of states.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter

from attrs import evolve, field, frozen

from partner_vouchers.domain.delivery import Deferred, DeliveryState, SinkProgress, batch_limit
from partner_vouchers.domain.events import Event, UnreadableEvent
from partner_vouchers.ports import EventSink, OutboxEntry, Transaction

_LEAST_WINDOW = 100
_MOST_BEHIND = 10_000
_DUE_AT_ONCE = 1000
_CROWDED = 20
_UNREADABLE_FOR = timedelta(minutes=5)


Item = tuple[int, str, OutboxEntry]
"""An event: its position, its ordering key, and its entry."""

_position = itemgetter(0)


@frozen
class Batch:
    """Events that are sent in one call, by position.

    Attributes:
        number: grows with each call of a delivery run.
        items: the events. One that could not be read when it was deferred has the key that it was deferred with.
        deferred: how those of them are deferred that were deferred before, by position.
        keys: the ordering keys of its events.
    """

    number: int
    items: Sequence[Item]
    deferred: Mapping[int, Deferred]
    keys: frozenset[str] = field(init=False)

    @keys.default
    def _find_keys(self) -> frozenset[str]:
        return frozenset([key for _, key, _ in self.items])

    @property
    def entries(self) -> list[OutboxEntry]:
        """Its events as the sink is given them."""
        return [entry for _, _, entry in self.items]

    @property
    def is_new(self) -> bool:
        """Whether it has an event that the sink never refused."""
        return any(not self.row_of(item).reason for item in self.items)

    def with_entries(self, found: Mapping[int, OutboxEntry]) -> Batch:
        """Return the batch with entries that were read again, by position."""
        return evolve(self, items=[(each[0], each[1], found.get(each[0], each[2])) for each in self.items])

    def row_of(self, item: Item) -> Deferred:
        """Return how one of its events is deferred, or would be."""
        return self.deferred.get(item[0]) or _new_row(item)


def _new_row(item: Item) -> Deferred:
    position, key, entry = item
    return Deferred(position, entry.id, key)


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


def _filter_of(sink: EventSink) -> Callable[[Event], bool]:
    """Return which events a sink is sent. An unreadable one may be an event that it wants."""
    wants = getattr(sink, "wants", None)
    if not callable(wants):
        return lambda _: True

    def is_wanted(event: Event) -> bool:
        try:
            return True if wants(event) else isinstance(event, UnreadableEvent)
        except Exception:  # noqa: BLE001 - a sink may be anybody's code; `send` shows what is wrong with it
            return True

    return is_wanted


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
        self._is_wanted = _filter_of(sink)
        self._in_order = getattr(sink, "takes_batches_in_order", False) is True
        self._batch_size = sink.batch_size
        # A sink that takes one batch after the other, in order, needs nothing beyond the next one.
        ahead = 0 if self._in_order and sink.concurrency == 1 else 1
        self._window = max(_LEAST_WINDOW, sink.batch_size * (sink.concurrency + ahead))
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
        items = [(entry.position, key_of(entry), entry) for entry in entries]
        keys = {key for _, key, _ in items}
        deferred_keys = tx.deliveries.deferred_keys(self._sink, keys) if keys else set[str]()
        if not self._may_be_due or self._due:
            return Read(items, reached, deferred_keys)
        rows = tx.deliveries.due(self._sink, now, max(self._batch_size, _DUE_AT_ONCE) + len(self._removed))
        found = {entry.position: entry for entry in tx.outbox.get_many([row.position for row in rows])}
        return Read(items, reached, deferred_keys, [(row, found.get(row.position)) for row in rows])

    def add(self, read: Read) -> None:
        """Add what was read. An event that the sink does not want is settled at once, and never sent."""
        self._reached = read.reached
        self._known += map(_position, read.items)
        fresh = [item for item in read.items if self._is_wanted(item[2].event)]
        if self._base.ahead:
            fresh = [item for item in fresh if not self._base.is_settled(item[0])]
        self._open.update(map(_position, fresh))
        if self._in_order:
            self._waiting += fresh
        else:
            for item in fresh:
                self._line_up(item)
        self._deferred_keys.update(read.deferred_keys)
        if read.due is not None:
            self._may_be_due = False
            # Of a key with changes that are not stored yet, the storage does not know which event is the first.
            # An event that is open here was deferred by another owner, before this one took the lease.
            self._due = {
                row.position: (row, entry if entry and self._is_wanted(entry.event) else None)
                for row, entry in read.due
                if row.key not in self._busy_keys
                and row.key not in self._touched
                and row.position not in self._open
            }

    def _line_up(self, item: Item) -> None:
        """Let an event wait, behind another one of its key if there is one."""
        line = self._behind.get(item[1])
        if line is None:
            self._waiting.append(item)
            self._behind[item[1]] = deque()
        else:
            line.append(item)
            self._behind_count += 1

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
        items = sorted([*fresh, *((row.position, row.key, entry) for row, entry in rows)], key=_position)
        if not items:
            return None
        self._calls += 1
        deferred = {row.position: row for row, _ in rows}
        for row in deferred.values():
            del self._due[row.position]
            self._put[row.position] = evolve(row, state=DeliveryState.IN_FLIGHT)
        batch = Batch(self._calls, items, deferred)
        self._busy_keys |= batch.keys
        del self._waiting[: len(fresh)]
        self._sent = max([self._sent, *map(_position, fresh)])
        return batch

    def _due_rows(
        self, now: datetime, limit: int, suspect: int | None, *, new_only: bool
    ) -> list[tuple[Deferred, OutboxEntry]]:
        found = list[tuple[Deferred, OutboxEntry]]()
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
        chosen = list[tuple[Deferred, OutboxEntry]]()
        for row, entry in spoiling:
            limit_with = min(limit, batch_limit(self._batch_size, row.failures))
            if len(chosen) < limit_with:
                chosen.append((row, entry))
                limit = limit_with
        return chosen

    def _fresh(self, now: datetime, limit: int) -> list[Item]:
        """Return new events that can be sent, which `_waiting` then begins with."""
        chosen, keys, kept = list[Item](), set[str](), list[Item]()
        deferred, busy, in_order = self._deferred_keys, self._busy_keys, self._in_order
        for place, item in enumerate(self._waiting):
            if len(chosen) == limit:
                kept += self._waiting[place:]
                break
            _, key, entry = item
            if key in deferred or isinstance(entry.event, UnreadableEvent):
                self._set_aside(_new_row(item), entry, now)
                self._set_aside_behind(key, now)
            elif key not in busy and (in_order or key not in keys):
                chosen.append(item)
                keys.add(key)
            else:
                kept.append(item)
        full = self._behind_count >= _MOST_BEHIND and self._reached < self._target
        if full and _CROWDED * len(chosen) < limit:
            # A few users with very many events must not keep the others out of sight.
            for key in busy | keys:
                self._set_aside_behind(key, now)
        self._waiting = [*chosen, *kept]
        return chosen

    def _set_aside_behind(self, key: str, now: datetime) -> None:
        line = self._behind.pop(key, ())
        self._behind_count -= len(line)
        for item in line:
            self._set_aside(_new_row(item), item[2], now)

    def _set_aside(self, row: Deferred, entry: OutboxEntry | None, now: datetime) -> None:
        """Defer an event that is not sent: behind another of its key, or because nothing can be sent."""
        if entry is None:
            self._open.discard(row.position)
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
        self.defer(row)

    def may_go_on(self) -> bool:
        """Return whether there may be more to send once the changes are stored."""
        return bool(self._touched) or self.wants_more()

    # --- what came of it -----------------------------------------------------------------------------------------

    def landed(self, batch: Batch) -> None:
        """Take note that the call of a batch has ended."""
        keys = batch.keys
        self._busy_keys -= keys
        self._move_up(batch, batch.items)
        # A deferred event behind one that was in flight may have been passed over.
        self._may_be_due |= not keys.isdisjoint(self._deferred_keys)

    def _move_up(self, batch: Batch, ended: Iterable[Item]) -> None:
        """Let the next events of the keys of fresh ones be sent."""
        if not self._behind:
            return
        for position, key, _ in ended:
            line = None if position in batch.deferred else self._behind.get(key)
            if line:
                self._waiting.append(line.popleft())
                self._behind_count -= 1
            elif line is not None:
                del self._behind[key]

    def acknowledge(self, batch: Batch, items: Collection[Item]) -> None:
        """Take note that the sink took events."""
        self._open.difference_update(map(_position, items))
        if not (batch.deferred or self._deferred_keys):
            return
        for position, key, _ in items:
            if position in batch.deferred:
                self._put.pop(position, None)
                self._removed.add(position)
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
        kept, waiting = list[Item](), set[str]()
        for item in batch.items:
            position, key, _ = item
            if position in cancelled:
                self.acknowledge(batch, [item])
            elif position in uncertain or key in waiting:
                due = None if key in waiting else retry_at
                self.defer(evolve(batch.row_of(item), state=DeliveryState.DEFERRED, retry_at=due))
                waiting.add(key)
            else:
                kept.append(item)
        if len(kept) < len(batch.items):
            keys = {key for _, key, _ in kept}
            left = [item for item in batch.items if item[1] not in keys]
            self._busy_keys.difference_update(key for _, key, _ in left)
            self._move_up(batch, left)
            self._may_be_due = True
        return evolve(batch, items=kept)

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

    def has_changes(self, stored: SinkProgress) -> bool:
        """Return whether anything was not stored yet."""
        return bool(self._put or self._removed) or self.progress(stored) != stored

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
