"""A sink that keeps events in memory, for tests and for trying things out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

from partner_vouchers.domain.events import Event
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import EventFilter


class MemorySink:
    """Keeps what it is handed.

    Attributes:
        name: what the storage remembers the sink by.
        batch_size: the most events that `send` takes at once.
        concurrency: how many calls of `send` may run at the same time.

    Example:
        >>> from partner_vouchers.ports import OutboxEntry
        >>> reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
        >>> sink = MemorySink()
        >>> sink.send([OutboxEntry("1", 1, reward.event)])
        ()
        >>> [event.event_name for event in sink.events]
        ['CT Partner Voucher Rewarded']
    """

    def __init__(
        self, *, name: str = "memory", events: Iterable[type[Event]] = (Event,), batch_size: int = 1000
    ) -> None:
        """Begin with nothing.

        Args:
            name: what the storage remembers the sink by.
            events: the classes of the events to keep; others count as taken.
            batch_size: the most events that `send` takes at once.

        Raises:
            InvalidInput: `events` are no classes of events.
        """
        self.name: str = name
        self.batch_size: int = batch_size
        self.concurrency: int = 1
        self._takes = EventFilter(events)
        self._lock = Lock()
        self._entries: list[OutboxEntry] = []

    @property
    def entries(self) -> list[OutboxEntry]:
        """What came, in order, repeats included."""
        with self._lock:
            return list(self._entries)

    @property
    def events(self) -> list[Event]:
        """The events that came, in order, repeats included."""
        return [entry.event for entry in self.entries]

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        """See `ports.EventSink`."""
        with self._lock:
            self._entries += self._takes(entries)
        return ()
