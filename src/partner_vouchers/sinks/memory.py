"""A sink that keeps events in memory, for tests and experiments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

from partner_vouchers.domain.events import Event
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import Sink


class MemorySink(Sink):
    """Keeps all events in memory.

    Example:
        >>> from partner_vouchers.ports import OutboxEntry
        >>> reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
        >>> sink = MemorySink()
        >>> sink.send([OutboxEntry("1", 1, reward.event)])
        ()
        >>> [event.event_name for event in sink.events]
        ['CT Partner Voucher Rewarded']
    """

    takes_batches_in_order = True

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
        super().__init__(name, events, batch_size)
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
            self._entries += entries
        return ()
