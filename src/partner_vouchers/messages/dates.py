"""The filter `date`: reads dates, and shows them in the template's zone, in English, on every machine alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from liquid import Markup
from liquid.filter import with_context

from partner_vouchers.domain.expiry import is_unlocalised
from partner_vouchers.messages.values import Unusable, is_missing, to_text

_MAX_PATTERN = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_COUPON_DATE = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_DIRECTIVE = re.compile(r"%([-0^#_]*)([0-9]{0,2})(:{0,2}[a-zA-Z%+]|)")

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

_SHORTHANDS = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "T": "%H:%M:%S",
    "v": "%e-%^b-%Y",
    "x": "%m/%d/%y",
    "X": "%H:%M:%S",
    "+": "%a %b %e %H:%M:%S %Z %Y",
}
_WORDS: dict[str, Callable[[datetime], str]] = {
    "A": lambda at: _DAYS[at.weekday()],
    "a": lambda at: _DAYS[at.weekday()][:3],
    "B": lambda at: _MONTHS[at.month - 1],
    "b": lambda at: _MONTHS[at.month - 1][:3],
    "h": lambda at: _MONTHS[at.month - 1][:3],
    "p": lambda at: "AM" if at.hour < 12 else "PM",
    "P": lambda at: "am" if at.hour < 12 else "pm",
    "Z": lambda at: at.tzname() or "",
    "z": lambda at: f"{at:%z}"[:5],
    ":z": lambda at: f"{at:%z}"[:3] + ":" + f"{at:%z}"[3:5] if at.tzinfo else "",
    "n": lambda _: "\n",
    "t": lambda _: "\t",
    "%": lambda _: "%",
}
# The computed value, its number of digits, and its padding.
_NUMBERS: dict[str, tuple[Callable[[datetime], int], int, str]] = {
    "Y": (lambda at: at.year, 4, "0"),
    "C": (lambda at: at.year // 100, 2, "0"),
    "y": (lambda at: at.year % 100, 2, "0"),
    "G": (lambda at: at.isocalendar().year, 4, "0"),
    "g": (lambda at: at.isocalendar().year % 100, 2, "0"),
    "m": (lambda at: at.month, 2, "0"),
    "d": (lambda at: at.day, 2, "0"),
    "e": (lambda at: at.day, 2, " "),
    "j": (lambda at: at.timetuple().tm_yday, 3, "0"),
    "H": (lambda at: at.hour, 2, "0"),
    "k": (lambda at: at.hour, 2, " "),
    "I": (lambda at: at.hour % 12 or 12, 2, "0"),
    "l": (lambda at: at.hour % 12 or 12, 2, " "),
    "M": (lambda at: at.minute, 2, "0"),
    "S": (lambda at: at.second, 2, "0"),
    "s": (lambda at: (_in_utc(at) - _EPOCH) // timedelta(seconds=1), 1, "0"),
    "u": (lambda at: at.isoweekday(), 1, "0"),
    "w": (lambda at: at.isoweekday() % 7, 1, "0"),
    "U": (lambda at: int(f"{at:%U}"), 2, "0"),
    "W": (lambda at: int(f"{at:%W}"), 2, "0"),
    "V": (lambda at: at.isocalendar().week, 2, "0"),
}
# Fractions of a second, with the digits that are shown where the pattern names no width.
_FRACTIONS = {"L": 3, "f": 6, "N": 9}


@with_context
def show_date(value: object, pattern: object, *, context: object) -> object:
    """The filter `date`. That of the engine reads the clock, and depends on the machine's zone and locale.

    Args:
        value: seconds since 1970 as a number or a string of digits, `DD-MM-YYYY HH:MM:SS`, ISO 8601, a `date` or a
            `datetime`. What names an instant is shown in the zone of the template, the rest as it is written.
        pattern: the directives of Ruby's `strftime`, at most 100 characters.
        context: the render context, which has the zone.

    Returns:
        The date, or the value itself where it is nil, missing or empty, or where the pattern is.

    Raises:
        Unusable: the value is no date, or the pattern has a directive that does not exist.

    Source: https://docs.ruby-lang.org/en/master/strftime_formatting_rdoc.html
    """
    if value is None or is_missing(value) or value == "":
        return value
    form = to_text(pattern)
    if not form:
        return value
    at = _read(value)
    if at.tzinfo is not None:
        at = at.astimezone(context.zone)  # type: ignore[attr-defined]
    shown = _format(at, form)
    return Markup(shown) if isinstance(form, Markup) else shown


def check_pattern(pattern: str) -> None:
    """Refuse a pattern with which `date` would fail.

    Raises:
        Unusable: the pattern is too long, or has a directive that does not exist.
    """
    _format(_EPOCH, pattern)


def _read(value: object) -> datetime:
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, datetime):
        if is_unlocalised(value):
            raise Unusable(
                "a datetime has a pytz zone that was not set with `localize`, so its offset is wrong"
            )
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _EPOCH + timedelta(seconds=float(value) if isinstance(value, Decimal) else value)
    raise Unusable("a value of this type is no date")


def _from_text(text: str) -> datetime:
    if _SECONDS.fullmatch(text):
        return _EPOCH + timedelta(seconds=float(text) if "." in text else int(text))
    try:
        if _COUPON_DATE.fullmatch(text):
            # The form of the coupon events, which names no time zone.
            return datetime.strptime(text, "%d-%m-%Y %H:%M:%S")  # noqa: DTZ007
        return datetime.fromisoformat(text)
    except ValueError:
        # Not raised here: the error of Python quotes the value, which may be a voucher code.
        pass
    raise Unusable("it reads 2027-03-31T18:30:00Z, 31-03-2027 18:30:00, and seconds since 1970")


def _in_utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _format(at: datetime, pattern: str) -> str:
    if len(pattern) > _MAX_PATTERN:
        raise Unusable(f"the pattern of `date` is longer than {_MAX_PATTERN} characters")
    return _DIRECTIVE.sub(lambda found: _directive(at, *found.groups()), str(pattern))


def _directive(at: datetime, flags: str, width: str, name: str) -> str:
    if name in _SHORTHANDS:
        text, fill, least = _format(at, _SHORTHANDS[name]), " ", 0
    elif name in _WORDS:
        text, fill, least = _WORDS[name](at), " ", 0
    elif name in _NUMBERS:
        compute, least, fill = _NUMBERS[name]
        text = str(compute(at))
    elif name in _FRACTIONS:
        return f"{at.microsecond:06}000"[: min(int(width or _FRACTIONS[name]), 9)]
    else:
        raise Unusable("the pattern of `date` has a directive that does not exist")
    if "-" in flags:
        least, width = 0, ""
    elif "0" in flags:
        fill = "0"
    elif "_" in flags:
        fill = " "
    if "^" in flags:
        text = text.upper()
    elif "#" in flags:
        text = text.lower() if name == "p" else text.swapcase() if name == "Z" else text.upper()
    sign = "-" if fill == "0" and text.startswith("-") else ""
    return sign + text[len(sign) :].rjust(int(width or least) - len(sign), fill)
