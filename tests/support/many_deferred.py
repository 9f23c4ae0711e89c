"""An outbox of which very many events are deferred."""

from __future__ import annotations

from datetime import datetime, timedelta

from partner_vouchers.domain.delivery import Deferred, DeliveryState, SinkProgress
from partner_vouchers.domain.events import ListPaused
from partner_vouchers.ports import Storage
from tests.support.host import START

HOT = (
    "due",
    "first_of_keys",
    "has_deferred",
    "promote",
    "remove_deferred",
    "deferred_at",
    "count_deferred",
    "dead_letters_after",
    "dead_letters_with_ids",
    "count_dead",
    "events_after",
    "events_at",
    "count_events",
    "last_event",
    "remove_events",
)
"""The statements of delivery that are executed often, or while very much is stored."""


def defer_many(storage: Storage, many: int, *, retry_at: datetime = START + timedelta(days=1)) -> None:
    """Defer as many events, a fifth of them dead letters, each of another list, for the sink "crm"."""
    with storage.begin() as tx:
        tx.outbox.append([ListPaused(occurred_at=START, list_id=str(number)) for number in range(many)])
        tx.commit()
    with storage.begin() as tx:
        while tx.outbox.order():
            pass
        last = tx.outbox.last_position()
        tx.deliveries.save_progress("crm", SinkProgress(last, sent=last))
        rows = [
            Deferred(
                last - number,
                f"event-{number}",
                f"list:{many - 1 - number}",
                DeliveryState.DEFERRED if number % 5 else DeliveryState.DEAD,
                attempts=3,
                retry_at=retry_at if number % 5 else None,
                reason="busy",
            )
            for number in range(many)
        ]
        tx.deliveries.put("crm", rows)
        tx.commit()
