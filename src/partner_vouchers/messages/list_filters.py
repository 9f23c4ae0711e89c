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
    """The filter `sort`. Items that are nil or lack the property come last."""
    return _sorted(items, name, lambda value: value)


@_on_items
def sort_natural(items: Sequence[object], name: object = None) -> list[object]:
    """The filter `sort_natural`, which ignores case. Items that are nil or lack the property come last."""
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
    "compact": compact,
    "concat": concat,
    "find": find,
    "find_index": find_index,
    "first": first,
    "has": has,
    "join": join,
    "last": last,
    "map": map_property,
    "reject": reject,
    "reverse": reverse,
    "sort": sort,
    "sort_natural": sort_natural,
    "sum": total,
    "uniq": uniq,
    "where": where,
}
"""The filters by name."""
