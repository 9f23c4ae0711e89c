"""The lists page: complete, in order, page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from attrs import evolve
from hypothesis import strategies as st

from partner_vouchers.domain.lifecycle import Status, criteria_for
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.ports import ListOrder, Storage, Transaction
from partner_vouchers.testing import driver, strategies
from partner_vouchers.testing.driver import START
from partner_vouchers.testing.hooks import StorageHooks, for_all


class LookUpSuite(StorageHooks):
    """Tests of `Lists.find`."""

    def test_pages_of_lists_are_complete_and_in_order(self, storage: Storage) -> None:
        orders = st.sampled_from(ListOrder)

        @for_all(
            st.lists(strategies.voucher_lists(), max_size=7),
            orders,
            st.integers(1, 3),
            st.sampled_from("apx"),
        )
        def check(drawn: list[VoucherList], order: ListOrder, page: int, text: str) -> None:
            # It is not committed: the next example begins with an empty storage.
            with storage.begin() as tx:
                for number, each in enumerate(drawn):
                    # Dates and names repeat, so that equal keys meet.
                    tx.lists.add(evolve(each, id=tx.lists.new_id(), tag=f"{each.tag}{number}", version=1))
                known = tx.lists.find(driver.all_lists())
                assert len(known) == len(drawn)
                _check_pages(tx, known, order, page)
                _check_filters(tx, known, text)

        check()

    def test_lists_are_ordered_by_their_counters_and_then_by_age(self, storage: Storage) -> None:
        # The tenth and those after it come late as numbers, and early as strings.
        for number in range(12):
            codes = driver.some_codes(3 - number % 3, f"{number}-")
            list_id = driver.a_list(storage, codes, tag=f"t{number}")
            for user in range(number % 2):
                driver.assign(storage, f"user-{user}", list_id=list_id)
        with storage.begin(write=False) as tx:
            known = tx.lists.find(driver.all_lists())
            assert sorted(found.counts.uploaded for found in known) == [1] * 4 + [2] * 4 + [3] * 4
            for order in (ListOrder.UPLOADED, ListOrder.DISTRIBUTED, ListOrder.CREATED):
                _check_pages(tx, known, order, 5)


def _key(found: VoucherList, order: ListOrder) -> tuple[Any, int]:
    counted = order in (ListOrder.UPLOADED, ListOrder.DISTRIBUTED)
    return getattr(found.counts if counted else found, order.value), int(found.id)


def _check_pages(tx: Transaction, known: Sequence[VoucherList], order: ListOrder, size: int) -> None:
    for descending in (False, True):
        expected = sorted(known, key=lambda each: _key(each, order), reverse=descending)
        query = driver.all_lists(order=order, descending=descending)
        found = driver.pages(
            lambda after, limit, query=query: tx.lists.find(evolve(query, after=after, limit=limit)),  # type: ignore[misc]
            size,
            None,
            lambda each: (_key(each, order)[0], each.id),
        )
        assert [each.id for each in found] == [each.id for each in expected], f"pages by {order}"


def _check_filters(tx: Transaction, known: Sequence[VoucherList], text: str) -> None:
    now = START + timedelta(days=1)

    def require(asked: dict[str, Any], wanted: Callable[[VoucherList], bool]) -> None:
        found = tx.lists.find(evolve(driver.all_lists(), **asked))
        assert {each.id for each in found} == {each.id for each in known if wanted(each)}, asked

    for status in Status:
        require({"criteria": criteria_for(status, now)}, partial(_has_status, status, now))
    for name in ("partner", "tag"):
        for value in {getattr(each, name) for each in known}:
            require({name: value}, partial(_has, name, value))
    require({"text": text}, lambda each: text in each.search_text)


def _has(name: str, value: object, each: VoucherList) -> bool:
    return bool(getattr(each, name) == value)


def _has_status(status: Status, now: datetime, each: VoucherList) -> bool:
    return each.status_at(now) is status
