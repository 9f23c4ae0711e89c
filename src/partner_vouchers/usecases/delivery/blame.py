"""What the answers of a sink mean: which events it has, which are to blame, and how long it is paused.

`domain.delivery` explains the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from attrs import define, evolve, frozen

from partner_vouchers.domain.delivery import Deferred, DeliveryState, Pause, RetryPolicy
from partner_vouchers.usecases.delivery.calls import Answer, one_line
from partner_vouchers.usecases.delivery.queue import Batch, Queue


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


@frozen
class _Refusal:
    """An event that the sink did not take, before it is known which event is to blame.

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


class Blame:
    """Decides what becomes of the events whose calls have ended, and changes the queue accordingly.

    Attributes:
        pause: whether the sink is left alone.
        tally: what happened and was not stored yet.
        warnings: what the log must say once it is stored.
    """

    def __init__(
        self,
        sink: str,
        queue: Queue,
        policy: RetryPolicy,
        chance: Callable[[], float],
        pause: Pause,
        suspect: Deferred | None,
    ) -> None:
        """Begin with what the storage knows.

        Args:
            sink: the name of the sink.
            queue: its events.
            policy: when they are sent again.
            chance: returns a random number from 0 to 1.
            pause: the pause of the sink.
            suspect: the event that is suspected of the last failure; None if there is none.
        """
        self.pause: Pause = pause
        self.tally: Tally = Tally()
        self.warnings: list[str] = []
        self._sink = sink
        self._queue = queue
        self._policy = policy
        self._chance = chance
        self._unproven: list[_Refusal] = []
        if suspect is not None:
            self._unproven.append(_Refusal((0, 0), suspect, by_failure=True))
        self._last_taken = (0, 0)
        self._may_ask_another = pause.failures > 0

    @property
    def needs_proof(self) -> bool:
        """Whether the sink refused events, and took none that was sent after them."""
        return any(not refusal.by_failure for refusal in self._unproven)

    def may_ask_another(self) -> bool:
        """Return once, after a pause, that one more event may show whether the sink takes anything."""
        may, self._may_ask_another = self._may_ask_another, False
        return may

    def sent(self, batch: Batch) -> None:
        """Take note that a batch is sent: what its events did before is not held against them."""
        self._may_ask_another = self._may_ask_another and not batch.is_new
        if self._unproven:
            sent = {position for position, _, _ in batch.items}
            self._unproven = [refusal for refusal in self._unproven if refusal.row.position not in sent]

    def judge(self, answered: Iterable[tuple[Batch, Answer]], now: datetime) -> None:
        """Decide what becomes of events whose calls have ended."""
        taken = False
        for batch, answer in answered:
            self._queue.landed(batch)
            if answer.failure is not None:
                self._failed(batch, answer, now)
            else:
                taken = self._read_answer(batch, answer, now) or taken
        if taken:
            self.pause = self.pause.answered(now)
            self._count_refusals(now)
            if not any(refusal.by_failure for refusal in self._unproven):
                self.pause = evolve(self.pause, suspect=None)

    def pause_for_refusals(self, now: datetime) -> None:
        """Pause a sink that refused events, and took none that was sent after them."""
        reason = self._unproven[-1].row.reason
        self._unproven = [refusal for refusal in self._unproven if refusal.by_failure]
        self._set_pause(now, f"it takes nothing, and refused an event: {reason}", None)

    def _read_answer(self, batch: Batch, answer: Answer, now: datetime) -> bool:
        if answer.rejections:
            places = self._read_rejections(batch, answer, now)
            taken, last = [batch.items[place] for place in places], max(places, default=0)
        else:
            taken, last = list(batch.items), len(batch.items) - 1
        self._queue.acknowledge(batch, taken)
        self.tally.delivered += len(taken)
        if taken:
            self._last_taken = max(self._last_taken, (batch.number, last))
        return bool(taken)

    def _read_rejections(self, batch: Batch, answer: Answer, now: datetime) -> list[int]:
        """Defer the events of a batch that the sink did not take, and return the places of the others."""
        refused, taken = set[str](), list[int]()
        for place, item in enumerate(batch.items):
            _, key, entry = item
            rejection = answer.rejections.get(entry.id)
            if key not in refused and rejection is None:
                taken.append(place)
                continue
            self.tally.not_taken += 1
            row = batch.row_of(item)
            if key in refused or rejection is None:
                # A sink that takes batches in order rejects it for the earlier event, or has taken it too early.
                self._queue.defer(evolve(row, state=DeliveryState.DEFERRED, retry_at=None))
                continue
            refused.add(key)
            blameless = rejection.sender_refused is True
            failures = row.failures + 1 if blameless else 0
            row = self._defer(row, now, failures, one_line(rejection.reason))
            sent = batch.number, place
            self._unproven.append(_Refusal(sent, row, rejection.final, is_blameless=blameless))
        return taken

    def _failed(self, batch: Batch, answer: Answer, now: datetime) -> None:
        """Defer a batch of which nothing is known, and leave the sink alone."""
        alone = batch.items[0][0] if len(batch.items) == 1 and not answer.sender_refused else None
        if self.pause.failures and alone != self.pause.suspect:
            # Several failed: the sink is at fault.
            alone = None
        if alone is None:
            self._unproven = [refusal for refusal in self._unproven if not refusal.by_failure]
        reason = answer.failure or ""
        for item in batch.items:
            row = batch.row_of(item)
            row = self._defer(row, now, row.failures + (not answer.sender_refused), reason)
            self.tally.not_taken += 1
            if alone is not None:
                self._unproven.append(_Refusal((batch.number, 0), row, by_failure=True))
        self._set_pause(now, reason, answer.retry_after)
        self.pause = evolve(self.pause, suspect=alone)

    def _defer(self, row: Deferred, now: datetime, failures: int, reason: str) -> Deferred:
        row = evolve(row, state=DeliveryState.DEFERRED, failures=failures, retry_at=now, reason=reason)
        self._queue.defer(row)
        return row

    def _set_pause(self, now: datetime, reason: str, retry_after: float | None) -> None:
        self.tally.failure = reason
        if not self.pause.holds(now):
            self.warnings.append(f"the sink {self._sink!r} is paused: {reason}")
        self.pause = self.pause.failed(self._policy, now, self._chance(), retry_after)

    def _count_refusals(self, now: datetime) -> None:
        """Count the refusals of events that were sent before another one that the sink took."""
        unproven, self._unproven = self._unproven, []
        for refusal in unproven:
            if refusal.sent >= self._last_taken:
                self._unproven.append(refusal)
                continue
            chance = self._chance()
            if refusal.is_blameless:
                row = evolve(refusal.row, retry_at=now + self._policy.wait(refusal.row.failures, chance))
            else:
                row = self._policy.counted(refusal.row, now, chance, final=refusal.final)
            self._queue.defer(row)
            if row.is_dead:
                self.warnings.append(
                    f"the event {row.id} is a dead letter of the sink {self._sink!r} after {row.attempts} "
                    f"attempts: {row.reason}"
                )
