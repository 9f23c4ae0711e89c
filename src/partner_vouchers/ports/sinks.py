"""Where events go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from partner_vouchers.ports.journal import OutboxEntry


@frozen
class Rejection:
    """A sink's word that it did not take one event of a batch.

    Attributes:
        id: the id of the entry.
        reason: why, for the log and the dead letters; without voucher codes and credentials.
        final: whether another try would end in the same way, so that the event is a dead letter at once.
    """

    id: str
    reason: str
    final: bool = False


class EventSink(Protocol):
    """A receiver of events.

    Delivery is at least once: a sink may see an event again, with the same `OutboxEntry.id`, where its answer was
    lost. No two events of one user, or of one list, are in the same batch or in two batches at the same time.
    """

    @property
    def name(self) -> str:
        """What the storage remembers the sink by; a new name begins anew. No two receivers share one."""
        ...

    @property
    def batch_size(self) -> int:
        """The most events that `send` takes at once."""
        ...

    @property
    def concurrency(self) -> int:
        """How many calls of `send` may run at the same time, each in a thread of its own."""
        ...

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        """Hand over events, the oldest first, and return those that were not taken; all others were.

        It returns or raises within a bounded time.

        Raises:
            SinkUnavailable: the receiver as a whole could not be reached, is overloaded, or did not answer:
                nothing is known of the batch. All of it is tried again. Any other exception means the same.
        """
        ...
