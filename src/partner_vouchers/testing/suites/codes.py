"""Codes, assignments and idempotency keys: what the machine cannot see through the library."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from attrs import evolve

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.errors import StorageError, Unsupported
from partner_vouchers.ports import Holding, Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import START
from partner_vouchers.testing.hooks import StorageHooks, must_refuse
from partner_vouchers.testing.suites.lists import NO_ID, NOBODY

SECOND = timedelta(seconds=1)


class CodeSuite(StorageHooks):
    """Tests of `ports.Codes`."""

    def test_taking_tells_the_counters_and_the_notified_level(self, storage: Storage) -> None:
        list_id, other = driver.a_list(storage, ["Z", "A", "M"]), driver.a_list(storage, ["A"], tag="other")
        with storage.begin() as tx:
            tx.lists.set_notified_level(list_id, StockLevel.LOW)
            for codes, distributed in ((["Z", "A"], 2), (["M"], 3), ([], 3)):
                taken = tx.codes.take(list_id, 2)
                assert driver.codes_of(taken.codes) == codes
                assert taken.counts == Counts(uploaded=3, distributed=distributed)
                assert taken.notified is StockLevel.LOW
                assert tx.codes.counts(list_id) == taken.counts
            assert tx.codes.counts(other) == Counts(uploaded=1)

    def test_codes_are_counted_by_the_day_on_which_they_are_taken(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(5))
        first, last = START.date(), START.date() + timedelta(days=2)
        with storage.begin() as tx:
            for days in (0, 0, 2, 0):
                tx.codes.take(list_id, 1, START + timedelta(days=days))
            tx.codes.take(list_id, 1, None)
            try:
                given = tx.codes.given(list_id, None, None)
            except Unsupported as error:
                pytest.skip(str(error))
            assert given == {first: 3, last: 1}
            assert tx.codes.given(list_id, last, None) == {last: 1}
            assert tx.codes.given(list_id, None, first) == {first: 3}
            assert tx.codes.given("x", None, None) == {}

    def test_a_holder_is_a_list_whose_codes_count(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        driver.assign(storage, "user-1", list_id=list_id)
        scope = driver.stored(storage, list_id).scope

        def holders(*states: State) -> list[bool]:
            with storage.begin(write=False) as tx:
                assert tx.codes.holder("another scope", "A", lambda state: True) is None
                found = [
                    tx.codes.holder(scope, code, lambda state: state in states) for code in ("A", "B", "a")
                ]
            return [each is not None and each.list_id == list_id for each in found]

        for state in (State.ACTIVE, State.PAUSED, State.ARCHIVED):
            driver.change(storage, list_id, state=state)
            assert holders(state) == [True, True, False]
            assert not any(holders(*set(State) - {state}))

    def test_remaining_codes_are_paged_in_the_order_in_which_they_go_out(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        uploads = [driver.upload(storage, list_id, driver.some_codes(5, prefix)).id for prefix in "CAB"]
        for user in range(2):
            driver.assign(storage, f"user-{user}", list_id=list_id)
        driver.library(storage).uploads.withdraw(uploads[1])
        expected = driver.some_codes(5, "C")[2:] + driver.some_codes(5, "B")
        with storage.begin() as tx:
            for size in (1, 2, 3, 9):
                read = partial(tx.codes.remaining, list_id)
                found = driver.pages(read, size, None, lambda each: each.id)
                assert driver.codes_of(found) == expected, f"pages of {size}"
            assert driver.codes_of(tx.codes.take(list_id, 9).codes) == expected

    def test_a_page_goes_on_behind_a_code_that_was_taken_since(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C", "D"])
        with storage.begin(write=False) as tx:
            [first] = tx.codes.remaining(list_id, None, 1)
        for number, left in enumerate((["B", "C", "D"], ["C", "D"], ["D"], [])):
            driver.assign(storage, f"user-{number}", list_id=list_id)
            with storage.begin(write=False) as tx:
                assert driver.codes_of(tx.codes.remaining(list_id, first.id, 9)) == left
                assert driver.codes_of(tx.codes.remaining(list_id, first.id, 1)) == left[:1]

    def test_nothing_comes_after_a_string_that_is_no_id(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        driver.assign(storage, "user-1", list_id=list_id)
        with storage.begin(write=False) as tx:
            for text in NO_ID:
                assert tx.codes.remaining(list_id, text, 9) == [], text
                assert tx.assignments.of_list(list_id, text, 9) == [], text
                assert tx.uploads.find(list_id, None, text, 9) == [], text


class AssignmentSuite(StorageHooks):
    """Tests of `ports.Assignments` and `ports.IdempotencyKeys`."""

    def test_an_assignment_says_what_its_list_said_then(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        first = driver.assign(storage, "user-1", list_id=list_id)
        driver.change(storage, list_id, name="changed", description="\n", expires_at=driver.FAR + SECOND)
        second = driver.assign(storage, "user-2", list_id=list_id)
        driver.change(storage, list_id, state=State.ARCHIVED, name="changed again")
        assert [first.snapshot.name, second.snapshot.name] == ["Winter Sale", "changed"]
        with storage.begin(write=False) as tx:
            assert tx.assignments.get_many([second.id, first.id]) == [second, first]
            users = ["user-1", "user-2"]
            held = {"user-1": Holding(first, 1), "user-2": Holding(second, 1)}
            assert tx.assignments.holdings(users, None, list_id) == held
            assert [tx.assignments.of_user(user) for user in users] == [[first], [second]]
            assert [tx.assignments.of_code(code) for code in "AB"] == [[first], [second]]
            assert tx.assignments.of_list(list_id, None, 9) == [first, second]
            assert tx.assignments.holding("user-1", None, list_id).held == first
        assert driver.rewards(storage) == [first.event, second.event]

    def test_a_code_and_an_ordinal_are_assigned_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        first = driver.assign(storage, "user-1", list_id=list_id)

        def add_twice(tx: Transaction) -> None:
            given = driver.take(tx, list_id, ["user-3"])
            tx.assignments.add(given)
            tx.assignments.add(given)

        def add_together(tx: Transaction) -> None:
            [given] = driver.take(tx, list_id, ["user-3"])
            tx.assignments.add([given, evolve(given, user_id="user-4")])

        for work in (
            lambda tx: tx.assignments.add([evolve(first, user_id="user-2")]),
            lambda tx: tx.assignments.add([evolve(first, ordinal=2)]),
            lambda tx: tx.assignments.add(driver.take(tx, list_id, ["user-1"])),
            add_twice,
            add_together,
            lambda tx: tx.assignments.add(driver.take(tx, list_id, ["user-3"] * 2)),
            lambda tx: tx.assignments.add(driver.take(tx, list_id, ["user-3"] * 2, campaign_id="CMP1")),
        ):
            must_refuse(StorageError, storage, work)
        assert driver.require_consistent(storage, list_id) == [first]
        assert driver.remaining(storage, list_id) == ["B", "C"]

    def test_the_latest_assignment_is_by_campaign_or_else_by_list(self, storage: Storage) -> None:
        lists = [driver.a_list(storage, driver.some_codes(9, f"{tag}-"), tag=tag) for tag in ("t1", "t2")]
        asked: dict[tuple[str | None, str | None], Assignment] = {}
        for campaign_id, list_id in ((None, lists[0]), (None, lists[1]), ("CMP1", None), ("CMP2", None)):
            for ordinal in (1, 2):
                # The clock goes back: the ordinal decides.
                asked[campaign_id, list_id] = driver.give(
                    storage,
                    list_id or lists[0],
                    "user-1",
                    campaign_id=campaign_id,
                    ordinal=ordinal,
                    now=START - ordinal * SECOND,
                )
        other = driver.give(storage, lists[0], "user-2", campaign_id="CMP2")
        with storage.begin(write=False) as tx:
            for (campaign_id, list_id), given in asked.items():
                assert tx.assignments.holding("user-1", campaign_id, list_id) == Holding(given, 2)
            assert tx.assignments.holding("user-2", "CMP1", None) == Holding()
            assert tx.assignments.holding("USER-2", "CMP2", None) == Holding()
            users = ["user-2", "nobody", "user-1"]
            assert tx.assignments.holdings(users, "CMP2", None) == {
                "user-1": Holding(asked["CMP2", None], 2),
                "user-2": Holding(other, other.ordinal),
            }
            held = Holding(asked[None, lists[1]], 2)
            assert tx.assignments.holdings(users, None, lists[1]) == {"user-1": held}
            assert tx.assignments.holdings([], "CMP2", None) == {}

    def test_a_users_assignments_are_ordered_by_time_ordinal_and_age_of_the_list(
        self, storage: Storage
    ) -> None:
        # The tenth and those after it come late as numbers, and early as strings.
        lists = [driver.a_list(storage, ["A", "B"], partner=f"Partner {number}") for number in range(12)]
        for list_id in lists[::-1]:
            driver.give(storage, list_id, "user-1")
        early, late = (
            driver.give(storage, lists[number], "user-1", campaign_id="CMP1", ordinal=ordinal, now=now)
            for number, ordinal, now in ((1, 2, START - SECOND), (0, 1, START + SECOND))
        )
        with storage.begin(write=False) as tx:
            found = tx.assignments.of_user("user-1")
            assert [each.list_id for each in found] == [early.list_id, *lists, late.list_id]
            assert (found[0], found[-1]) == (early, late)
            assert tx.assignments.of_user("nobody") == []

    def test_holders_of_a_code_are_found_in_all_lists_the_oldest_first(self, storage: Storage) -> None:
        lists = [driver.a_list(storage, ["A"], partner=f"Partner {number}") for number in range(12)]
        given = [driver.assign(storage, "user-1", list_id=list_id) for list_id in lists[::-1]]
        # The tag is freed by archiving, and so is the code.
        driver.change(storage, lists[0], state=State.ARCHIVED)
        again = driver.a_list(storage, ["A", "B"], partner="Partner 0")
        given.insert(0, driver.assign(storage, "user-2", list_id=again))
        with storage.begin(write=False) as tx:
            assert tx.assignments.of_code("A") == given[::-1]
            assert tx.assignments.of_user("user-1") == given[:0:-1]
            assert tx.assignments.of_code("B") == tx.assignments.of_code("a") == []

    def test_a_lists_assignments_are_paged_in_the_order_of_their_codes(self, storage: Storage) -> None:
        lists = [driver.a_list(storage, driver.some_codes(11, f"{tag}-"), tag=tag) for tag in ("t1", "t2")]
        expected, _ = (
            [driver.assign(storage, f"user-{number}", list_id=each) for number in range(11)] for each in lists
        )
        with storage.begin(write=False) as tx:
            for size in (1, 3, 99):
                read = partial(tx.assignments.of_list, lists[0])
                found = driver.pages(read, size, None, lambda each: each.id)
                assert found == expected, f"pages of {size}"
            # What is asked for twice is returned twice.
            backwards = expected[::-1] * 2
            assert tx.assignments.get_many([each.id for each in backwards]) == backwards
            assert tx.assignments.get_many([*NOBODY, expected[3].id]) == [expected[3]]

    def test_a_key_is_stored_once(self, storage: Storage) -> None:
        results = {"none": (), "two": ("7", "2"), "ключ-" + "x" * 250: ("1",)}
        with driver.committing(storage) as tx:
            for key, result in results.items():
                tx.keys.put(key, f"of {key}", result)
        must_refuse(StorageError, storage, lambda tx: tx.keys.put("two", "second", ("2",)))
        with storage.begin(write=False) as tx:
            assert {key: tx.keys.get(key) for key in results} == {
                key: (f"of {key}", result) for key, result in results.items()
            }
            assert tx.keys.get("Two") is None
