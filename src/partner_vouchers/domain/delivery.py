"""Delivery of events: in which order, when again, and when no more.

Events are spread over lanes by what they concern, a user or a list. Within a lane a sink gets them one batch
after the other, so the order of each user's events is kept while the lanes go on side by side.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from zlib import crc32

from attrs import evolve, field, frozen

from partner_vouchers.domain.events import Event
from partner_vouchers.errors import InvalidInput

_YEAR = timedelta(days=365)

LANES = 16
"""The number of lanes. The storage keeps the lane of each event, so it can never change."""


def lane_of(event: Event) -> int:
    """Return the lane of an event, from 0 on."""
    return lane_of_key(event.ordering_key)


def lane_of_key(key: str) -> int:
    """Return the lane of the events of an `Event.ordering_key`."""
    return crc32(key.encode("utf-8", "surrogatepass")) % LANES


@frozen
class Progress:
    """Which events of a lane are settled for a sink.

    Attributes:
        position: all up to this position are.
        ahead: those beyond it that are too, in order.
    """

    position: int = 0
    ahead: tuple[int, ...] = ()

    def settle(self, window: Sequence[int], reached: int, settled: Collection[int]) -> Progress:
        """Return the progress once more events are settled.

        Args:
            window: the positions of the lane after `position`, in order, as far as they were read.
            reached: up to which position the lane was read.
            settled: the positions that are settled now.

        Example:
            >>> Progress(4).settle([5, 7, 9], 9, {5, 9})
            Progress(position=5, ahead=(9,))
            >>> Progress(5, (9,)).settle([7, 9], 12, {7})
            Progress(position=12, ahead=())
        """
        done = {*self.ahead, *settled}
        open_positions = [position for position in window if position not in done]
        if not open_positions:
            return Progress(reached, _beyond(reached, done))
        behind = [position for position in window if position < open_positions[0]]
        return Progress(behind[-1] if behind else self.position, _beyond(open_positions[0], done))


def _beyond(position: int, done: Collection[int]) -> tuple[int, ...]:
    return tuple(sorted(each for each in done if each > position))


@frozen
class Held:
    """An event that a sink has not taken, and that is not read from the outbox again.

    Attributes:
        position: its position in the outbox.
        lane: its lane.
        key: what it concerns; later events of the same key wait until it is settled.
        attempts: how often it was tried.
        retry_at: when it is tried again, at the earliest; None for a dead letter.
        reason: why the sink did not take it; empty while it only waits for an earlier one.
    """

    position: int
    lane: int
    key: str = field(repr=False)
    attempts: int
    retry_at: datetime | None
    reason: str = ""

    @property
    def is_dead(self) -> bool:
        """Whether it is a dead letter."""
        return self.retry_at is None


@frozen(kw_only=True)
class RetryPolicy:
    """When an event that was not taken is tried again, and when no more.

    With the defaults an event is tried for about three days before it becomes a dead letter.

    Attributes:
        first_wait: the longest wait after the first try; it doubles with each.
        longest_wait: the longest wait of all.
        max_attempts: after how many tries an event becomes a dead letter.
        longest_pause: how long a sink that fails as a whole is left alone at the longest, unless it asks for more.

    Raises:
        InvalidInput: a wait is no timedelta from zero to a year, or `max_attempts` no whole number from 1 on.
    """

    first_wait: timedelta = timedelta(seconds=1)
    longest_wait: timedelta = timedelta(hours=1)
    max_attempts: int = 100
    longest_pause: timedelta = timedelta(minutes=5)

    def __attrs_post_init__(self) -> None:
        for name in ("first_wait", "longest_wait", "longest_pause"):
            value: object = getattr(self, name)
            if not isinstance(value, timedelta) or not timedelta() <= value <= _YEAR:
                raise InvalidInput(field=name, reason="must be a timedelta from zero to 365 days")
        attempts: object = self.max_attempts
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise InvalidInput(field="max_attempts", reason="must be a whole number, at least 1")

    def wait(self, attempts: int, chance: float) -> timedelta:
        """Return how long to wait after a number of tries: exponential, half of it by chance.

        Args:
            attempts: how often it was tried, from 1 on.
            chance: a random number from 0 to 1, so that many who failed together do not come back together.

        Example:
            >>> RetryPolicy().wait(3, 0.5)
            datetime.timedelta(seconds=3)
        """
        # In seconds as a float, since a timedelta would overflow.
        full = self.first_wait.total_seconds() * 2.0 ** min(attempts - 1, 100)
        return timedelta(seconds=min(full, self.longest_wait.total_seconds()) * (1 + chance) / 2)

    def not_taken(self, held: Held, now: datetime, chance: float, reason: str, *, final: bool) -> Held:
        """Return what becomes of an event that was tried once more, and not taken.

        Args:
            held: the event as it was held before, with `attempts` 0 where it was not.
            now: the present instant.
            chance: see `wait`.
            reason: why it was not taken.
            final: whether another try would end in the same way.
        """
        attempts = held.attempts + 1
        dead = final or attempts >= self.max_attempts
        retry_at = None if dead else now + self.wait(attempts, chance)
        return evolve(held, attempts=attempts, retry_at=retry_at, reason=reason)


@frozen
class Pause:
    """A sink that failed as a whole is left alone for a while.

    Attributes:
        failures: how often in a row it failed; 0 where all is well.
        until: when it is tried again.
    """

    failures: int = 0
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Tell whether the sink is to be left alone now."""
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
            # Calls that were made at the same time fail together: that is one failure.
            return Pause(self.failures, max(self.until, now + asked))
        failures = self.failures + 1
        return Pause(failures, now + max(min(policy.wait(failures, chance), policy.longest_pause), asked))

    def answered(self, now: datetime) -> Pause:
        """Return the pause after the sink took a batch."""
        return self if self.holds(now) else Pause()


def batch_limit(batch_size: int, failures: int) -> int:
    """Return how many events may be tried together that failed together so often.

    Each time it is half as many, so that in the end the one that spoils all others is alone.

    Example:
        >>> [batch_limit(100, failures) for failures in (0, 1, 2, 30)]
        [100, 50, 25, 1]
    """
    return max(batch_size >> failures, 1)


def choose_due(due: Sequence[Held], batch_size: int) -> list[Held]:
    """Return which of the held events that are due are tried together, by position.

    Those that failed before come first and by themselves, so that they spoil nothing for the others.
    """
    tried = [held for held in due if held.attempts]
    if not tried:
        return list(due[:batch_size])
    chosen = list[Held]()
    limit = batch_size
    for held in tried:
        limit_with = min(limit, batch_limit(batch_size, held.attempts))
        if len(chosen) < limit_with:
            chosen.append(held)
            limit = limit_with
    return chosen
