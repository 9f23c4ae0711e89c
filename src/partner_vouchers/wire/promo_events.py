"""Promo events from the properties of any of their wire forms.

The other way is `event.properties(form)`. Both go by the table of the event's class.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeVar

from attrs import NOTHING, fields

from partner_vouchers.domain.arguments import require_mapping
from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.domain.promo_events import PROMO_EVENTS, PromoEvent
from partner_vouchers.domain.properties import Property, PropertyTable, require_further
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidEvent, InvalidInput

E = TypeVar("E", bound=PromoEvent)

EVENTS_BY_NAME: Final[dict[str, type[PromoEvent]]] = {found.event_name: found for found in PROMO_EVENTS}
"""The promo events by their wire names."""


def event_from_properties(
    kind: type[E],
    properties: Mapping[str, object],
    *,
    user_id: str,
    occurred_at: datetime | None = None,
    form: str | None = None,
    unknown: Literal["refuse", "ignore"] = "refuse",
    **untold: object,
) -> E:
    """Return the event that has these properties.

    Args:
        kind: the class of the event; `EVENTS_BY_NAME` finds it by its wire name.
        properties: its properties in the wire form, as JSON has them.
        user_id: the identity of the event, which is not among the properties.
        occurred_at: when it happened, an aware datetime; may be left out where the form has `eventTimestamp`,
            which tells it to the second.
        form: the wire form, such as `WireForm.LEGACY`; the event's first one by default.
        unknown: `"refuse"` makes a property that the form does not have an error; `"ignore"` keeps it in `extra` of the
            event, if it is a single value: newer versions of the product send more properties.
        **untold: the attributes that this form does not tell and the event needs, such as `list_expiry`.

    Raises:
        InvalidEvent: a property is missing, unknown or wrong, or an attribute is needed that the form does
            not tell. It names all that is wrong by the wire names, and repeats no value.
        InvalidInput: the event does not have this form, or an argument breaks a rule.

    Example:
        >>> from datetime import UTC, datetime
        >>> from partner_vouchers import PointsDebited
        >>> found = {"Wallet Id": "W1", "Source": "API", "Points": 20, "Transaction Id": "T1"}
        >>> at = datetime(2024, 2, 19, 14, tzinfo=UTC)
        >>> event_from_properties(PointsDebited, found, user_id="user-42", occurred_at=at).points
        20
        >>> try:
        ...     event_from_properties(PointsDebited, {**found, "Points": "20"}, user_id="user-42", occurred_at=at)
        ... except InvalidEvent as error:
        ...     print(error.faults)
        (('Points', 'must be a number, not str'),)
        >>> found["Sale Channel"] = "Online"
        >>> event_from_properties(
        ...     PointsDebited, found, user_id="user-42", occurred_at=at, unknown="ignore"
        ... ).extra
        {'Sale Channel': 'Online'}
    """
    if unknown not in ("refuse", "ignore"):
        raise InvalidInput(field="unknown", reason="must be 'refuse' or 'ignore'")
    require_mapping("properties", properties)
    columns = dict(kind.table.of_form(form))
    names = {row.attribute: name for name, row in columns.items()}
    given = {"user_id": require_name("user_id", user_id), **_require_untold(kind, names, untold)}
    if occurred_at is not None:
        given["occurred_at"] = require_aware("occurred_at", occurred_at)
    told, faults = _read(columns, properties)
    others = {name: value for name, value in properties.items() if name not in columns}
    if unknown == "refuse":
        faults += [(name, _why_unknown(name, columns, kind.table)) for name in others]
    else:
        told["extra"], ignored = _read_others(others)
        faults += ignored
    faults += [
        (attribute.name, f"is not told by the form {kind.table.require_form(form).value!r}: pass it by name")
        for attribute in fields(kind)
        if attribute.default is NOTHING and attribute.name not in {*names, *given}
    ]
    if not faults:
        try:
            return kind(**{**told, **given})
        except InvalidInput as fault:
            faults = [(names.get(fault.field, fault.field), fault.reason)]
    raise InvalidEvent(event_name=kind.event_name, faults=tuple(faults))


def _read(
    columns: Mapping[str, Property], properties: Mapping[str, object]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the attributes that the properties tell, and what is wrong with them."""
    told: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for name, row in columns.items():
        if name not in properties:
            if row.optional:
                told[row.attribute] = None
            else:
                faults.append((name, "is missing"))
            continue
        try:
            value = row.format.read(name, properties[name])
        except InvalidInput as fault:
            faults.append((name, fault.reason))
            continue
        if row.choices and value not in row.choices:
            faults.append((name, f"must be {' or '.join(map(repr, row.choices))}"))
        elif not row.constant:
            told[row.attribute] = value
    return told, faults


def _read_others(properties: Mapping[str, object]) -> tuple[dict[str, object], list[tuple[str, str]]]:
    """Return properties that the form does not have, and what is wrong with them."""
    found: dict[str, object] = {}
    faults: list[tuple[str, str]] = []
    for name, value in properties.items():
        try:
            kept, read = require_further(name, value)
            found[kept] = read
        except InvalidInput as fault:
            faults.append((str(name), fault.reason))
    return found, faults


def _require_untold(
    kind: type[PromoEvent], names: Mapping[str, str], untold: Mapping[str, object]
) -> dict[str, Any]:
    """Return attributes that the caller adds to the properties, as their formats would have read them."""
    rows = {row.attribute: row for row in kind.table.rows if not row.constant}
    found: dict[str, Any] = {}
    for attribute, value in untold.items():
        if attribute in names:
            raise InvalidInput(
                field=attribute, reason=f"stands among the properties, as {names[attribute]!r}"
            )
        if attribute not in rows:
            raise InvalidInput(field=attribute, reason=f"is no attribute of {kind.__name__}")
        format = rows[attribute].format
        # What has another form on the wire is an instant.
        check = format.read if format.write is None else require_aware
        found[attribute] = check(attribute, value)
    return found


def _why_unknown(name: object, columns: Mapping[str, Property], table: PropertyTable) -> str:
    for form in table.forms:
        if any(name == other for other, _ in table.of_form(form)):
            return f"belongs to the form {form.value!r}"
    close = get_close_matches(str(name), columns, n=1)
    return f"is no property of it{f': did you mean {close[0]!r}?' if close else ''}"
