"""Events as JSON text in a storage, and back.

The event of an assignment is not stored as text: the assignment says it all.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from cattrs import Converter

from partner_vouchers.domain import events
from partner_vouchers.domain.events import (
    AuditedEvent,
    CodeEvent,
    Event,
    FieldChange,
    ListEvent,
    StockEvent,
    UnreadableEvent,
)
from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.domain.promo_events import HOST_EVENTS
from partner_vouchers.domain.properties import Number
from partner_vouchers.errors import InvalidInput, StorageError

_OWN_EVENTS = [
    found
    for found in vars(events).values()
    if isinstance(found, type)
    and issubclass(found, AuditedEvent | ListEvent | CodeEvent)
    and found not in (AuditedEvent, ListEvent, StockEvent, CodeEvent, UnreadableEvent)
]

EVENT_TYPES: Final[dict[str, type[Event]]] = {
    found.event_name: found for found in (*_OWN_EVENTS, *HOST_EVENTS)
}
"""The stored events by name."""


def _new_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    # A value is what JSON says it is; cattrs would coerce it: None to "None", 5.9 to 5.
    converter.register_structure_hook(str, _exactly)
    converter.register_structure_hook(int, _exactly)
    converter.register_structure_hook(bool, _exactly)
    # Numbers are checked by the class that has them.
    converter.register_structure_hook_func(
        lambda hint: hint in (Number, Number | None), lambda value, _: value
    )
    converter.register_structure_hook(FieldChange, lambda found, _: FieldChange(**found))
    return converter


def _exactly(value: object, expected: type) -> object:
    if type(value) is not expected:
        raise TypeError(f"expected {expected.__name__}, found {type(value).__name__}")
    return value


_CONVERTER = _new_converter()


def event_to_dict(event: Event) -> dict[str, Any]:
    """Return what JSON can say of an event; its name is not part of it."""
    found: dict[str, Any] = _CONVERTER.unstructure(event)
    if not found.get("extra", True):
        del found["extra"]
    return found


def event_to_json(event: Event) -> str:
    """Return an event as JSON text. Its name is not part of it: keep `event.event_name` beside it.

    Raises:
        StorageError: it is the event of an assignment, which is not kept as text: keep the id of the assignment,
            and return its `Assignment.event`. Or it is of a class that this library does not have.

    Example:
        >>> from datetime import UTC, datetime
        >>> from partner_vouchers.domain.events import ListPaused
        >>> event = ListPaused(occurred_at=datetime(2026, 11, 21, 12, tzinfo=UTC), list_id="1837")
        >>> event.event_name, event_to_json(event)
        ('list.paused', '{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":"1837","changes":[]}')
        >>> event_from_json(event.event_name, event_to_json(event)) == event
        True
    """
    if EVENT_TYPES.get(event.event_name) is not type(event):
        raise StorageError(
            reason=f"the event {event.event_name!r} cannot be kept as text; that of an assignment is "
            "`Assignment.event`, so keep the id of the assignment"
        )
    return json.dumps(event_to_dict(event), ensure_ascii=False, separators=(",", ":"))


def event_id(storage_id: str, number: int, nonce: int | None) -> str:
    """Return the id of an event: unique for ever, also if a restored backup gives its number again.

    Args:
        storage_id: the id of the storage.
        number: the number of the event in the storage.
        nonce: a random number of 64 bits, stored with the event; None for an event of a version that had none.

    Example:
        >>> event_id("ab12", 7, 255), event_id("ab12", 7, None)
        ('ab12-7-00000000000000ff', 'ab12-7')
    """
    return f"{storage_id}-{number}" if nonce is None else f"{storage_id}-{number}-{nonce % 2**64:016x}"


def event_from_json(name: str, text: str) -> Event:
    """Return the event of a name and the JSON text that `event_to_json` made of it.

    Returns:
        an `UnreadableEvent` if this version does not know the name, or a property of the event.
    """
    try:
        stored = json.loads(text)
        return _CONVERTER.structure(stored, EVENT_TYPES[name])
    except Exception:  # noqa: BLE001 - whatever a newer version wrote must not stop the events of others
        return _unreadable(name, text)


def _unreadable(name: str, text: str) -> UnreadableEvent:
    try:
        stored = json.loads(text)
    except ValueError:
        stored = {}
    found = stored if isinstance(stored, dict) else {}
    try:
        occurred_at = require_aware("occurred_at", datetime.fromisoformat(str(found.get("occurred_at"))))
    except (ValueError, InvalidInput):
        occurred_at = datetime(1970, 1, 1, tzinfo=UTC)
    list_id, user_id = (
        value if isinstance(value := found.get(key), str) else None for key in ("list_id", "user_id")
    )
    return UnreadableEvent(occurred_at=occurred_at, name=name, list_id=list_id, user_id=user_id)
