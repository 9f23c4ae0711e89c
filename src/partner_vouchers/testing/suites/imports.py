"""Imports: how the codes of an upload come into a list, and which are refused."""

from __future__ import annotations

from functools import partial
from itertools import count

import pytest
from attrs import evolve
from hypothesis import strategies as st

from partner_vouchers.domain import stock
from partner_vouchers.domain.duplicates import Holder, counts_for_duplicates, refusal
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, Tally, interrupted, list_is_full
from partner_vouchers.errors import StorageError, UnknownList, UploadInterrupted
from partner_vouchers.ports import CodeImport, Storage, Transaction
from partner_vouchers.testing import driver, strategies
from partner_vouchers.testing.hooks import StorageHooks, for_all, must_raise, must_refuse

IN_FILE = RowFaultKind.DUPLICATE_IN_FILE
IN_LIST = RowFaultKind.DUPLICATE_IN_LIST
IN_OTHER = RowFaultKind.DUPLICATE_IN_OTHER_LIST


class ImportSuite(StorageHooks):
    """What `ports.CodeImport` owes."""

    def test_codes_become_available_when_their_publishing_commits_and_not_before(
        self, storage: Storage
    ) -> None:
        list_id = driver.a_list(storage, ["first"])
        entry = driver.enter_upload(storage, list_id)
        with driver.importing(storage, entry, ["A", "B", "C"]) as opened:
            self._require_only(storage, list_id, "first")
            driver.claim(opened, list_id)
            self._require_only(storage, list_id, "first")
            opened.save_faults(lambda tx: None)
            self._require_only(storage, list_id, "first")
            with storage.begin() as tx:
                assert opened.publish(tx) == 3
            self._require_only(storage, list_id, "first")
        # Given up on the way; the next import of the same upload brings them.
        with driver.importing(storage, entry, ["A", "B", "C"]) as opened:
            driver.claim(opened, list_id)
            driver.publish(storage, opened, entry, 3)
            self._require_only(storage, list_id, "first", "A", "B", "C")
        self._require_only(storage, list_id, "first", "A", "B", "C")

    def test_a_publishing_that_was_undone_can_be_repeated(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        with driver.importing(storage, entry, ["A", "B"]) as opened:
            driver.claim(opened, list_id)
            for _ in range(2):
                with storage.begin() as tx:
                    assert opened.publish(tx) == 2
            driver.publish(storage, opened, entry, 2)
        self._require_only(storage, list_id, "A", "B")

    def test_nothing_of_an_import_that_was_not_published_remains(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        with pytest.raises(ZeroDivisionError), driver.importing(storage, entry, ["A", "B"]) as opened:
            driver.claim(opened, list_id)
            raise ZeroDivisionError
        self._fail(storage, entry.id)
        storage.abandon(entry.id)
        storage.abandon(entry.id)
        storage.abandon("999999")
        storage.reclaim()
        self._require_only(storage, list_id)
        assert driver.upload(storage, list_id, ["B", "A"]).accepted == 2
        self._require_only(storage, list_id, "B", "A")

    def test_an_import_ends_when_keep_alive_raises(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)

        def lost(tx: Transaction) -> None:
            tx.settings.put("colour", "red")
            raise UploadInterrupted(upload_id=entry.id)

        with driver.importing(storage, entry, ["A", "B"]) as opened:
            must_raise(UploadInterrupted, lambda: driver.claim(opened, list_id, lost))
            opened.refuse([RowFault(3, "C C", RowFaultKind.INVALID_CHARACTER, "no")])
            must_raise(UploadInterrupted, lambda: opened.save_faults(lost))
        with storage.begin(write=False) as tx:
            assert tx.settings.get("colour") is None
            assert tx.uploads.faults(entry.id, 0, 9) == []
        self._require_only(storage, list_id)

    def test_keep_alive_is_part_of_the_transactions_of_the_import(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        called: list[str] = []

        def keep_alive(tx: Transaction) -> None:
            called.append("called")
            tx.settings.put("beats", str(len(called)))

        with driver.importing(storage, entry, ["A"]) as opened:
            driver.claim(opened, list_id, keep_alive)
            claimed = len(called)
            assert claimed
            opened.refuse([RowFault(3, "C C", RowFaultKind.INVALID_CHARACTER, "no")])
            opened.save_faults(keep_alive)
            assert len(called) > claimed
        with storage.begin(write=False) as tx:
            assert tx.settings.get("beats") == str(len(called))

    def test_publishing_needs_a_transaction_of_the_same_storage(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        with driver.importing(storage, entry, ["A"]) as opened:
            driver.claim(opened, list_id)
            must_raise(StorageError, lambda: opened.publish(None))  # type: ignore[arg-type]
            with self.fresh() as (other, _):
                # There is a list of the same id.
                driver.a_list(other, ["X"])
                must_refuse(StorageError, other, opened.publish)
            self._require_only(storage, list_id)
            driver.publish(storage, opened, entry, 1)
        self._require_only(storage, list_id, "A")

    def test_publishing_into_a_removed_list_is_refused(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        with driver.importing(storage, entry, ["A"]) as opened:
            driver.claim(opened, list_id)
            with storage.begin() as tx:
                tx.lists.remove(list_id)
                tx.commit()
            must_refuse(UnknownList, storage, opened.publish)
        other = driver.a_list(storage, ["A"])
        self._require_only(storage, other, "A")

    # --- the duplicate rule ---

    def test_the_first_of_two_equal_codes_of_a_file_wins(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        found = self._refused(storage, list_id, ["B", "A", "B", "b", "B", "A"])
        assert found == [
            (3, "B", Holder(list_id, 1)),
            (5, "B", Holder(list_id, 1)),
            (6, "A", Holder(list_id, 2)),
        ]
        done = driver.upload(storage, list_id, ["B", "A", "B", "b", "B", "A"])
        assert (done.accepted, done.refused) == (3, {IN_FILE: 3})
        self._require_only(storage, list_id, "B", "A", "b")

    def test_a_code_stands_once_in_a_list_also_after_a_top_up(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        driver.assign(storage, "user-1", list_id=list_id)
        top_up = driver.upload(storage, list_id, ["A", "D", "B", "D"])
        assert (top_up.accepted, top_up.refused) == (1, {IN_LIST: 2, IN_FILE: 1})
        again = driver.upload(storage, list_id, ["D", "E", "A"])
        assert (again.accepted, again.refused) == (1, {IN_LIST: 2})
        self._require_only(storage, list_id, "B", "C", "D", "E")
        # What was given out is held too, when nothing else is left.
        for user in range(2, 6):
            driver.assign(storage, f"user-{user}", list_id=list_id)
        assert driver.upload(storage, list_id, ["A", "E"]).refused == {IN_LIST: 2}
        driver.require_consistent(storage, list_id)

    def test_codes_of_other_active_lists_of_the_scope_are_refused(self, storage: Storage) -> None:
        self._require_refused(storage, State.ACTIVE)

    def test_codes_of_paused_lists_of_the_scope_are_refused(self, storage: Storage) -> None:
        self._require_refused(storage, State.PAUSED)

    def test_codes_of_archived_lists_are_free(self, storage: Storage) -> None:
        old, new = self._two_lists(storage)
        given, _ = driver.assign(storage, "user-1", list_id=old)
        driver.change(storage, old, state=State.ARCHIVED)
        done = driver.upload(storage, new, ["A", "B", "C"])
        assert (done.accepted, done.refused) == (3, {})
        self._require_only(storage, new, "A", "B", "C")
        again, _ = driver.assign(storage, "user-2", list_id=new)
        with storage.begin(write=False) as tx:
            assert tx.assignments.of_code("A") == [given, again]
        # The new list holds them now.
        assert driver.upload(storage, new, ["A", "B"]).refused == {IN_LIST: 2}

    def test_codes_of_another_scope_are_free(self, storage: Storage) -> None:
        first = driver.a_list(storage, ["A", "B"])
        for partner, tag in (("Puma", "spring"), ("Amazon", "winter"), ("puma", "winter")):
            other = driver.a_list(storage, ["A", "B"], partner=partner, tag=tag)
            self._require_only(storage, other, "A", "B")
        self._require_only(storage, first, "A", "B")

    def test_withdrawn_codes_are_free_and_given_ones_are_not(self, storage: Storage) -> None:
        old, new = self._two_lists(storage)
        driver.assign(storage, "user-1", list_id=old)
        with storage.begin() as tx:
            [upload] = tx.uploads.find(old, None, None, 9)
            assert tx.codes.withdraw(upload.id) == 1
            tx.commit()
        done = driver.upload(storage, new, ["A", "B", "C"])
        assert (done.accepted, done.refused) == (2, {IN_OTHER: 1})
        self._require_only(storage, new, "B", "C")
        # Back in its own list it would stand in two.
        assert driver.upload(storage, old, ["B"]).refused == {IN_OTHER: 1}

    def test_a_refusal_names_the_list_that_holds_the_code(self, storage: Storage) -> None:
        old, new = self._two_lists(storage)
        driver.upload(storage, new, ["C"])
        found = self._refused(storage, new, ["D", "C", "A", "D"])
        assert found == [(2, "C", Holder(new)), (3, "A", Holder(old)), (4, "D", Holder(new, 1))]

    def test_leftovers_of_failed_uploads_are_free(self, storage: Storage) -> None:
        old, new = self._two_lists(storage)
        entry = driver.enter_upload(storage, old)
        with driver.importing(storage, entry, ["C", "D"]) as opened:
            driver.claim(opened, old)
        self._fail(storage, entry.id)
        storage.abandon(entry.id)
        assert driver.upload(storage, new, ["C", "A"]).refused == {IN_OTHER: 1}
        self._require_only(storage, old, "A", "B")
        self._require_only(storage, new, "C")

    def test_codes_beyond_the_capacity_of_the_list_are_refused_from_the_end(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stock, "CAPACITY", 5)
        assert Counts(uploaded=2).capacity_left == 3
        list_id = driver.a_list(storage, ["A", "B"])
        driver.assign(storage, "user-1", list_id=list_id)
        file = ["C", "A", "D", "C", "E", "F", "G"]
        entry = driver.enter_upload(storage, list_id)
        with driver.importing(storage, entry, file) as opened:
            driver.claim(opened, list_id)
            assert opened.refused == {IN_LIST: 1, IN_FILE: 1, RowFaultKind.LIST_FULL: 2}
            assert driver.publish(storage, opened, entry, len(file)).accepted == 3
        self._require_only(storage, list_id, "B", "C", "D", "E")
        other = driver.a_list(storage, tag="spring")
        with storage.begin() as tx:
            tx.lists.remove(other)
            tx.commit()
        # What did not fit is held by nobody.
        assert [self._holder(storage, list_id, code) for code in "EFG"] == [Holder(list_id), None, None]

    def test_a_check_finds_what_a_claim_would_refuse_and_stores_nothing(self, storage: Storage) -> None:
        partners = (f"Puma {number}" for number in count())

        @for_all(st.lists(strategies.code_lists(), min_size=1, max_size=3), strategies.code_lists())
        def check(before: list[list[str]], file: list[str]) -> None:
            lists = self._two_lists(storage, next(partners))
            for number, codes in enumerate(before):
                driver.upload(storage, lists[number % 2], codes)
            shown = [driver.remaining(storage, list_id) for list_id in lists]
            entry = driver.enter_upload(storage, lists[0])
            with driver.importing(storage, entry, file) as opened:
                opened.check(partial(refusal, lists[0]), list_is_full)
                checked = (opened.refused, opened.sample(99))
            assert shown == [driver.remaining(storage, list_id) for list_id in lists]
            with driver.importing(storage, entry, file) as opened:
                driver.claim(opened, lists[0])
                assert (opened.refused, opened.sample(99)) == checked
                driver.publish(storage, opened, entry, len(file))
            held = {"A", "B", *shown[0], *shown[1]}
            new = [code for code in dict.fromkeys(file) if code not in held]
            assert driver.remaining(storage, lists[0]) == shown[0] + new
            assert len(file) - len(new) == sum(checked[0].values())

        check()

    def test_codes_that_users_hold_in_an_archived_list_of_the_scope_are_found(self, storage: Storage) -> None:
        old, new = self._two_lists(storage)
        elsewhere = driver.a_list(storage, ["C"], tag="elsewhere")
        driver.upload(storage, old, ["D"])
        for list_id, times in ((old, 2), (elsewhere, 1)):
            for number in range(times):
                driver.assign(storage, f"user-{number}", list_id=list_id)
            driver.change(storage, list_id, state=State.ARCHIVED)
        file = ["C", "B", "X", "D", "A", "B"]
        for _ in range(2):
            entry = driver.enter_upload(storage, new)
            with driver.importing(storage, entry, file) as opened:
                opened.check(partial(refusal, new), list_is_full)
                assert opened.held_before(9) == (2, [(2, "B"), (5, "A")])
                assert opened.held_before(1) == (2, [(2, "B")])
                assert opened.held_before(0) == (2, [])
            with driver.importing(storage, entry, file) as opened:
                driver.claim(opened, new)
                assert opened.held_before(9) == (2, [(2, "B"), (5, "A")])
                driver.publish(storage, opened, entry, len(file))
            # The list that took them over is archived too: what was given out long before is still found.
            driver.change(storage, new, state=State.ARCHIVED)
            new = driver.a_list(storage)

    # --- refused rows ---

    def test_refused_rows_are_kept_in_the_order_of_their_lines(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["L1", "L2"])
        entry = driver.enter_upload(storage, list_id)
        given_up = driver.enter_upload(storage, list_id)
        bad = [
            RowFault(line, f"bad {line}\n,\"'é\0\x1b", RowFaultKind.BAD_FORMAT, f"ünfit {line}")
            for line in (2, 7, 900)
        ]
        with driver.importing(storage, given_up, ["L1"]) as opened:
            opened.refuse(bad)
        scope = driver.stored(storage, list_id).scope
        with storage.import_codes(entry, scope, lambda state: True) as opened:
            opened.add([1, 3], ["N1", "L1"])
            opened.refuse(bad[:2])
            opened.add([800, 4_000_000, 4_000_001], ["N2", "L2", "N1"])
            opened.refuse(bad[2:])
            driver.claim(opened, list_id)
            kinds = {RowFaultKind.BAD_FORMAT: 3, IN_LIST: 2, IN_FILE: 1}
            assert opened.refused == kinds
            opened.save_faults(lambda tx: None)
            assert driver.publish(storage, opened, entry, 8).errors == kinds
            sample = opened.sample(4)
        with storage.begin(write=False) as tx:
            faults = tx.uploads.faults(entry.id, 0, 99)
            assert [fault.line for fault in faults] == [2, 3, 7, 900, 4_000_000, 4_000_001]
            assert sample == faults[:4]
            assert [fault for fault in faults if fault.kind is RowFaultKind.BAD_FORMAT] == bad
            assert [fault.raw for fault in faults if fault not in bad] == ["L1", "L2", "N1"]
            for page in (1, 4):
                found: list[RowFault] = []
                while part := tx.uploads.faults(entry.id, found[-1].line if found else 0, page):
                    assert len(part) <= page
                    found += part
                    assert len(found) <= len(faults), "a refused row is on two pages"
                assert found == faults, f"pages of {page}"
            assert tx.uploads.faults(given_up.id, 0, 9) == []
        self._require_only(storage, list_id, "L1", "L2", "N1", "N2")

    def test_an_import_of_many_codes_keeps_their_order(self, storage: Storage) -> None:
        codes = [f"{number * 7919 % 5000:04}" for number in range(5000)]
        list_id = driver.a_list(storage, codes[:10])
        assert driver.upload(storage, list_id, codes).refused == {IN_LIST: 10}
        self._require_only(storage, list_id, *codes)

    def test_an_import_without_codes_changes_nothing(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        with driver.importing(storage, entry, []) as opened:
            driver.claim(opened, list_id)
            assert opened.refused == {}
            assert opened.sample(9) == []
        self._require_only(storage, list_id)

    # --- helpers ---

    def _two_lists(self, storage: Storage, partner: str = "Puma") -> tuple[str, str]:
        """Return two lists of one scope, of which the first holds A and B."""
        first = driver.a_list(storage, ["A", "B"], partner=partner)
        with storage.begin() as tx:
            made = driver.unstored_list(tx, tag="other", partner=partner)
            tx.lists.add(evolve(made, scope=f"winter {partner}"))
            tx.commit()
        assert driver.stored(storage, first).scope == f"winter {partner}"
        return first, made.id

    def _require_refused(self, storage: Storage, state: State) -> None:
        old, new = self._two_lists(storage)
        driver.change(storage, old, state=state)
        done = driver.upload(storage, new, ["A", "C", "B"])
        assert (done.accepted, done.refused) == (1, {IN_OTHER: 2})
        self._require_only(storage, new, "C")

    def _require_only(self, storage: Storage, list_id: str, *codes: str) -> None:
        assert driver.remaining(storage, list_id) == list(codes)
        with storage.begin() as tx:
            assert driver.codes_of(tx.codes.take(list_id, driver.ALL).codes) == list(codes)
        holders = {code: self._holder(storage, list_id, code) for code in codes[:3]}
        assert holders == dict.fromkeys(codes[:3], Holder(list_id))
        driver.require_consistent(storage, list_id)

    def _holder(self, storage: Storage, list_id: str, code: str) -> Holder | None:
        scope = driver.stored(storage, list_id).scope
        with storage.begin(write=False) as tx:
            return tx.codes.holder(scope, code, counts_for_duplicates)

    def _refused(self, storage: Storage, list_id: str, codes: list[str]) -> list[tuple[int, str, Holder]]:
        """Return the refused rows of a file with the holders that the storage told, by line."""
        holders: list[Holder] = []

        def refuse(holder: Holder) -> tuple[RowFaultKind, str]:
            holders.append(holder)
            return refusal(list_id, holder)[0], str(len(holders) - 1)

        entry = driver.enter_upload(storage, list_id)
        with driver.importing(storage, entry, codes) as opened:
            claimed: CodeImport = opened
            claimed.claim(refuse, list_is_full, lambda tx: None)
            return [(fault.line, fault.raw, holders[int(fault.message)]) for fault in claimed.sample(99)]

    def _fail(self, storage: Storage, upload_id: str) -> None:
        with storage.begin() as tx:
            entry = tx.uploads.get(upload_id)
            assert entry is not None
            ended, _ = entry.failed(Tally(0, {}), interrupted("broken off"), driver.START)
            tx.uploads.save(ended)
            tx.commit()
