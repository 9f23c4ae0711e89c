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
        final: whether the sink would refuse the event again. The event becomes a dead letter once the sink takes
            another event that was sent after it.
        sender_refused: see `SinkUnavailable`: the rejection then never counts against the event.
    """

    id: str
    reason: str
    final: bool = False
    sender_refused: bool = False


class EventSink(Protocol):
    """A receiver of events.

    Delivery is at least once: a sink may be sent an event again, with the same `OutboxEntry.id`, if its answer was
    lost. No two events of one user, or of one list, are in two batches at the same time, nor in the same batch.

    A sink may have an attribute `takes_batches_in_order` that is True. It then promises that the events of a batch
    take effect in the order given and, where it rejects one, that it rejects the later ones of the same
    `Event.ordering_key`, too. Its batches may have several events of one user.

    A sink may have a method `wants(event)` that returns whether it takes an event. It is not sent the others: they
    count as delivered, and not as a sign that it works.
    """

    @property
    def name(self) -> str:
        """The name under which the storage keeps what was delivered. Each receiver has its own, which never changes."""

    @property
    def batch_size(self) -> int:
        """The largest number of events in one call of `send`."""

    @property
    def concurrency(self) -> int:
        """How many calls of `send` may run at the same time, each in its own thread."""

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        """Take events, oldest first, and return those that were not taken. Return or raise within a bounded time.

        Raises:
            SinkUnavailable: the receiver as a whole could not be reached, is overloaded, or did not respond. All
                events of the batch are sent again later. With `sender_refused` no event is to blame. Any other
                exception means the same as `SinkUnavailable`.
        """
