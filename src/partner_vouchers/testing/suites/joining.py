"""Joining: the library works within a transaction of the host's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from partner_vouchers.domain.duplicates import counts_for_duplicates
from partner_vouchers.errors import HostTransactionError
from partner_vouchers.ports import Storage
from partner_vouchers.testing import driver
from partner_vouchers.testing.hooks import HostConnection, StorageHooks, must_raise, require_hook


class JoiningSuite(StorageHooks):
    """Tests of `Storage.join`."""

    def test_the_hosts_commit_keeps_what_was_done_in_its_transaction(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        with self._host(storage, tmp_path) as (host, joined):
            first = driver.assign(joined, "user-1", list_id=list_id, key="order-1")
            # It is read within the transaction already.
            assert driver.assign(joined, "user-1", list_id=list_id) == first
            second = driver.assign(joined, "user-2", list_id=list_id)
            with joined.begin(write=False) as tx:
                assert tx.assignments.of_list(list_id, None, 9) == [first, second]
            host.commit()
        assert driver.require_consistent(storage, list_id) == [first, second]
        assert driver.codes_of([first, second]) == ["A", "B"]

    def test_the_hosts_rollback_undoes_what_was_done_in_its_transaction(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        with self._host(storage, tmp_path) as (host, joined):
            driver.assign(joined, "user-1", list_id=list_id, key="order-1")
            driver.change(joined, list_id, name="changed")
            host.rollback()
        assert driver.require_consistent(storage, list_id) == []
        assert driver.stored(storage, list_id).name == "Winter Sale"
        assert driver.remaining(storage, list_id) == ["A", "B"]
        with storage.begin(write=False) as tx:
            assert tx.keys.get("order-1") is None

    def test_leaving_without_commit_undoes_only_that_part(self, storage: Storage, tmp_path: Path) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        with self._host(storage, tmp_path) as (host, joined):
            driver.assign(joined, "user-1", list_id=list_id)
            with joined.begin() as tx:
                tx.assignments.add(driver.take(tx, list_id, ["user-2"]))
            with pytest.raises(ZeroDivisionError), joined.begin() as tx:
                tx.assignments.add(driver.take(tx, list_id, ["user-3"]))
                raise ZeroDivisionError
            assert driver.assign(joined, "user-4", list_id=list_id).code == "B"
            host.commit()
        found = driver.require_consistent(storage, list_id)
        assert [each.user_id for each in found] == ["user-1", "user-4"]

    def test_what_works_in_transactions_of_its_own_is_refused(self, storage: Storage, tmp_path: Path) -> None:
        list_id = driver.a_list(storage, ["A"])
        entry = driver.enter_upload(storage, list_id)
        with self._host(storage, tmp_path) as (host, joined):
            with pytest.raises(HostTransactionError), joined.import_codes(entry, "", counts_for_duplicates):
                pass
            must_raise(HostTransactionError, lambda: joined.abandon(entry.id))
            must_raise(HostTransactionError, lambda: joined.join(host.connection))
            joined.reclaim()

    def test_a_connection_of_another_kind_is_refused(self, storage: Storage) -> None:
        for stranger in (None, "connection", object()):
            with pytest.raises(HostTransactionError), storage.join(stranger).begin():
                pass

    def test_a_connection_to_another_storage_is_refused_or_leads_to_the_own_one(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        with self.fresh() as (other, _):
            with self._host(storage, tmp_path) as (host, _joined):
                try:
                    with other.join(host.connection).begin() as tx:
                        tx.settings.put("colour", "green")
                        tx.commit()
                    host.commit()
                except HostTransactionError:
                    return
            with other.begin(write=False) as tx:
                assert tx.settings.get("colour") == "green"
        with storage.begin(write=False) as tx:
            assert tx.settings.get("colour") is None, "the work for one storage was done in another"

    @contextmanager
    def _host(self, storage: Storage, place: Path) -> Iterator[tuple[HostConnection, Storage]]:
        with require_hook(self.host_connection(storage, place)) as host:
            yield host, storage.join(host.connection)
