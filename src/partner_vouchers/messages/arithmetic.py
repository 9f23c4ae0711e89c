"""The filters that calculate. They work on decimal values, so that 0.1 plus 0.2 is 0.3 and 5.015 rounds to 5.02.

A value that is not a number counts as 0, as in Liquid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    InvalidOperation,
    localcontext,
)
from math import isinf

from partner_vouchers.messages.limits import MAX_NUMBER_BITS, LimitReached, number_fits
from partner_vouchers.messages.values import is_missing

# Of our own, since a host may have changed that of its thread.
_CONTEXT = Context(prec=40)
_WIDE = Context(prec=3 * MAX_NUMBER_BITS)


def number(value: object) -> int | Decimal:
    """Return a value as a number: a whole one or a decimal one; 0 where it is none.

    Raises:
        LimitReached: the number is too long to calculate with.
        UndefinedError: the value is missing.
    """
    if is_missing(value):
        value = str(value)  # raises
    if isinstance(value, bool):
        return 0
    if not number_fits(value):
        raise LimitReached(f"a number has more than {MAX_NUMBER_BITS} digits")
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else value
    if isinstance(value, float):
        return _bounded(Decimal(float.__repr__(value)))
    return _from_text(value) if isinstance(value, str) else 0


def _from_text(text: str) -> int | Decimal:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        found = Decimal(text)
    except InvalidOperation:
        return 0
    # Python also reads "nan" and "inf", which may be the name of a user.
    return _bounded(found) if found.is_finite() else 0


def _bounded(value: Decimal) -> Decimal:
    if value.is_finite() and abs(value.adjusted()) > 2 * MAX_NUMBER_BITS:
        raise LimitReached(f"a number has more than {MAX_NUMBER_BITS} digits")
    return value


def _result(value: int | Decimal) -> int | float:
    if isinstance(value, int):
        return value
    found = float(value)
    # Liquid prints Infinity, which helps no reader of a message.
    if isinf(found) and value.is_finite():
        raise LimitReached("a number is larger than 1.8e308")
    # `+ 0.0` turns a negative zero into a plain one.
    return found + 0.0


def _two(
    combine: Callable[[Decimal, Decimal], Decimal], whole: Callable[[int, int], int]
) -> Callable[..., object]:
    def apply(left: object, right: object) -> int | float:
        one, other = number(left), number(right)
        if isinstance(one, int) and isinstance(other, int):
            return whole(one, other)
        with localcontext(_CONTEXT):
            return _result(combine(Decimal(one), Decimal(other)))

    return apply


def absolute(value: object) -> int | float:
    """The filter `abs`."""
    given = number(value)
    return _result(given if given >= 0 else -given)


def round_number(value: object, digits: object = None) -> int | float:
    """The filter `round`: half away from zero, on the decimal value.

    Args:
        value: the number.
        digits: how many digits stay behind the point; a negative number rounds to tens and hundreds.
    """
    places = max(min(int(number(digits)), MAX_NUMBER_BITS), -MAX_NUMBER_BITS)
    given = number(value)
    if isinstance(given, int) and places >= 0:
        return given
    with localcontext(_WIDE):
        rounded = Decimal(given).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return int(rounded) if places <= 0 else _result(rounded)


def total(values: Iterable[object]) -> int | float:
    """Return the sum of some values."""
    with localcontext(_CONTEXT):
        total: int | Decimal = sum(map(number, values), 0)
        return _result(total)


def _remainder(one: Decimal, other: Decimal) -> Decimal:
    # As of whole numbers, the sign is that of the divisor.
    rest = one % other
    return rest + other if rest and (rest < 0) != (other < 0) else rest


FILTERS: dict[str, Callable[..., object]] = {
    "abs": absolute,
    "at_least": lambda value, least: _result(max(number(value), number(least))),
    "at_most": lambda value, most: _result(min(number(value), number(most))),
    "ceil": lambda value: int(Decimal(number(value)).to_integral_value(ROUND_CEILING)),
    "divided_by": _two(Decimal.__truediv__, int.__floordiv__),
    "floor": lambda value: int(Decimal(number(value)).to_integral_value(ROUND_FLOOR)),
    "minus": _two(Decimal.__sub__, int.__sub__),
    "modulo": _two(_remainder, int.__mod__),
    "plus": _two(Decimal.__add__, int.__add__),
    "round": round_number,
    "times": _two(Decimal.__mul__, int.__mul__),
}
