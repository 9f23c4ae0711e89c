"""Pages: a part of a long result, and an opaque cursor that leads to the next."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from attrs import frozen

from partner_vouchers.domain.arguments import require_whole
from partner_vouchers.domain.text import has_control_character
from partner_vouchers.errors import InvalidCursor

T = TypeVar("T")

MAX_LIMIT = 1000
"""How many items a page can have."""

LARGEST = 10**18 - 1
"""The largest number in a cursor that every storage can be asked for."""


@frozen
class Page(Generic[T]):
    """A part of a result.

    Attributes:
        items: the items, in order.
        next: pass it as `after` to get the next page; None on the last.
    """

    items: tuple[T, ...]
    next: str | None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def require_limit(limit: object) -> int:
    """Return how many items a page may have.

    Raises:
        InvalidInput: it is not a whole number from 1 to 1000.
    """
    return require_whole("limit", limit, 1, MAX_LIMIT, f"must be from 1 to {MAX_LIMIT}")


def require_line(after_line: object) -> int:
    """Return the number of a line of a file after which a page begins; 0 for the first page.

    Raises:
        InvalidInput: no file has such a line.
    """
    return require_whole("after_line", after_line, 0, 2**32 - 1, "must be the number of a line, or 0")


def page_of(
    result: str, found: Sequence[T], limit: int, place: Callable[[T], tuple[str | int, ...]]
) -> Page[T]:
    """Return a page of items, of which one more than `limit` was looked for.

    Args:
        result: what the page is a part of, such as `"the audit log"`; a cursor works only for the same result.
        found: the items, in order.
        limit: how many items the page may have.
        place: returns the place of an item in the order of the result.
    """
    shown = tuple(found[:limit])
    return Page(shown, encode_cursor(result, *place(shown[-1])) if len(found) > limit else None)


def encode_cursor(result: str, *place: str | int) -> str:
    """Return the cursor of a place in a result. It needs no quoting in a URL."""
    text = json.dumps([result, *place])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(result: str, after: object, *kinds: type[str | int]) -> list[Any] | None:
    """Return the place in a cursor; None for the first page.

    Args:
        result: what the page is a part of.
        after: the cursor, as the caller passed it.
        kinds: the types of the parts of the place.

    Raises:
        InvalidCursor: it is not a cursor of this result.
    """
    if after is None:
        return None
    try:
        if not isinstance(after, str):
            raise TypeError
        padded = after + "=" * (-len(after) % 4)
        place: list[Any]
        found_result, *place = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        if found_result != result or len(place) != len(kinds):
            raise ValueError
        for part, kind in zip(place, kinds, strict=True):
            if type(part) is not kind or not _is_storable(part):
                raise ValueError
        return place
    except (ValueError, TypeError, RecursionError) as error:
        raise no_cursor(result) from error


def no_cursor(result: str) -> InvalidCursor:
    """Return the error for a cursor that is none of a result."""
    return InvalidCursor(
        field="after", reason=f"is not the `next` of a page of {result}; ask for the first page again"
    )


def _is_storable(part: str | int) -> bool:
    return not has_control_character(part) if isinstance(part, str) else abs(part) <= LARGEST
