"""Stand-ins for what a host passes in: a clock that the test sets, and a sink that records or fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from partner_vouchers.domain.events import Event
from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.testing.driver import START


class FixedClock:
    """A clock that stands still until it is moved.

    Attributes:
        now: the instant that it shows; set it to move the clock anywhere.

    Example:
        >>> clock = FixedClock()
        >>> clock.advance(days=2)
        >>> clock().isoformat()
        '2026-01-03T12:00:00.123457+00:00'
    """

    def __init__(self, now: datetime = START) -> None:
        self.now: datetime = now

    def __call__(self) -> datetime:
        """Return the instant."""
        return self.now

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Move the clock, also backwards."""
        self.now += timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


class FailingSink:
    """A sink that fails as it is told, and otherwise remembers what it was sent.

    Attributes:
        name: the name of the sink.
        outages: how many calls fail as a whole before the next one succeeds; set it at any time.
        retry_after: how many seconds it asks to be left alone in an outage, or None.
        batch_size: the most events that it takes at once.
        concurrency: how many calls may run at the same time.
        batches: the events that the sink took, a list for each call.
    """

    def __init__(
        self,
        name: str = "failing",
        *,
        outages: int = 0,
        rejects: Callable[[Event], bool] = lambda event: False,
        final: bool = False,
        retry_after: float | None = None,
        batch_size: int = 100,
        concurrency: int = 1,
    ) -> None:
        """Make a sink.

        Args:
            name: the name of the sink.
            outages: how many calls fail as a whole, from the first on.
            rejects: says which events are not taken.
            final: whether another try of those would be in vain.
            retry_after: how many seconds it asks to be left alone in an outage, or None.
            batch_size: the most events that it takes at once.
            concurrency: how many calls may run at the same time.
        """
        self.name: str = name
        self.outages: int = outages
        self.retry_after: float | None = retry_after
        self.batch_size: int = batch_size
        self.concurrency: int = concurrency
        self.batches: list[tuple[OutboxEntry, ...]] = []
        self._rejects = rejects
        self._final = final

    @property
    def events(self) -> list[Event]:
        """The events, in the order in which they came."""
        return [entry.event for batch in self.batches for entry in batch]

    @property
    def ids(self) -> list[str]:
        """The ids of the events, in the order in which they came."""
        return [entry.id for batch in self.batches for entry in batch]

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        """Fail, or remember what is not rejected.

        Raises:
            SinkUnavailable: an outage was asked for.
        """
        if self.outages:
            self.outages -= 1
            raise SinkUnavailable(sink=self.name, reason="told to fail", retry_after=self.retry_after)
        refused = [entry for entry in entries if self._rejects(entry.event)]
        self.batches.append(tuple(entry for entry in entries if entry not in refused))
        return [Rejection(entry.id, "told to reject", self._final) for entry in refused]
