"""Lists and links that are worked out are those of the memory storage."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.memory.transaction import MemoryTransaction
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import StaleVersion, StorageError, UnknownList
from partner_vouchers.ports import ListOrder, ListQuery
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import START
from tests.adapters.simple.parts import Campaigns, Lists, reading, stocked_lists

CAMPAIGNS = ["CMP1", "CMP2"]


LINKS = st.tuples(st.integers(0, 2), st.sampled_from(CAMPAIGNS), st.integers(0, 1), st.integers(0, 3))


@given(
    links=st.lists(LINKS, max_size=10),
    given_out=st.lists(st.integers(0, 2), max_size=4),
    order=st.sampled_from(ListOrder),
    descending=st.booleans(),
    partner=st.none() | st.just("partner 0"),
    random=st.randoms(use_true_random=False),
)
def test_lists_and_links_are_found_as_in_memory(
    links: list[tuple[int, str, int, int]],
    given_out: list[int],
    order: ListOrder,
    descending: bool,
    partner: str | None,
    random: Random,
) -> None:
    storage = MemoryStorage()
    ids = stocked_lists(storage)
    for index in given_out:
        driver.assign(storage, "user-1", list_id=ids[index], again=True)
    with reading(storage) as tx:
        lists, campaigns = Lists(tx, random), Campaigns(tx)
        for index, campaign, priority, days in links:
            link = driver.a_link(ids[index], campaign, priority=priority, days=days)
            tx.campaigns.put(link)
            campaigns.put(link)
        for list_id in ids:
            lists.insert(evolve(required(tx, list_id), counts=Counts(99), campaigns=99))
            assert lists.get(list_id) == tx.lists.get(list_id)
            assert campaigns.of_list(list_id) == tx.campaigns.of_list(list_id)
        for campaign in CAMPAIGNS:
            assert campaigns.of_campaign(campaign) == tx.campaigns.of_campaign(campaign)
        query = ListQuery(partner, None, None, order, descending, None, 2)
        assert lists.find(query) == tx.lists.find(query)


def required(tx: MemoryTransaction, list_id: str) -> VoucherList:
    """Return a list that is there."""
    found = tx.lists.get(list_id)
    assert found is not None
    return found


def test_a_list_is_added_under_a_free_tag_and_saved_over_the_version_before() -> None:
    storage = MemoryStorage()
    [list_id] = stocked_lists(storage, 1)
    with reading(storage) as tx:
        lists = Lists(tx)
        first = evolve(required(tx, list_id), counts=Counts(5), notified=StockLevel.LOW, campaigns=3)
        lists.add(first)
        assert lists.rows[list_id].notified is StockLevel.ENOUGH
        with pytest.raises(StorageError, match="with_tag"):
            lists.add(evolve(first, id="77"))

        lists.set_notified_level(list_id, StockLevel.EXHAUSTED)
        lists.touch(list_id, START + timedelta(days=1))
        archived = evolve(first, version=2, state=State.ARCHIVED)
        for version in (0, 1, 3):
            with pytest.raises(StaleVersion) as stale:
                lists.save(evolve(archived, version=version))
            assert (stale.value.expected, stale.value.actual) == (version - 1, 1)
        assert lists.rows[list_id].updated_at == START + timedelta(days=1)
        lists.save(archived)
        assert lists.rows[list_id] == evolve(
            archived, notified=StockLevel.EXHAUSTED, counts=lists.rows[list_id].counts
        )

        # The tag is free again, the id is not.
        with pytest.raises(StorageError, match="used before"):
            lists.add(first)


def test_a_list_that_is_not_there_is_not_changed() -> None:
    with reading(MemoryStorage()) as tx:
        nowhere = driver.unstored_list(tx)
        lists, campaigns = Lists(tx), Campaigns(tx)
        with pytest.raises(UnknownList):
            lists.save(nowhere)
        with pytest.raises(UnknownList):
            lists.set_notified_level(nowhere.id, StockLevel.LOW)
        with pytest.raises(UnknownList):
            lists.touch(nowhere.id, START)
        with pytest.raises(UnknownList):
            campaigns.put(driver.a_link(nowhere.id))
        assert (lists.rows, campaigns.rows) == ({}, {})


def test_a_link_keeps_its_age_when_it_is_replaced() -> None:
    storage = MemoryStorage()
    first, second, third = stocked_lists(storage)
    with reading(storage) as tx:
        campaigns = Campaigns(tx)
        for list_id, priority, days in [(first, 1, 3), (second, 0, 2), (third, 0, 1), (first, 0, 4)]:
            campaigns.put(driver.a_link(list_id, priority=priority, days=days))
        found = [(link.list_id, (link.linked_at - START).days) for link, _ in campaigns.of_campaign("CMP1")]
        assert found == [(first, 3), (second, 2), (third, 1)]


def test_a_link_that_outlives_its_list_is_not_found() -> None:
    storage = MemoryStorage()
    first, second, _ = stocked_lists(storage)
    with reading(storage) as tx:
        campaigns = Campaigns(tx)
        for list_id in (first, second):
            campaigns.put(driver.a_link(list_id))
        tx.lists.remove(first)
        assert [link.list_id for link, _ in campaigns.of_campaign("CMP1")] == [second]
