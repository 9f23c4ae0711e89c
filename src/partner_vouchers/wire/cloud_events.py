"""The JSON format of CloudEvents 1.0: one envelope for every event.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

from typing import Any

from partner_vouchers.domain.events import Event
from partner_vouchers.domain.promo_events import PromoEvent
from partner_vouchers.ports import OutboxEntry
from partner_vouchers.wire.wording import Wording


def to_cloud_event(entry: OutboxEntry, wording: Wording, source: str) -> dict[str, Any]:
    """Return an entry in its envelope.

    `id` is that of the entry, `type` the event's name at the receiver, `subject` the user or the list that it
    concerns, and `data` what the receiver is told of it.

    Args:
        entry: the event on its way.
        wording: the receiver's words.
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
    """Return whom or what an event concerns: the user, or the list."""
    if isinstance(event, PromoEvent):
        return event.user_id
    return getattr(event, "list_id", None)
