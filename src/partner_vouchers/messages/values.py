"""How values are printed and compared in a template: as Liquid does it, never with Python's spelling.

Source of the forms: `Liquid::Utils.to_s`, `Liquid::Condition` of https://github.com/Shopify/liquid.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set, Sized
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from enum import Enum

from liquid import Markup
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.builtin.tags.for_tag import ForLoop
from liquid.builtin.tags.tablerow_tag import TableRow
from liquid.undefined import StrictDefaultUndefined

from partner_vouchers.messages.limits import MAX_NUMBER_BITS, LimitReached, Refused


class Unusable(Refused):
    """A value cannot be used in the way the template asks for."""


def to_text(value: object, *, html: bool = False) -> str:
    """Return a value as a message prints it.

    Nil is nothing, true and false are in lower case, the elements of a list follow one another, an object is
    written as `{"city"=>"Pune"}`, and decimal numbers never have an exponent.

    Args:
        value: the value.
        html: whether text that is not marked as safe is escaped when it joins text that is.

    Raises:
        Unusable: the value has no printable form, such as bytes.
        UndefinedError: the value is missing.
    """
    kind = type(value)
    if kind is str or kind is Markup:
        return value  # type: ignore[return-value]
    if kind is int:
        return str(value)
    if isinstance(value, list | tuple | Set):
        texts = [to_text(each, html=html) for each in value]
        return Markup("").join(texts) if html else "".join(texts)
    if isinstance(value, Mapping) and not isinstance(value, ForLoop | TableRow):
        return _inspect(value)
    return _scalar_text(value)


def _scalar_text(value: object) -> str:
    if value is None or isinstance(value, Blank | Empty):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # An enumeration of strings prints the name of its class otherwise.
        return str.__str__(value)
    if isinstance(value, Enum):
        return to_text(value.value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Decimal):
        return _decimal_text(value)
    if isinstance(value, datetime):
        return _datetime_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    unprintable = isinstance(value, bytes | bytearray | memoryview | ForLoop | TableRow)
    if unprintable or type(value).__str__ is object.__str__:
        raise Unusable(f"a value of the type {type(value).__name__!r} cannot be printed")
    return str(value)


def _float_text(value: float) -> str:
    text = float.__repr__(value)
    if text in ("inf", "-inf", "nan"):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[text]
    digits, e, exponent = text.partition("e")
    return f"{digits}{'' if '.' in digits or not e else '.0'}{e}{exponent}"


def _decimal_text(value: Decimal) -> str:
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and abs(exponent) > MAX_NUMBER_BITS:
        raise LimitReached(f"a number has more than {MAX_NUMBER_BITS} digits")
    return format(value, "f")


def _datetime_text(value: datetime) -> str:
    text = value.replace(tzinfo=None).isoformat(" ", "seconds")
    zone = "UTC" if not value.utcoffset() and value.tzname() == "UTC" else f"{value:%z}"[:5]
    return f"{text} {zone}".rstrip()


def _inspect(value: object) -> str:
    """Return a value as it is written within an object."""
    if value is None:
        return "nil"
    if isinstance(value, str):
        return json.dumps(str.__str__(value), ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_inspect(key)}=>{_inspect(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple | Set):
        return "[" + ", ".join(map(_inspect, value)) + "]"
    return to_text(value)


def is_missing(value: object) -> bool:
    """Whether a property is missing. Any other question to such a value raises an error."""
    return type(value) is StrictDefaultUndefined


def is_truthy(value: object) -> bool:
    """Whether a condition holds for a value: for all but nil and false.

    Raises:
        UndefinedError: the value is missing.
    """
    return bool(value) if is_missing(value) else value is not None and value is not False


def is_empty(value: object) -> bool:
    """Whether a value is an empty string, list or object."""
    return isinstance(value, Empty) or (isinstance(value, Sized) and len(value) == 0)


def is_blank(value: object) -> bool:
    """Whether a value is nil, false, empty, or white space only."""
    if value is None or value is False or isinstance(value, Blank):
        return True
    return value.isspace() if isinstance(value, str) and value else is_empty(value)


def equal(left: object, right: object) -> bool:
    """Return whether `left == right` holds in a template. Missing values equal nil."""
    left, right = (None if is_missing(each) else each for each in (left, right))
    for literal, holds in ((Blank, is_blank), (Empty, is_empty)):
        if isinstance(left, literal):
            return holds(right)
        if isinstance(right, literal):
            return holds(left)
    # In Python 1 equals True.
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    left, right = _comparable(left, right)
    return bool(left == right)


def less(left: object, right: object, *, or_equal: bool = False) -> bool:
    """Whether `left < right`, or `left <= right`, holds in a template; nothing is less than nil.

    Raises:
        Unusable: the two cannot be compared.
    """
    if left is None or right is None:
        return False
    if isinstance(left, bool) or isinstance(right, bool):
        raise Unusable("true and false have no order")
    left, right = _comparable(left, right)
    for kind in (str, int | float | Decimal, date):
        if isinstance(left, kind) and isinstance(right, kind):
            with suppress(TypeError):  # a date with a time beside one without
                return bool(left <= right if or_equal else left < right)  # type: ignore[operator]
    raise Unusable("a string is compared with a number, or something that has no order")


def _comparable(left: object, right: object) -> tuple[object, object]:
    """Return two values as they are compared: a float with a decimal number by the digits that it prints."""
    if isinstance(left, Decimal) and isinstance(right, float):
        return left, Decimal(float.__repr__(right))
    if isinstance(right, Decimal) and isinstance(left, float):
        return Decimal(float.__repr__(left)), right
    return left, right


def contains(left: object, right: object) -> bool:
    """Whether `left contains right` holds in a template.

    Raises:
        Unusable: the left value holds nothing.
    """
    if not is_truthy(right):
        return False
    if isinstance(left, str):
        return to_text(right) in left
    if isinstance(left, list | tuple | Set | range | Mapping):
        if right in (0, 1):
            # In Python 1 equals True.
            return any(equal(each, right) for each in left)
        return right in left
    raise Unusable("`contains` searches strings, lists and objects only")
