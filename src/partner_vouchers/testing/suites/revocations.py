"""Codes that were taken back. A storage that raises `Unsupported` for them is not asked about them."""

from __future__ import annotations

from datetime import datetime, timedelta

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.duplicates import counts_for_duplicates
from partner_vouchers.domain.limits import Window
from partner_vouchers.domain.revocation import Revocation
from partner_vouchers.domain.stock import Counts
from partner_vouchers.errors import StorageError
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import START
from partner_vouchers.testing.hooks import StorageHooks, must_refuse
from partner_vouchers.testing.suites.reservations import counts, needs

LATER = START + timedelta(hours=1)


def give(
    storage: Storage, list_id: str, user_id: str, *, campaign_id: str | None = None, ordinal: int = 1
) -> Assignment:
    """Take a code of a list and assign it, without any rules."""

    def work(tx: Transaction) -> Assignment:
        found = tx.lists.get(list_id)
        assert found is not None
        [taken] = tx.codes.take(list_id, 1, START).codes
        given = Assignment(taken.id, taken.code, user_id, campaign_id, ordinal, START, found.snapshot)
        tx.assignments.add([given])
        return given

    return driver.in_transaction(storage, work)


def revoke(
    storage: Storage, given: Assignment, *, restocked: bool = False, at: datetime = LATER
) -> Revocation:
    """Revoke an assignment, without any rules."""

    def work(tx: Transaction) -> Revocation:
        found = tx.revocations.get_for_update(given.id)
        assert found is not None
        revocation = Revocation(found, at, "ops@example.com", "refünd", restocked)
        tx.revocations.add(revocation)
        return revocation

    return driver.in_transaction(storage, work)


