"""A sink that calls a function of the host's for each event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from partner_vouchers.domain.events import Event
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import EventFilter, require_count


class CallableSink:
    """Calls a function for each event, in order.

    Where the function returns, the event is taken. Where it raises, that event is tried again later and the
    others go on; where it raises `SinkUnavailable`, the rest is not tried now. The function may see an event
    again, and should then do nothing: `entry.id` tells repeats.

    Attributes:
        name: what the storage remembers the sink by.
        batch_size: the most events that `send` takes at once.
        concurrency: how many calls of `send` may run at the same time.

    Example:
        >>> from partner_vouchers.ports import OutboxEntry
        >>> reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
        >>> sink = CallableSink(lambda entry: print(entry.id, entry.event.event_name), name="printer")
        >>> sink.send([OutboxEntry("1", 1, reward.event)])
        1 CT Partner Voucher Rewarded
        []
    """

    def __init__(
        self,
        function: Callable[[OutboxEntry], object],
        *,
        name: str,
        events: Iterable[type[Event]] = (Event,),
        batch_size: int = 100,
        concurrency: int = 1,
    ) -> None:
        """Hand over the function.

        Args:
            function: is called with each entry; what it returns is ignored.
            name: what the storage remembers the sink by.
            events: the classes of the events to call it for; others count as taken.
            batch_size: how many events `send` takes at once, from 1 to 10000.
            concurrency: how many threads may call the function at the same time, from 1 to 100.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        self.name: str = require_name("name", name)
        self.batch_size: int = require_count("batch_size", batch_size, 10_000)
        self.concurrency: int = require_count("concurrency", concurrency, 100)
        self._takes = EventFilter(events)
        self._function = function

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        """See `ports.EventSink`."""
        rejections: list[Rejection] = []
        chosen = self._takes(entries)
        for index, entry in enumerate(chosen):
            try:
                self._function(entry)
            except SinkUnavailable as unavailable:
                if index == 0:
                    raise
                rejections += [Rejection(untried.id, unavailable.reason) for untried in chosen[index:]]
                break
            except Exception as error:  # noqa: BLE001 - whatever a host's function raises
                # Its text may hold a code.
                rejections.append(Rejection(entry.id, f"the function raised {type(error).__name__}"))
        return rejections
