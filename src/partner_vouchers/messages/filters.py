"""The filters that a template may use, each with a bound on what goes in and what comes out.

Most are those of the engine. They get strings where they work on strings, since the engine would print other values
as Python does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from inspect import Parameter, signature

from liquid import Markup
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.exceptions import LiquidSyntaxError
from liquid.token import Token

from partner_vouchers.messages import arithmetic, list_filters
from partner_vouchers.messages.dates import show_date
from partner_vouchers.messages.limits import MAX_VALUE, STEP, Budget, LimitReached, size_of
from partner_vouchers.messages.values import is_empty, is_missing, to_text

# The standard filters of Liquid, without the engine's additions (`safe`, `escapejs`).
ALLOWED = frozenset(
    """
    abs append at_least at_most base64_decode base64_encode base64_url_safe_decode base64_url_safe_encode
    capitalize ceil compact concat date default divided_by downcase escape escape_once find find_index first
    floor has join last lstrip map minus modulo newline_to_br plus prepend reject remove remove_first remove_last
    replace replace_first replace_last reverse round rstrip size slice sort sort_natural split squish strip
    strip_html strip_newlines sum times truncate truncatewords uniq upcase url_decode url_encode where
    """.split()  # noqa: SIM905 - easier to read and to sort
)

# Filters of strings, and their first argument that is a string, if any.
_ON_STRINGS = dict.fromkeys(
    """
    append base64_decode base64_encode base64_url_safe_decode base64_url_safe_encode capitalize downcase escape
    escape_once lstrip newline_to_br prepend remove remove_first remove_last replace replace_first replace_last
    rstrip split squish strip strip_html strip_newlines upcase url_decode url_encode
    """.split(),  # noqa: SIM905
    0,
)
_ON_STRINGS |= {"truncate": 1, "truncatewords": 1}

# Filters that read each item of a list in Python.
_PER_ITEM = frozenset("compact find find_index has map reject sort sort_natural sum uniq where".split())  # noqa: SIM905


def run(
    name: str,
    apply: Callable[..., object],
    budget: Budget,
    left: object,
    args: Sequence[object],
    *,
    html: bool,
) -> object:
    """Apply a filter within the budget.

    Raises:
        LimitReached: the filter would do too much, or has returned too much.
    """
    for value in (left, *args):
        budget.read(value)
    args = ["" if isinstance(each, Blank | Empty) else each for each in args]
    strings_from = _ON_STRINGS.get(name)
    if strings_from is not None:
        left = to_text(left, html=html)
        args = [*args[:strings_from], *(to_text(each, html=html) for each in args[strings_from:])]
    elif name == "slice" and not isinstance(left, list | tuple | range):
        left = to_text(left, html=html)
    _foresee(name, left, args, budget)
    result = apply(left, *args)
    size = size_of(result, MAX_VALUE)
    if size > MAX_VALUE:
        raise LimitReached(f"the filter {name!r} returns more than {MAX_VALUE} characters")
    budget.spend(size)
    return result


def _foresee(name: str, left: object, args: Sequence[object], budget: Budget) -> None:
    """Stop a filter whose result or work can be much larger than what goes in."""
    if name == "replace":
        text, old, *rest = (str(each) for each in (left, *args))
        new = rest[0] if rest else ""
        expected = len(text) + text.count(old) * max(len(new) - len(old), 0)
    elif name == "join":
        expected = size_of(left, MAX_VALUE) * (1 + size_of(args[0] if args else " ", MAX_VALUE))
    elif name in _PER_ITEM and isinstance(left, list | tuple | range):
        # `uniq` compares each element with each.
        budget.spend(len(left) ** 2 if name == "uniq" else STEP * len(left))
        return
    else:
        return
    if expected > MAX_VALUE:
        raise LimitReached(f"the filter {name!r} returns more than {MAX_VALUE} characters")


LAZY = frozenset(
    """
    compact date find find_index has join map reject replace replace_first replace_last sort sort_natural sum
    truncate truncatewords uniq where
    """.split()  # noqa: SIM905
)
"""The filters that do not always need their arguments."""


def needs_next(name: str, left: object, args: Sequence[object]) -> bool:
    """Whether the result of a filter depends on the argument that comes next.

    An argument may look at linked content, which then takes no code.

    Args:
        name: the filter.
        left: its value.
        args: the arguments that come before.
    """
    match name, len(args):
        case (("replace" | "replace_first" | "replace_last"), 1):
            return to_text(args[0]) in to_text(left)
        case "truncate", 1:
            return len(to_text(left)) > int(args[0])  # type: ignore[call-overload,no-any-return]
        case "truncatewords", 1:
            return len(to_text(left).split()) > int(args[0])  # type: ignore[call-overload,no-any-return]
        case "join", 0:
            return len(list_filters.items_of(left)) > 1
        case (("where" | "reject" | "find" | "find_index" | "has"), (0 | 1)):
            return is_missing(left) or not is_empty(left)
        case (("sort" | "sort_natural" | "map" | "sum" | "uniq" | "compact"), 0):
            return is_missing(left) or not is_empty(left)
        case "date", 0:
            return left is not None and not is_missing(left) and left != ""
    return True


def is_defaulted(value: object, allow_false: Callable[[], object]) -> bool:
    """Whether the filter `default` puts its argument in the place of a value."""
    if is_missing(value) or value is None:
        return True
    if value is False:
        return allow_false() is not True
    return is_empty(value)


def check_arguments(apply: Callable[..., object], token: Token, by_place: int, by_name: list[str]) -> None:
    """Refuse a filter with arguments that it does not take.

    Args:
        apply: the filter.
        token: its name in the template.
        by_place: how many arguments it gets by place.
        by_name: the names of the others.

    Raises:
        LiquidSyntaxError: it does not take them.
    """
    name = token.value
    least, most = _arity(apply)
    if name != "default" or by_name not in ([], ["allow_false"]):
        # By name one could reach what the engine passes to its filters.
        for unknown in by_name:
            message = f"the filter {name!r} takes no argument by the name {unknown!r}"
            raise LiquidSyntaxError(message, token=token)
    if not least <= by_place <= most:
        takes = str(least) if least == most else f"{least} to {most}"
        message = f"the filter {name!r} takes {takes} argument{'' if takes == '1' else 's'}, not {by_place}"
        raise LiquidSyntaxError(message, token=token)


@cache
def _arity(apply: Callable[..., object]) -> tuple[int, int]:
    places = [
        each
        for each in list(signature(apply).parameters.values())[1:]
        if each.kind is not Parameter.KEYWORD_ONLY
    ]
    return sum(each.default is Parameter.empty for each in places), len(places)


# Each alternative ends where its search fails, so that the time is linear. That of the engine is not.
_HTML = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b[^<>]*>.*?(?=</\1|\Z)|<[^<>]*>", re.DOTALL | re.IGNORECASE
)


def strip_html(text: str) -> str:
    """The filter `strip_html`."""
    stripped = _HTML.sub("", text)
    # An escaped string is not escaped again.
    return Markup(stripped) if isinstance(text, Markup) else stripped


def replace_last(text: str, old: str, new: str = "") -> str:
    """The filter `replace_last`. That of the engine finds nothing at the start of a text."""
    if not old:
        return text + new
    before, found, after = text.rpartition(old)
    return before + new + after if found else text


def remove_last(text: str, old: str) -> str:
    """The filter `remove_last`. That of the engine finds nothing at the start of a text."""
    return replace_last(text, old)


def truncate(text: str, length: object = 50, ending: str = "...") -> str:
    """The filter `truncate`. That of the engine shortens a text that is exactly as long as it may be."""
    most = int(length)  # type: ignore[call-overload]
    return text if len(text) <= most else text[: max(most - len(ending), 0)] + ending


def truncate_words(text: str, words: object = 15, ending: str = "...") -> str:
    """The filter `truncatewords`. That of the engine puts an ending behind words that are all there."""
    most = max(int(words), 1)  # type: ignore[call-overload]
    found = text.split()
    return text if len(found) <= most else " ".join(found[:most]) + ending


FILTERS: dict[str, Callable[..., object]] = {
    **arithmetic.FILTERS,
    **list_filters.FILTERS,
    "date": show_date,
    "remove_last": remove_last,
    "replace_last": replace_last,
    "strip_html": strip_html,
    "truncate": truncate,
    "truncatewords": truncate_words,
}
"""The filters that replace those of the engine."""
