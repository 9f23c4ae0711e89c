"""Transactions: all or nothing, durable, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from partner_vouchers.domain.events import PartnerAdded
from partner_vouchers.domain.partner import Partner
from partner_vouchers.errors import PartnerVouchersError, StorageError
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import START
from partner_vouchers.testing.hooks import StorageHooks, must_raise, require_hook
from partner_vouchers.testing.workers import started


def change_everything(tx: Transaction, list_id: str) -> None:
    """Write through each repository of a transaction."""
    tx.partners.add(Partner("Amazon", START))
    found = driver.require_list(tx, list_id)
    tx.lists.save(evolve(found, name="changed", version=found.version + 1))
    tx.lists.add(driver.unstored_list(tx, tag="spring"))
    tx.campaigns.put(driver.a_link(list_id))
    driver.inside(tx).codes.assign(user_id="user-1", list_id=list_id, idempotency_key="order-1")
    tx.outbox.append([PartnerAdded(occurred_at=START)])
    tx.audit.append("ops", [PartnerAdded(occurred_at=START)])
    upload = tx.uploads.find(list_id, None, None, 1)[0]
    tx.uploads.save(evolve(upload, withdrawn=1))
    tx.leases.take("upload", "somebody", START, driver.FAR)
    tx.settings.put("colour", "green")


def shown(tx: Transaction, list_id: str) -> dict[str, object]:
    """Return what `change_everything` changes: each of these facts."""
    return {
        "partners": tx.partners.all(),
        "list": tx.lists.get(list_id),
        "free tag": tx.lists.with_tag("Puma", "spring") is None,
        "links of the list": tx.campaigns.of_list(list_id),
        "links of the campaign": len(tx.campaigns.of_campaign("CMP1")),
        "counts": tx.codes.counts(list_id),
        "remaining": tx.codes.remaining(list_id, None, driver.ALL),
        "assignments of the user": tx.assignments.of_user("user-1"),
        "assignments of the list": tx.assignments.of_list(list_id, None, driver.ALL),
        "key": tx.keys.get("order-1"),
        "audit log": tx.audit.entries(None, None, 0, driver.ALL),
        "uploads": tx.uploads.find(list_id, None, None, driver.ALL),
        "lease": tx.leases.held("upload", "somebody"),
        "setting": tx.settings.get("colour"),
    }


def everything(storage: Storage, list_id: str) -> object:
    """Return the same with the outbox, which shows an event only after its commit."""
    with storage.begin(write=False) as tx:
        outbox = tx.outbox.unordered(driver.ALL).count, tx.outbox.read(0, driver.ALL)
        return shown(tx, list_id), outbox


class TransactionSuite(StorageHooks):
    """Tests of `Storage.begin`."""

    def test_leaving_without_commit_undoes_everything(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        before = everything(storage, list_id)
        with storage.begin() as tx:
            change_everything(tx, list_id)
        assert everything(storage, list_id) == before
        with pytest.raises(ZeroDivisionError), storage.begin() as tx:
            change_everything(tx, list_id)
            raise ZeroDivisionError
        assert everything(storage, list_id) == before
        # A code that was taken and not committed is given out again.
        assert driver.assign(storage, "user-2", list_id=list_id).code == "A"
        driver.require_consistent(storage, list_id)

    def test_what_was_written_is_read_within_the_transaction_and_kept_by_a_commit(
        self, storage: Storage
    ) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        with storage.begin() as tx:
            before = shown(tx, list_id)
            change_everything(tx, list_id)
            changed = shown(tx, list_id)
            assert [fact for fact, value in before.items() if changed[fact] == value] == []
            tx.commit()
        with storage.begin(write=False) as tx:
            assert shown(tx, list_id) == changed
        assert driver.codes_of(driver.require_consistent(storage, list_id)) == ["A"]

    def test_a_transaction_that_has_ended_cannot_be_used(self, storage: Storage) -> None:
        with storage.begin() as committed:
            committed.settings.put("colour", "green")
            committed.commit()
            must_raise(StorageError, lambda: committed.settings.put("colour", "red"))
            must_raise(StorageError, committed.commit)
        with storage.begin() as left:
            pass
        must_raise(StorageError, lambda: left.settings.put("colour", "red"))
        with storage.begin(write=False) as tx:
            assert tx.settings.get("colour") == "green"

    def test_a_transaction_that_only_reads_changes_nothing(self, storage: Storage) -> None:
        try:
            with storage.begin(write=False) as tx:
                tx.settings.put("colour", "red")
                tx.commit()
        except PartnerVouchersError:
            pass
        with storage.begin(write=False) as tx:
            assert tx.settings.get("colour") is None

    def test_a_transaction_that_only_reads_sees_one_state(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])

        def write() -> None:
            driver.assign(storage, "user-1", list_id=list_id)
            driver.change(storage, list_id, name="changed")

        with storage.begin(write=False) as tx:
            before = (tx.lists.get(list_id), tx.codes.counts(list_id))
            # The writer may have to wait for this transaction: it gets a moment, not more.
            writer = started(write)
            writer.join(0.2)
            assert (tx.lists.get(list_id), tx.codes.counts(list_id)) == before
            assert tx.assignments.of_user("user-1") == []
        writer.join(driver.PATIENCE)
        assert driver.stored(storage, list_id).name == "changed"

    def test_what_is_not_committed_is_not_seen(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        seen: list[list[str]] = []
        with storage.begin() as tx:
            tx.assignments.add(driver.take(tx, list_id, ["user-1"]))
            reader = started(lambda: seen.append(driver.remaining(storage, list_id)))
            reader.join(0.2)
        reader.join(driver.PATIENCE)
        assert seen == [["A", "B"]]

    def test_a_second_connection_sees_what_was_committed_at_once(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        other = require_hook(self.second_connection(storage, tmp_path))
        try:
            driver.link(storage, list_id)
            for version, name in enumerate(["one", "two", "three"], start=2):
                driver.change(storage, list_id, name=name)
                with other.begin(write=False) as tx:
                    [(_, linked)] = tx.campaigns.of_campaign("CMP1")
                assert (linked.name, linked.version) == (name, version)
                given = driver.assign(other, f"user-{version}", campaign_id="CMP1")
                assert given.snapshot.name == name
                assert driver.rewards(storage)[-1] == given.event
            assert driver.remaining(storage, list_id) == []
        finally:
            self.close(other)

    def test_what_was_committed_is_there_after_reopening(self, storage: Storage, tmp_path: Path) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        with storage.begin() as tx:
            change_everything(tx, list_id)
            tx.commit()
        kept = everything(storage, list_id)
        with storage.begin() as tx:
            tx.settings.put("colour", "red")
            tx.codes.take(list_id, 1)
        reopened = require_hook(self.reopen(storage, tmp_path))
        try:
            assert everything(reopened, list_id) == kept
            with reopened.begin() as tx:
                assert tx.lists.new_id() not in (list_id, "0")
                assert tx.uploads.new_id() not in [
                    upload.id for upload in tx.uploads.find(list_id, None, None, driver.ALL)
                ]
            assert driver.assign(reopened, "user-3", list_id=list_id).code == "B"
            driver.require_consistent(reopened, list_id)
        finally:
            self.close(reopened)
