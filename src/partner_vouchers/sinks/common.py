"""What the sinks share: names, limits and the choice of events, and the search for refused events in a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from partner_vouchers.domain.arguments import require_count
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput, SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection

MAX_CALLS: Final = 40
"""The most calls in a search for refused events: twice what one among a thousand needs."""


class Sink:
    """The name, the limits and the choice of events of a sink.

    Attributes:
        name: the name of the sink in the storage.
        batch_size: the largest number of events in one call of `send`.
        concurrency: how many calls of `send` may run at the same time.
        takes_batches_in_order: whether a batch may have several events of one user.
    """

    takes_batches_in_order: bool = False
    _base: type[Event] = Event

    def __init__(
        self, name: str, events: Iterable[type[Event]], batch_size: int, most_events: int = 10_000,
        concurrency: int = 1, most_calls: int = 100,
    ) -> None:  # fmt: skip
        self.name: str = require_name("name", name)
        self.batch_size: int = require_count("batch_size", batch_size, most_events)
        self.concurrency: int = require_count("concurrency", concurrency, most_calls)
        # A single class is easily passed by mistake.
        given: object = events
        self._kinds = tuple(given) if isinstance(given, Iterable) and not isinstance(given, type) else ()
        if not self._kinds or not all(
            isinstance(each, type) and issubclass(each, self._base) for each in self._kinds
        ):
            kind = "events" if self._base is Event else f"events that are subclasses of {self._base.__name__}"
            raise InvalidInput(
                field="events", reason=f"must contain classes of {kind}, such as (VoucherRewarded,)"
            )

    def wants(self, event: Event) -> bool:
        """Return whether the sink takes an event; it is not sent the others."""
        return isinstance(event, self._kinds)


class Refused(Exception):
    """The receiver refused the content of a request as a whole."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def send_in_parts(
    sink: str, entries: Sequence[OutboxEntry], send: Callable[[Sequence[OutboxEntry]], Sequence[Rejection]]
) -> list[Rejection]:
    """Send a batch. If it is refused as a whole, halve it until the refused events are alone.

    Args:
        sink: the name of the sink.
        entries: the batch.
        send: sends a part of it; raises `Refused` or `SinkUnavailable`.

    Raises:
        SinkUnavailable: no event of the batch was taken.
    """
    parts, found, taken, calls = [entries], list[Rejection](), False, 0
    while parts and calls < MAX_CALLS:
        part, calls = parts.pop(), calls + 1
        try:
            found += send(part)
            taken = True
        except Refused as refused:
            if len(part) == 1:
                found.append(Rejection(part[0].id, refused.reason, final=True))
            else:
                half = len(part) // 2
                parts += [part[half:], part[:half]]
        except SinkUnavailable as unavailable:
            if not taken:
                raise
            # Only an event that was alone in the failed request can be to blame, as for `SinkUnavailable`.
            blameless = unavailable.sender_refused or len(part) > 1
            found += _again([part], unavailable.reason, sender_refused=blameless)
            return found + _again(parts, unavailable.reason, sender_refused=True)
    if parts and not taken:
        # So it is not a single event's fault: nothing is final.
        raise SinkUnavailable(sink=sink, reason="the receiver refuses the content of every request")
    return found + _again(parts, "the receiver refused it together with other events", sender_refused=True)


def _again(parts: Sequence[Sequence[OutboxEntry]], reason: str, *, sender_refused: bool) -> list[Rejection]:
    return [Rejection(entry.id, reason, sender_refused=sender_refused) for part in parts for entry in part]
