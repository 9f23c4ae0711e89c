"""The names and wire forms of events at a receiver."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from attrs import field, frozen

from partner_vouchers.domain.arguments import require_instance
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.promo_events import PromoEvent
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput
from partner_vouchers.wire.promo_events import EVENTS_BY_NAME
from partner_vouchers.wire.stored_events import EVENT_TYPES, event_to_dict

EVENT_NAMES: Final = frozenset({*EVENT_TYPES, *EVENTS_BY_NAME})
"""The names of all events."""

to_json: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""Return a value as compact JSON text."""


def _copy(words: object) -> object:
    return dict(words) if isinstance(words, Mapping) else {} if words is None else words


@frozen
class Wording:
    """The words for one receiver.

    Attributes:
        names: by the name of an event the one that the receiver knows it by, such as
            `{"CT Partner Voucher Rewarded": "Voucher Rewarded"}` where the receiver reserves the first.
        forms: by the name of a promo event its wire form, such as `{"CT Partner Voucher Rewarded": "legacy"}`.

    Raises:
        InvalidInput: there is no such event, or the event does not have this form.
    """

    names: Mapping[str, str] = field(default=None, converter=_copy)
    forms: Mapping[str, str] = field(default=None, converter=_copy)

    def __attrs_post_init__(self) -> None:
        require_instance("names", self.names, dict)
        require_instance("forms", self.forms, dict)
        for name, other in self.names.items():
            _require_known("names", name, EVENT_NAMES)
            require_name("names", other)
        for name, form in self.forms.items():
            _require_known("forms", name, frozenset(EVENTS_BY_NAME))
            EVENTS_BY_NAME[name].table.require_form(form)

    def name_of(self, event: Event) -> str:
        """Return what the receiver calls an event."""
        return self.names.get(event.event_name, event.event_name)

    def properties_of(self, event: Event) -> dict[str, Any]:
        """Return the data of an event for the receiver: the properties of a promo event, the facts of another."""
        if isinstance(event, PromoEvent):
            return event.properties(self.forms.get(event.event_name))
        facts = event_to_dict(event)
        del facts["occurred_at"]
        return facts

    def json_writer(self, kind: type[Event]) -> Callable[[Any], str]:
        """Return a function that returns what `properties_of` does of an event of a class, as compact JSON text."""
        if issubclass(kind, PromoEvent):
            return kind.table.json_writer(self.forms.get(kind.event_name))
        return lambda event: to_json(self.properties_of(event))


def _require_known(argument: str, name: str, known: frozenset[str]) -> None:
    if name not in known:
        close = get_close_matches(str(name), known, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise InvalidInput(field=argument, reason=f"there is no event {name!r} here{meant}")
