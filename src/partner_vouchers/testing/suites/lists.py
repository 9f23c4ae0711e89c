"""Voucher lists."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import count

from attrs import evolve

from partner_vouchers.domain.lifecycle import State, Status, criteria_for
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import NoActiveList, StaleVersion, StorageError, UnknownList
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing import driver, strategies
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks, for_all, must_raise, must_refuse

NOBODY = ["", "0", "999999", "-1", "01", "nobody's id", "9" * 40, "٣", "1; DROP TABLE lists"]
"""Texts that are nobody's id."""

NO_ID = ["", "-1", "nobody's id", "٣", "1; DROP TABLE lists"]
"""Texts that no storage makes an id of."""


class ListSuite(StorageHooks):
    """What `ports.Lists` owes."""

    def test_every_field_of_a_list_comes_back(self, storage: Storage) -> None:
        numbers = count()

        @for_all(strategies.voucher_lists(), strategies.voucher_lists())
        def check(first: VoucherList, second: VoucherList) -> None:
            with storage.begin() as tx:
                made = evolve(first, id=tx.lists.new_id(), tag=f"{first.tag}{next(numbers)}", version=1)
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
            assert [found.id for found in tx.lists.find(driver.all_lists(criteria=expired))] == [list_id]
            paused = criteria_for(Status.PAUSED, START)
            assert [found.id for found in tx.lists.find(driver.all_lists(criteria=paused))] == [list_id]

    def test_an_expired_list_gives_no_code(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(list_id))
            tx.commit()
        driver.assign(storage, "user-1", campaign_id="CMP1")
        driver.change(storage, list_id, expires_at=START)
        driver.assign(storage, "user-2", campaign_id="CMP1", now=START)
        late = START + timedelta(microseconds=1)
        must_raise(NoActiveList, lambda: driver.assign(storage, "user-3", campaign_id="CMP1", now=late))
        must_raise(NoActiveList, lambda: driver.assign(storage, "user-3", list_id=list_id, now=late))
        assert driver.remaining(storage, list_id) == ["C"]

    def test_saving_leaves_alone_what_the_storage_keeps(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        driver.assign(storage, "user-1", list_id=list_id)
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(list_id))
            tx.lists.set_notified_level(list_id, StockLevel.LOW)
            tx.commit()
        driver.change(
            storage,
            list_id,
            name="changed",
            counts=Counts(9, 9, 9, 9),
            notified=StockLevel.EXHAUSTED,
            campaigns=9,
        )
        saved = driver.stored(storage, list_id)
        assert saved.name == "changed"
        assert saved.counts == Counts(uploaded=2, distributed=1)
        assert (saved.notified, saved.campaigns) == (StockLevel.LOW, 1)

    def test_a_save_of_an_old_version_is_refused_and_changes_nothing(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        read_by_both = driver.stored(storage, list_id)
        driver.change(storage, list_id, name="mine")

        def require_stale(version: int) -> None:
            theirs = evolve(read_by_both, name="theirs", version=version)
            stale = must_refuse(StaleVersion, storage, lambda tx: tx.lists.save(theirs))
            assert (stale.list_id, stale.expected, stale.actual) == (list_id, version - 1, 2)

        for version in (1, 2, 4):
            require_stale(version)
        assert driver.stored(storage, list_id).name == "mine"

    def test_a_list_is_stored_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        first = driver.stored(storage, list_id)
        must_refuse(StorageError, storage, lambda tx: tx.lists.add(evolve(first, tag="other", name="again")))
        must_refuse(StorageError, storage, lambda tx: tx.lists.add(first))

        def add_twice(tx: Transaction) -> None:
            made = driver.unstored_list(tx, tag="another")
            tx.lists.add(made)
            tx.lists.add(made)

        must_refuse(StorageError, storage, add_twice)
        assert driver.stored(storage, list_id) == first

    def test_the_id_of_a_removed_list_is_not_used_again(self, storage: Storage) -> None:
        list_id, other = driver.a_list(storage), driver.a_list(storage, tag="other")
        gone = driver.stored(storage, list_id)
        upload = driver.enter_upload(storage, list_id)
        with storage.begin() as tx:
            tx.lists.remove(list_id)
            tx.commit()
        must_refuse(StorageError, storage, lambda tx: tx.uploads.add(evolve(upload, list_id=other)))
        for after in ("removing", "reclaiming"):
            must_refuse(StorageError, storage, lambda tx: tx.lists.add(gone))
            with storage.begin(write=False) as tx:
                assert tx.lists.get(list_id) is None, after
            storage.reclaim()

    def test_a_new_list_begins_at_zero_and_unannounced(self, storage: Storage) -> None:
        with storage.begin() as tx:
            made = driver.unstored_list(tx)
            tx.lists.add(evolve(made, counts=Counts(9, 3, 2, 1), notified=StockLevel.EXHAUSTED, campaigns=9))
            assert tx.lists.get(made.id) == made
            tx.commit()
        assert driver.stored(storage, made.id) == made
        with storage.begin() as tx:
            taken = tx.codes.take(made.id, 1)
        assert (taken.counts, taken.notified) == (Counts(), StockLevel.ENOUGH)

    def test_a_tag_belongs_to_one_list_of_a_partner_until_that_is_archived(self, storage: Storage) -> None:
        first = driver.a_list(storage, tag="sale")
        other = driver.a_list(storage, tag="sale", partner="Amazon")
        for state in (State.ACTIVE, State.PAUSED):
            if state is State.PAUSED:
                driver.change(storage, first, state=state)
            must_refuse(StorageError, storage, lambda tx: tx.lists.add(driver.unstored_list(tx, tag="sale")))
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

    def test_the_codes_used_before_an_upload_are_kept_with_the_list(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(list_id))
            tx.lists.touch(list_id, START, used_before=7)
            tx.commit()
        with storage.begin() as tx:
            tx.lists.touch(list_id, FAR)
            tx.commit()
        driver.change(storage, list_id, name="changed", used_before=9)
        saved = driver.stored(storage, list_id)
        assert (saved.name, saved.used_before, saved.updated_at) == ("changed", 7, FAR)
        with storage.begin() as tx:
            ((_, linked),) = tx.campaigns.of_campaign("CMP1")
            assert linked.used_before == 7
            tx.lists.touch(list_id, FAR, used_before=0)
            tx.commit()
        with storage.begin() as tx:
            ((_, linked),) = tx.campaigns.of_campaign("CMP1")
            assert linked.used_before == 0

    def test_the_expiries_of_many_lists_are_looked_up_at_once(self, storage: Storage) -> None:
        first, second = driver.a_list(storage), driver.a_list(storage, tag="other")
        removed = driver.a_list(storage, tag="removed")
        later = FAR + timedelta(days=1)
        driver.change(storage, second, expires_at=later, state=State.ARCHIVED)
        with storage.begin() as tx:
            tx.lists.remove(removed)
            tx.commit()
        with storage.begin(write=False) as tx:
            found = tx.lists.expiries([second, first, second, removed, *NOBODY])
            assert found == {first: FAR, second: later}
            assert tx.lists.expiries([]) == {}

    def test_what_is_not_there_is_not_found(self, storage: Storage) -> None:
        driver.a_list(storage, ["A"])
        with storage.begin(write=False) as tx:
            for nobody in NOBODY:
                assert tx.lists.get(nobody) is None
                assert tx.campaigns.of_list(nobody) == []
                assert tx.campaigns.get(nobody, "CMP1") is None
                assert tx.uploads.get(nobody) is None
                assert tx.uploads.find(nobody, None, None, 9) == []
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
                must_raise(UnknownList, partial(tx.codes.counts, nobody))

    def test_what_is_not_there_cannot_be_changed(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        known = driver.stored(storage, list_id)

        def require_unknown(nobody: str) -> None:
            unsaved = evolve(known, id=nobody, version=2)
            must_refuse(UnknownList, storage, lambda tx: tx.lists.save(unsaved))
            must_refuse(UnknownList, storage, lambda tx: tx.lists.touch(nobody, START))
            must_refuse(UnknownList, storage, lambda tx: tx.lists.set_notified_level(nobody, StockLevel.LOW))
            must_refuse(UnknownList, storage, lambda tx: tx.campaigns.put(driver.a_link(nobody)))
            must_refuse(UnknownList, storage, lambda tx: tx.codes.take(nobody, 1))

        for nobody in NOBODY:
            require_unknown(nobody)
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
            tx.campaigns.put(driver.a_link(list_id))
            tx.commit()
        with storage.begin() as tx:
            tx.lists.remove(list_id)
            tx.commit()
        for after in ("removing", "reclaiming"):
            with storage.begin(write=False) as tx:
                assert tx.lists.get(list_id) is None, after
                assert tx.lists.with_tag("Puma", "winter") is None
                assert tx.lists.find(driver.all_lists()) == []
                assert tx.campaigns.of_campaign("CMP1") == []
                assert tx.codes.remaining(list_id, None, 9) == []
                assert tx.codes.holder("winter Puma", "A", lambda state: True) is None
                assert tx.uploads.get(upload_id) is None
                assert tx.uploads.find(list_id, None, None, 9) == []
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
