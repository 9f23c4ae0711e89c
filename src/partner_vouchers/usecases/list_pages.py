"""Pages of lists: the order, and the cursor that leads to the next page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import frozen

from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports import ListOrder, ListQuery, SortKey
from partner_vouchers.usecases.paging import Page, decode_cursor, no_cursor, page_of

_COUNTERS = frozenset((ListOrder.UPLOADED, ListOrder.DISTRIBUTED))
_INSTANTS = frozenset((ListOrder.UPDATED, ListOrder.CREATED, ListOrder.EXPIRES))


@frozen
class ListPages:
    """The pages of lists in an order.

    Attributes:
        order: the field to sort by.
        descending: whether the greatest comes first.
    """

    order: ListOrder
    descending: bool

    def query(self, after: object, limit: int, **filters: Any) -> ListQuery:
        """Return the query of a page, which asks for one list more than the page may have.

        It takes the cursor as the caller passed it, and `partner`, `tag`, `criteria` and `text` of the query.

        Raises:
            InvalidCursor: `after` is not a cursor of this order.
        """
        return ListQuery(
            order=self.order,
            descending=self.descending,
            after=self._place(after),
            limit=limit + 1,
            **filters,
        )

    def page(self, found: Sequence[VoucherList], limit: int) -> Page[VoucherList]:
        """Return the page of what a query found."""
        return page_of(self._result, found, limit, lambda last: (self._key(last), int(last.id)))

    @property
    def _result(self) -> str:
        return f"lists in the order {'-' if self.descending else ''}{self.order.value}"

    def _key(self, voucher_list: VoucherList) -> str | int:
        """Return the value by which a list is sorted, as it is put into a cursor."""
        holder = voucher_list.counts if self.order in _COUNTERS else voucher_list
        key: str | int | datetime = getattr(holder, self.order.value)
        return key.isoformat() if isinstance(key, datetime) else key

    def _place(self, after: object) -> tuple[SortKey, str] | None:
        place = decode_cursor(self._result, after, int if self.order in _COUNTERS else str, int)
        if place is None:
            return None
        key, list_id = place
        if self.order in _INSTANTS:
            try:
                key = require_aware("after", datetime.fromisoformat(key))
            except (ValueError, InvalidInput) as error:
                raise no_cursor(self._result) from error
        return key, str(list_id)


def pages_of(sort: str) -> ListPages:
    """Return the pages in an order, by its name, with a `-` before it from the greatest on.

    Raises:
        InvalidInput: there is no such order.
    """
    try:
        return ListPages(ListOrder(sort.removeprefix("-")), sort.startswith("-"))
    except (ValueError, AttributeError, TypeError):
        reason = f"must be one of {', '.join(ListOrder)}, with or without a '-' before it"
        raise InvalidInput(field="sort", reason=reason) from None
