"""Many at once: whatever the timing, the outcome is one that some order of the transactions gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, cycle
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import evolve

from partner_vouchers.domain.assignment import Reward
from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.domain.events import CampaignLinked, ListArchived, PartnerAdded
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import CodesExhausted, NoActiveList, StaleVersion, StorageError
from partner_vouchers.ports import OutboxEntry, Storage, Transaction
from partner_vouchers.testing import driver, workers
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks, Unable, able
from partner_vouchers.testing.workers import at_once, overlapping

T = TypeVar("T")

THREADS = 6


class ThreadSuite(StorageHooks):
    """What a storage owes to the threads of a process, each of which may use another connection."""

    @pytest.fixture
    def connections(self, storage: Storage, tmp_path: Path) -> Iterator[list[Storage]]:
        """The storage, and another connection to it where the adapter is able."""
        other = self.second_connection(storage, tmp_path)
        if isinstance(other, Unable):
            yield [storage]
            return
        yield [storage, other]
        self.close(other)

    @pytest.fixture(params=["same connection", "second connection"])
    def other(self, request: pytest.FixtureRequest, storage: Storage, tmp_path: Path) -> Iterator[Storage]:
        """The storage again, and then another connection to it."""
        if request.param == "same connection":
            yield storage
            return
        other = able(self.second_connection(storage, tmp_path))
        yield other
        self.close(other)

    def test_two_assigners_at_once_get_two_codes(self, storage: Storage, other: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        mine, theirs = overlapping(
            storage,
            lambda tx: _ask(tx, "user-1", list_id=list_id),
            lambda: _reward(other, "user-2", list_id=list_id),
        )
        assert mine.code != theirs.code
        driver.require_consistent(storage, list_id)

    def test_the_last_code_goes_to_one_of_two(self, storage: Storage, other: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])

        def ask(tx: Transaction, user_id: str) -> str | None:
            try:
                return _ask(tx, user_id, list_id=list_id).code
            except CodesExhausted:
                return None

        got = overlapping(
            storage,
            lambda tx: ask(tx, "user-1"),
            lambda: driver.in_transaction(other, lambda tx: ask(tx, "user-2")),
        )
        assert set(got) == {"A", None}
        driver.require_consistent(storage, list_id)

    def test_many_assigners_empty_a_list_and_each_code_goes_out_once(
        self, storage: Storage, connections: list[Storage]
    ) -> None:
        codes = driver.some_codes(60)
        list_id = driver.a_list(storage, codes)
        users = cycle(connections)
        got = at_once(
            [
                partial(workers.assign_until_exhausted, next(users), list_id, f"user-{number}")
                for number in range(THREADS)
            ]
        )
        given = driver.require_consistent(storage, list_id)
        assert sorted((each.user_id, each.code) for each in given) == sorted(_flat(got))
        assert driver.codes_of(given) == codes

    @pytest.mark.parametrize("key", [None, "order-1"])
    def test_a_user_or_a_key_that_asks_twice_at_once_gets_one_code(
        self, storage: Storage, other: Storage, key: str | None
    ) -> None:
        list_id = driver.a_list(storage, driver.some_codes(9))
        driver.link(storage, list_id, repeat=RepeatPolicy.SAME_CODE if key is None else RepeatPolicy.NEW_CODE)
        mine, theirs = overlapping(
            storage,
            lambda tx: _ask(tx, "user-1", campaign_id="CMP1", idempotency_key=key),
            lambda: _reward(other, "user-1", campaign_id="CMP1", idempotency_key=key),
        )
        assert theirs.assignment == mine.assignment
        assert {mine.replayed, theirs.replayed} == {True, False}
        assert driver.require_consistent(storage, list_id) == [mine.assignment]

    def test_of_two_changes_of_one_version_one_is_stale(self, storage: Storage, other: Storage) -> None:
        read = driver.stored(storage, driver.a_list(storage))

        def change(tx: Transaction, name: str) -> str | None:
            try:
                tx.lists.save(evolve(read, name=name, version=2))
            except StaleVersion:
                return None
            return name

        saved = overlapping(
            storage,
            lambda tx: change(tx, "mine"),
            lambda: driver.in_transaction(other, lambda tx: change(tx, "theirs")),
        )
        assert None in saved, "both changes of one version were accepted, and one of them is lost"
        assert driver.stored(storage, read.id).name in saved

    def test_no_update_is_lost(self, storage: Storage, connections: list[Storage]) -> None:
        list_id = driver.a_list(storage)
        users = cycle(connections)

        def save(found: VoucherList, words: str, tx: Transaction) -> None:
            tx.lists.save(evolve(found, description=words, version=found.version + 1))

        def add_words(mine: Storage, name: str) -> None:
            for number in range(5):
                while True:
                    try:
                        found = driver.stored(mine, list_id)
                        words = f"{found.description} {name}-{number}"
                        driver.in_transaction(mine, partial(save, found, words))
                        break
                    except StaleVersion:
                        continue

        at_once([partial(add_words, next(users), f"thread{number}") for number in range(4)])
        words = driver.stored(storage, list_id).description.split()[2:]
        assert sorted(words) == sorted(f"thread{number}-{word}" for number in range(4) for word in range(5))

    def test_a_change_of_a_list_and_an_assignment_at_once_are_both_kept(
        self, storage: Storage, other: Storage
    ) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        found = driver.stored(storage, list_id)
        overlapping(
            storage,
            lambda tx: tx.lists.save(evolve(found, name=f"name {found.version}", version=found.version + 1)),
            lambda: _reward(other, "user-1", list_id=list_id),
        )
        assert driver.stored(storage, list_id).name == f"name {found.version}"
        assert len(driver.require_consistent(storage, list_id)) == 1

    def test_uploaders_of_the_same_codes_at_once_end_with_each_code_once(
        self, storage: Storage, connections: list[Storage]
    ) -> None:
        lists = [driver.a_list(storage)]
        scope = driver.stored(storage, lists[0]).scope
        lists += [driver.a_list_in(storage, scope, tag=f"t{number}") for number in range(2)]
        users = cycle(connections)
        codes = driver.some_codes(150)
        files = [codes[:100], codes[50:][::-1], codes[::2]]
        accepted = at_once(
            [
                partial(workers.upload, next(users), list_id, file)
                for list_id, file in zip(lists, files, strict=True)
            ]
        )
        stored = [driver.remaining(storage, list_id) for list_id in lists]
        assert [len(found) for found in stored] == accepted
        assert sorted(_flat(stored)) == codes

    def test_uploads_to_one_scope_may_overlap_while_their_files_are_read(
        self, storage: Storage, other: Storage
    ) -> None:
        first = driver.a_list(storage)
        second = driver.a_list_in(storage, driver.stored(storage, first).scope)
        entries = [driver.enter_upload(storage, list_id) for list_id in (first, second)]
        with (
            driver.importing(storage, entries[0], ["A", "B"]) as mine,
            driver.importing(other, entries[1], ["B", "C"]) as theirs,
        ):
            driver.claim(theirs, second)
            driver.publish(other, theirs)
            driver.claim(mine, first)
            driver.publish(storage, mine)
        assert driver.remaining(storage, first) == ["A"]
        assert driver.remaining(storage, second) == ["B", "C"]

    def test_assigning_goes_on_while_codes_are_imported(self, storage: Storage, other: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(20))
        entry = driver.enter_upload(storage, list_id)
        codes = driver.some_codes(500, "N")
        with driver.importing(storage, entry, codes) as opened:
            _reward(other, "user-1", list_id=list_id)
            driver.claim(opened, list_id)
            _reward(other, "user-2", list_id=list_id)
            published, given = overlapping(
                storage, opened.publish, lambda: _reward(other, "user-3", list_id=list_id)
            )
        assert (published, given.code) == (500, "PM0002")
        driver.require_consistent(storage, list_id)
        assert driver.remaining(storage, list_id) == driver.some_codes(20)[3:] + codes

    def test_a_withdrawn_code_is_not_given_out_at_the_same_time(
        self, storage: Storage, other: Storage
    ) -> None:
        list_id = driver.a_list(storage)
        upload_id = driver.upload(storage, list_id, ["A", "B"]).id

        def ask() -> int:
            try:
                _reward(other, "user-1", list_id=list_id)
            except CodesExhausted:
                return 0
            return 1

        withdrawn, given = overlapping(storage, lambda tx: tx.codes.withdraw(upload_id), ask)
        assert withdrawn + given == 2
        assert len(driver.require_consistent(storage, list_id)) == given

    def test_no_code_goes_out_after_its_list_was_archived(self, storage: Storage, other: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])

        def ask() -> bool:
            try:
                _reward(other, "user-1", list_id=list_id)
            except NoActiveList:
                return False
            return True

        _, given = overlapping(storage, lambda tx: _archive(tx, list_id), ask)
        names = [entry.event.event_name for entry in driver.outbox(storage)]
        assert not given or names[-1] == "list.archived", "a code went out after its list was archived"

    @pytest.mark.parametrize("archive_first", [True, False])
    def test_linking_and_archiving_at_once_leave_an_order(
        self, storage: Storage, other: Storage, archive_first: bool
    ) -> None:
        list_id = driver.a_list(storage)
        steps = [partial(_archive, list_id=list_id), partial(_link, list_id=list_id)]
        first, second = steps if archive_first else steps[::-1]
        overlapping(storage, first, lambda: driver.in_transaction(other, second))
        names = [
            entry.event.event_name
            for entry in driver.outbox(storage)
            if isinstance(entry.event, ListArchived | CampaignLinked) and entry.event.list_id == list_id
        ]
        assert names in (["list.archived"], ["campaign.linked", "list.archived"]), (
            "a list was linked after it was archived"
        )
        with storage.begin(write=False) as tx:
            linked = tx.campaigns.of_list(list_id)
        assert len(linked) == len(names) - 1

    @pytest.mark.parametrize("remove_first", [True, False])
    def test_linking_and_removing_at_once_leave_no_link_without_a_list(
        self, storage: Storage, other: Storage, remove_first: bool
    ) -> None:
        list_id = driver.a_list(storage)
        steps = [partial(_remove, list_id=list_id), partial(_link, list_id=list_id)]
        first, second = steps if remove_first else steps[::-1]
        done = overlapping(storage, first, lambda: driver.in_transaction(other, second))
        removed, linked = done if remove_first else done[::-1]
        assert removed is not linked
        with storage.begin(write=False) as tx:
            assert (tx.lists.get(list_id) is None) is removed
            assert bool(tx.campaigns.of_campaign("CMP1")) is linked
            assert bool(tx.campaigns.of_list(list_id)) is linked

    def test_two_lists_of_one_tag_are_not_created_at_once(self, storage: Storage, other: Storage) -> None:
        tag = "sale"

        def create(tx: Transaction) -> bool:
            if tx.lists.with_tag("Puma", tag) is not None:
                return False
            tx.lists.add(driver.unstored_list(tx, tag=tag))
            return True

        def second() -> bool:
            try:
                return driver.in_transaction(other, create)
            except StorageError:
                return False

        assert sorted(overlapping(storage, create, second)) == [False, True]

    def test_a_partner_is_added_once_by_two_at_once(self, storage: Storage, other: Storage) -> None:
        partner = Partner("Puma", START)
        added = overlapping(
            storage,
            lambda tx: tx.partners.add(partner),
            lambda: driver.in_transaction(other, lambda tx: tx.partners.add(partner)),
        )
        assert sorted(added) == [False, True]

    def test_a_lease_goes_to_one_of_two(self, storage: Storage, other: Storage) -> None:
        name = "list 1"
        taken = overlapping(
            storage,
            lambda tx: tx.leases.take(name, "me", START, FAR),
            lambda: driver.in_transaction(other, lambda tx: tx.leases.take(name, "you", START, FAR)),
        )
        assert sorted(taken) == [False, True]
        with storage.begin(write=False) as tx:
            assert tx.leases.held(name, "me") is taken[0]

    def test_ids_that_are_taken_at_once_differ(self, storage: Storage, connections: list[Storage]) -> None:
        users = cycle(connections)

        def take(mine: Storage) -> list[str]:
            return [
                driver.in_transaction(mine, lambda tx: f"{tx.lists.new_id()} {tx.uploads.new_id()}")
                for _ in range(5)
            ]

        found = _flat(at_once([partial(take, next(users)) for _ in range(THREADS)]))
        assert len({each.split()[0] for each in found}) == len(found)
        assert len({each.split()[1] for each in found}) == len(found)

    def test_a_reader_of_the_outbox_misses_nothing_that_commits_late(
        self, storage: Storage, other: Storage
    ) -> None:
        def tell(tx: Transaction) -> None:
            tx.outbox.append([PartnerAdded(occurred_at=START)])

        def tell_and_read() -> list[OutboxEntry]:
            driver.in_transaction(other, tell)
            return driver.outbox(other)

        _, read = overlapping(storage, tell, tell_and_read)
        # What is still open may hold back what was committed.
        last = read[-1].position if read else 0
        everything = driver.outbox(storage)
        read += [entry for entry in everything if entry.position > last]
        assert len(read) == 2
        assert [entry.id for entry in read] == [entry.id for entry in everything]


class ProcessSuite(StorageHooks):
    """What a storage owes to several processes."""

    def test_processes_empty_a_list_and_each_code_goes_out_once(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        open_storage = able(self.second_process(storage, tmp_path))
        codes = driver.some_codes(80)
        list_id = driver.a_list(storage, codes)
        jobs = [(workers.assign_until_exhausted, (list_id, f"process-{number}")) for number in range(2)]
        got = workers.in_processes(open_storage, jobs)
        given = driver.require_consistent(storage, list_id)
        assert sorted((each.user_id, each.code) for each in given) == sorted(_flat(got))
        assert driver.codes_of(given) == codes

    def test_processes_that_upload_the_same_codes_end_with_each_code_once(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        open_storage = able(self.second_process(storage, tmp_path))
        first = driver.a_list(storage)
        lists = (first, driver.a_list_in(storage, driver.stored(storage, first).scope))
        codes = driver.some_codes(600)
        accepted = workers.in_processes(
            open_storage, [(workers.upload, (list_id, codes)) for list_id in lists]
        )
        stored = [driver.remaining(storage, list_id) for list_id in lists]
        assert [len(found) for found in stored] == accepted
        assert sorted(_flat(stored)) == codes

    def test_a_process_that_dies_in_a_transaction_leaves_nothing(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        open_storage = able(self.second_process(storage, tmp_path))
        list_id = driver.a_list(storage, ["A", "B"])
        victim = workers.Process(open_storage, workers.die_in_a_transaction, list_id)
        victim.go()
        assert victim.died()
        assert driver.require_consistent(storage, list_id) == []
        assert driver.remaining(storage, list_id) == ["A", "B"]
        assert driver.assign(storage, "user-1", list_id=list_id, key="order-1").code == "A"


def _ask(tx: Transaction, user_id: str, **asked: Any) -> Reward:
    """Ask for a code within an open transaction."""
    return driver.inside(tx).codes.assign(user_id=user_id, **asked)


def _reward(storage: Storage, user_id: str, **asked: Any) -> Reward:
    """Ask for a code in a transaction, which is all that the second of two does."""
    return driver.in_transaction(storage, lambda tx: _ask(tx, user_id, **asked))


def _archive(tx: Transaction, list_id: str) -> bool:
    found = tx.lists.get_for_update(list_id)
    assert found is not None
    tx.lists.save(evolve(found, state=State.ARCHIVED, version=found.version + 1))
    driver.record(tx, [ListArchived(occurred_at=START, list_id=list_id)])
    return True


def _link(tx: Transaction, list_id: str) -> bool:
    found = tx.lists.get_for_update(list_id)
    if found is None or found.state is State.ARCHIVED:
        return False
    tx.campaigns.put(driver.a_link(list_id))
    driver.record(tx, [CampaignLinked(occurred_at=START, list_id=list_id)])
    return True


def _remove(tx: Transaction, list_id: str) -> bool:
    if tx.lists.get_for_update(list_id) is None or tx.campaigns.of_list(list_id):
        return False
    tx.lists.remove(list_id)
    return True


def _flat(parts: Iterable[Iterable[T]]) -> list[T]:
    return list(chain.from_iterable(parts))
