"""The wire forms of promo events: a table for each event, used to write, read and describe it.

The names and formats are those of CleverTap's promo events. A table has a column for each wire form; a property
that a form does not have is None there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache, partial
from itertools import compress
from json.encoder import encode_basestring as encode_text
from operator import attrgetter, call
from typing import Any, Final

from attrs import field, frozen

from partner_vouchers.domain.text import MAX_TEXT, require_name, require_text
from partner_vouchers.errors import InvalidInput

Number = int | float
"""A numeric property; finite, and never a truth value."""

WireValue = str | int | float
"""The types of a promo event's property on the wire."""

LARGEST_NUMBER: Final = 2**53
"""Up to this size every JSON reader sees the same whole number."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_COUPON_DATE = re.compile(r"([0-9]{2})-([0-9]{2})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")


class WireForm(StrEnum):
    """The naming of an event's properties; receivers of different ages expect different ones."""

    CURRENT = "current"
    LEGACY = "legacy"
    TITLE_CASE = "title case"
    CAMEL_CASE = "camel case"


# --- formats ---------------------------------------------------------------------------------------------


@frozen
class Format:
    """The wire format of a value.

    Attributes:
        label: what the docs call it.
        read: takes the name of a property and what was found on the wire, and returns the value. It raises
            InvalidInput with a reason that never repeats what was found, since that may be a code.
        write: converts a value to its wire form; None if that is the value itself.
        encode: converts a wire form to JSON text.
    """

    label: str
    read: Callable[[str, object], Any]
    write: Callable[[Any], WireValue] | None = None
    encode: Callable[[Any], str] = encode_text

    @property
    def to_json(self) -> Callable[[Any], str]:
        """Converts a value to the JSON text of its wire form."""
        write, encode = self.write, self.encode
        return encode if write is None else lambda value: encode(write(value))


