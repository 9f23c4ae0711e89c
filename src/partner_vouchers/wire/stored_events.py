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
    """Return an event as JSON text; its name is not part of it."""
    return json.dumps(event_to_dict(event), ensure_ascii=False, separators=(",", ":"))


def event_from_json(name: str, text: str) -> Event:
    """Return the event of a name and its JSON text.

    Raises:
        KeyError: no event has this name.
    """
    return _CONVERTER.structure(json.loads(text), EVENT_TYPES[name])
