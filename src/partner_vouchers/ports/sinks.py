"""The receivers of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from partner_vouchers.ports.journal import OutboxEntry


@frozen
class Rejection:
    """One event of a batch that a sink did not take.

    Attributes:
        id: the id of the outbox entry.
        reason: why, for the log and the dead letters; without voucher codes and credentials.
        final: whether the sink would refuse the event again.
        sender_refused: see `SinkUnavailable`: the rejection then never counts against the event.
    """

    id: str
    reason: str
    final: bool = False
    sender_refused: bool = False


class EventSink(Protocol):
    """A receiver of events.

    Delivery is at least once: a sink may get an event again, with the same `OutboxEntry.id`. No two events of one
    user, or of one list, are in the same batch or in two batches at the same time.
    """

    @property
    def name(self) -> str:
        """The name under which the storage keeps what was delivered. Each receiver has its own, which never changes."""
        ...

    @property
    def batch_size(self) -> int:
        """The largest number of events in one call of `send`."""
        ...

    @property
    def concurrency(self) -> int:
        """How many calls of `send` may run at the same time, each in its own thread."""
        ...

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        """Take events, oldest first, and return those that were not taken. Return or raise within a bounded time.

        Raises:
            SinkUnavailable: the receiver as a whole could not be reached, is overloaded, or did not respond. All
                events of the batch are sent again later. Any other exception means the same.
        """
        ...
