"""A sink that keeps events in memory, for tests and experiments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

from partner_vouchers.domain.arguments import require_count
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.text import require_name
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import EventFilter


class MemorySink:
    """Keeps all events in memory.

    Attributes:
        name: the name of the sink in the storage.
        batch_size: the largest number of events in one call of `send`.
        concurrency: how many calls of `send` may run at the same time.
        takes_batches_in_order: True: a batch may have several events of one user.

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
        """Create an empty sink.

        Args:
            name: the name of the sink in the storage.
            events: the classes of the events to keep; others count as taken.
            batch_size: the largest number of events in one call of `send`.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        self.name: str = require_name("name", name)
        self.batch_size: int = require_count("batch_size", batch_size, 10_000)
        self.concurrency: int = 1
        self.takes_batches_in_order: bool = True
        self._takes = EventFilter(events)
        self._lock = Lock()
        self._entries: list[OutboxEntry] = []

    @property
    def entries(self) -> list[OutboxEntry]:
        """The entries received, in order, repeats included."""
        with self._lock:
            return list(self._entries)

    @property
    def events(self) -> list[Event]:
        """The events received, in order, repeats included."""
        return [entry.event for entry in self.entries]

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        with self._lock:
            self._entries += self._takes(entries)
        return ()
