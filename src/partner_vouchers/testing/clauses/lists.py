"""Partners, voucher lists and the links to campaigns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import strategies as st

from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy
from partner_vouchers.domain.lifecycle import State, Status, StatusCriteria, criteria_for
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import NoActiveList, StaleVersion, StorageError, UnknownList
from partner_vouchers.ports import ListOrder, ListQuery, Storage, Transaction
from partner_vouchers.testing import driver, strategies
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks, for_all

NOBODY = ["", "0", "999999", "-1", "01", "nobody's id", "9" * 40, "٣", "1; DROP TABLE lists"]
"""Texts that are nobody's id."""


def a_link(list_id: str, campaign_id: str = "CMP1", *, priority: int = 0, days: int = 0) -> CampaignLink:
    """Return a link."""
    return CampaignLink(
        list_id=list_id,
        campaign_id=campaign_id,
        repeat=RepeatPolicy.SAME_CODE,
        priority=priority,
        eligibility=None,
        linked_at=START + timedelta(days=days),
    )


class PartnerClauses(StorageHooks):
    """What `ports.Partners` owes."""

    def test_a_partner_is_stored_once_and_found_by_exactly_its_name(self, storage: Storage) -> None:
        puma = Partner("Puma", START)
        with storage.begin() as tx:
            assert tx.partners.add(puma)
            assert not tx.partners.add(puma)
            assert not tx.partners.add(Partner("Puma", FAR))
            assert tx.partners.add(Partner("PUMA", FAR))
            assert tx.partners.add(Partner(" Puma", FAR))
            tx.commit()
        with storage.begin(write=False) as tx:
            assert tx.partners.get("Puma") == puma
            assert tx.partners.get("puma") is None
            assert tx.partners.get("Puma ") is None

    def test_partners_are_ordered_by_code_points(self, storage: Storage) -> None:
        names = ["a", "Z", "é", "e\u0301", "ß", "\uffee", "\U0001f600", "10", "9", "a b", "ab", "A"]
        with storage.begin() as tx:
            for name in names:
                tx.partners.add(Partner(name, START))
            tx.commit()
        with storage.begin(write=False) as tx:
            assert [partner.name for partner in tx.partners.all()] == sorted(names)


