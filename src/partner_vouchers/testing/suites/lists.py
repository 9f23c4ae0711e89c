"""Voucher lists, and their links to campaigns."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import count

from attrs import evolve

from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import StaleVersion, StorageError, UnknownList
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing import driver, strategies
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks, for_all, must_raise, must_refuse

NOBODY = ["", "0", "999999", "-1", "01", "nobody's id", "9" * 40, "٣", "1; DROP TABLE lists"]
"""Strings that are nobody's id."""

NO_ID = ["", "-1", "nobody's id", "٣", "1; DROP TABLE lists"]
"""Strings that no storage makes an id of."""


class ListSuite(StorageHooks):
    """Tests of `ports.Lists`."""

    def test_every_field_of_a_list_comes_back(self, storage: Storage) -> None:
        numbers = count()

        @for_all(strategies.voucher_lists(), strategies.voucher_lists())
        def check(first: VoucherList, second: VoucherList) -> None:
            with driver.committing(storage) as tx:
                made = evolve(first, id=tx.lists.new_id(), tag=f"{first.tag}{next(numbers)}", version=1)
                tx.lists.add(made)
            assert driver.stored(storage, made.id) == made
            kept = {name: getattr(made, name) for name in ("id", "partner", "tag", "scope", "created_at")}
            after = evolve(second, **kept, version=2)
            driver.in_transaction(storage, lambda tx: tx.lists.save(after))
            assert driver.stored(storage, made.id) == after

        check()

    def test_saving_leaves_alone_what_the_storage_keeps(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        driver.link(storage, list_id)
        driver.assign(storage, "user-1", list_id=list_id)
        with driver.committing(storage) as tx:
            tx.lists.set_notified_level(list_id, StockLevel.LOW)
            tx.lists.touch(list_id, START, used_before=7)
            tx.lists.touch(list_id, FAR)
        touched = driver.stored(storage, list_id)
        assert (touched.version, touched.updated_at) == (1, FAR)
        others = {
            "counts": Counts(9, 9, 9, 9),
            "notified": StockLevel.EXHAUSTED,
            "used_before": 9,
            "campaigns": 9,
        }
        driver.change(storage, list_id, name="changed", **others)
        saved = driver.stored(storage, list_id)
        assert saved == evolve(touched, name="changed", version=2)
        assert (saved.counts, saved.campaigns) == (Counts(uploaded=2, distributed=1), 1)
        assert (saved.notified, saved.used_before) == (StockLevel.LOW, 7)
        for used_before in (7, 0):
            with driver.committing(storage) as tx:
                ((_, linked),) = tx.campaigns.of_campaign("CMP1")
                assert linked.used_before == used_before
                tx.lists.touch(list_id, FAR, used_before=0)

    def test_a_save_of_an_old_version_is_refused_and_changes_nothing(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        read_by_both = driver.stored(storage, list_id)
        driver.change(storage, list_id, name="mine")
        for version in (1, 2, 4):
            theirs = evolve(read_by_both, name="theirs", version=version)
            stale = must_refuse(StaleVersion, storage, lambda tx, theirs=theirs: tx.lists.save(theirs))  # type: ignore[misc]
            assert (stale.list_id, stale.expected, stale.actual) == (list_id, version - 1, 2)
        assert driver.stored(storage, list_id).name == "mine"

    def test_a_list_is_stored_once_and_its_id_never_again(self, storage: Storage) -> None:
        list_id, other = driver.a_list(storage, ["A"]), driver.a_list(storage, tag="other")
        first = driver.stored(storage, list_id)
        upload = driver.enter_upload(storage, other)

        def add_twice(tx: Transaction) -> None:
            made = driver.unstored_list(tx, tag="another")
            tx.lists.add(made)
            tx.lists.add(made)

        for work in (
            lambda tx: tx.lists.add(evolve(first, tag="again")),
            lambda tx: tx.lists.add(first),
            add_twice,
        ):
            must_refuse(StorageError, storage, work)
        assert driver.stored(storage, list_id) == first
        gone = driver.stored(storage, other)
        driver.in_transaction(storage, lambda tx: tx.lists.remove(other))
        must_refuse(StorageError, storage, lambda tx: tx.uploads.add(evolve(upload, list_id=list_id)))
        for after in ("removing", "reclaiming"):
            must_refuse(StorageError, storage, lambda tx: tx.lists.add(gone))
            with storage.begin(write=False) as tx:
                assert tx.lists.get(other) is None, after
            storage.reclaim()

    def test_a_new_list_begins_at_zero_and_unannounced(self, storage: Storage) -> None:
        with driver.committing(storage) as tx:
            made = driver.unstored_list(tx)
            tx.lists.add(evolve(made, counts=Counts(9, 3, 2, 1), notified=StockLevel.EXHAUSTED, campaigns=9))
            assert tx.lists.get(made.id) == made
        assert driver.stored(storage, made.id) == made
        with storage.begin() as tx:
            taken = tx.codes.take(made.id, 1)
        assert (taken.counts, taken.notified) == (Counts(), StockLevel.ENOUGH)

    def test_a_tag_belongs_to_one_list_of_a_partner_until_that_is_archived(self, storage: Storage) -> None:
        first = driver.a_list(storage, tag="sale")
        other = driver.a_list(storage, tag="sale", partner="Amazon")
        for state in (State.ACTIVE, State.PAUSED):
            driver.change(storage, first, state=state)
            must_refuse(StorageError, storage, lambda tx: tx.lists.add(driver.unstored_list(tx, tag="sale")))
        driver.change(storage, first, state=State.ARCHIVED)
        with storage.begin(write=False) as tx:
            assert tx.lists.with_tag("Puma", "sale") is None
        second = driver.a_list(storage, tag="sale")
        with storage.begin(write=False) as tx:
            owners = [("Puma", "sale"), ("Amazon", "sale"), ("puma", "sale"), ("Puma", "SALE")]
            found = [tx.lists.with_tag(*owner) for owner in owners]
            assert [each and each.id for each in found] == [second, other, None, None]

    def test_ids_of_lists_and_uploads_only_grow(self, storage: Storage) -> None:
        removed = driver.a_list(storage)
        ids, upload_ids = [removed], [driver.enter_upload(storage, removed).id]
        driver.in_transaction(storage, lambda tx: tx.lists.remove(removed))
        for _ in range(2):
            with driver.committing(storage) as tx:
                ids += [tx.lists.new_id() for _ in range(2)]
                upload_ids += [tx.uploads.new_id() for _ in range(2)]
        for found in (ids, upload_ids):
            assert found == [str(int(each)) for each in found], "an id is the decimal form of a number"
            assert sorted(set(map(int, found))) == list(map(int, found))

    def test_the_expiries_of_many_lists_are_looked_up_at_once(self, storage: Storage) -> None:
        first, second = driver.a_list(storage), driver.a_list(storage, tag="other")
        removed = driver.a_list(storage, tag="removed")
        later = FAR + timedelta(days=1)
        driver.change(storage, second, expires_at=later, state=State.ARCHIVED)
        driver.in_transaction(storage, lambda tx: tx.lists.remove(removed))
        with storage.begin(write=False) as tx:
            found = tx.lists.expiries([first, second, first, second, removed, *NOBODY])
            assert found == {first: FAR, second: later}
            assert tx.lists.expiries([]) == {}

    def test_what_is_not_there_is_not_found(self, storage: Storage) -> None:
        driver.a_list(storage, ["A"])
        with storage.begin(write=False) as tx:
            for nobody in NOBODY:
                for found in (
                    tx.lists.get(nobody),
                    tx.campaigns.get(nobody, "CMP1"),
                    tx.uploads.get(nobody),
                    tx.uploads.completed_with(nobody, ""),
                    tx.uploads.piece(nobody, 0),
                    tx.partners.get(nobody),
                    tx.keys.get(nobody),
                    tx.settings.get(nobody),
                ):
                    assert found is None, nobody
                for rows in (
                    tx.campaigns.of_list(nobody),
                    tx.uploads.find(nobody, None, None, 9),
                    tx.uploads.faults(nobody, 0, 9),
                    tx.codes.remaining(nobody, None, 9),
                    tx.assignments.of_list(nobody, None, 9),
                    tx.assignments.get_many([nobody]),
                    tx.audit.entries(nobody, None, 0, 9),
                ):
                    assert rows == [], nobody
                must_raise(UnknownList, partial(tx.codes.counts, nobody))

    def test_what_is_not_there_cannot_be_changed(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        known = driver.stored(storage, list_id)

        def require_unknown(nobody: str) -> None:
            for work in (
                lambda tx: tx.lists.save(evolve(known, id=nobody, version=2)),
                lambda tx: tx.lists.touch(nobody, START),
                lambda tx: tx.lists.set_notified_level(nobody, StockLevel.LOW),
                lambda tx: tx.campaigns.put(driver.a_link(nobody)),
                lambda tx: tx.codes.take(nobody, 1),
            ):
                must_refuse(UnknownList, storage, work)

        for nobody in NOBODY:
            require_unknown(nobody)
            with driver.committing(storage) as tx:
                tx.lists.remove(nobody)
                assert not tx.campaigns.remove(nobody, "CMP1")
                assert tx.codes.withdraw(nobody) == 0
                tx.leases.release(nobody, "somebody")
        with storage.begin(write=False) as tx:
            assert tx.campaigns.of_campaign("CMP1") == []
        assert driver.stored(storage, list_id) == known

    def test_a_removed_list_takes_everything_with_it(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        driver.link(storage, list_id)
        uploaded = driver.upload(storage, list_id, ["A", "C"])
        driver.in_transaction(storage, lambda tx: tx.lists.remove(list_id))
        for after in ("removing", "reclaiming"):
            with storage.begin(write=False) as tx:
                assert tx.lists.get(list_id) is None, after
                assert tx.lists.with_tag("Puma", "winter") is None
                assert tx.lists.find(driver.all_lists()) == []
                assert tx.campaigns.of_campaign("CMP1") == []
                assert tx.codes.remaining(list_id, None, 9) == []
                assert tx.codes.holder("winter Puma", "A", lambda state: True) is None
                assert tx.uploads.get(uploaded.id) is None
                assert tx.uploads.find(list_id, None, None, 9) == []
                assert tx.uploads.piece(uploaded.id, 0) is None
                assert tx.uploads.faults(uploaded.id, 0, 9) == []
                names = [entry.event.event_name for entry in tx.audit.entries(list_id, None, 0, 9)]
                assert names == ["list.created", "upload.completed", "campaign.linked", "upload.completed"]
            storage.reclaim()
        again = driver.a_list(storage, ["B", "A"])
        assert again != list_id
        assert driver.remaining(storage, again) == ["B", "A"]


class CampaignSuite(StorageHooks):
    """Tests of `ports.Campaigns`."""

    def test_a_link_comes_back_and_can_be_replaced_and_removed(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        first = evolve(driver.a_link(list_id), eligibility="gold users", priority=-(2**31))
        second = evolve(
            first, repeat=RepeatPolicy.NEW_CODE, priority=2**31 - 1, eligibility=None, linked_at=FAR
        )
        for stored, expected in ((first, first), (second, evolve(second, linked_at=START))):
            driver.in_transaction(storage, lambda tx, link=stored: tx.campaigns.put(link))  # type: ignore[misc]
            with storage.begin(write=False) as tx:
                assert tx.campaigns.get(list_id, "CMP1") == expected
                assert tx.campaigns.of_list(list_id) == [expected]
                assert tx.campaigns.get(list_id, "cmp1") is None
            assert driver.stored(storage, list_id).campaigns == 1
        with driver.committing(storage) as tx:
            assert [tx.campaigns.remove(list_id, "CMP1") for _ in range(2)] == [True, False]
        assert driver.stored(storage, list_id).campaigns == 0

    def test_lists_of_a_campaign_are_ordered_by_priority_then_age(self, storage: Storage) -> None:
        lists = [driver.a_list(storage, tag=f"t{number}") for number in range(5)]
        with driver.committing(storage) as tx:
            # The age is the order in which they were linked, whatever the clock of the linking process said.
            for day, (list_id, priority) in enumerate(zip(lists, [1, 0, 1, 0, -1], strict=True)):
                tx.campaigns.put(driver.a_link(list_id, priority=priority, days=-day))
        with driver.committing(storage) as tx:
            tx.campaigns.put(driver.a_link(lists[1], priority=0, days=3))
        with storage.begin(write=False) as tx:
            found = tx.campaigns.of_campaign("CMP1")
            assert [linked.id for _, linked in found] == [lists[each] for each in (4, 1, 3, 0, 2)]
            assert [link.list_id for link, _ in found] == [linked.id for _, linked in found]

    def test_campaigns_with_a_link_are_listed_once_by_code_points(self, storage: Storage) -> None:
        names = ["b", "a", "B", "é", "10", "9", "\uffee", "\U0001f600"]
        lists = [driver.a_list(storage, tag=f"t{number}") for number in range(2)]
        removed = driver.a_list(storage, tag="removed")
        with driver.committing(storage) as tx:
            for name in names:
                for list_id in lists:
                    tx.campaigns.put(driver.a_link(list_id, name))
            tx.campaigns.put(driver.a_link(lists[0], "unlinked"))
            tx.campaigns.put(driver.a_link(removed, "removed"))
        with driver.committing(storage) as tx:
            tx.campaigns.remove(lists[0], "unlinked")
            tx.lists.remove(removed)
        ordered = sorted(names)
        with storage.begin(write=False) as tx:
            assert [link.campaign_id for link in tx.campaigns.of_list(lists[0])] == ordered
            assert tx.campaigns.ids(None, driver.ALL) == ordered
            assert tx.campaigns.ids(ordered[2], 3) == ordered[3:6]
            assert tx.campaigns.ids(ordered[-1], 3) == []

    def test_a_campaign_shows_its_lists_and_limits_as_they_are_now(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        driver.link(storage, list_id)
        for number, state in enumerate([State.PAUSED, State.ACTIVE, State.ARCHIVED]):
            driver.change(storage, list_id, state=state, name=f"name {number}")
            for write in (True, False):
                with storage.begin(write=write) as tx:
                    _require_linked(tx, state, f"name {number}")
        for name in ("rolled back", "name 2"):
            with storage.begin() as tx:
                found = driver.require_list(tx, list_id)
                if name == "rolled back":
                    tx.lists.save(evolve(found, name=name, version=found.version + 1))
                _require_linked(tx, State.ARCHIVED, name)


def _require_linked(tx: Transaction, state: State, name: str) -> None:
    offer = tx.campaigns.offer("CMP1")
    assert list(offer.lists) == tx.campaigns.of_campaign("CMP1")
    [(_, linked)] = offer.lists
    assert (linked.state, linked.name, offer.limits) == (state, name, ())
