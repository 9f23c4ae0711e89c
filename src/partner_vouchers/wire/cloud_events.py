"""Events in the JSON format of CloudEvents 1.0.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

from typing import Any

from partner_vouchers.domain.events import Event
from partner_vouchers.domain.promo_events import PromoEvent
from partner_vouchers.ports import OutboxEntry
from partner_vouchers.wire.wording import Wording


def to_cloud_event(entry: OutboxEntry, wording: Wording, source: str) -> dict[str, Any]:
    """Return an outbox entry as a CloudEvent.

    `id` is the id of the entry, `type` the name of the event at the receiver, `subject` the user or the list, and
    `data` the properties of the event.

    Args:
        entry: the outbox entry.
        wording: the names and wire forms that the receiver wants.
        source: a URI reference for the sender.
    """
    event = entry.event
    found = {
        "specversion": "1.0",
        "id": entry.id,
        "source": source,
        "type": wording.name_of(event),
        "time": event.occurred_at.isoformat(),
        "datacontenttype": "application/json",
        "data": wording.properties_of(event),
    }
    subject = subject_of(event)
    if subject:
        found["subject"] = subject
    return found


def subject_of(event: Event) -> str | None:
    """Return the id of the user of an event, or else of its list, or None."""
    if isinstance(event, PromoEvent):
        return event.user_id
    return getattr(event, "list_id", None)
