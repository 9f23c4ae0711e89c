"""A sink that writes events to the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from partner_vouchers.domain.arguments import require_count, require_instance
from partner_vouchers.domain.events import Event
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import Sink


class LoggingSink(Sink):
    """Logs each event in one record, with its codes masked.

    The record has the attributes `event_id` and `event_name`, which a formatter can use.
    """

    takes_batches_in_order = True

    def __init__(
        self,
        logger: logging.Logger | None = None,
        *,
        level: int = logging.INFO,
        name: str = "logging",
        events: Iterable[type[Event]] = (Event,),
    ) -> None:
        """Create the sink.

        Args:
            logger: the logger; `partner_vouchers.events` by default.
            level: the level of the records.
            name: the name of the sink in the storage.
            events: the classes of the events to log; others count as taken.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        super().__init__(name, events, 1000)
        chosen = logging.getLogger("partner_vouchers.events") if logger is None else logger
        self._logger = require_instance("logger", chosen, logging.Logger)
        self._level = require_count("level", level, 1000)

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        for entry in entries:
            name = entry.event.event_name
            self._logger.log(
                self._level,
                "event %s %s: %r",
                entry.id,
                name,
                entry.event,
                extra={"event_id": entry.id, "event_name": name},
            )
        return ()
