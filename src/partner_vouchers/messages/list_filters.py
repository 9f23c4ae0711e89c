"""The filters for lists and objects. Items are compared and printed by the rules of `values`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import wraps

from liquid import Markup
from liquid.filter import flatten, with_environment

from partner_vouchers.messages import arithmetic
from partner_vouchers.messages.values import Unusable, equal, is_missing, is_truthy, to_text


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


def _end(value: object, index: int) -> object:
    if is_missing(value):
        return str(value)  # raises
    if isinstance(value, Mapping):
        raise Unusable("the properties of an object have no order")
    return value[index] if isinstance(value, list | tuple | range) and value else None


def _sorted(items: Sequence[object], name: object, key: Callable[[object], object]) -> list[object]:
    def place(item: object) -> tuple[bool, object]:
        value = item if name is None or name == "" else _property(item, to_text(name))
        return value is None, None if value is None else key(value)

    return sorted(items, key=place)


@_on_items
def concat(items: list[object], others: object) -> list[object]:
    """The filter `concat`."""
    if not isinstance(others, list | tuple | range):
        raise Unusable("its argument must be a list")
    return items + list(others)


@_on_items
def uniq(items: Sequence[object], name: object = None) -> list[object]:
    """The filter `uniq`: the items without those that equal an earlier one."""
    found: list[object] = []
    kept: list[object] = []
    for each in items:
        value = _value(each, name)
        if not any(equal(value, other) for other in found):
            found.append(value)
            kept.append(each)
    return kept


def _matches(item: object, name: object, value: object) -> bool:
    found = _property(item, to_text(name))
    return is_truthy(found) if value is None else equal(found, value)


def _value(item: object, name: object) -> object:
    return item if name is None else _property(item, to_text(name))


def _property(item: object, name: str) -> object:
    if item is None:
        return None
    if isinstance(item, Mapping):
        return item.get(name)
    raise Unusable("it looks for a property, and an element of the list is no object")


FILTERS: dict[str, Callable[..., object]] = {
    "compact": _on_items(lambda items, name=None: [each for each in items if _value(each, name) is not None]),
    "concat": concat,
    "find": _on_items(
        lambda items, name, value=None: next((each for each in items if _matches(each, name, value)), None)
    ),
    # The place of what `find` returns, from 0, or nil.
    "find_index": _on_items(
        lambda items, name, value=None: next(
            (index for index, each in enumerate(items) if _matches(each, name, value)), None
        )
    ),
    # Nil for a value that has no elements, as in `last`.
    "first": lambda value: _end(value, 0),
    "has": _on_items(lambda items, name, value=None: any(_matches(each, name, value) for each in items)),
    "join": join,
    "last": lambda value: _end(value, -1),
    "map": _on_items(lambda items, name: [_property(each, to_text(name)) for each in items]),
    "reject": _on_items(
        lambda items, name, value=None: [each for each in items if not _matches(each, name, value)]
    ),
    "reverse": _on_items(lambda items: items[::-1]),
    # Items that are nil or lack the property come last, as in `sort_natural`, which ignores case.
    "sort": _on_items(lambda items, name=None: _sorted(items, name, lambda value: value)),
    "sort_natural": _on_items(
        lambda items, name=None: _sorted(items, name, lambda value: to_text(value).lower())
    ),
    "sum": _on_items(lambda items, name=None: arithmetic.total(_value(each, name) for each in items)),
    "uniq": uniq,
    # The items whose property has a value, or any value that is neither nil nor false.
    "where": _on_items(
        lambda items, name, value=None: [each for each in items if _matches(each, name, value)]
    ),
}
"""The filters by name."""
