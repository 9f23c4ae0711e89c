"""Pages of lists: the order, and the cursor that leads to the next page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports import ListOrder, ListQuery, SortKey, Transaction
from partner_vouchers.usecases.paging import Page, decode_cursor, no_cursor, page_of

_COUNTERS = frozenset((ListOrder.UPLOADED, ListOrder.DISTRIBUTED))
_INSTANTS = frozenset((ListOrder.UPDATED, ListOrder.CREATED, ListOrder.EXPIRES))


def page_of_lists(
    tx: Transaction, sort: str, after: object, limit: int, filters: dict[str, Any]
) -> Page[VoucherList]:
    """Return a page of lists.

    Args:
        tx: the transaction.
        sort: the name of an order, with a `-` before it from the greatest on.
        after: the cursor as the caller passed it.
        limit: how many lists the page may have.
        filters: `partner`, `tag`, `criteria` and `text` of the query.

    Raises:
        InvalidInput: there is no such order.
        InvalidCursor: `after` is not a cursor of this order.
    """
    try:
        order, descending = ListOrder(sort.removeprefix("-")), sort.startswith("-")
    except (ValueError, AttributeError, TypeError):
        reason = f"must be one of {', '.join(ListOrder)}, with or without a '-' before it"
        raise InvalidInput(field="sort", reason=reason) from None
    result = f"lists in the order {'-' if descending else ''}{order.value}"

    def key(voucher_list: VoucherList) -> str | int:
        holder = voucher_list.counts if order in _COUNTERS else voucher_list
        found: str | int | datetime = getattr(holder, order.value)
        return found.isoformat() if isinstance(found, datetime) else found

    start: tuple[SortKey, str] | None = None
    if (place := decode_cursor(result, after, int if order in _COUNTERS else str, int)) is not None:
        start = (_instant(result, place[0]) if order in _INSTANTS else place[0]), str(place[1])
    found = tx.lists.find(
        ListQuery(order=order, descending=descending, after=start, limit=limit + 1, **filters)
    )
    return page_of(result, found, limit, lambda last: (key(last), int(last.id)))


def _instant(result: str, text: str) -> datetime:
    try:
        return require_aware("after", datetime.fromisoformat(text))
    except (ValueError, InvalidInput) as error:
        raise no_cursor(result) from error