class RevocationSuite(StorageHooks):
    """What `ports.Revocations` owes."""

    @needs("revocations")
    def test_a_revocation_is_kept_as_it_is_added(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        given = give(storage, list_id, "user-1")
        kept = give(storage, list_id, "user-2")
        made = revoke(storage, given)
        assert made.assignment == given
        with storage.begin(write=False) as tx:
            found = tx.revocations.get(given.id)
            assert found is not None
            assert (found.revoked_at, found.actor, found.reason, found.restocked) == (
                LATER,
                "ops@example.com",
                "refünd",
                False,
            )
            assert [tx.revocations.get(kept.id), tx.revocations.get("7"), tx.revocations.get("x")] == [
                None
            ] * 3
            shown = tx.assignments.of_user("user-1")
            assert [each.revoked_at for each in shown] == [LATER]
            assert tx.assignments.get_many([given.id, kept.id]) == [*shown, kept]
            assert tx.assignments.of_list(list_id, None, 9) == [*shown, kept]
            assert tx.assignments.of_code("A") == shown
        assert counts(storage, list_id) == Counts(uploaded=2, distributed=1, retired=1)
        assert [entry.event for entry in driver.outbox(storage)][-1] == found.event

    @needs("revocations")
    def test_an_assignment_is_revoked_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        given = give(storage, list_id, "user-1")
        again = revoke(storage, given)
        must_refuse(StorageError, storage, lambda tx: tx.revocations.add(again))
        assert counts(storage, list_id) == Counts(uploaded=1, retired=1)

    @needs("revocations")
    def test_a_retired_code_is_never_taken_and_stays_a_duplicate(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        revoke(storage, give(storage, list_id, "user-1"))
        with storage.begin() as tx:
            assert tx.codes.take(list_id, 1).codes == []
            found = tx.lists.get(list_id)
            assert found is not None
            holder = tx.codes.holder(found.scope, "A", counts_for_duplicates)
            assert holder is not None
            assert holder.list_id == list_id

    @needs("revocations")
    def test_a_restocked_code_is_a_new_entry_that_is_taken_first(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        first = give(storage, list_id, "user-1")
        revoke(storage, first, restocked=True)
        assert counts(storage, list_id) == Counts(uploaded=2)
        with storage.begin(write=False) as tx:
            assert {each.code for each in tx.codes.remaining(list_id, None, 9)} == {"A", "B"}
        second = give(storage, list_id, "user-2")
        assert (second.code, second.id == first.id) == ("A", False)
        revoke(storage, second, restocked=True)
        third = give(storage, list_id, "user-3")
        assert (third.code, {third.id} & {first.id, second.id}) == ("A", set())
        with storage.begin(write=False) as tx:
            assert [each.user_id for each in tx.assignments.of_code("A")] == ["user-1", "user-2", "user-3"]
            assert [each.user_id for each in tx.assignments.of_list(list_id, None, 9)] == [
                "user-1",
                "user-2",
                "user-3",
            ]
            found = tx.lists.get(list_id)
            assert found is not None
            holder = tx.codes.holder(found.scope, "A", counts_for_duplicates)
            assert holder is not None
            assert holder.list_id == list_id
        told = [entry.event for entry in driver.outbox(storage)]
        assert [first.event, second.event, third.event] == [
            each for each in told if each in (first.event, second.event, third.event)
        ]
        assert counts(storage, list_id) == Counts(uploaded=2, distributed=1)

    @needs("revocations")
    def test_a_restocked_code_is_withdrawn_with_its_upload(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, [])
        upload_id = driver.upload(storage, list_id, ["A", "B"]).upload.id
        given = give(storage, list_id, "user-1")
        revoke(storage, given, restocked=True)
        with storage.begin() as tx:
            assert not tx.revocations.upload_is_withdrawn(given.id)
            assert tx.codes.withdraw(upload_id) == 2
            assert tx.revocations.upload_is_withdrawn(given.id)
            tx.commit()
        assert counts(storage, list_id) == Counts(uploaded=2, withdrawn=2)
        with storage.begin() as tx:
            assert tx.codes.take(list_id, 1).codes == []
            found = tx.lists.get(list_id)
            assert found is not None
            assert tx.codes.holder(found.scope, "A", counts_for_duplicates) is None

    @needs("revocations")
    def test_the_latest_code_that_is_not_revoked_is_held(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        given = [give(storage, list_id, "user-1", campaign_id="CMP", ordinal=number) for number in (1, 2, 3)]
        expected = [(given[2], 3), (given[1], 3), (given[0], 3), (None, 3)]
        for held, last in expected:
            with storage.begin() as tx:
                found = tx.assignments.holding("user-1", "CMP", None)
                assert (found.held, found.last_ordinal) == (held, last)
                assert tx.assignments.holdings(["user-1", "user-2"], "CMP", None) == {"user-1": found}
            if held is not None:
                revoke(storage, held)

    @needs("revocations")
    @needs("limits")
    def test_a_revoked_code_counts_against_no_limit(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        given = give(storage, list_id, "user-1", campaign_id="CMP")
        give(storage, list_id, "user-1", campaign_id="CMP", ordinal=2)
        revoke(storage, given)
        all_time = Window("", None, None)
        with storage.begin() as tx:
            assert tx.limits.given("CMP", all_time) == 1
            assert tx.limits.given_to(["user-1"], "CMP", all_time, LATER) == {"user-1": 1}

    @needs("revocations")
    def test_the_event_of_an_assignment_is_found_until_it_is_removed(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        given = [give(storage, list_id, f"user-{number}") for number in range(3)]
        entries = driver.outbox(storage)
        places = {entry.event: entry.position for entry in entries}
        revoke(storage, given[0])
        with storage.begin() as tx:
            positions = [tx.revocations.event_position(each.id) for each in given]
            assert positions == [places[each.event] for each in given]
            unsent = tx.revocations.unsent([entry.position for entry in entries])
            assert unsent.cancelled == {places[given[0].event]}
            assert not unsent.uncertain
            assert tx.revocations.unsent([places[given[1].event]]).cancelled == frozenset()
            tx.outbox.remove(places[given[1].event])
            assert tx.revocations.event_position(given[1].id) is None
            assert tx.revocations.event_position(given[2].id) == places[given[2].event]
