"""Codes and assignments: each code goes to one user, in upload order, with one event."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from attrs import evolve

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.errors import CodesExhausted, IdempotencyConflict, StorageError
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import START
from partner_vouchers.testing.hooks import StorageHooks, must_raise, must_refuse
from partner_vouchers.testing.suites.lists import NO_ID, NOBODY

SECOND = timedelta(seconds=1)


class CodeSuite(StorageHooks):
    """What `ports.Codes` owes."""

    def test_codes_go_out_in_upload_order(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["Z", "A", "M"])
        driver.upload(storage, list_id, ["B", "Y"])
        with storage.begin() as tx:
            assert driver.codes_of(tx.codes.take(list_id, 2).codes) == ["Z", "A"]
            assert driver.codes_of(tx.codes.take(list_id, 2).codes) == ["M", "B"]
            assert driver.codes_of(tx.codes.take(list_id, 2).codes) == ["Y"]
            assert driver.codes_of(tx.codes.take(list_id, 2).codes) == []

    def test_taking_tells_the_counters_and_the_notified_level(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        with storage.begin() as tx:
            tx.lists.set_notified_level(list_id, StockLevel.LOW)
            taken = tx.codes.take(list_id, 2)
            assert (taken.counts, taken.notified) == (Counts(uploaded=3, distributed=2), StockLevel.LOW)
            assert tx.codes.counts(list_id) == taken.counts
            rest = tx.codes.take(list_id, 9)
            assert (len(rest.codes), rest.counts) == (1, Counts(uploaded=3, distributed=3))
            assert tx.codes.take(list_id, 9).counts == rest.counts

    def test_counters_follow_the_codes(self, storage: Storage) -> None:
        list_id, other = (
            driver.a_list(storage, driver.some_codes(3, "first")),
            driver.a_list(storage, ["other"], tag="other"),
        )
        second = driver.upload(storage, list_id, driver.some_codes(4, "second")).upload.id
        for number in range(4):
            driver.assign(storage, f"user-{number}", list_id=list_id)
        with storage.begin() as tx:
            assert tx.codes.withdraw(second) == 3
            tx.commit()
        driver.upload(storage, list_id, ["third", "first0000"])
        driver.require_consistent(storage, list_id)
        with storage.begin(write=False) as tx:
            assert tx.codes.counts(list_id) == Counts(uploaded=8, distributed=4, withdrawn=3)
            assert tx.codes.counts(other) == Counts(uploaded=1)

    def test_withdrawn_codes_do_not_go_out(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        uploads = [driver.upload(storage, list_id, [f"{name}1", f"{name}2"]).upload.id for name in "ABCD"]
        driver.assign(storage, "user-1", list_id=list_id)
        with storage.begin() as tx:
            assert tx.codes.withdraw(uploads[0]) == 1
            assert tx.codes.withdraw(uploads[0]) == 0
            assert tx.codes.withdraw(uploads[2]) == 2
            tx.commit()
        assert driver.remaining(storage, list_id) == ["B1", "B2", "D1", "D2"]
        with storage.begin() as tx:
            assert driver.codes_of(tx.codes.take(list_id, 3).codes) == ["B1", "B2", "D1"]
        with storage.begin() as tx:
            assert tx.codes.withdraw(uploads[1]) == 2
            assert tx.codes.withdraw(uploads[3]) == 2
            assert tx.codes.take(list_id, 1).codes == []
            tx.commit()
        assert driver.codes_of(driver.require_consistent(storage, list_id)) == ["A1"]

    def test_a_withdrawal_that_is_not_committed_takes_nothing_back(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        upload_id = driver.upload(storage, list_id, ["A", "B"]).upload.id
        with storage.begin() as tx:
            assert tx.codes.withdraw(upload_id) == 2
        assert driver.remaining(storage, list_id) == ["A", "B"]
        driver.require_consistent(storage, list_id)

    def test_a_holder_is_a_list_whose_codes_count(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        upload_id = driver.upload(storage, list_id, ["A", "B"]).upload.id
        driver.assign(storage, "user-1", list_id=list_id)
        scope = driver.stored(storage, list_id).scope

        def holders(tx: Transaction, *states: State) -> list[str | None]:
            found = [
                tx.codes.holder(scope, code, lambda state: state in states) for code in ("A", "B", "a", "C")
            ]
            return [None if each is None else each.list_id for each in found]

        with storage.begin(write=False) as tx:
            assert holders(tx, State.ACTIVE) == [list_id, list_id, None, None]
            assert holders(tx, State.PAUSED, State.ARCHIVED) == [None] * 4
            assert tx.codes.holder("another scope", "A", lambda state: True) is None
        driver.change(storage, list_id, state=State.PAUSED)
        with storage.begin(write=False) as tx:
            assert holders(tx, State.PAUSED) == [list_id, list_id, None, None]
            assert holders(tx, State.ACTIVE) == [None] * 4
        with storage.begin() as tx:
            tx.codes.withdraw(upload_id)
            assert holders(tx, State.PAUSED) == [list_id, None, None, None]

    def test_remaining_codes_are_paged_in_the_order_in_which_they_go_out(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        uploads = [
            driver.upload(storage, list_id, driver.some_codes(5, prefix)).upload.id
            for prefix in ("C", "A", "B")
        ]
        for user in range(2):
            driver.assign(storage, f"user-{user}", list_id=list_id)
        with storage.begin() as tx:
            tx.codes.withdraw(uploads[1])
            tx.commit()
        expected = driver.some_codes(5, "C")[2:] + driver.some_codes(5, "B")
        for page in (1, 2, 3, 9):
            found: list[str] = []
            with storage.begin(write=False) as tx:
                after: str | None = None
                while part := tx.codes.remaining(list_id, after, page):
                    assert len(part) <= page
                    found += driver.codes_of(part)
                    assert len(found) <= len(expected), "a code is on two pages"
                    after = part[-1].id
            assert found == expected, f"pages of {page}"
        with storage.begin() as tx:
            assert driver.codes_of(tx.codes.take(list_id, 9).codes) == found

    def test_a_page_goes_on_behind_a_code_that_was_taken_since(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C", "D"])
        with storage.begin(write=False) as tx:
            [first] = tx.codes.remaining(list_id, None, 1)
        for number, left in enumerate((["B", "C", "D"], ["C", "D"], ["D"], [])):
            driver.assign(storage, f"user-{number}", list_id=list_id)
            with storage.begin(write=False) as tx:
                assert driver.codes_of(tx.codes.remaining(list_id, first.id, 9)) == left
                assert driver.codes_of(tx.codes.remaining(list_id, first.id, 1)) == left[:1]

    def test_nothing_comes_after_a_text_that_is_no_id(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        driver.assign(storage, "user-1", list_id=list_id)
        with storage.begin(write=False) as tx:
            for text in NO_ID:
                assert tx.codes.remaining(list_id, text, 9) == [], text
                assert tx.assignments.of_list(list_id, text, 9) == [], text
                assert tx.uploads.find(list_id, None, text, 9) == [], text


class AssignmentSuite(StorageHooks):
    """What `ports.Assignments` owes."""

    def test_each_assignment_has_one_event(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(6))
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(list_id))
            tx.commit()
        given = [
            driver.assign(storage, "user-1", list_id=list_id)[0],
            driver.assign(storage, "user-1", campaign_id="CMP1")[0],
            driver.assign(storage, "üser-2", campaign_id="CMP1")[0],
        ]
        with storage.begin() as tx:
            batch = self._take(tx, list_id, ["user-8", "user-9"])
            tx.assignments.add(batch)
            tx.commit()
        assert driver.rewards(storage) == [each.event for each in given + batch]
        driver.require_consistent(storage, list_id)

    def test_a_replay_has_no_second_event(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        first, _ = driver.assign(storage, "user-1", list_id=list_id, key="order-1")
        for key in (None, "order-1", "order-2"):
            assert driver.assign(storage, "user-1", list_id=list_id, key=key) == (first, True)
        assert driver.rewards(storage) == [first.event]
        assert driver.remaining(storage, list_id) == ["B"]

    def test_an_assignment_says_what_its_list_said_then(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        first, _ = driver.assign(storage, "user-1", list_id=list_id)
        driver.change(storage, list_id, name="changed", description="\n", expires_at=driver.FAR + SECOND)
        second, _ = driver.assign(storage, "user-2", list_id=list_id)
        driver.change(storage, list_id, state=State.ARCHIVED, name="changed again")
        assert [first.snapshot.name, second.snapshot.name] == ["Winter Sale", "changed"]
        with storage.begin(write=False) as tx:
            assert tx.assignments.get_many([second.id, first.id]) == [second, first]
            assert tx.assignments.latest("user-1", None, list_id) == first
            users = ["user-1", "user-2"]
            assert tx.assignments.latest_of_many(users, None, list_id) == {"user-1": first, "user-2": second}
            assert [tx.assignments.of_user(user) for user in users] == [[first], [second]]
            assert [tx.assignments.of_code(code) for code in "AB"] == [[first], [second]]
            assert tx.assignments.of_list(list_id, None, 9) == [first, second]
            assert tx.assignments.holding("user-1", None, list_id).held == first
        assert driver.rewards(storage) == [first.event, second.event]

    def test_a_code_is_assigned_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        first, _ = driver.assign(storage, "user-1", list_id=list_id)
        other, second = evolve(first, user_id="user-2"), evolve(first, ordinal=2)
        must_refuse(StorageError, storage, lambda tx: tx.assignments.add([other]))
        must_refuse(StorageError, storage, lambda tx: tx.assignments.add([second]))

        def add_twice(tx: Transaction) -> None:
            given = self._take(tx, list_id, ["user-3"])
            tx.assignments.add(given)
            tx.assignments.add(given)

        must_refuse(StorageError, storage, add_twice)
        assert driver.require_consistent(storage, list_id) == [first]

    def test_an_ordinal_of_a_user_is_assigned_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        first, _ = driver.assign(storage, "user-1", list_id=list_id)
        must_refuse(StorageError, storage, lambda tx: tx.assignments.add(self._take(tx, list_id, ["user-1"])))
        assert driver.require_consistent(storage, list_id) == [first]
        assert driver.remaining(storage, list_id) == ["B", "C"]

    def test_assignments_that_are_stored_together_repeat_no_code_and_no_ordinal(
        self, storage: Storage
    ) -> None:
        list_id = driver.a_list(storage, ["A", "B"])

        def add_one_code_twice(tx: Transaction) -> None:
            [given] = self._take(tx, list_id, ["user-1"])
            tx.assignments.add([given, evolve(given, user_id="user-2")])

        def add_one_ordinal_twice(tx: Transaction, campaign_id: str | None) -> None:
            given = self._take(tx, list_id, ["user-1", "user-1"])
            tx.assignments.add([evolve(each, campaign_id=campaign_id) for each in given])

        must_refuse(StorageError, storage, add_one_code_twice)
        for campaign_id in (None, "CMP1"):
            must_refuse(StorageError, storage, partial(add_one_ordinal_twice, campaign_id=campaign_id))
        assert driver.require_consistent(storage, list_id) == []
        assert driver.remaining(storage, list_id) == ["A", "B"]

    def test_the_latest_assignment_is_by_campaign_or_else_by_list(self, storage: Storage) -> None:
        lists = [
            driver.a_list(storage, driver.some_codes(9, f"L{number}-"), tag=f"t{number}") for number in "12"
        ]
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(lists[0], "CMP1"))
            tx.campaigns.put(driver.a_link(lists[0], "CMP2"))
            tx.commit()
        asked: dict[tuple[str | None, str | None], Assignment] = {}
        for campaign_id, list_id in ((None, lists[0]), (None, lists[1]), ("CMP1", None), ("CMP2", None)):
            for ordinal in (1, 2):
                given, _ = driver.assign(
                    storage, "user-1", campaign_id=campaign_id, list_id=list_id, again=True
                )
                assert given.ordinal == ordinal
                asked[campaign_id, list_id] = given
        other, _ = driver.assign(storage, "user-2", campaign_id="CMP2")
        with storage.begin(write=False) as tx:
            for (campaign_id, list_id), given in asked.items():
                assert tx.assignments.latest("user-1", campaign_id, list_id) == given
            assert tx.assignments.latest("user-2", "CMP1", None) is None
            assert tx.assignments.latest("USER-2", "CMP2", None) is None
            users = ["user-2", "nobody", "user-1"]
            assert tx.assignments.latest_of_many(users, "CMP2", None) == {
                "user-1": asked["CMP2", None],
                "user-2": other,
            }
            assert tx.assignments.latest_of_many(users, None, lists[1]) == {"user-1": asked[None, lists[1]]}
            assert tx.assignments.latest_of_many([], "CMP2", None) == {}

    def test_the_latest_assignment_of_a_campaign_is_the_same_whichever_list_is_named(
        self, storage: Storage
    ) -> None:
        lists = [driver.a_list(storage, driver.some_codes(3, tag), tag=tag) for tag in ("t1", "t2")]
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(lists[0], "CMP1"))
            tx.commit()
        given, _ = driver.assign(storage, "user-1", campaign_id="CMP1")
        for again in (False, True):
            driver.assign(storage, "user-1", list_id=lists[0], again=again)
        with storage.begin(write=False) as tx:
            for list_id in lists:
                assert tx.assignments.latest("user-1", "CMP1", list_id) == given
                found = tx.assignments.latest_of_many(["user-1", "user-2"], "CMP1", list_id)
                assert found == {"user-1": given}
                assert tx.assignments.latest("user-1", "CMP2", list_id) is None
                assert tx.assignments.latest_of_many(["user-1"], "CMP2", list_id) == {}

    def test_assignments_are_returned_in_the_order_of_the_ids_asked_for(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(12))
        given = [driver.assign(storage, f"user-{number}", list_id=list_id)[0] for number in range(12)]
        with storage.begin(write=False) as tx:
            backwards = given[::-1]
            assert tx.assignments.get_many([each.id for each in backwards]) == backwards
            assert tx.assignments.get_many([*NOBODY, given[3].id]) == [given[3]]
            assert tx.assignments.get_many([]) == []

    def test_a_users_assignments_are_ordered_by_time_ordinal_and_age_of_the_list(
        self, storage: Storage
    ) -> None:
        lists = [
            driver.a_list(storage, driver.some_codes(9, f"L{number}-"), tag=f"t{number}") for number in "12"
        ]
        expected = [
            driver.assign(
                storage, "user-1", list_id=lists[list_number], again=True, now=START + when * SECOND
            )[0]
            for list_number, when in ((1, 3), (1, 2), (0, 3), (1, 3), (0, 3), (0, 1))
        ]
        driver.assign(storage, "user-2", list_id=lists[0])
        expected.sort(key=lambda each: (each.assigned_at, each.ordinal, int(each.list_id)))
        with storage.begin(write=False) as tx:
            assert tx.assignments.of_user("user-1") == expected
            assert tx.assignments.of_user("nobody") == []

    def test_holders_of_a_code_are_found_in_all_lists_the_oldest_first(self, storage: Storage) -> None:
        found: list[Assignment] = []
        for partner in ("Puma", "Amazon"):
            for number in range(2):
                # The tag is freed by archiving, and so is the code.
                list_id = driver.a_list(storage, ["A", f"B{number}"], partner=partner)
                found.append(driver.assign(storage, f"{partner}-{number}", list_id=list_id)[0])
                driver.change(storage, list_id, state=State.ARCHIVED)
        with storage.begin(write=False) as tx:
            assert tx.assignments.of_code("A") == found
            assert tx.assignments.of_code("B0") == []
            assert tx.assignments.of_code("a") == []

    def test_equal_assignments_are_ordered_by_the_age_of_their_lists(self, storage: Storage) -> None:
        # The tenth and those after it come late as numbers, and early as texts.
        lists = [driver.a_list(storage, ["A"], partner=f"Partner {number}") for number in range(12)]
        given = [driver.assign(storage, "user-1", list_id=list_id)[0] for list_id in lists[::-1]]
        with storage.begin(write=False) as tx:
            assert tx.assignments.of_user("user-1") == given[::-1]
            assert tx.assignments.of_code("A") == given[::-1]

    def test_a_lists_assignments_are_paged_in_the_order_of_their_codes(self, storage: Storage) -> None:
        lists = [
            driver.a_list(storage, driver.some_codes(11, f"L{number}-"), tag=f"t{number}") for number in "12"
        ]
        expected: list[Assignment] = []
        for number in range(11):
            for list_id in lists:
                given, _ = driver.assign(storage, f"user-{number}", list_id=list_id)
                expected += [given] if list_id == lists[0] else []
        for page in (1, 3, 99):
            found: list[Assignment] = []
            with storage.begin(write=False) as tx:
                after: str | None = None
                while part := tx.assignments.of_list(lists[0], after, page):
                    assert len(part) <= page
                    found += part
                    assert len(found) <= len(expected), "an assignment is on two pages"
                    after = part[-1].id
            assert found == expected, f"pages of {page}"

    def _take(self, tx: Transaction, list_id: str, users: list[str]) -> list[Assignment]:
        taken = tx.codes.take(list_id, len(users)).codes
        found = tx.lists.get(list_id)
        assert found is not None
        return [
            Assignment(code.id, code.code, user_id, None, 1, START, found.snapshot)
            for code, user_id in zip(taken, users, strict=True)
        ]


class IdempotencySuite(StorageHooks):
    """What `ports.IdempotencyKeys` owes."""

    def test_a_key_leads_to_its_first_result_for_ever(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        long_key = "ключ-" + "x" * 250
        first, _ = driver.assign(storage, "user-1", list_id=list_id, key=long_key)
        driver.change(storage, list_id, state=State.ARCHIVED)
        assert driver.assign(storage, "user-1", list_id=list_id, key=long_key) == (first, True)
        with storage.begin() as tx:
            tx.keys.put("none", "fingerprint", ())
            tx.keys.put("two", "fingerprint", (first.id, "2"))
            tx.commit()
        with storage.begin(write=False) as tx:
            assert tx.keys.get("none") == ("fingerprint", ())
            assert tx.keys.get("two") == ("fingerprint", (first.id, "2"))
            assert tx.keys.get("Two") is None

    def test_a_key_that_is_used_for_another_request_is_told_by_its_fingerprint(
        self, storage: Storage
    ) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        first, _ = driver.assign(storage, "user-1", list_id=list_id, key="order-1")
        must_raise(
            IdempotencyConflict, lambda: driver.assign(storage, "user-2", list_id=list_id, key="order-1")
        )
        assert driver.require_consistent(storage, list_id) == [first]

    def test_a_key_is_stored_once(self, storage: Storage) -> None:
        with storage.begin() as tx:
            tx.keys.put("order-1", "first", ("1",))
            tx.commit()
        must_refuse(StorageError, storage, lambda tx: tx.keys.put("order-1", "second", ("2",)))
        with storage.begin(write=False) as tx:
            assert tx.keys.get("order-1") == ("first", ("1",))

    def test_a_request_that_failed_leaves_its_key_unused(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        must_raise(CodesExhausted, lambda: driver.assign(storage, "user-1", list_id=list_id, key="order-1"))
        driver.upload(storage, list_id, ["A"])
        given, replayed = driver.assign(storage, "user-1", list_id=list_id, key="order-1")
        assert (given.code, replayed) == ("A", False)
