"""Delivery of events: in which order, when again, and when no more.

Events are spread over lanes by what they concern, a user or a list. Within a lane a sink gets them one batch
after the other, so the order of each user's events is kept while the lanes go on side by side.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from zlib import crc32

from attrs import field, frozen

from partner_vouchers.domain.events import Event

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
    """When an event that was not taken is tried again.

    Attributes:
        first_wait: the longest wait after the first try; it doubles with each.
        longest_wait: the longest wait of all.
        max_attempts: after how many tries an event becomes a dead letter.
    """

    first_wait: timedelta = timedelta(seconds=1)
    longest_wait: timedelta = timedelta(hours=1)
    max_attempts: int = 25

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
