"""Send to one sink what is due now: the owner of its lease sends, others stand by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain

from attrs import evolve, frozen

from partner_vouchers.domain.delivery import Deferred, RetryPolicy, SinkProgress
from partner_vouchers.domain.erasure import is_of_forgotten_user
from partner_vouchers.domain.events import user_key
from partner_vouchers.errors import StorageError, Unsupported
from partner_vouchers.ports import EventSink, Transaction, Unsent
from partner_vouchers.usecases.delivery.blame import Blame, Tally
from partner_vouchers.usecases.delivery.calls import Calls, SinkLease
from partner_vouchers.usecases.delivery.queue import Batch, Changes, Queue, Read, key_of
from partner_vouchers.usecases.wiring import Wiring

ERASURES = "erasures"
"""The name of the setting that changes whenever a user is forgotten."""

_LOG = logging.getLogger("partner_vouchers.delivery")

_UNCERTAIN_FOR = timedelta(seconds=1)


class Deliverer:
    """Delivers to one sink, run after run."""

    def __init__(self, wiring: Wiring, sink: EventSink, policy: RetryPolicy, *, from_now: bool) -> None:
        self._wiring = wiring
        self._sink = sink
        self._policy = policy
        self._from_now = from_now

    def run(self, stopping: Callable[[], bool] = lambda: False) -> Tally:
        """Send what is due, until nothing more is, the sink is paused, or `stopping` returns True.

        Raises:
            StorageError: the storage cannot be used.
        """
        tally = Tally()
        while (work := self._look()) is not None:
            if not _Run(self._wiring, self._sink, self._policy, work, tally).run(stopping):
                break
        return tally

    def _look(self) -> _Work | None:
        """Look for work. If there is none, that is one transaction that only reads."""
        ordered = False
        while not isinstance(found := self._wiring.read(self._find, ordered), _Work | None):
            while self._wiring.write_alone(found):
                pass
            ordered = found is _order
        return found

    def _find(self, tx: Transaction, ordered: bool) -> _Work | Callable[[Transaction], bool] | None:
        """Return the work, what must be written first, or None if there is nothing to do."""
        now, name = self._wiring.now(), self._sink.name
        progress = tx.deliveries.progress(name)
        if progress is None:
            return self._register
        if progress.pause.holds(now):
            return None
        if not ordered and tx.outbox.can_order():
            return _order
        last = tx.outbox.last_position()
        if progress.position >= last and not tx.deliveries.due(name, now, 1):
            return None
        suspect = [] if progress.pause.suspect is None else tx.deliveries.find(name, [progress.pause.suspect])
        suspected = next((row for row in suspect if not row.is_dead), None)
        return _Work(progress, last, suspected, tx.settings.get(ERASURES))

    def _register(self, tx: Transaction) -> bool:
        """Make the sink known."""
        if tx.deliveries.progress_for_update(self._sink.name) is None:
            while tx.outbox.order():
                pass
            last = tx.outbox.last_position() if self._from_now else 0
            tx.deliveries.save_progress(self._sink.name, SinkProgress(last, sent=last))
        return False


def _order(tx: Transaction) -> bool:
    """Give new events their positions; return whether there may be more."""
    return tx.outbox.order()


@frozen
class _Work:
    """What there is to do.

    Attributes:
        progress: from where.
        target: up to which position.
        suspect: the event that is suspected of the last failure.
        erasures: which users were forgotten by then.
    """

    progress: SinkProgress
    target: int
    suspect: Deferred | None
    erasures: str | None


class _Run:
    """One delivery run of a sink's owner.

    Each turn stores the answers of the sink and the next calls in one transaction, which also makes sure that the
    lease was not lost. What is read and sent in between holds no lock.
    """

    def __init__(
        self, wiring: Wiring, sink: EventSink, policy: RetryPolicy, work: _Work, tally: Tally
    ) -> None:
        self._wiring = wiring
        self._sink = sink
        self._tally = tally
        self._lease = SinkLease(wiring, sink.name)
        self._calls: Calls[Batch] = Calls(sink)
        self._queue = Queue(sink, work.progress, work.target)
        pause = work.progress.pause
        self._blame = Blame(sink.name, self._queue, policy, wiring.chance, pause, work.suspect)
        # What was found, until the lease is taken.
        self._found: SinkProgress | None = work.progress
        self._paused_before = pause
        self._cancelled = 0
        self._erasures = work.erasures
        self._is_outdated = False
        self._to_send: list[Batch] = []

    def run(self, stopping: Callable[[], bool]) -> bool:
        """Work until nothing is left to do, or until a user was forgotten.

        Returns:
            whether another run must go on, since events in hand have the id of a user who was forgotten.

        If that fails, the answers of the calls in flight are awaited and stored all the same, if possible.
        """
        try:
            while self._turn(stopping):
                pass
        except BaseException:
            if self._found is None:
                with suppress(StorageError):
                    while len(self._calls):
                        self._collect()
                    self._store([], release=True)
            raise
        finally:
            self._lease.close()
            self._calls.close()
        return self._is_outdated and not stopping()

    def _turn(self, stopping: Callable[[], bool]) -> bool:
        now = self._wiring.now()
        stops = stopping() or self._blame.pause.holds(now) or self._is_outdated
        if not stops and self._queue.wants_more():
            read = self._wiring.read(self._read, now)
            if read is None:
                self._is_outdated = stops = True
            else:
                self._queue.add(read)
        batches = self._next_batches(now, stops=stops)
        ends = not batches and not len(self._calls)
        goes_on = ends and not (stops or self._blame.pause.holds(now)) and self._queue.may_go_on()
        if not self._store(batches, release=ends and not goes_on):
            return False
        batches = [batch for batch in self._to_send if batch.items]
        if batches or len(self._calls):
            self._lease.keep()
            for batch in batches:
                self._calls.start(batch.entries, batch)
            self._collect()
        return not ends or goes_on

    def _read(self, tx: Transaction, now: datetime) -> Read | None:
        """Read more events; return None if a user was forgotten since this run began, since their keys changed."""
        read = self._queue.read(tx, now)
        return read if tx.settings.get(ERASURES) == self._erasures else None

    def _collect(self) -> None:
        answered = self._calls.collect()
        self._blame.judge(answered, self._wiring.now())

    def _next_batches(self, now: datetime, *, stops: bool) -> list[Batch]:
        pause = self._blame.pause
        if self._blame.needs_proof:
            # The sink is paused, unless a call that was sent later is still in flight, or one event that the sink
            # never refused shows that it takes something.
            if len(self._calls):
                return []
            asks = not stops and self._blame.may_ask_another()
            batch = self._queue.next_batch(now, pause.failures, None, new_only=True) if asks else None
            if batch is None:
                self._blame.pause_for_refusals(now)
            return [] if batch is None else [batch]
        if stops:
            return []
        slots = 1 if pause.failures else self._sink.concurrency
        batches = list[Batch]()
        while len(batches) + len(self._calls) < slots:
            batch = self._queue.next_batch(now, pause.failures, pause.suspect)
            if batch is None:
                break
            self._blame.sent(batch)
            batches.append(batch)
        return batches

    def _store(self, batches: Sequence[Batch], *, release: bool) -> bool:
        """Store what was answered and what is sent next; return False if another process has taken over."""
        self._to_send = list(batches)
        if self._found is not None and not batches and not self._queue.has_changes(self._found):
            return False
        stored = self._wiring.write_alone(self._store_in, release)
        if stored is None:
            return False
        self._queue.stored(*stored)
        self._found, self._paused_before = None, self._blame.pause
        counted, self._blame.tally, self._cancelled = self._blame.tally, Tally(), 0
        self._tally.delivered += counted.delivered
        self._tally.not_taken += counted.not_taken
        self._tally.failure = counted.failure or self._tally.failure
        for warning in self._blame.warnings:
            _LOG.warning("%s", warning)
        self._blame.warnings.clear()
        return True

    def _store_in(self, tx: Transaction, release: bool) -> tuple[SinkProgress, set[str]] | None:
        # The lease comes first: what is read before it, another owner may still change.
        is_ours = self._lease.is_ours(tx) if self._found is None else self._lease.take(tx)
        found = tx.deliveries.progress_for_update(self._sink.name) if is_ours else None
        if found is None or self._found not in (None, found) or self._is_overtaken(tx):
            if is_ours:
                self._lease.release(tx)
            return None
        pause = self._blame.pause
        if pause != self._paused_before:
            found = evolve(found, pause=pause)
        if self._to_send:
            self._leave_out(tx)
        progress = self._queue.progress(evolve(found, cancelled=found.cancelled + self._cancelled))
        # Before anything is written: an erasure would wait for that, and this transaction for the erasure.
        changes = self._with_present_keys(tx, self._queue.changes())
        name = self._sink.name
        tx.deliveries.remove(name, changes.removed)
        tx.deliveries.put(name, changes.put)
        keys = tx.deliveries.promote(name, changes.keys, self._wiring.now()) if changes.keys else set[str]()
        if progress != found or pause != self._paused_before:
            tx.deliveries.save_progress(name, progress)
        if release:
            self._lease.release(tx)
        return progress, keys

    def _is_overtaken(self, tx: Transaction) -> bool:
        """Return whether another owner has sent deferred events since they were read, which changes no progress."""
        if self._found is None:
            return False
        rows = {at: row for batch in self._to_send for at, row in batch.deferred.items()}
        return bool(rows) and rows != {row.position: row for row in tx.deliveries.find(self._sink.name, rows)}

    def _with_present_keys(self, tx: Transaction, changes: Changes) -> Changes:
        """Return changes by the keys that events have now: a user may have been forgotten since they were read."""
        positions = {*changes.removed, *(row.position for row in changes.put)}
        if not positions or tx.settings.get(ERASURES) == self._erasures:
            return changes
        entries = tx.outbox.get_many([*positions])
        keys = {entry.position: key_of(entry) for entry in entries}
        rows = [_with_key(row, keys.get(row.position, row.key)) for row in changes.put]
        return evolve(changes, put=rows, keys={*changes.keys, *keys.values()})

    def _leave_out(self, tx: Transaction) -> None:
        """Leave out of the next calls what was cancelled. This changes the queue; doing it again changes no more."""
        positions = [position for batch in self._to_send for position, _, _ in batch.items]
        if tx.settings.get(ERASURES) != self._erasures:
            # A user was forgotten since the events were read: no event must have their id.
            self._is_outdated = True
            found = {entry.position: entry for entry in tx.outbox.get_many(positions)}
            self._to_send = [batch.with_entries(found) for batch in self._to_send]
        unsent = _unsent_events(tx, positions)
        items = chain.from_iterable(batch.items for batch in self._to_send)
        cancelled = {position for position, _, entry in items if is_of_forgotten_user(entry.event)}
        cancelled.update(unsent.cancelled)
        if not (cancelled or unsent.uncertain):
            return
        retry_at = self._wiring.now() + _UNCERTAIN_FOR
        self._to_send = [
            self._queue.leave_out(batch, cancelled, unsent.uncertain, retry_at) for batch in self._to_send
        ]
        self._cancelled += len(cancelled.intersection(positions))


def _with_key(row: Deferred, key: str) -> Deferred:
    """Return a row with the key that its event has now, and no former user id in its reason."""
    of_user, reason = user_key(""), row.reason
    if key != row.key and row.key.startswith(of_user):
        reason = reason.replace(row.key.removeprefix(of_user), key.removeprefix(of_user))
    return evolve(row, key=key, reason=reason)


def _unsent_events(tx: Transaction, positions: Collection[int]) -> Unsent:
    """Return which events must not be sent; none in a storage without revocations."""
    try:
        return tx.revocations.unsent(positions)
    except Unsupported:
        return Unsent()
