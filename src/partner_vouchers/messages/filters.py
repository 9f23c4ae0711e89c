"""The filters that a template may use, each with a bound on what goes in and what comes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal

from liquid import Markup
from liquid.filter import string_filter

from partner_vouchers.messages.limits import MAX_VALUE, Budget, LimitReached, number_fits, size_of

# The standard filters of Liquid. Left out are those that the engine adds of its own (`safe`, `escapejs`).
ALLOWED = frozenset(
    """
    abs append at_least at_most base64_decode base64_encode base64_url_safe_decode base64_url_safe_encode
    capitalize ceil compact concat date default divided_by downcase escape escape_once find find_index first
    floor has join last lstrip map minus modulo newline_to_br plus prepend reject remove remove_first remove_last
    replace replace_first replace_last reverse round rstrip size slice sort sort_natural split squish strip
    strip_html strip_newlines sum times truncate truncatewords uniq upcase url_decode url_encode where
    """.split()  # noqa: SIM905 - easier to read and to sort
)

_NUMERIC = frozenset(
    "abs at_least at_most ceil divided_by floor minus modulo plus round sum times".split()  # noqa: SIM905
)
_NO_KEYWORDS = frozenset[str]()
_KEYWORDS = {"default": frozenset({"allow_false"})}
_MAX_PATTERN = 100
_COUPON_DATE = re.compile(r"\d{2}-\d{2}-\d{4} \d{2}:\d{2}:\d{2}")


def run(
    name: str,
    apply: Callable[..., object],
    budget: Budget,
    left: object,
    args: Sequence[object],
    kwargs: dict[str, object],
) -> object:
    """Apply a filter within the budget.

    Raises:
        LimitReached: the filter would do too much, or has returned too much.
    """
    # By keyword one could reach what the engine passes to its filters, and get around what is foreseen here.
    if not kwargs.keys() <= _KEYWORDS.get(name, _NO_KEYWORDS):
        raise TypeError("no such argument")
    for value in (left, *args):
        budget.read(value)
    if name in _NUMERIC:
        if not all(map(number_fits, (left, *args))):
            raise LimitReached(f"the filter {name!r} got a number that is too long")
        left, *args = map(_without_decimals, (left, *args))
    _foresee(name, left, args, budget)
    result = apply(left, *args, **kwargs)
    size = size_of(result, MAX_VALUE)
    if size > MAX_VALUE:
        raise LimitReached(f"the filter {name!r} returns more than {MAX_VALUE} characters")
    budget.spend(size)
    return result


def _without_decimals(value: object) -> object:
    """Return decimal numbers as those that the engine knows; it takes the others for 0."""
    if type(value) is Decimal:
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, list | tuple):
        return [_without_decimals(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_decimals(each) for name, each in value.items()}
    return value


def _foresee(name: str, left: object, args: Sequence[object], budget: Budget) -> None:
    """Stop a filter whose result or work can be much larger than what goes in."""
    if name == "replace" and args:
        text, old = str(left), str(args[0])
        new = str(args[1]) if len(args) > 1 else ""
        expected = len(text) + text.count(old) * max(len(new) - len(old), 0)
    elif name == "join":
        separator = str(args[0]) if args else " "
        expected = size_of(left, MAX_VALUE) * (1 + len(separator))
    elif name == "uniq":
        # The engine compares each element with each.
        budget.spend(len(left) ** 2 if isinstance(left, list | tuple) else 0)
        return
    else:
        return
    if expected > MAX_VALUE:
        raise LimitReached(f"the filter {name!r} returns more than {MAX_VALUE} characters")


def read_date(value: object, pattern: str) -> str:
    """The filter `date`. That of the engine reads the clock, and shows seconds in the server's time zone."""
    if isinstance(value, str):
        instant = _from_text(value)
    elif isinstance(value, datetime):
        instant = value
    elif isinstance(value, date):
        instant = datetime.combine(value, time())
    elif isinstance(value, int | float):
        instant = _from_epoch(value)
    else:
        raise TypeError("not a date")
    if len(pattern) > _MAX_PATTERN:
        raise ValueError("pattern is too long")
    return instant.strftime(pattern)


def _from_text(value: str) -> datetime:
    if value.isdecimal():
        return _from_epoch(int(value))
    if _COUPON_DATE.fullmatch(value):
        # The form of the coupon events, which names no time zone: it is shown as it stands.
        return datetime.strptime(value, "%d-%m-%Y %H:%M:%S")  # noqa: DTZ007
    return datetime.fromisoformat(value)


def _from_epoch(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_CLOSINGS = {
    "!--": re.compile("-->"),
    "script": re.compile("(?=</script)", re.IGNORECASE),
    "style": re.compile("(?=</style)", re.IGNORECASE),
}
_TAG = re.compile(r"<(!--)|<(script|style)\b[^<>]*>|<[^<>]*>", re.IGNORECASE)


@string_filter
def strip_html(text: str) -> str:
    """The filter `strip_html`. That of the engine takes the square of the length on text made for it."""
    stripped = "".join(_outside_of_tags(text))
    # What was escaped before is not escaped again.
    return Markup(stripped) if isinstance(text, Markup) else stripped


def _outside_of_tags(text: str) -> Iterator[str]:
    position = 0
    while tag := _TAG.search(text, position):
        yield text[position : tag.start()]
        position = tag.end()
        hides = tag.group(1) or tag.group(2)
        if hides:
            closing = _CLOSINGS[hides.lower()].search(text, position)
            if closing is None:
                return
            position = closing.end()
    yield text[position:]