# The events of a list share its expiry, those of a batch their instant, and these calls take longer than others.
@lru_cache(1024)
def iso_utc(instant: datetime) -> str:
    """Return an instant as on the wire, such as `2024-03-31T23:59:59Z`: whole seconds, UTC."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return f"{instant.isoformat(timespec='seconds')[:19]}Z"


@lru_cache(1024)
def epoch_seconds(instant: datetime) -> int:
    """Return the whole seconds since 1970 in UTC."""
    return (instant - _EPOCH) // _SECOND


def coupon_date(instant: datetime) -> str:
    """Return an instant as coupon events have it, `DD-MM-YYYY HH:MM:SS`: whole seconds, UTC.

    Example:
        >>> coupon_date(datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC))
        '31-03-2024 23:59:59'
    """
    at = instant.astimezone(UTC)
    return f"{at.day:02}-{at.month:02}-{at.year:04} {at.hour:02}:{at.minute:02}:{at.second:02}"


def _read_iso(field: str, value: object) -> datetime:
    with suppress(ValueError):  # such as the 31st of June
        if isinstance(value, str) and _ISO.fullmatch(value):
            return datetime.fromisoformat(value)
    raise InvalidInput(field=field, reason="must be an instant in UTC such as '2024-03-31T23:59:59Z'")


def _read_epoch_seconds(field: str, value: object) -> datetime:
    with suppress(OverflowError):
        if type(value) is int:
            return _EPOCH + value * _SECOND
    raise InvalidInput(field=field, reason="must be whole seconds since 1970 such as 1708351200")


def _read_coupon_date(field: str, value: object) -> datetime:
    with suppress(ValueError):
        if isinstance(value, str) and (found := _COUPON_DATE.fullmatch(value)):
            day, month, year, hour, minute, second = map(int, found.groups())
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    raise InvalidInput(
        field=field,
        reason="must be a date in the form DD-MM-YYYY HH:MM:SS, such as '31-03-2024 23:59:59', in UTC",
    )


def require_number(field: str, value: object) -> Number:
    """Return a number that JSON can have, a decimal as in `as_number`.

    Raises:
        InvalidInput: it is something else, a truth value, not finite, or not the same to every JSON reader.
    """
    number = as_number(value) if isinstance(value, Decimal) else value
    reason = "must lie between -2**53 and 2**53"
    if isinstance(number, Decimal):
        reason = "must be a decimal that a float shows exactly, finite and between -2**53 and 2**53"
    elif isinstance(number, bool) or not isinstance(number, int | float):
        reason = f"must be a number, not {type(number).__name__}"
    elif isinstance(number, float) and not math.isfinite(number):
        reason = "must be a finite number"
    elif abs(number) <= LARGEST_NUMBER:
        return number
    raise InvalidInput(field=field, reason=reason)


def require_further(name: object, value: object) -> tuple[str, str | Number | bool | None]:
    """Return a property that no wire form has, as it is.

    Raises:
        InvalidInput: it is something else than a text, a number, true, false or None, or no storage can keep it.
    """
    kept = require_text("name", name)
    if value is None or isinstance(value, bool):
        return kept, value
    return kept, require_text(kept, value) if isinstance(value, str) else require_number(kept, value)


def as_number(value: Number | Decimal) -> Number:
    """Return a decimal as the number that JSON prints in the same way; anything else as it is.

    Example:
        >>> as_number(Decimal("49.90")), as_number(Decimal("20"))
        (49.9, 20)
    """
    # A decimal such as 1e999999 has few digits, and takes hours to write out as a whole number.
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < 20:
        if value == value.to_integral_value():
            return int(value)
        if Decimal(repr(float(value))) == value:
            return float(value)
    # `require_number` reports the other errors.
    return value  # type: ignore[return-value]


TEXT = Format("text", require_text)
NAME = Format("text", require_name)
CODE = Format("text", partial(require_name, most=MAX_TEXT))
NUMBER = Format("number", require_number, encode=json.dumps)
EPOCH_SECONDS = Format("number: whole seconds since 1970", _read_epoch_seconds, epoch_seconds, repr)
ISO_INSTANT = Format("text: `YYYY-MM-DDTHH:MM:SSZ`", _read_iso, iso_utc)
COUPON_DATE = Format("text: `DD-MM-YYYY HH:MM:SS`, in UTC", _read_coupon_date, coupon_date)


# --- tables ----------------------------------------------------------------------------------------------


@frozen
class Property:
    """A row of an event's table.

    Attributes:
        attribute: the attribute of the event that holds the value.
        names: the name in each of the table's forms; None where the form does not have the property.
        format: the wire format of the value.
        optional: whether it may be None, and is left out then.
        choices: the only values that it may have, where they are few.
        constant: whether it is the same for all events of the class.
    """

    attribute: str
    names: tuple[str | None, ...]
    format: Format = TEXT
    optional: bool = False
    choices: tuple[str, ...] = ()
    constant: bool = False


@frozen
class PropertyTable:
    """The properties of an event in all its wire forms.

    Attributes:
        forms: the forms; the first is the default.
        rows: the properties.
    """

    forms: tuple[WireForm, ...]
    rows: tuple[Property, ...]
    _writers: dict[WireForm, _Writer] = field(init=False, repr=False, eq=False)

    @_writers.default
    def _make_writers(self) -> dict[WireForm, _Writer]:
        return {form: _Writer(self.of_form(form)) for form in self.forms}

    def require_form(self, form: str | None) -> WireForm:
        """Return a form of this table, the default one for None.

        Raises:
            InvalidInput: the event does not have this form.
        """
        if form is None:
            return self.forms[0]
        if form not in self.forms:
            known = ", ".join(repr(each.value) for each in self.forms)
            raise InvalidInput(field="form", reason=f"must be one of {known}")
        return WireForm(form)

    def of_form(self, form: str | None = None) -> tuple[tuple[str, Property], ...]:
        """Return the properties that a form has, each with its name.

        Raises:
            InvalidInput: the event does not have this form.
        """
        column = self.forms.index(self.require_form(form))
        named = ((row.names[column], row) for row in self.rows)
        return tuple((name, row) for name, row in named if name is not None)

    def write(self, event: object, form: str | None = None) -> dict[str, WireValue]:
        """Return the properties of an event; those without a value are left out.

        Raises:
            InvalidInput: the event does not have this form.
        """
        return self._writers[self.forms[0] if form is None else self.require_form(form)].properties(event)

    def json_writer(self, form: str | None = None) -> Callable[[object], str]:
        """Return a function that writes the properties of an event as compact JSON text.

        Raises:
            InvalidInput: the events do not have this form.
        """
        return self._writers[self.require_form(form)].json


class _Writer:
    """Writes the properties of one form: as little as possible in Python, since it runs for each event."""

    __slots__ = ("_columns", "_others", "_template", "_values_of")

    def __init__(self, columns: tuple[tuple[str, Property], ...]) -> None:
        self._columns = tuple((name, row.format.write, row.format.to_json) for name, row in columns)
        self._template = _Template(self._columns)
        self._others: dict[tuple[bool, ...], _Template] = {}
        self._values_of = attrgetter(*(row.attribute for _, row in columns))

    def properties(self, event: object) -> dict[str, WireValue]:
        return {
            name: value if write is None else write(value)
            for (name, write, _), value in zip(self._columns, self._values_of(event), strict=False)
            if value is not None
        }

    def json(self, event: object) -> str:
        values, template = self._values_of(event), self._template
        if None in values:
            present = tuple([value is not None for value in values])
            if present not in self._others:
                self._others[present] = _Template(tuple(compress(self._columns, present)))
            template, values = self._others[present], tuple(compress(values, present))
        return template.text % tuple(map(call, template.encoders, values))


class _Template:
    """The JSON text of an object, with places for the values: filling it takes half as long as joining pieces."""

    __slots__ = ("encoders", "text")

    def __init__(self, columns: Sequence[tuple[str, object, Callable[[Any], str]]]) -> None:
        keys = (encode_text(name).replace("%", "%%") for name, _, _ in columns)
        self.text = f"{{{','.join(f'{key}:%s' for key in keys)}}}"
        self.encoders = tuple(to_json for _, _, to_json in columns)
