"""Many at once: whatever the timing, the outcome is one that some order of the transactions gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain, cycle
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import evolve

from partner_vouchers.domain.assignment import Reward
from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.domain.events import PartnerAdded
from partner_vouchers.errors import CodesExhausted, PartnerVouchersError, StorageBusy
from partner_vouchers.ports import OutboxEntry, Storage, Transaction
from partner_vouchers.testing import driver, workers
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks, require_hook
from partner_vouchers.testing.workers import at_once, overlapping
from partner_vouchers.vouchers import PartnerVouchers

T = TypeVar("T")

THREADS = 6


Call = Callable[[str, PartnerVouchers], object]


CALLS: dict[str, Call] = {
    "assign": lambda list_id, vouchers: vouchers.codes.assign(list_id=list_id, user_id="user-1"),
    "assign to another": lambda list_id, vouchers: vouchers.codes.assign(list_id=list_id, user_id="user-2"),
    "link": lambda list_id, vouchers: vouchers.campaigns.link(list_id, "CMP1"),
    "archive": lambda list_id, vouchers: vouchers.lists.archive(list_id),
    "delete": lambda list_id, vouchers: vouchers.lists.delete(list_id),
    "create": lambda _, vouchers: vouchers.lists.create(
        partner="Puma", tag="sale", name="Sale", expires_at=FAR
    ),
    "add": lambda _, vouchers: vouchers.partners.add("Amazon"),
    "edit": lambda list_id, vouchers: vouchers.lists.edit(list_id, version=1, name="mine"),
    "edit otherwise": lambda list_id, vouchers: vouchers.lists.edit(list_id, version=1, name="theirs"),
}

EXCLUSIVE: dict[str, tuple[str, str]] = {
    "the last code": ("assign", "assign to another"),
    "one version": ("edit", "edit otherwise"),
    "one tag": ("create", "create"),
    "one partner": ("add", "add"),
    "link, and delete": ("link", "delete"),
    "delete, and link": ("delete", "link"),
    "assign, and delete": ("assign", "delete"),
    "delete, and assign": ("delete", "assign"),
}
"""Calls of which the first that commits keeps the second from being done."""


class ThreadSuite(StorageHooks):
    """Threads of a process, each of which may use another connection."""

    @pytest.fixture(params=["same connection", "second connection"])
    def other(self, request: pytest.FixtureRequest, storage: Storage, tmp_path: Path) -> Iterator[Storage]:
        """The storage again, and then another connection to it."""
        if request.param == "same connection":
            yield storage
            return
        other = require_hook(self.second_connection(storage, tmp_path))
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

    def test_many_assigners_empty_a_list_and_each_code_goes_out_once(
        self, storage: Storage, other: Storage
    ) -> None:
        codes = driver.some_codes(60)
        list_id = driver.a_list(storage, codes)
        users = cycle([storage, other])
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
        self, storage: Storage, other: Storage
    ) -> None:
        lists = [driver.a_list(storage)]
        scope = driver.stored(storage, lists[0]).scope
        lists += [driver.a_list_in(storage, scope, tag=f"t{number}") for number in range(2)]
        users = cycle([storage, other])
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

    @pytest.mark.parametrize("race", EXCLUSIVE)
    def test_of_two_calls_that_exclude_each_other_one_is_refused(
        self, storage: Storage, other: Storage, race: str
    ) -> None:
        list_id = driver.a_list(storage, ["A"])
        first, second = (partial(CALLS[each], list_id) for each in EXCLUSIVE[race])
        done = _at_once(storage, other, first, second)
        assert sorted(done) == [False, True], "both calls were done, or neither"
        with storage.begin(write=False) as tx:
            linked = [link.list_id for link, _ in tx.campaigns.of_campaign("CMP1")]
            is_there = tx.lists.get(list_id) is not None
            assert is_there or not linked, "a list was removed that is linked"
            assert linked == [link.list_id for link in tx.campaigns.of_list(list_id)]
        if is_there:
            driver.require_consistent(storage, list_id)

    @pytest.mark.parametrize("archive_first", [True, False])
    @pytest.mark.parametrize("call", ["assign", "link"])
    def test_nothing_is_done_with_a_list_after_it_was_archived(
        self, storage: Storage, other: Storage, call: str, archive_first: bool
    ) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        calls = [partial(CALLS[each], list_id) for each in ("archive", call)]
        archived, done = _at_once(storage, other, *(calls if archive_first else calls[::-1]))[
            :: 1 if archive_first else -1
        ]
        assert archived
        names = [entry.event.event_name for entry in driver.outbox(storage)]
        assert names[-1] == "list.archived" or not done, f"{call} came after the list was archived"
        with storage.begin(write=False) as tx:
            assert bool(tx.campaigns.of_list(list_id) or tx.assignments.of_list(list_id, None, 9)) is done

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

    def test_ids_that_are_taken_at_once_differ(self, storage: Storage, other: Storage) -> None:
        users = cycle([storage, other])

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
    """Several processes."""

    def test_processes_empty_a_list_and_each_code_goes_out_once(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        open_storage = require_hook(self.second_process(storage, tmp_path))
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
        open_storage = require_hook(self.second_process(storage, tmp_path))
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
        open_storage = require_hook(self.second_process(storage, tmp_path))
        list_id = driver.a_list(storage, ["A", "B"])
        with pytest.raises(BrokenProcessPool):
            workers.in_processes(open_storage, [(workers.die_in_a_transaction, (list_id,))])
        assert driver.require_consistent(storage, list_id) == []
        assert driver.remaining(storage, list_id) == ["A", "B"]
        assert driver.assign(storage, "user-1", list_id=list_id, key="order-1").code == "A"


def _ask(tx: Transaction, user_id: str, **asked: Any) -> Reward:
    """Ask for a code within an open transaction."""
    return driver.inside(tx).codes.assign(user_id=user_id, **asked)


def _reward(storage: Storage, user_id: str, **asked: Any) -> Reward:
    """Ask for a code in a transaction, which is all that the second of two does."""
    return driver.in_transaction(storage, lambda tx: _ask(tx, user_id, **asked))


def _at_once(
    storage: Storage,
    other: Storage,
    first: Callable[[PartnerVouchers], object],
    second: Callable[[PartnerVouchers], object],
) -> tuple[bool, bool]:
    """Do two calls that overlap; return which of them were done, and not refused."""

    def is_done(work: Callable[[], object]) -> bool:
        try:
            work()
        except StorageBusy:
            raise
        except PartnerVouchersError:
            return False
        return True

    return overlapping(
        storage,
        lambda tx: is_done(lambda: first(driver.inside(tx))),
        lambda: is_done(lambda: driver.in_transaction(other, lambda tx: second(driver.inside(tx)))),
    )


def _flat(parts: Iterable[Iterable[T]]) -> list[T]:
    return list(chain.from_iterable(parts))
