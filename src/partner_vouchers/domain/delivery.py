"""Delivery: the state of every event for every sink, and what changes it.

A sink is sent the events of the outbox in the order of their positions, except that an event waits for the earlier
ones of its ordering key: the events of one user, or of one list, arrive in order. One process at a time, the owner of
the sink's lease, sends events. It keeps several calls in flight, partitioned by ordering key. For a sink, every event
is in one of five states, and nothing is stored for an event that simply arrives:

- **waiting**: beyond `SinkProgress.sent`, without a row.
  Sent: in flight. Behind a deferred event of its key, or unreadable: deferred.
- **in flight**: up to `sent` and not settled, or a `Deferred` row says so.
  The sink takes it: delivered. It does not, or its answer is lost: deferred. The owner dies: sent again.
- **deferred**: a `Deferred` row.
  Due and the first of its key: in flight. Blamed finally, or too often: dead.
- **delivered**: settled (up to `position`, or in `ahead`) and without a row. For ever.
- **dead**: a `Deferred` row says so. Retried by hand: deferred.

**Who is to blame** when the sink does not take an event is decided by what it does next. A refusal counts against the
event only once the sink takes another event that was sent after it. Until then the sink is paused, and the event is
sent again when the pause ends, before the next one. So a sink that refuses everything, or nothing but this, turns no
event into a dead letter. A call that fails as a whole blames no event unless it had one event only; its events are sent
again in batches half as large each time, until the one that spoils all others is alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum

from attrs import evolve, field, frozen

from partner_vouchers.domain.arguments import require_count, require_duration

_YEAR = timedelta(days=365)


class DeliveryState(Enum):
    """The state of an event for a sink; see the table of this module."""

    WAITING = "waiting"
    IN_FLIGHT = "in flight"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    DEAD = "dead"


@frozen(kw_only=True)
class RetryPolicy:
    """When an event that was not taken is sent again, and when it becomes a dead letter.

    With the defaults an event is tried for about three days before it becomes a dead letter.

    Attributes:
        first_wait: the longest wait after the first attempt; it doubles with each attempt.
        longest_wait: the longest wait of all.
        max_attempts: how many attempts must count against an event before it becomes a dead letter.
        longest_pause: the longest pause of a sink that fails or refuses, unless it asks for more.

    Raises:
        InvalidInput: a wait is not a timedelta from zero to a year, or `max_attempts` is not a whole number from 1.
    """

    first_wait: timedelta = timedelta(seconds=1)
    longest_wait: timedelta = timedelta(hours=1)
    max_attempts: int = 100
    longest_pause: timedelta = timedelta(minutes=5)

    def __attrs_post_init__(self) -> None:
        for name in ("first_wait", "longest_wait", "longest_pause"):
            require_duration(
                name, getattr(self, name), "must be a timedelta from zero to 365 days", most=_YEAR
            )
        require_count("max_attempts", self.max_attempts)

    def wait(self, attempts: int, chance: float) -> timedelta:
        """Return how long to wait after a number of attempts: exponential, half of it random.

        Args:
            attempts: the number of attempts, from 1.
            chance: a random number from 0 to 1, so that callers that failed together do not return together.

        Example:
            >>> RetryPolicy().wait(3, 0.5)
            datetime.timedelta(seconds=3)
        """
        # In seconds as a float, since a timedelta would overflow.
        full = self.first_wait.total_seconds() * 2.0 ** min(attempts - 1, 100)
        return timedelta(seconds=min(full, self.longest_wait.total_seconds()) * (1 + chance) / 2)

    def counted(self, deferred: Deferred, now: datetime, chance: float, *, final: bool) -> Deferred:
        """Return an event that was not taken once more, and is to blame for it.

        `final` says whether another try would end in the same way. See `wait` for `chance`.
        """
        attempts = deferred.attempts + 1
        if final or attempts >= self.max_attempts:
            return evolve(deferred, state=DeliveryState.DEAD, attempts=attempts, retry_at=None)
        return evolve(deferred, attempts=attempts, retry_at=now + self.wait(attempts, chance))


@frozen
class Pause:
    """A sink that fails or refuses is left alone for a while.

    Attributes:
        failures: how often in a row it failed; 0 when all is well.
        until: when it is tried again.
        suspect: the position of the event that was alone in the call that failed; None if there is no such event.
    """

    failures: int = 0
    until: datetime | None = None
    suspect: int | None = None

    def holds(self, now: datetime) -> bool:
        """Return whether the sink is to be left alone now."""
        return self.until is not None and now < self.until

    def failed(self, policy: RetryPolicy, now: datetime, chance: float, retry_after: float | None) -> Pause:
        """Return the pause after a failure.

        Args:
            policy: how long to wait.
            now: the present instant.
            chance: see `RetryPolicy.wait`.
            retry_after: how many seconds the sink asked for; honoured up to `RetryPolicy.longest_wait`.
        """
        asked = timedelta()
        if retry_after is not None and retry_after > 0:
            asked = timedelta(seconds=min(retry_after, policy.longest_wait.total_seconds()))
        if self.until is not None and now < self.until:
            # Calls that were in flight together fail together: that is one failure.
            return evolve(self, until=max(self.until, now + asked))
        failures = self.failures + 1
        until = now + max(min(policy.wait(failures, chance), policy.longest_pause), asked)
        return Pause(failures, until, self.suspect)

    def answered(self, now: datetime) -> Pause:
        """Return the pause after the sink took an event."""
        return self if self.holds(now) else Pause()


@frozen
class Deferred:
    """An event that a sink has not taken, and that is not read from the outbox again for this sink.

    Attributes:
        position: its position in the outbox.
        id: its id, as the sink was given it.
        key: its ordering key; later events of the same key wait for it, unless it is dead.
        state: `DEFERRED`, `IN_FLIGHT` or `DEAD`.
        attempts: how many refusals count against it.
        failures: how many calls with it failed as a whole, in a row.
        retry_at: when it is due; None for a dead letter, and while it waits for an earlier event of its key.
        reason: why it was not taken; empty if it was not sent yet.
    """

    position: int
    id: str
    key: str = field(repr=False)
    state: DeliveryState = DeliveryState.DEFERRED
    attempts: int = 0
    failures: int = 0
    retry_at: datetime | None = None
    reason: str = ""

    @property
    def is_dead(self) -> bool:
        """Whether it is a dead letter."""
        return self.state is DeliveryState.DEAD


Range = tuple[int, int]
"""The first and the last of some positions; all events between them are meant."""


@frozen
class SinkProgress:
    """How far a sink has come.

    An event is settled if it need not be read from the outbox again: the sink took it, or a `Deferred` row keeps it.

    Attributes:
        position: all events up to this position are settled.
        ahead: the settled ones beyond it, in order.
        sent: the newest event that was ever in a call.
        pause: whether the sink is left alone.
        cancelled: how many events were cancelled before the sink took them.
    """

    position: int = 0
    ahead: tuple[Range, ...] = ()
    sent: int = 0
    pause: Pause = Pause()
    cancelled: int = 0

    def is_settled(self, position: int) -> bool:
        """Return whether an event is settled.

        Example:
            >>> progress = SinkProgress(4, ahead=((6, 7),))
            >>> [position for position in range(3, 9) if progress.is_settled(position)]
            [3, 4, 6, 7]
        """
        return position <= self.position or any(first <= position <= last for first, last in self.ahead)

    def read(self, known: Sequence[int], open_positions: Collection[int], reached: int) -> SinkProgress:
        """Return the progress once the outbox was read up to a position.

        Args:
            known: the positions that were read beyond `position`, in order.
            open_positions: those of them that are not settled.
            reached: up to where the outbox was read.

        Example:
            >>> progress = SinkProgress(4).read([5, 7, 8, 9], {7}, 9)
            >>> progress.position, progress.ahead
            (5, ((8, 9),))
            >>> progress.read([7, 8, 9], (), 12).position
            12
        """
        beyond = tuple((max(first, reached + 1), last) for first, last in self.ahead if last > reached)
        if not open_positions:
            return evolve(self, position=max(self.position, reached), ahead=beyond)
        place = bisect_left(known, min(open_positions))
        position = known[place - 1] if place else self.position
        if len(known) - place == len(open_positions):
            return evolve(self, position=position, ahead=beyond)
        settled = ((position, position not in open_positions) for position in known[place:])
        return evolve(self, position=position, ahead=(*_ranges(settled), *beyond))


def _ranges(settled: Iterable[tuple[int, bool]]) -> list[Range]:
    found = list[Range]()
    joins = False
    for position, is_settled in settled:
        if is_settled and joins:
            found[-1] = (found[-1][0], position)
        elif is_settled:
            found.append((position, position))
        joins = is_settled
    return found


def state_of(position: int, progress: SinkProgress, deferred: Deferred | None) -> DeliveryState:
    """Return the state of an event for a sink.

    Example:
        >>> progress = SinkProgress(position=4, ahead=((6, 6),), sent=7)
        >>> [state_of(position, progress, None).value for position in (4, 5, 6, 8)]
        ['delivered', 'in flight', 'delivered', 'waiting']
    """
    if deferred is not None:
        return deferred.state
    if progress.is_settled(position):
        return DeliveryState.DELIVERED
    return DeliveryState.IN_FLIGHT if position <= progress.sent else DeliveryState.WAITING


def batch_limit(batch_size: int, failures: int) -> int:
    """Return how many events may be sent together that failed together so often.

    Each time it is half as many, so that in the end the one that spoils all others is alone.

    Example:
        >>> [batch_limit(100, failures) for failures in (0, 1, 2, 30)]
        [100, 50, 25, 1]
    """
    return max(batch_size >> failures, 1)
