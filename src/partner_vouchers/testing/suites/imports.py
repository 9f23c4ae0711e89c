"""Imports: how the codes of an upload come into a list, step by step, as no caller of the library sees it."""

from __future__ import annotations

from functools import partial

import pytest

from partner_vouchers.domain import stock
from partner_vouchers.domain.duplicates import Holder, counts_for_duplicates, refusal
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, interrupted, list_is_full
from partner_vouchers.errors import StorageError, UnknownList, UploadInterrupted
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.hooks import StorageHooks, must_raise, must_refuse

IN_FILE = RowFaultKind.DUPLICATE_IN_FILE
IN_LIST = RowFaultKind.DUPLICATE_IN_LIST
IN_OTHER = RowFaultKind.DUPLICATE_IN_OTHER_LIST

BAD = [
    RowFault(line, f"bad {line}\n,\"'é\0\x1b", RowFaultKind.BAD_FORMAT, f"ünfit {line}")
    for line in (2, 7, 900)
]


class ImportSuite(StorageHooks):
    """Tests of `ports.CodeImport`."""

    def test_codes_become_available_when_their_publishing_commits_and_not_before(
        self, storage: Storage
    ) -> None:
        list_id = driver.a_list(storage, ["first"])
        entry = driver.enter_upload(storage, list_id)
        with driver.importing(storage, entry, ["A", "B", "C"]) as opened:
            self._require_only(storage, list_id, "first")
            driver.claim(opened, list_id)
            opened.save_faults(lambda tx: None)
            self._require_only(storage, list_id, "first")
            for _ in range(2):
                with storage.begin() as tx:
                    assert opened.publish(tx) == 3
                self._require_only(storage, list_id, "first")
        # Given up on the way; the next import of the same upload brings them.
        with driver.importing(storage, entry, ["A", "B", "C"]) as opened:
            driver.claim(opened, list_id)
            with storage.begin() as tx:
                assert opened.publish(tx) == 3
            # Publishing that was undone can be repeated.
            assert driver.publish(storage, opened) == 3
            self._require_only(storage, list_id, "first", "A", "B", "C")
        self._require_only(storage, list_id, "first", "A", "B", "C")

    def test_nothing_of_an_import_that_was_not_published_remains(self, storage: Storage) -> None:
        old, new = self._two_lists(storage)
        entry = driver.enter_upload(storage, old)
        with pytest.raises(ZeroDivisionError), driver.importing(storage, entry, ["C", "D"]) as opened:
            driver.claim(opened, old)
            raise ZeroDivisionError
        with driver.committing(storage) as tx:
            ended, _ = entry.failed(interrupted("broken off"), driver.START)
            tx.uploads.save(ended)
        for upload_id in (entry.id, entry.id, "999999"):
            storage.abandon(upload_id)
        storage.reclaim()
        self._require_only(storage, old, "A", "B")
        assert driver.upload(storage, new, ["D", "C", "A"]).errors == {IN_OTHER: 1}
        self._require_only(storage, new, "D", "C")

    def test_keep_alive_is_part_of_the_transactions_of_the_import_and_ends_it(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        called: list[str] = []

        def keep_alive(tx: Transaction) -> None:
            called.append("called")
            tx.settings.put("beats", str(len(called)))

        def lost(tx: Transaction) -> None:
            tx.settings.put("beats", "lost")
            raise UploadInterrupted(upload_id=entry.id)

        with driver.importing(storage, entry, ["A"]) as opened:
            driver.claim(opened, list_id, keep_alive)
            claimed = len(called)
            opened.refuse(BAD)
            must_raise(UploadInterrupted, lambda: opened.save_faults(lost))
            with storage.begin(write=False) as tx:
                assert tx.uploads.faults(entry.id, 0, 9) == []
            opened.save_faults(keep_alive)
            assert len(called) > claimed > 0
        with driver.importing(storage, entry, ["A"]) as opened:
            must_raise(UploadInterrupted, lambda: driver.claim(opened, list_id, lost))
        with storage.begin(write=False) as tx:
            assert tx.settings.get("beats") == str(len(called))
        self._require_only(storage, list_id)

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
            assert driver.publish(storage, opened) == 1
        self._require_only(storage, list_id, "A")

    def test_publishing_into_a_removed_list_is_refused(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        with driver.importing(storage, entry, ["A"]) as opened:
            driver.claim(opened, list_id)
            driver.in_transaction(storage, lambda tx: tx.lists.remove(list_id))
            must_refuse(UnknownList, storage, opened.publish)
        self._require_only(storage, driver.a_list(storage, ["A"]), "A")

    # --- the duplicate rule ---

    def test_a_refusal_names_the_holder_of_the_code_and_the_first_of_a_file_wins(
        self, storage: Storage
    ) -> None:
        old, new = self._two_lists(storage)
        driver.upload(storage, new, ["C"])
        holders: list[Holder] = []

        def refuse(holder: Holder) -> tuple[RowFaultKind, str]:
            holders.append(holder)
            return refusal(new, holder)[0], str(len(holders) - 1)

        entry = driver.enter_upload(storage, new)
        with driver.importing(storage, entry, ["D", "C", "A", "D", "d", "D"]) as opened:
            opened.claim(refuse, list_is_full, lambda tx: None)
            found = [(fault.line, fault.raw, holders[int(fault.message)]) for fault in opened.sample(99)]
        assert found == [
            (2, "C", Holder(new)),
            (3, "A", Holder(old)),
            (4, "D", Holder(new, 1)),
            (6, "D", Holder(new, 1)),
        ]

    def test_codes_beyond_the_capacity_of_the_list_are_refused_from_the_end(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stock, "CAPACITY", 5)
        list_id = driver.a_list(storage, ["A", "B"])
        driver.assign(storage, "user-1", list_id=list_id)
        entry = driver.enter_upload(storage, list_id)
        with driver.importing(storage, entry, ["C", "A", "D", "C", "E", "F", "G"]) as opened:
            driver.claim(opened, list_id)
            assert opened.refused == {IN_LIST: 1, IN_FILE: 1, RowFaultKind.LIST_FULL: 2}
            assert driver.publish(storage, opened) == 3
        self._require_only(storage, list_id, "B", "C", "D", "E")
        # What did not fit is held by nobody.
        assert [self._holder(storage, list_id, code) for code in "EFG"] == [Holder(list_id), None, None]

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
                driver.publish(storage, opened)
            # The list that took them over is archived too: what was given out long before is still found.
            driver.change(storage, new, state=State.ARCHIVED)
            new = driver.a_list(storage)

    # --- refused rows ---

    def test_refused_rows_are_kept_in_the_order_of_their_lines(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["L1", "L2"])
        entry, given_up, later = (driver.enter_upload(storage, list_id) for _ in range(3))
        with driver.importing(storage, given_up, ["L1"]) as opened:
            opened.refuse(BAD)
        with driver.importing(storage, later, []) as opened:
            opened.refuse(BAD[:1])
            driver.claim(opened, list_id)
            opened.save_faults(lambda tx: None)
            driver.publish(storage, opened)
        with storage.import_codes(entry, driver.stored(storage, list_id).scope, lambda state: True) as opened:
            opened.add([1, 3], ["N1", "L1"])
            opened.refuse(BAD[:2])
            opened.add([800, 4_000_000, 4_000_001], ["N2", "L2", "N1"])
            opened.refuse(BAD[2:])
            driver.claim(opened, list_id)
            assert opened.refused == {RowFaultKind.BAD_FORMAT: 3, IN_LIST: 2, IN_FILE: 1}
            opened.save_faults(lambda tx: None)
            assert driver.publish(storage, opened) == 2
            sample = opened.sample(4)
        with storage.begin(write=False) as tx:
            faults = tx.uploads.faults(entry.id, 0, 99)
            assert [fault.line for fault in faults] == [2, 3, 7, 900, 4_000_000, 4_000_001]
            assert sample == faults[:4]
            assert [fault for fault in faults if fault.kind is RowFaultKind.BAD_FORMAT] == BAD
            assert [fault.raw for fault in faults if fault not in BAD] == ["L1", "L2", "N1"]
            for size in (1, 4):
                read = partial(tx.uploads.faults, entry.id)
                found = driver.pages(read, size, 0, lambda each: each.line)
                assert found == faults, f"pages of {size}"
            assert tx.uploads.faults(given_up.id, 0, 9) == []
            assert tx.uploads.faults(later.id, 0, 9) == BAD[:1]

    def test_an_import_of_many_codes_keeps_their_order(self, storage: Storage) -> None:
        codes = [f"{number * 7919 % 5000:04}" for number in range(5000)]
        list_id = driver.a_list(storage, codes[:10])
        assert driver.upload(storage, list_id, codes).errors == {IN_LIST: 10}
        self._require_only(storage, list_id, *codes)

    def _two_lists(self, storage: Storage) -> tuple[str, str]:
        """Return two lists of one scope, of which the first holds A and B."""
        first = driver.a_list(storage, ["A", "B"])
        return first, driver.a_list_in(storage, driver.stored(storage, first).scope)

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
