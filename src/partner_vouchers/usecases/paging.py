"""Pages: a part of a long result, and a cursor that leads to the next."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Generic, TypeVar

from attrs import frozen

from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.errors import InvalidCursor, InvalidInput
from partner_vouchers.ports import ListOrder, SortKey

T = TypeVar("T")

MAX_LIMIT = 1000
"""How many items a page can have."""


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
        if (found_order, found_descending) != (order.value, descending) or not (
            list_id.isascii() and list_id.isdigit()
        ):
            raise ValueError
        return _sort_key(order, key), list_id
    except (ValueError, TypeError, AttributeError, InvalidInput) as error:
        raise InvalidCursor(
            field="after", reason="is not the `next` of a page in this order; ask for the first page again"
        ) from error


def _sort_key(order: ListOrder, key: object) -> SortKey:
    if order in (ListOrder.UPDATED, ListOrder.CREATED, ListOrder.EXPIRES):
        return require_aware("after", datetime.fromisoformat(str(key)))
    expected = int if order in (ListOrder.UPLOADED, ListOrder.DISTRIBUTED) else str
    if type(key) is not expected:
        raise ValueError
    return key
