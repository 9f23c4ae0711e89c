"""Partners, and the links between lists and campaigns."""

from __future__ import annotations

from attrs import evolve

from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.partner import Partner
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks


class PartnerSuite(StorageHooks):
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


class CampaignSuite(StorageHooks):
    """What `ports.Campaigns` owes."""

    def test_a_link_comes_back_and_can_be_replaced(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        first = evolve(driver.a_link(list_id), eligibility="gold users", priority=-(2**31))
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
            tx.campaigns.put(driver.a_link(list_id))
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
            # The age is the order in which they were linked, whatever the clock of the linking process said.
            for day, (list_id, priority) in enumerate(zip(lists, priorities, strict=True)):
                tx.campaigns.put(driver.a_link(list_id, priority=priority, days=-day))
            tx.commit()
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(lists[1], priority=0, days=3))
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
                tx.campaigns.put(driver.a_link(list_id, name))
            tx.commit()
        with storage.begin(write=False) as tx:
            assert [link.campaign_id for link in tx.campaigns.of_list(list_id)] == sorted(names)
        assert driver.stored(storage, list_id).campaigns == len(names)

    def test_campaigns_with_a_link_are_listed_once_by_code_points(self, storage: Storage) -> None:
        names = ["b", "a", "B", "é", "10", "9", "\uffee", "\U0001f600"]
        lists = [driver.a_list(storage, tag=f"t{number}") for number in range(2)]
        removed = driver.a_list(storage, tag="removed")
        with storage.begin() as tx:
            for name in names:
                for list_id in lists:
                    tx.campaigns.put(driver.a_link(list_id, name))
            tx.campaigns.put(driver.a_link(lists[0], "unlinked"))
            tx.campaigns.put(driver.a_link(removed, "removed"))
            tx.commit()
        with storage.begin() as tx:
            tx.campaigns.remove(lists[0], "unlinked")
            tx.lists.remove(removed)
            tx.commit()
        ordered = sorted(names)
        with storage.begin(write=False) as tx:
            assert tx.campaigns.ids(None, driver.ALL) == ordered
            assert tx.campaigns.ids(ordered[2], 3) == ordered[3:6]
            assert tx.campaigns.ids(ordered[-1], 3) == []

    def test_a_campaign_shows_its_lists_as_they_are_now(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(list_id))
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


def _require_linked(tx: Transaction, campaign_id: str, state: State, name: str) -> None:
    [(_, linked)] = tx.campaigns.of_campaign(campaign_id)
    assert (linked.state, linked.name) == (state, name)
