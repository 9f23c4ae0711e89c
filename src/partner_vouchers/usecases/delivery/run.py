"""Send to one sink what is due now: the owner of its lease sends, others stand by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum
from functools import partial

from attrs import define, evolve, frozen

from partner_vouchers.domain.delivery import Deferred, DeliveryState, RetryPolicy, SinkProgress
from partner_vouchers.domain.pseudonym import is_of_forgotten_user
from partner_vouchers.errors import StorageBusy, StorageError
from partner_vouchers.ports import EventSink, Transaction
from partner_vouchers.usecases.delivery.calls import Answer, Calls, one_line
from partner_vouchers.usecases.delivery.cancelling import ERASURES, unsent_events
from partner_vouchers.usecases.delivery.lease import SinkLease
from partner_vouchers.usecases.delivery.queue import Batch, Changes, Queue, key_of
from partner_vouchers.usecases.wiring import Wiring

_LOG = logging.getLogger("partner_vouchers.delivery")

_BUSY_RETRIES = 3
_UNCERTAIN_FOR = timedelta(seconds=1)


@define
class Tally:
    """What a delivery run did.

    Attributes:
        delivered: how many events the sink took.
        not_taken: how often it did not take one.
        failure: why the sink was paused; None if it was not.
    """

    delivered: int = 0
    not_taken: int = 0
    failure: str | None = None


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
        found = self._look()
        if found is not None:
            _Run(self._wiring, self._sink, self._policy, found, tally).run(stopping)
        return tally

    def _look(self) -> _Work | None:
        """Look for work. If there is none, that is one transaction that only reads."""
        found = self._wiring.read(self._find)
        if found is _Missing.SINK:
            self._wiring.write_alone(self._register)
            found = self._wiring.read(self._find)
        if found is _Missing.ORDER:
            while self._wiring.write_alone(_order):
                pass
            found = self._wiring.read(partial(self._find, ordered=True))
        return found if isinstance(found, _Work) else None

    def _find(self, tx: Transaction, *, ordered: bool = False) -> _Work | _Missing | None:
        now, name = self._wiring.now(), self._sink.name
        progress = tx.deliveries.progress(name)
        if progress is None:
            return _Missing.SINK
        if progress.pause.holds(now):
            return None
        if not ordered and tx.outbox.can_order():
            return _Missing.ORDER
        last = tx.outbox.last_position()
        if progress.position >= last and not tx.deliveries.due(name, now, 1):
            return None
        suspect = [] if progress.pause.suspect is None else tx.deliveries.find(name, [progress.pause.suspect])
        suspected = next((row for row in suspect if not row.is_dead), None)
        return _Work(progress, last, suspected, tx.settings.get(ERASURES))

    def _register(self, tx: Transaction) -> None:
        if tx.deliveries.progress(self._sink.name) is None:
            while tx.outbox.order():
                pass
            last = tx.outbox.last_position() if self._from_now else 0
            tx.deliveries.save_progress(self._sink.name, SinkProgress(last, sent=last))
        tx.commit()


def _order(tx: Transaction) -> bool:
    has_more = tx.outbox.order()
    tx.commit()
    return has_more


class _Missing(Enum):
    """What must be done first: make the sink known, or give new events their positions."""

    SINK = 1
    ORDER = 2


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


@frozen
class _Refusal:
    """An event that the sink did not take, of which nobody knows yet whether it is to blame.

    Attributes:
        sent: when it was sent: the number of the call, and its place in it.
        row: the event, as it is deferred.
        final: whether another attempt would end in the same way.
        by_failure: whether it was alone in a call that failed as a whole.
        is_blameless: whether the receiver refused the sender, and not the event.
    """

    sent: tuple[int, int]
    row: Deferred
    final: bool = False
    by_failure: bool = False
    is_blameless: bool = False


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
        self._policy = policy
        self._tally = tally
        self._lease = SinkLease(wiring, sink.name)
        self._calls: Calls[Batch] = Calls(sink)
        self._queue = Queue(sink, work.progress, work.target)
        self._found: SinkProgress | None = work.progress
        self._pause = work.progress.pause
        self._paused_before = self._pause
        self._unproven: list[_Refusal] = []
        if work.suspect is not None:
            self._unproven.append(_Refusal((0, 0), work.suspect, by_failure=True))
        self._last_taken = (0, 0)
        self._may_ask_another = self._pause.failures > 0
        self._delivered = self._not_taken = self._cancelled = 0
        self._erasures = work.erasures
        self._to_send: list[Batch] = []
        self._warnings: list[str] = []

    def run(self, stopping: Callable[[], bool]) -> None:
        """Work until nothing is left to do.

        If that fails, the answers of the calls in flight are awaited and stored all the same, if possible.
        """
        try:
            while self._turn(stopping):
                pass
        except BaseException:
            if self._found is None:
                with suppress(StorageError):
                    while len(self._calls):
                        self._judge(self._calls.collect())
                    self._store([], release=True)
            raise
        finally:
            self._lease.close()
            self._calls.close()

    def _turn(self, stopping: Callable[[], bool]) -> bool:
        now = self._wiring.now()
        stops = stopping() or self._pause.holds(now)
        if not stops and self._queue.wants_more():
            self._queue.add(self._wiring.read(self._queue.read, now))
        batches = self._next_batches(now, stops=stops)
        ends = not batches and not len(self._calls)
        goes_on = ends and not (stops or self._pause.holds(now)) and self._queue.may_go_on()
        if not self._store(batches, release=ends and not goes_on):
            return False
        batches = [batch for batch in self._to_send if batch.entries]
        if batches or len(self._calls):
            self._lease.keep()
            for batch in batches:
                self._calls.start(batch.entries, batch)
            self._judge(self._calls.collect())
        return not ends or goes_on

    def _next_batches(self, now: datetime, *, stops: bool) -> list[Batch]:
        if any(not refusal.by_failure for refusal in self._unproven):
            # The sink is paused, unless a call that was sent later is still in flight.
            if len(self._calls):
                return []
            batch = None if stops else self._one_more(now)
            if batch is None:
                self._refused(now)
            return [] if batch is None else [batch]
        if stops:
            return []
        slots = 1 if self._pause.failures else self._sink.concurrency
        batches = list[Batch]()
        while len(batches) + len(self._calls) < slots:
            batch = self._queue.next_batch(now, self._pause.failures, self._pause.suspect)
            if batch is None:
                break
            self._may_ask_another = self._may_ask_another and not batch.is_new
            self._unproven = [
                refusal
                for refusal in self._unproven
                if all(refusal.row.position != entry.position for entry in batch.entries)
            ]
            batches.append(batch)
        return batches

    def _one_more(self, now: datetime) -> Batch | None:
        """Return one event that the sink never refused, if those it refused since the pause can be judged by it."""
        if not self._may_ask_another:
            return None
        self._may_ask_another = False
        return self._queue.next_batch(now, self._pause.failures, None, new_only=True)

    # --- answers -------------------------------------------------------------------------------------------------

    def _judge(self, answered: Sequence[tuple[Batch, Answer]]) -> None:
        """Decide what becomes of events whose calls have ended."""
        now = self._wiring.now()
        taken = False
        for batch, answer in answered:
            self._queue.landed(batch)
            if answer.failure is not None:
                self._failed(batch, answer, now)
            else:
                taken = self._read_answer(batch, answer, now) or taken
        if taken:
            self._pause = self._pause.answered(now)
            self._blame(now)
            if not any(refusal.by_failure for refusal in self._unproven):
                self._pause = evolve(self._pause, suspect=None)

    def _read_answer(self, batch: Batch, answer: Answer, now: datetime) -> bool:
        refused, taken = set[str](), False
        for place, entry in enumerate(batch.entries):
            row = batch.row(entry)
            rejection = answer.rejections.get(entry.id)
            if row.key in refused:
                # A sink that takes batches in order rejects it for the earlier event, or has taken it too early.
                self._queue.defer(evolve(row, state=DeliveryState.DEFERRED, retry_at=None))
                self._not_taken += 1
            elif rejection is None:
                self._queue.acknowledge(batch, entry)
                self._delivered += 1
                self._last_taken = max(self._last_taken, (batch.number, place))
                taken = True
            else:
                refused.add(row.key)
                reason = one_line(rejection.reason)
                blameless = rejection.sender_refused is True
                failures = row.failures + 1 if blameless else 0
                row = evolve(
                    row, state=DeliveryState.DEFERRED, failures=failures, retry_at=now, reason=reason
                )
                self._queue.defer(row)
                self._unproven.append(
                    _Refusal((batch.number, place), row, rejection.final, is_blameless=blameless)
                )
                self._not_taken += 1
        return taken

    def _failed(self, batch: Batch, answer: Answer, now: datetime) -> None:
        """Defer a batch of which nothing is known, and leave the sink alone."""
        alone = batch.entries[0].position if len(batch.entries) == 1 and not answer.sender_refused else None
        if self._pause.failures and alone != self._pause.suspect:
            # Several failed: the sink is at fault.
            alone = None
        if alone is None:
            self._unproven = [refusal for refusal in self._unproven if not refusal.by_failure]
        reason = answer.failure or ""
        for entry in batch.entries:
            row = batch.row(entry)
            failures = row.failures + (not answer.sender_refused)
            row = evolve(row, state=DeliveryState.DEFERRED, failures=failures, retry_at=now, reason=reason)
            self._queue.defer(row)
            self._not_taken += 1
            if alone is not None:
                self._unproven.append(_Refusal((batch.number, 0), row, by_failure=True))
        self._set_pause(now, reason, answer.retry_after)
        self._pause = evolve(self._pause, suspect=alone)

    def _refused(self, now: datetime) -> None:
        """Pause a sink that refused events, and took none that was sent after them."""
        reason = self._unproven[-1].row.reason
        self._unproven = [refusal for refusal in self._unproven if refusal.by_failure]
        self._set_pause(now, f"it takes nothing, and refused an event: {reason}", None)

    def _set_pause(self, now: datetime, reason: str, retry_after: float | None) -> None:
        self._tally.failure = reason
        if not self._pause.holds(now):
            self._warnings.append(f"the sink {self._sink.name!r} is paused: {reason}")
        self._pause = self._pause.failed(self._policy, now, self._wiring.chance(), retry_after)

    def _blame(self, now: datetime) -> None:
        """Count the refusals of events that were sent before another one that the sink took."""
        unproven, self._unproven = self._unproven, []
        for refusal in unproven:
            if refusal.sent >= self._last_taken:
                self._unproven.append(refusal)
                continue
            chance = self._wiring.chance()
            if refusal.is_blameless:
                row = evolve(refusal.row, retry_at=now + self._policy.wait(refusal.row.failures, chance))
            else:
                row = self._policy.counted(refusal.row, now, chance, final=refusal.final)
            self._queue.defer(row)
            if row.is_dead:
                self._warnings.append(
                    f"the event {row.id} is a dead letter of the sink {self._sink.name!r} after {row.attempts} "
                    f"attempts: {row.reason}"
                )

    # --- storing -------------------------------------------------------------------------------------------------

    def _store(self, batches: Sequence[Batch], *, release: bool) -> bool:
        """Store what was answered and what is sent next; return False if another process has taken over."""
        self._to_send = list(batches)
        if self._found is not None and not batches and self._queue.progress(self._found) == self._found:
            return False
        for again in reversed(range(_BUSY_RETRIES)):
            try:
                stored = self._wiring.write_alone(self._store_in, release)
            except StorageBusy:
                # The answers of the sink are worth another wait.
                if not again:
                    raise
            else:
                break
        if stored is None:
            return False
        self._queue.stored(*stored)
        self._found, self._paused_before = None, self._pause
        self._tally.delivered += self._delivered
        self._tally.not_taken += self._not_taken
        self._delivered = self._not_taken = self._cancelled = 0
        for warning in self._warnings:
            _LOG.warning("%s", warning)
        self._warnings = []
        return True

    def _store_in(self, tx: Transaction, release: bool) -> tuple[SinkProgress, set[str]] | None:
        # The lease comes first: what is read before it, another owner may still change.
        is_ours = self._lease.is_ours(tx) if self._found is None else self._lease.take(tx)
        found = tx.deliveries.progress(self._sink.name) if is_ours else None
        if found is None or self._found not in (None, found):
            return None
        if self._pause != self._paused_before:
            found = evolve(found, pause=self._pause)
        if self._to_send:
            self._leave_out(tx)
        progress = self._queue.progress(evolve(found, cancelled=found.cancelled + self._cancelled))
        changes = self._queue.changes()
        name = self._sink.name
        tx.deliveries.remove(name, changes.removed)
        changes = self._with_present_keys(tx, changes)
        tx.deliveries.put(name, changes.put)
        keys = tx.deliveries.promote(name, changes.keys, self._wiring.now()) if changes.keys else set[str]()
        if progress != found or self._pause != self._paused_before:
            tx.deliveries.save_progress(name, progress)
        if release:
            self._lease.release(tx)
        tx.commit()
        return progress, keys

    def _with_present_keys(self, tx: Transaction, changes: Changes) -> Changes:
        """Return changes by the keys that events have now: a user may have been forgotten since they were read."""
        if not changes.put or tx.settings.get(ERASURES) == self._erasures:
            return changes
        entries = tx.outbox.get_many([row.position for row in changes.put])
        keys = {entry.position: key_of(entry) for entry in entries}
        rows = [evolve(row, key=keys.get(row.position, row.key)) for row in changes.put]
        return evolve(changes, put=rows, keys={*changes.keys, *keys.values()})

    def _leave_out(self, tx: Transaction) -> None:
        """Leave out of the next calls what was cancelled. This changes the queue; doing it again changes no more."""
        entries = [entry for batch in self._to_send for entry in batch.entries]
        positions = [entry.position for entry in entries]
        erasures = tx.settings.get(ERASURES)
        if erasures != self._erasures:
            # A user was forgotten since the events were read.
            entries = tx.outbox.get_many(positions)
        unsent = unsent_events(tx, positions)
        cancelled = {entry.position for entry in entries if is_of_forgotten_user(entry.event)}
        cancelled.update(unsent.cancelled)
        if not (cancelled or unsent.uncertain):
            return
        retry_at = self._wiring.now() + _UNCERTAIN_FOR
        self._to_send = [
            self._queue.leave_out(batch, cancelled, unsent.uncertain, retry_at) for batch in self._to_send
        ]
        self._cancelled += len(cancelled.intersection(positions))
