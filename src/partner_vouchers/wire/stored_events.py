"""Events as JSON text in a storage, and back.

The event of an assignment is not stored as text: the assignment says it all.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from cattrs import Converter

from partner_vouchers.domain import events
from partner_vouchers.domain.events import Event, FieldChange, ListExpired, Recorded, StockEvent
from partner_vouchers.domain.promo_events import RAISED_EVENTS
from partner_vouchers.domain.properties import Number
from partner_vouchers.errors import StorageError

_OWN_EVENTS = [
    found
    for found in vars(events).values()
    if isinstance(found, type)
    and issubclass(found, Recorded | StockEvent | ListExpired)
    and found not in (Recorded, StockEvent)
]

EVENT_TYPES: Final[dict[str, type[Event]]] = {
    found.event_name: found for found in (*_OWN_EVENTS, *RAISED_EVENTS)
}
"""The stored events by name."""


def _new_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    # A value is what JSON says it is; cattrs would coerce it: None to "None", 5.9 to 5.
    converter.register_structure_hook(str, _exactly)
    converter.register_structure_hook(int, _exactly)
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


def event_from_json(name: str, text: str) -> Event:
    """Return the event of a name and the JSON text that `event_to_json` made of it.

    Raises:
        KeyError: no event that is kept as text has this name.
    """
    return _CONVERTER.structure(json.loads(text), EVENT_TYPES[name])
