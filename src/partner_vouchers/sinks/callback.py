"""A sink that calls a function of the host for each event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from partner_vouchers.domain.arguments import require_callable
from partner_vouchers.domain.events import Event
from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import Sink


class CallableSink(Sink):
    """Calls a function for each event, in order.

    The event counts as taken when the function returns. If the function raises, this event and the later ones of its
    user are sent again later, and the others go on. If it raises `SinkUnavailable`, the rest of the batch waits too.
    The function may get an event again; compare `entry.id` to recognise a repeat.

    Example:
        >>> from partner_vouchers.ports import OutboxEntry
        >>> reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
        >>> sink = CallableSink(lambda entry: print(entry.id, entry.event.event_name), name="printer")
        >>> sink.send([OutboxEntry("1", 1, reward.event)])
        1 CT Partner Voucher Rewarded
        []
    """

    takes_batches_in_order = True

    def __init__(
        self,
        function: Callable[[OutboxEntry], object],
        *,
        name: str,
        events: Iterable[type[Event]] = (Event,),
        batch_size: int = 100,
        concurrency: int = 1,
    ) -> None:
        """Create the sink.

        Args:
            function: is called with each entry; its result is ignored.
            name: the name of the sink in the storage.
            events: the classes of the events to call it for; others count as taken.
            batch_size: how many events `send` takes at once, from 1 to 10000.
            concurrency: how many threads may call the function at the same time, from 1 to 100.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        super().__init__(name, events, batch_size, concurrency=concurrency)
        self._function = require_callable("function", function)

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        rejections: list[Rejection] = []
        refused_keys = set[str]()
        for index, entry in enumerate(entries):
            key = entry.event.ordering_key
            if key in refused_keys:
                rejections.append(_untried(entry, "it waits for an earlier event of its user"))
                continue
            try:
                self._function(entry)
            except SinkUnavailable as unavailable:
                if index == 0:
                    raise
                reason, blameless = unavailable.reason, unavailable.sender_refused
                rejections.append(Rejection(entry.id, reason, sender_refused=blameless))
                rejections += [_untried(untried, reason) for untried in entries[index + 1 :]]
                break
            except Exception as error:  # noqa: BLE001 - a host's function can raise anything
                # Its message may contain a code.
                rejections.append(Rejection(entry.id, f"the function raised {type(error).__name__}"))
                refused_keys.add(key)
        return rejections


def _untried(entry: OutboxEntry, reason: str) -> Rejection:
    return Rejection(entry.id, reason, sender_refused=True)