class ListClauses(StorageHooks):
    """What `ports.Lists` owes."""

    def test_every_field_of_a_list_comes_back(self) -> None:
        @for_all(strategies.voucher_lists(), strategies.voucher_lists())
        def check(first: VoucherList, second: VoucherList) -> None:
            with self.fresh() as (storage, _):
                with storage.begin() as tx:
                    made = evolve(first, id=tx.lists.new_id(), version=1)
                    tx.lists.add(made)
                    tx.commit()
                assert driver.stored(storage, made.id) == made
                after = evolve(
                    second,
                    id=made.id,
                    partner=made.partner,
                    tag=made.tag,
                    scope=made.scope,
                    created_at=made.created_at,
                    version=2,
                )
                with storage.begin() as tx:
                    tx.lists.save(after)
                    tx.commit()
                assert driver.stored(storage, made.id) == after

        check()

    def test_saving_replaces_the_status_and_the_expiry(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        driver.change(storage, list_id, expires_at=START, state=State.PAUSED)
        saved = driver.stored(storage, list_id)
        assert (saved.expires_at, saved.state, saved.version) == (START, State.PAUSED, 2)
        assert saved.status_at(START) is Status.PAUSED
        assert saved.status_at(START + timedelta(microseconds=1)) is Status.EXPIRED
        with storage.begin(write=False) as tx:
            expired = criteria_for(Status.EXPIRED, START + timedelta(microseconds=1))
            assert [found.id for found in tx.lists.find(_query(criteria=expired))] == [list_id]
            paused = criteria_for(Status.PAUSED, START)
            assert [found.id for found in tx.lists.find(_query(criteria=paused))] == [list_id]

    def test_an_expired_list_gives_no_code(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        with storage.begin() as tx:
            tx.campaigns.put(a_link(list_id))
            tx.commit()
        driver.assign(storage, "user-1", campaign_id="CMP1")
        driver.change(storage, list_id, expires_at=START)
        driver.assign(storage, "user-2", campaign_id="CMP1", now=START)
        with pytest.raises(NoActiveList):
            driver.assign(storage, "user-3", campaign_id="CMP1", now=START + timedelta(microseconds=1))
        with pytest.raises(NoActiveList):
            driver.assign(storage, "user-3", list_id=list_id, now=START + timedelta(microseconds=1))
        assert driver.remaining(storage, list_id) == ["C"]

    def test_saving_leaves_alone_what_the_storage_keeps(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        driver.assign(storage, "user-1", list_id=list_id)
        with storage.begin() as tx:
            tx.campaigns.put(a_link(list_id))
            tx.lists.announce(list_id, StockLevel.LOW)
            tx.commit()
        driver.change(
            storage,
            list_id,
            name="changed",
            counts=Counts(9, 9, 9, 9),
            announced=StockLevel.EXHAUSTED,
            campaigns=9,
        )
        saved = driver.stored(storage, list_id)
        assert saved.name == "changed"
        assert saved.counts == Counts(uploaded=2, distributed=1)
        assert (saved.announced, saved.campaigns) == (StockLevel.LOW, 1)

    def test_a_save_of_an_old_version_is_refused_and_changes_nothing(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        read_by_both = driver.stored(storage, list_id)
        driver.change(storage, list_id, name="mine")
        for version in (1, 2, 4):
            with pytest.raises(StaleVersion) as stale, storage.begin() as tx:
                tx.lists.save(evolve(read_by_both, name="theirs", version=version))
                tx.commit()
            assert (stale.value.list_id, stale.value.expected, stale.value.actual) == (
                list_id,
                version - 1,
                2,
            )
        assert driver.stored(storage, list_id).name == "mine"

    def test_a_list_is_stored_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        first = driver.stored(storage, list_id)
        for again in (evolve(first, tag="other", name="again"), first):
            with pytest.raises(StorageError), storage.begin() as tx:
                tx.lists.add(again)
                tx.commit()
        with pytest.raises(StorageError), storage.begin() as tx:
            made = driver.unstored_list(tx, tag="another")
            tx.lists.add(made)
            tx.lists.add(made)
            tx.commit()
        assert driver.stored(storage, list_id) == first

    def test_a_tag_belongs_to_one_list_of_a_partner_until_that_is_archived(self, storage: Storage) -> None:
        first = driver.a_list(storage, tag="sale")
        other = driver.a_list(storage, tag="sale", partner="Amazon")
        for state in (State.ACTIVE, State.PAUSED):
            if state is State.PAUSED:
                driver.change(storage, first, state=state)
            with pytest.raises(StorageError), storage.begin() as tx:
                tx.lists.add(driver.unstored_list(tx, tag="sale"))
                tx.commit()
        driver.change(storage, first, state=State.ARCHIVED)
        with storage.begin(write=False) as tx:
            assert tx.lists.with_tag("Puma", "sale") is None
        second = driver.a_list(storage, tag="sale")
        with storage.begin(write=False) as tx:
            found = [tx.lists.with_tag(partner, "sale") for partner in ("Puma", "Amazon", "puma")]
            assert [each and each.id for each in found] == [second, other, None]
            assert tx.lists.with_tag("Puma", "SALE") is None

    def test_ids_of_lists_and_uploads_only_grow(self, storage: Storage) -> None:
        with storage.begin() as tx:
            ids = [tx.lists.new_id() for _ in range(3)]
            upload_ids = [tx.uploads.new_id() for _ in range(3)]
            tx.commit()
        removed = driver.a_list(storage)
        with storage.begin() as tx:
            tx.lists.remove(removed)
            tx.commit()
        with storage.begin() as tx:
            ids += [removed, tx.lists.new_id()]
            upload_ids.append(tx.uploads.new_id())
        for found in (ids, upload_ids):
            assert found == [str(int(each)) for each in found], "an id is the decimal form of a number"
            assert sorted(set(map(int, found))) == list(map(int, found))

    def test_touching_moves_the_instant_and_not_the_version(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        before = driver.stored(storage, list_id)
        with storage.begin() as tx:
            tx.lists.touch(list_id, FAR)
            tx.commit()
        assert driver.stored(storage, list_id) == evolve(before, updated_at=FAR)

    def test_what_is_not_there_is_not_found(self, storage: Storage) -> None:
        driver.a_list(storage, ["A"])
        with storage.begin(write=False) as tx:
            for nobody in NOBODY:
                assert tx.lists.get(nobody) is None
                assert tx.campaigns.of_list(nobody) == []
                assert tx.campaigns.get(nobody, "CMP1") is None
                assert tx.uploads.get(nobody) is None
                assert tx.uploads.of_list(nobody, None, 9) == []
                assert tx.uploads.completed_with(nobody, "") is None
                assert tx.uploads.piece(nobody, 0) is None
                assert tx.uploads.faults(nobody, 0, 9) == []
                assert tx.codes.remaining(nobody, None, 9) == []
                assert tx.assignments.of_list(nobody, None, 9) == []
                assert tx.assignments.get_many([nobody]) == []
                assert tx.audit.entries(nobody, None, 0, 9) == []
                assert tx.partners.get(nobody) is None
                assert tx.keys.get(nobody) is None
                assert tx.settings.get(nobody) is None
                with pytest.raises(UnknownList):
                    tx.codes.counts(nobody)

    def test_what_is_not_there_cannot_be_changed(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        known = driver.stored(storage, list_id)
        changes: list[Callable[[Transaction, str], object]] = [
            lambda tx, nobody: tx.lists.save(evolve(known, id=nobody, version=2)),
            lambda tx, nobody: tx.lists.touch(nobody, START),
            lambda tx, nobody: tx.lists.announce(nobody, StockLevel.LOW),
            lambda tx, nobody: tx.campaigns.put(a_link(nobody)),
            lambda tx, nobody: tx.codes.take(nobody, 1),
        ]
        for nobody in NOBODY:
            for change in changes:
                with pytest.raises(UnknownList), storage.begin() as tx:
                    change(tx, nobody)
                    tx.commit()
            with storage.begin() as tx:
                tx.lists.remove(nobody)
                assert not tx.campaigns.remove(nobody, "CMP1")
                assert tx.codes.withdraw(nobody) == 0
                tx.leases.release(nobody, "somebody")
                tx.commit()
        with storage.begin(write=False) as tx:
            assert tx.campaigns.of_campaign("CMP1") == []
        assert driver.stored(storage, list_id) == known

    def test_a_removed_list_takes_everything_with_it(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        upload_id = driver.upload(storage, list_id, ["A", "C"]).upload.id
        with storage.begin() as tx:
            tx.uploads.add_piece(upload_id, 0, b"A\nC\n")
            tx.campaigns.put(a_link(list_id))
            tx.commit()
        with storage.begin() as tx:
            tx.lists.remove(list_id)
            tx.commit()
        for after in ("removing", "reclaiming"):
            with storage.begin(write=False) as tx:
                assert tx.lists.get(list_id) is None, after
                assert tx.lists.with_tag("Puma", "winter") is None
                assert tx.lists.find(_query()) == []
                assert tx.campaigns.of_campaign("CMP1") == []
                assert tx.codes.remaining(list_id, None, 9) == []
                assert tx.codes.holder("winter Puma", "A", lambda state: True) is None
                assert tx.uploads.get(upload_id) is None
                assert tx.uploads.of_list(list_id, None, 9) == []
                assert tx.uploads.piece(upload_id, 0) is None
                assert tx.uploads.faults(upload_id, 0, 9) == []
                assert [entry.event.event_name for entry in tx.audit.entries(list_id, None, 0, 9)] == [
                    "upload.completed",
                    "upload.completed",
                ]
            storage.reclaim()
        again = driver.a_list(storage, ["B", "A"])
        assert again != list_id
        assert driver.remaining(storage, again) == ["B", "A"]


class LookUpClauses(StorageHooks):
    """What `Lists.find` owes."""

    def test_pages_of_lists_are_complete_and_in_order(self) -> None:
        @for_all(st.lists(strategies.voucher_lists(), max_size=7), st.integers(1, 3), st.sampled_from("apx"))
        def check(drawn: list[VoucherList], page: int, text: str) -> None:
            with self.fresh() as (storage, _):
                with storage.begin() as tx:
                    for number, each in enumerate(drawn):
                        # Dates and names repeat, so that equal keys meet.
                        tx.lists.add(evolve(each, id=tx.lists.new_id(), tag=f"{each.tag}{number}", version=1))
                    tx.commit()
                with storage.begin(write=False) as tx:
                    known = tx.lists.find(_query())
                    assert len(known) == len(drawn)
                    for order in ListOrder:
                        _check_pages(tx, known, order, page)
                    _check_filters(tx, known, text)

        check()

    def test_lists_are_ordered_by_their_counters(self, storage: Storage) -> None:
        for number in range(4):
            list_id = driver.a_list(
                storage, driver.some_codes(3 - number % 3, f"{number}-"), tag=f"t{number}"
            )
            for user in range(number % 2):
                driver.assign(storage, f"user-{user}", list_id=list_id)
        with storage.begin(write=False) as tx:
            known = tx.lists.find(_query())
            assert sorted(found.counts.uploaded for found in known) == [1, 2, 3, 3]
            for order in (ListOrder.UPLOADED, ListOrder.DISTRIBUTED):
                _check_pages(tx, known, order, 1)

    def test_equal_lists_are_ordered_by_the_age_of_their_ids(self, storage: Storage) -> None:
        ids = [driver.a_list(storage, tag=f"t{number}") for number in range(12)]
        with storage.begin(write=False) as tx:
            assert [found.id for found in tx.lists.find(_query(order=ListOrder.CREATED))] == ids
            first = tx.lists.find(_query(order=ListOrder.CREATED, limit=9))
            after = (first[-1].created_at, first[-1].id)
            rest = tx.lists.find(evolve(_query(order=ListOrder.CREATED), after=after))
            assert [found.id for found in first + rest] == ids


class CampaignClauses(StorageHooks):
    """What `ports.Campaigns` owes."""

    def test_a_link_comes_back_and_can_be_replaced(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        first = evolve(a_link(list_id), eligibility="gold users", priority=-(2**31))
        second = evolve(
            first, repeat=RepeatPolicy.NEW_CODE, priority=2**31 - 1, eligibility=None, linked_at=FAR
        )
        for stored, expected in ((first, first), (second, evolve(second, linked_at=START))):
            with storage.begin() as tx:
                tx.campaigns.put(stored)
                tx.commit()
            with storage.begin(write=False) as tx:
                assert tx.campaigns.get(list_id, "CMP1") == expected
                assert tx.campaigns.of_list(list_id) == [expected]
                assert tx.campaigns.get(list_id, "cmp1") is None
            assert driver.stored(storage, list_id).campaigns == 1

    def test_a_link_can_be_removed(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        with storage.begin() as tx:
            tx.campaigns.put(a_link(list_id))
            assert tx.campaigns.remove(list_id, "CMP1")
            assert not tx.campaigns.remove(list_id, "CMP1")
            tx.commit()
        assert driver.stored(storage, list_id).campaigns == 0
        with storage.begin(write=False) as tx:
            assert tx.campaigns.of_list(list_id) == []
            assert tx.campaigns.of_campaign("CMP1") == []

    def test_lists_of_a_campaign_are_ordered_by_priority_then_age(self, storage: Storage) -> None:
        lists = [driver.a_list(storage, tag=f"t{number}") for number in range(5)]
        priorities = [1, 0, 1, 0, -1]
        with storage.begin() as tx:
            # All at one instant: the age is the order in which they were linked.
            for list_id, priority in zip(lists, priorities, strict=True):
                tx.campaigns.put(a_link(list_id, priority=priority))
            tx.commit()
        with storage.begin() as tx:
            tx.campaigns.put(a_link(lists[1], priority=0, days=3))
            tx.commit()
        with storage.begin(write=False) as tx:
            found = tx.campaigns.of_campaign("CMP1")
            assert [linked.id for _, linked in found] == [lists[each] for each in (4, 1, 3, 0, 2)]
            assert [link.list_id for link, _ in found] == [linked.id for _, linked in found]

    def test_campaigns_of_a_list_are_ordered_by_code_points(self, storage: Storage) -> None:
        names = ["b", "a", "B", "é", "10", "9", "\uffee", "\U0001f600"]
        list_id = driver.a_list(storage)
        with storage.begin() as tx:
            for name in names:
                tx.campaigns.put(a_link(list_id, name))
            tx.commit()
        with storage.begin(write=False) as tx:
            assert [link.campaign_id for link in tx.campaigns.of_list(list_id)] == sorted(names)
        assert driver.stored(storage, list_id).campaigns == len(names)

    def test_a_campaign_shows_its_lists_as_they_are_now(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        with storage.begin() as tx:
            tx.campaigns.put(a_link(list_id))
            tx.commit()
        for number, state in enumerate([State.PAUSED, State.ACTIVE, State.ARCHIVED]):
            driver.change(storage, list_id, state=state, name=f"name {number}")
            with storage.begin() as tx:
                _require_linked(tx, "CMP1", state, f"name {number}")
        with storage.begin() as tx:
            found = tx.lists.get(list_id)
            assert found is not None
            tx.lists.save(evolve(found, name="rolled back", version=found.version + 1))
            _require_linked(tx, "CMP1", State.ARCHIVED, "rolled back")
        with storage.begin() as tx:
            _require_linked(tx, "CMP1", State.ARCHIVED, "name 2")


def _query(
    *,
    order: ListOrder = ListOrder.TAG,
    descending: bool = False,
    criteria: StatusCriteria | None = None,
    limit: int = driver.ALL,
) -> ListQuery:
    return ListQuery(
        partner=None,
        criteria=criteria,
        text=None,
        order=order,
        descending=descending,
        after=None,
        limit=limit,
    )


def _key(found: VoucherList, order: ListOrder) -> tuple[Any, int]:
    match order:
        case ListOrder.UPLOADED:
            return found.counts.uploaded, int(found.id)
        case ListOrder.DISTRIBUTED:
            return found.counts.distributed, int(found.id)
        case _:
            return getattr(found, order.value), int(found.id)


def _check_pages(tx: Transaction, known: Sequence[VoucherList], order: ListOrder, page: int) -> None:
    for descending in (False, True):
        expected = sorted(known, key=lambda each: _key(each, order), reverse=descending)
        query, found = _query(order=order, descending=descending, limit=page), list[VoucherList]()
        while part := tx.lists.find(query):
            assert len(part) <= page
            found += part
            assert len(found) <= len(expected), f"a list is on two pages, by {order}"
            query = evolve(query, after=(_key(part[-1], order)[0], part[-1].id))
        assert [each.id for each in found] == [each.id for each in expected], f"pages by {order}"


def _check_filters(tx: Transaction, known: Sequence[VoucherList], text: str) -> None:
    now = START + timedelta(days=1)
    for status in Status:
        found = tx.lists.find(_query(criteria=criteria_for(status, now)))
        assert {each.id for each in found} == {each.id for each in known if each.status_at(now) is status}, (
            status
        )
    for partner in {each.partner for each in known}:
        found = tx.lists.find(evolve(_query(), partner=partner))
        assert {each.id for each in found} == {each.id for each in known if each.partner == partner}
    found = tx.lists.find(evolve(_query(), text=text))
    assert {each.id for each in found} == {each.id for each in known if text in each.search_text}


def _require_linked(tx: Transaction, campaign_id: str, state: State, name: str) -> None:
    [(_, linked)] = tx.campaigns.of_campaign(campaign_id)
    assert (linked.state, linked.name) == (state, name)
