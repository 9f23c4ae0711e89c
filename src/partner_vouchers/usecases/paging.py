"""Pages: a part of a long result, and a cursor that leads to the next."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Generic, TypeVar

from attrs import frozen

from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.domain.text import has_control_character
from partner_vouchers.errors import InvalidCursor, InvalidInput
from partner_vouchers.ports import ListOrder, SortKey

T = TypeVar("T")

MAX_LIMIT = 1000
"""How many items a page can have."""

_MOST_DIGITS = 18


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
        InvalidInput: it is not from 1 to 1000.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(field="limit", reason=f"must be from 1 to {MAX_LIMIT}")
    return limit


def require_line(after_line: object) -> int:
    """Return the number of a line of a file after which a page begins; 0 for the first page.

    Raises:
        InvalidInput: no file has such a line.
    """
    if isinstance(after_line, bool) or not isinstance(after_line, int) or not 0 <= after_line < 2**32:
        raise InvalidInput(field="after_line", reason="must be the number of a line, or 0")
    return after_line


def require_position(after: object, log: str) -> None:
    """Check the cursor of a page of a log, which is the decimal number of its last entry.

    Raises:
        InvalidCursor: it is neither such a number nor None.
    """
    if after is not None and not (isinstance(after, str) and _is_number(after)):
        raise InvalidCursor(field="after", reason=f"is not the `next` of a page of {log}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def encode_cursor(order: ListOrder, descending: bool, key: SortKey, list_id: str) -> str:
    """Return a cursor that stands behind a list in an order."""
    plain = key.isoformat() if isinstance(key, datetime) else key
    text = json.dumps([order.value, descending, plain, list_id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, order: ListOrder, descending: bool) -> tuple[SortKey, str]:
    """Return the sort key and the list id of a cursor.

    Raises:
        InvalidCursor: it is not a cursor of this order.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found_order, found_descending, key, list_id = json.loads(
            base64.urlsafe_b64decode(padded.encode("ascii"))
        )
        if (found_order, found_descending) != (order.value, descending) or not _is_number(list_id):
            raise ValueError
        return _sort_key(order, key), list_id
    except (ValueError, TypeError, AttributeError, RecursionError, InvalidInput) as error:
        raise InvalidCursor(
            field="after", reason="is not the `next` of a page in this order; ask for the first page again"
        ) from error


def _sort_key(order: ListOrder, key: object) -> SortKey:
    if order in (ListOrder.UPDATED, ListOrder.CREATED, ListOrder.EXPIRES):
        return require_aware("after", datetime.fromisoformat(str(key)))
    if order in (ListOrder.UPLOADED, ListOrder.DISTRIBUTED):
        if type(key) is int and abs(key) < 10**_MOST_DIGITS:
            return key
    elif isinstance(key, str) and not has_control_character(key):
        return key
    raise ValueError
