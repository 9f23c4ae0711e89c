"""What the sinks share: which events they take, and how they find the ones that a receiver refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from partner_vouchers.domain.events import Event
from partner_vouchers.errors import InvalidInput, SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection

MAX_CALLS: Final = 40
"""How many calls the search for refused events may take: enough for one among a thousand, twice over."""


class EventFilter:
    """The kinds of events that a sink takes."""

    def __init__(self, events: Iterable[type[Event]]) -> None:
        """Take these classes and those that are kinds of them.

        Raises:
            InvalidInput: one is no class of events, or there is none.
        """
        # One class alone is easily passed by mistake.
        self._kinds = () if isinstance(events, type) else tuple(events)
        if not self._kinds or not all(map(_is_kind, self._kinds)):
            raise InvalidInput(
                field="events", reason="must name classes of events, such as (VoucherRewarded,)"
            )

    def require_kind(self, kind: type[Event]) -> None:
        """Require that all that the sink takes is of one kind.

        Raises:
            InvalidInput: it would take others too.
        """
        if not all(issubclass(each, kind) for each in self._kinds):
            raise InvalidInput(field="events", reason=f"must be kinds of {kind.__name__}")

    def __call__(self, entries: Sequence[OutboxEntry]) -> list[OutboxEntry]:
        """Return the entries that the sink takes, in order."""
        return [entry for entry in entries if isinstance(entry.event, self._kinds)]


def _is_kind(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Event)


def require_count(field: str, value: object, most: int) -> int:
    """Return a number from 1 to `most`.

    Raises:
        InvalidInput: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidInput(field=field, reason=f"must be a whole number from 1 to {most}")
    return value


class Refused(Exception):
    """The receiver refused the content of a request as a whole."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def send_in_parts(
    sink: str, entries: Sequence[OutboxEntry], send: Callable[[Sequence[OutboxEntry]], Sequence[Rejection]]
) -> list[Rejection]:
    """Send a batch; where it is refused as a whole, halve it until the events that are to blame stand alone.

    Args:
        sink: the name of the sink.
        entries: the batch.
        send: hands over a part; raises `Refused` or `SinkUnavailable`.

    Raises:
        SinkUnavailable: nothing of the batch was taken.
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
            return found + _again([part, *parts], unavailable.reason)
    if parts and not taken:
        # Then it is not this event or that: nothing is final.
        raise SinkUnavailable(sink=sink, reason="the receiver refuses the content of every request")
    return found + _again(parts, "the receiver refused it together with other events")


def _again(parts: Sequence[Sequence[OutboxEntry]], reason: str) -> list[Rejection]:
    return [Rejection(entry.id, reason) for part in parts for entry in part]
