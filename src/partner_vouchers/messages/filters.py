"""The filters that a template may use, each with a bound on what goes in and what comes out.

Most are those of the engine. They get strings where they work on strings, since the engine would print other values
as Python does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import cache, wraps
from inspect import Parameter, signature

from liquid import Markup
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.exceptions import LiquidSyntaxError
from liquid.filter import flatten, with_environment
from liquid.token import Token

from partner_vouchers.messages import arithmetic
from partner_vouchers.messages.dates import show_date
from partner_vouchers.messages.limits import MAX_VALUE, STEP, Budget, LimitReached, size_of
from partner_vouchers.messages.values import Unusable, equal, is_empty, is_missing, is_truthy, to_text

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

# What works on strings, and the first argument that is a string, where there is one.
_ON_STRINGS = dict.fromkeys(
    """
    append base64_decode base64_encode base64_url_safe_decode base64_url_safe_encode capitalize downcase escape
    escape_once lstrip newline_to_br prepend remove remove_first remove_last replace replace_first replace_last
    rstrip split squish strip strip_html strip_newlines upcase url_decode url_encode
    """.split(),  # noqa: SIM905
    0,
)
_ON_STRINGS |= {"truncate": 1, "truncatewords": 1}

# What looks at each item of a list in Python.
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
            return len(items_of(left)) > 1
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


# --- strings


def strip_html(text: str) -> str:
    """The filter `strip_html`. That of the engine takes the square of the length on text made for it."""
    stripped = "".join(_outside_of_tags(text))
    # What was escaped before is not escaped again.
    return Markup(stripped) if isinstance(text, Markup) else stripped


_CLOSINGS = {
    "!--": re.compile("-->"),
    "script": re.compile("(?=</script)", re.IGNORECASE),
    "style": re.compile("(?=</style)", re.IGNORECASE),
}
_TAG = re.compile(r"<(!--)|<(script|style)\b[^<>]*>|<[^<>]*>", re.IGNORECASE)


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


# --- lists and objects


def _on_items(apply: Callable[..., object]) -> Callable[..., object]:
    """Give a filter the items of its value: those of nested lists, none of nil, and any other value as the only one."""

    @wraps(apply)
    def with_items(value: object, *args: object, **kwargs: object) -> object:
        return apply(items_of(value), *args, **kwargs)

    return with_items


def items_of(value: object) -> list[object]:
    """Return what a filter for lists works on.

    Raises:
        UndefinedError: the value is missing.
    """
    if is_missing(value):
        return [str(value)]  # raises
    if isinstance(value, list | tuple):
        return flatten(value)
    if value is None:
        return []
    return list(value) if isinstance(value, range | Set) else [value]


@with_environment
@_on_items
def join(items: Sequence[object], separator: object = " ", *, environment: object) -> str:
    """The filter `join`."""
    html: bool = environment.autoescape  # type: ignore[attr-defined]
    between = to_text(separator, html=html)
    if html and between == " ":
        between = Markup(" ")
    return between.join([to_text(each, html=html) for each in items])


def first(value: object) -> object:
    """The filter `first`: nil for a value that has no elements."""
    return _end(value, 0)


def last(value: object) -> object:
    """The filter `last`: nil for a value that has no elements."""
    return _end(value, -1)


def _end(value: object, index: int) -> object:
    if is_missing(value):
        return str(value)  # raises
    if isinstance(value, Mapping):
        raise Unusable("the properties of an object have no order")
    return value[index] if isinstance(value, list | tuple | range) and value else None


@_on_items
def map_property(items: Sequence[object], name: object) -> list[object]:
    """The filter `map`."""
    return [_property(each, to_text(name)) for each in items]


@_on_items
def sort(items: Sequence[object], name: object = None) -> list[object]:
    """The filter `sort`. What is nil, or has no such property, comes last."""
    return _sorted(items, name, lambda value: value)


@_on_items
def sort_natural(items: Sequence[object], name: object = None) -> list[object]:
    """The filter `sort_natural`, which ignores case. What is nil, or has no such property, comes last."""
    return _sorted(items, name, lambda value: to_text(value).lower())


def _sorted(items: Sequence[object], name: object, key: Callable[[object], object]) -> list[object]:
    def place(item: object) -> tuple[bool, object]:
        value = item if name is None or name == "" else _property(item, to_text(name))
        return value is None, None if value is None else key(value)

    return sorted(items, key=place)


@_on_items
def total(items: Sequence[object], name: object = None) -> int | float:
    """The filter `sum`."""
    return arithmetic.total(each if name is None else _property(each, to_text(name)) for each in items)


@_on_items
def concat(items: list[object], others: object) -> list[object]:
    """The filter `concat`."""
    if not isinstance(others, list | tuple | range):
        raise Unusable("its argument must be a list")
    return items + list(others)


@_on_items
def reverse(items: list[object]) -> list[object]:
    """The filter `reverse`."""
    return items[::-1]


@_on_items
def where(items: Sequence[object], name: object, value: object = None) -> list[object]:
    """The filter `where`: the items whose property has a value, or any value that is neither nil nor false."""
    return [each for each in items if _matches(each, name, value)]


@_on_items
def reject(items: Sequence[object], name: object, value: object = None) -> list[object]:
    """The filter `reject`: the items that `where` leaves out."""
    return [each for each in items if not _matches(each, name, value)]


@_on_items
def find(items: Sequence[object], name: object, value: object = None) -> object:
    """The filter `find`: the first item that `where` finds, or nil."""
    return next((each for each in items if _matches(each, name, value)), None)


@_on_items
def find_index(items: Sequence[object], name: object, value: object = None) -> int | None:
    """The filter `find_index`: the place of the first item that `where` finds, from 0, or nil."""
    return next((index for index, each in enumerate(items) if _matches(each, name, value)), None)


@_on_items
def has(items: Sequence[object], name: object, value: object = None) -> bool:
    """The filter `has`: whether `where` finds an item."""
    return any(_matches(each, name, value) for each in items)


@_on_items
def uniq(items: Sequence[object], name: object = None) -> list[object]:
    """The filter `uniq`: the items without those that equal an earlier one."""
    found: list[object] = []
    kept: list[object] = []
    for each in items:
        value = each if name is None else _property(each, to_text(name))
        if not any(equal(value, other) for other in found):
            found.append(value)
            kept.append(each)
    return kept


@_on_items
def compact(items: Sequence[object], name: object = None) -> list[object]:
    """The filter `compact`: the items that are not nil, or whose property is not nil."""
    return [each for each in items if (each if name is None else _property(each, to_text(name))) is not None]


def _matches(item: object, name: object, value: object) -> bool:
    found = _property(item, to_text(name))
    return is_truthy(found) if value is None else equal(found, value)


def _property(item: object, name: str) -> object:
    if item is None:
        return None
    if isinstance(item, Mapping):
        return item.get(name)
    raise Unusable("it looks for a property, and an element of the list is no object")


FILTERS: dict[str, Callable[..., object]] = {
    **arithmetic.FILTERS,
    "compact": compact,
    "concat": concat,
    "date": show_date,
    "find": find,
    "find_index": find_index,
    "first": first,
    "has": has,
    "join": join,
    "last": last,
    "map": map_property,
    "reject": reject,
    "remove_last": remove_last,
    "replace_last": replace_last,
    "reverse": reverse,
    "sort": sort,
    "sort_natural": sort_natural,
    "strip_html": strip_html,
    "sum": total,
    "truncate": truncate,
    "truncatewords": truncate_words,
    "uniq": uniq,
    "where": where,
}
"""The filters of our own, which stand in for those of the engine."""
