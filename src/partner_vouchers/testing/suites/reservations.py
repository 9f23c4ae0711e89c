"""Reservations, limits and refusals. A storage that raises `Unsupported` for one of them is not asked about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import wraps
from typing import Any

import pytest
from attrs import evolve

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.limits import Limit, Window
from partner_vouchers.domain.refusals import RefusalCount, RefusalReason
from partner_vouchers.domain.reservation import Reservation, ReservationState, new_reservation_id
from partner_vouchers.domain.stock import Counts
from partner_vouchers.errors import StorageError, Unsupported
from partner_vouchers.ports import Holding, LockedReservation, Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import START
from partner_vouchers.testing.hooks import StorageHooks, must_refuse

HOUR = timedelta(hours=1)
ALL_TIME = Window("", None, None)


def require_ability(storage: Storage, ability: str) -> None:
    """Skip the test if the storage says that it does not support an ability."""
    with storage.begin(write=False) as tx:
        try:
            getattr(tx, ability)
        except Unsupported as error:
            pytest.skip(str(error))


def require_days_counted(tx: Transaction, list_id: str) -> None:
    """Skip the test if the storage does not count codes a day."""
    try:
        tx.codes.given(list_id, None, None)
    except Unsupported as error:
        pytest.skip(str(error))


Test = Callable[[Any, Storage], None]


def needs(ability: str) -> Callable[[Test], Test]:
    """Mark a test of an ability that a storage may leave out."""

    def decorate(test: Test) -> Test:
        @wraps(test)
        def run(self: StorageHooks, storage: Storage) -> None:
            require_ability(storage, ability)
            test(self, storage)

        return run

    return decorate


def reserve(
    tx: Transaction,
    list_id: str,
    user_id: str,
    *,
    campaign_id: str | None = None,
    now: datetime = START,
    ttl: timedelta = HOUR,
) -> Reservation:
    """Take a code of a list and reserve it, without any rules."""
    [taken] = tx.codes.take(list_id, 1, reserve_until=now + ttl).codes
    reservation = Reservation(
        id=new_reservation_id(taken.id, f"{user_id}-{now:%H%M%S%f}"),
        code=taken.code,
        code_id=taken.id,
        user_id=user_id,
        campaign_id=campaign_id,
        list_id=list_id,
        reserved_at=now,
        expires_at=now + ttl,
    )
    tx.reservations.add([reservation])
    return reservation


def reserved(storage: Storage, list_id: str, user_id: str, **options: object) -> Reservation:
    """Reserve a code in a transaction."""
    return driver.in_transaction(storage, lambda tx: reserve(tx, list_id, user_id, **options))  # type: ignore[arg-type]


def end(storage: Storage, reservation: Reservation, state: ReservationState, at: datetime = START) -> None:
    """End a reservation in a transaction."""
    driver.in_transaction(storage, lambda tx: tx.reservations.end(reservation, state, at))


def counts(storage: Storage, list_id: str) -> Counts:
    """Return the counters of a list."""
    with storage.begin(write=False) as tx:
        return tx.codes.counts(list_id)


class DaySuite(StorageHooks):
    """What `ports.Codes.given` owes."""

    def test_codes_are_counted_by_the_day_on_which_they_are_taken(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C", "D", "E", "F"])
        other = driver.a_list(storage, ["A"], tag="other")
        days = [START, START, START + timedelta(days=2), START]

        def take(tx: Transaction, now: datetime | None) -> None:
            require_days_counted(tx, list_id)
            tx.codes.take(list_id, 1, now)

        for now in days:
            driver.in_transaction(storage, lambda tx, now=now: take(tx, now))  # type: ignore[misc]
        driver.in_transaction(storage, lambda tx: take(tx, None))
        first, last = START.date(), START.date() + timedelta(days=2)
        with storage.begin(write=False) as tx:
            given = tx.codes.given
            assert given(list_id, None, None) == {first: 3, last: 1}
            assert given(list_id, last, None) == {last: 1}
            assert given(list_id, None, first) == {first: 3}
            assert given(other, None, None) == given("x", None, None) == {}


class ReservationSuite(StorageHooks):
    """What `ports.Reservations` owes."""

    @needs("reservations")
    def test_a_reservation_is_kept_as_it_is_added(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        ours = reserved(storage, list_id, "user-1")
        campaign = reserved(storage, list_id, "üser-2", campaign_id="CMP1", ttl=2 * HOUR)
        with storage.begin(write=False) as tx:
            found = tx.reservations
            assert [found.get(ours.id), found.get(campaign.id), found.get("r")] == [ours, campaign, None]
            assert found.open_of_user("user-1", None, list_id) == [ours]
            assert found.open_of_user("user-1", "CMP1", None) == []
            assert found.open_of_user("üser-2", "CMP1", None) == [campaign]
            assert (found.of_user("user-1"), found.of_user("user-3")) == ([ours], [])
            assert found.of_list(list_id, None, 9) == [ours, campaign]
            assert found.of_list(list_id, None, 1) == [ours]
            assert ours.expires_at is not None
            assert found.of_list(list_id, (ours.expires_at, ours.id), 9) == [campaign]
        assert counts(storage, list_id) == Counts(uploaded=2, reserved=2)
        assert driver.stored(storage, list_id).counts == Counts(uploaded=2, reserved=2)

    @needs("reservations")
    def test_a_code_is_reserved_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        first = reserved(storage, list_id, "user-1")
        again = evolve(first, id=new_reservation_id(first.code_id, "again"), user_id="user-2")
        must_refuse(StorageError, storage, lambda tx: tx.reservations.add([again]))
        assert counts(storage, list_id) == Counts(uploaded=2, reserved=1)

    @needs("reservations")
    def test_a_reserved_code_is_not_taken(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        reserved(storage, list_id, "user-1")
        assert driver.remaining(storage, list_id) == ["B", "C"]
        with storage.begin() as tx:
            assert driver.codes_of(tx.codes.take(list_id, 9).codes) == ["B", "C"]

    @needs("reservations")
    def test_a_released_code_is_taken_before_all_others(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C", "D"])
        kept = reserved(storage, list_id, "user-1")
        gone = [reserved(storage, list_id, f"user-{number}") for number in (2, 3)]
        for each in gone[::-1]:
            end(storage, each, ReservationState.RELEASED)
        assert driver.remaining(storage, list_id) == ["B", "C", "D"]
        assert counts(storage, list_id) == Counts(uploaded=4, reserved=1)
        with storage.begin() as tx:
            assert sorted(driver.codes_of(tx.codes.take(list_id, 2).codes)) == ["B", "C"]
        with storage.begin() as tx:
            taken = tx.codes.take(list_id, 9)
            assert sorted(driver.codes_of(taken.codes)) == ["B", "C", "D"]
            assert taken.counts == Counts(uploaded=4, distributed=3, reserved=1)
            assert tx.codes.take(list_id, 9).codes in ([], ())
            stored = tx.reservations.get(gone[0].id)
            assert stored == evolve(gone[0], state=ReservationState.RELEASED, ended_at=START)
            assert tx.reservations.of_list(list_id, None, 9) == [kept]

    @needs("reservations")
    def test_a_confirmed_code_counts_as_distributed(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        ours = reserved(storage, list_id, "user-1")

        def confirm(tx: Transaction) -> Assignment:
            held = tx.reservations.get_for_update(ours.id)
            snapshot = driver.require_list(tx, list_id).snapshot
            assert held == LockedReservation(ours, 0, snapshot)
            tx.reservations.end(ours, ReservationState.CONFIRMED, START)
            given = Assignment(ours.code_id, ours.code, "user-1", None, 1, START, snapshot)
            tx.assignments.add([given])
            return given

        given = driver.in_transaction(storage, confirm)
        assert counts(storage, list_id) == Counts(uploaded=2, distributed=1)
        assert driver.require_consistent(storage, list_id) == [given]
        with storage.begin(write=False) as tx:
            assert tx.assignments.holding("user-1", None, list_id) == Holding(given, 1)
            stored = tx.reservations.get(ours.id)
        assert stored == evolve(ours, state=ReservationState.CONFIRMED, ended_at=START)

    @needs("reservations")
    def test_a_locked_reservation_comes_with_what_its_assignment_needs(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C", "D"])
        for _ in range(2):
            driver.assign(storage, "user-1", list_id=list_id, again=True)
        driver.assign(storage, "user-2", list_id=list_id)
        first = reserved(storage, list_id, "user-1")
        driver.change(storage, list_id, name="changed")
        end(storage, first, ReservationState.RELEASED)
        gone = evolve(first, state=ReservationState.RELEASED, ended_at=START)
        again = reserved(storage, list_id, "user-1", now=START + HOUR)
        with storage.begin() as tx:
            snapshot = driver.require_list(tx, list_id).snapshot
            assert snapshot.name == "changed"
            found = [tx.reservations.get_for_update(each.id) for each in (again, gone)]
            assert found == [LockedReservation(each, 2, snapshot) for each in (again, gone)]
            assert tx.reservations.get_for_update("1-x") is None

    @needs("reservations")
    def test_a_reservation_ends_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        ours = reserved(storage, list_id, "user-1")
        end(storage, ours, ReservationState.RELEASED)
        for state in (ReservationState.RELEASED, ReservationState.CONFIRMED):
            must_refuse(StorageError, storage, lambda tx, s=state: tx.reservations.end(ours, s, START))  # type: ignore[misc]
        assert counts(storage, list_id) == Counts(uploaded=1)

    @needs("reservations")
    def test_what_was_not_committed_is_not_reserved(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        ours = reserved(storage, list_id, "user-1")
        with storage.begin() as tx:
            reserve(tx, list_id, "user-2")
            tx.reservations.end(ours, ReservationState.RELEASED, START)
        assert counts(storage, list_id) == Counts(uploaded=2, reserved=1)
        assert driver.remaining(storage, list_id) == ["B"]
        with storage.begin(write=False) as tx:
            assert tx.reservations.of_list(list_id, None, 9) == [ours]

    @needs("reservations")
    def test_taking_reports_a_reservation_that_has_run_out(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        soon, later = reserved(storage, list_id, "user-1"), reserved(storage, list_id, "user-2", ttl=2 * HOUR)
        with storage.begin() as tx:
            before = tx.codes.take(list_id, 1, START + HOUR - timedelta(microseconds=1))
            assert (driver.codes_of(before.codes), before.run_out) == (["C"], False)
        with storage.begin() as tx:
            taken = tx.codes.take(list_id, 1, START + HOUR)
            assert (list(taken.codes), taken.run_out) == ([], True)
            assert taken.counts == Counts(uploaded=3, reserved=2)
            ended = tx.reservations.end_run_out(START + HOUR, 9, list_id=list_id)
            expired = evolve(soon, state=ReservationState.EXPIRED, ended_at=START + HOUR)
            assert ended == [expired]
            assert tx.reservations.end_run_out(START + HOUR, 9, list_id=list_id) == []
            after = tx.codes.take(list_id, 1, START + HOUR, reserve_until=START + 3 * HOUR)
            assert (driver.codes_of(after.codes), after.run_out) == (["A"], False)
            again = new_reservation_id(soon.code_id, "again")
            tx.reservations.add([evolve(soon, id=again, user_id="user-3", expires_at=START + 3 * HOUR)])
            tx.commit()
        with storage.begin(write=False) as tx:
            assert tx.reservations.get(soon.id) == expired
            assert [each.id for each in tx.reservations.of_list(list_id, None, 9)] == [later.id, again]
        assert counts(storage, list_id) == Counts(uploaded=3, reserved=2)

    @needs("reservations")
    def test_without_an_instant_taking_takes_no_notice_of_reservations(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        reserved(storage, list_id, "user-1")
        with storage.begin() as tx:
            assert driver.codes_of(tx.codes.take(list_id, 9).codes) == ["B"]

    @needs("reservations")
    def test_the_oldest_end_first_and_no_more_than_asked(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(5))
        other = driver.a_list(storage, ["X"], tag="other")
        hours = (3, 1, 2, 4)
        made = [reserved(storage, list_id, f"user-{hour}", ttl=hour * HOUR) for hour in hours]
        reserved(storage, other, "user-1")
        with storage.begin() as tx:
            assert tx.reservations.run_out([list_id, other], START) == {}
            assert tx.reservations.run_out([list_id, other], START + 3 * HOUR) == {list_id: 3, other: 1}
            assert tx.reservations.run_out([], START + 3 * HOUR) == {}
            first = tx.reservations.end_run_out(START + 3 * HOUR, 2, list_id=list_id)
            assert [each.id for each in first] == [made[1].id, made[2].id]
            rest = tx.reservations.end_run_out(START + 3 * HOUR, 2, list_id=list_id)
            assert [each.id for each in rest] == [made[0].id]
            tx.commit()
        assert counts(storage, list_id) == Counts(uploaded=5, reserved=1)
        assert counts(storage, other) == Counts(uploaded=1, reserved=1)

    @needs("reservations")
    def test_those_of_a_campaign_end_in_all_lists(self, storage: Storage) -> None:
        lists = [driver.a_list(storage, [f"{tag}1", f"{tag}2"], tag=tag) for tag in "xy"]
        ours = [reserved(storage, each, "user-1", campaign_id="CMP1") for each in lists]
        reserved(storage, lists[0], "user-1")
        with storage.begin() as tx:
            ended = tx.reservations.end_run_out(START + HOUR, 9, campaign_id="CMP1")
            assert sorted(each.id for each in ended) == sorted(each.id for each in ours)
            tx.commit()
        assert [counts(storage, each).reserved for each in lists] == [1, 0]

    @needs("reservations")
    def test_a_code_that_returns_to_a_withdrawn_upload_is_withdrawn(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        second = driver.upload(storage, list_id, ["C"]).upload.id
        with storage.begin(write=False) as tx:
            [first] = [each.id for each in tx.uploads.find(list_id, None, None, 9) if each.id != second]
        ours, gone = reserved(storage, list_id, "user-1"), reserved(storage, list_id, "user-2")
        end(storage, gone, ReservationState.RELEASED)
        scope = driver.stored(storage, list_id).scope

        def is_held(code: str) -> bool:
            with storage.begin(write=False) as tx:
                return tx.codes.holder(scope, code, lambda state: True) is not None

        assert is_held("A")
        assert is_held("B")
        assert driver.in_transaction(storage, lambda tx: tx.codes.withdraw(first)) == 1
        assert (is_held("A"), is_held("B")) == (True, False)
        assert driver.remaining(storage, list_id) == ["C"]
        assert counts(storage, list_id) == Counts(uploaded=3, reserved=1, withdrawn=1)
        end(storage, ours, ReservationState.RELEASED)
        assert counts(storage, list_id) == Counts(uploaded=3, withdrawn=2)
        assert not is_held("A")
        assert driver.remaining(storage, list_id) == ["C"]
        assert driver.upload(storage, list_id, ["A", "B"]).accepted == 2

    @needs("reservations")
    def test_an_upload_of_which_all_is_reserved_can_be_withdrawn(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        with storage.begin(write=False) as tx:
            [upload] = tx.uploads.find(list_id, None, None, 9)
        ours = reserved(storage, list_id, "user-1")
        assert driver.in_transaction(storage, lambda tx: tx.codes.withdraw(upload.id)) == 0
        end(storage, ours, ReservationState.RELEASED)
        assert counts(storage, list_id) == Counts(uploaded=1, withdrawn=1)

    @needs("reservations")
    def test_reserved_and_returned_codes_are_duplicates(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        reserved(storage, list_id, "user-1")
        end(storage, reserved(storage, list_id, "user-2"), ReservationState.RELEASED)
        assert driver.upload(storage, list_id, ["A", "B", "C", "D"]).accepted == 1

    @needs("reservations")
    def test_a_user_has_what_is_assigned_and_reserved(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(list_id))
            tx.commit()
        ours = reserved(storage, list_id, "user-1", campaign_id="CMP1")
        given, _ = driver.assign(storage, "user-2", campaign_id="CMP1")
        expected = {"user-1": Holding(has_reservation=True), "user-2": Holding(given, 1)}
        with storage.begin() as tx:
            assert tx.assignments.holdings(["user-1", "user-2", "user-3"], "CMP1", None) == expected
            for user_id in ("user-1", "user-2", "user-3"):
                found = tx.assignments.holding(user_id, "CMP1", None)
                assert found == expected.get(user_id, Holding()), user_id
            assert tx.assignments.holding("user-1", None, list_id) == Holding()
        end(storage, ours, ReservationState.RELEASED)
        with storage.begin() as tx:
            assert tx.assignments.holding("user-1", "CMP1", None) == Holding()

    @needs("reservations")
    def test_ended_reservations_are_removed_and_others_stay(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(4))
        made = [reserved(storage, list_id, f"user-{number}") for number in range(4)]
        end(storage, made[0], ReservationState.RELEASED, START)
        end(storage, made[1], ReservationState.RELEASED, START + HOUR)
        end(storage, made[2], ReservationState.CONFIRMED, START)
        with storage.begin() as tx:
            assert tx.reservations.remove_ended(START + timedelta(microseconds=1), 9) == 1
            assert tx.reservations.remove_ended(START + timedelta(days=9), 1) == 1
            assert tx.reservations.remove_ended(START + timedelta(days=9), 9) == 0
            tx.commit()
        with storage.begin(write=False) as tx:
            kept = [tx.reservations.get(each.id) is not None for each in made]
        assert kept == [False, False, True, True]

    @needs("reservations")
    def test_a_reserved_code_counts_on_the_day_of_its_confirmation(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        next_day = START + timedelta(days=1)

        def work(tx: Transaction) -> None:
            require_days_counted(tx, list_id)
            codes = tx.codes.take(list_id, 2, START, reserve_until=START + 48 * HOUR).codes
            made = [
                Reservation(
                    id=f"r-{each.id}",
                    code=each.code,
                    code_id=each.id,
                    user_id="user-1",
                    campaign_id=None,
                    list_id=list_id,
                    reserved_at=START,
                    expires_at=START + 48 * HOUR,
                )
                for each in codes
            ]
            tx.reservations.add(made)
            tx.codes.take(list_id, 1, START)
            tx.reservations.end(made[0], ReservationState.CONFIRMED, next_day)
            tx.reservations.end(made[1], ReservationState.RELEASED, next_day)

        driver.in_transaction(storage, work)
        with storage.begin(write=False) as tx:
            assert tx.codes.given(list_id, None, None) == {START.date(): 1, next_day.date(): 1}


class LimitSuite(StorageHooks):
    """What `ports.Limits` owes."""

    @needs("limits")
    def test_limits_are_kept_in_order_and_replaced(self, storage: Storage) -> None:
        limits = (
            Limit(5_000, per="campaign"),
            Limit(1, per="user", period="month", zone="Asia/Kolkata"),
        )
        driver.in_transaction(storage, lambda tx: tx.limits.replace("CMP1", limits, {"": 7}))
        with storage.begin() as tx:
            assert tx.limits.get("CMP1") == limits
            assert tx.limits.get_for_update("CMP1") == limits
            assert tx.limits.get("CMP2") == ()
            assert tx.limits.counts("CMP1", ["", "day"]) == {"": 7, "day": 0}
            tx.limits.replace("CMP1", limits[:1], {})
            tx.commit()
        with storage.begin() as tx:
            assert tx.limits.get("CMP1") == limits[:1]
            assert tx.limits.counts("CMP1", [""]) == {"": 0}

    @needs("limits")
    def test_an_offer_has_the_limits_of_the_campaign(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(list_id))
            tx.commit()
        for limits in ((Limit(5, per="user"),), (Limit(6, per="user"),), ()):
            driver.in_transaction(storage, lambda tx, now=limits: tx.limits.replace("CMP1", now, {}))  # type: ignore[misc]
            for write in (True, False):
                with storage.begin(write=write) as tx:
                    offer = tx.campaigns.offer("CMP1")
                    assert offer.limits == limits
                    assert list(offer.lists) == tx.campaigns.of_campaign("CMP1")
                    assert [each.id for _, each in offer.lists] == [list_id]

    @needs("limits")
    def test_counts_go_up_and_down(self, storage: Storage) -> None:
        def count(keys: list[str], codes: int) -> dict[str, int]:
            driver.in_transaction(storage, lambda tx: tx.limits.count("CMP1", keys, codes))
            with storage.begin() as tx:
                return tx.limits.counts_for_update("CMP1", {"": 10, "day": 10}, 1)

        driver.in_transaction(storage, lambda tx: tx.limits.replace("CMP1", [], {"": 0}))
        assert count(["", "day"], 3) == {"": 3, "day": 3}
        assert count([""], -1) == {"": 2, "day": 3}
        assert count(["never"], -1) == {"": 2, "day": 3}
        with storage.begin() as tx:
            assert tx.limits.counts("CMP1", ["never"]) == {"never": 0}
            assert tx.limits.counts("CMP2", [""]) == {"": 0}

    @needs("limits")
    def test_codes_count_when_they_were_reserved_or_else_assigned(self, storage: Storage) -> None:
        require_ability(storage, "reservations")
        list_id = driver.a_list(storage, driver.some_codes(5))
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(list_id))
            tx.commit()
        driver.assign(storage, "user-1", campaign_id="CMP1", now=START)
        driver.assign(storage, "user-2", campaign_id="CMP1", now=START + HOUR)
        ours = reserved(storage, list_id, "user-1", campaign_id="CMP1", now=START - HOUR)
        reserved(storage, list_id, "user-1", now=START)

        def confirm(tx: Transaction) -> None:
            tx.reservations.end(ours, ReservationState.CONFIRMED, START)
            terms = driver.require_list(tx, list_id).snapshot
            tx.assignments.add([Assignment(ours.code_id, ours.code, "user-1", "CMP1", 2, START, terms)])

        users = ["user-1", "user-2", "user-3"]
        before, hour = Window("a", None, START), Window("b", START, START + HOUR)

        def check() -> None:
            with storage.begin() as tx:
                limits = tx.limits
                assert [limits.given("CMP1", each) for each in (ALL_TIME, before, hour)] == [3, 1, 1]
                assert limits.given("CMP2", ALL_TIME) == 0
                now = START - HOUR
                assert limits.given_to(users, "CMP1", ALL_TIME, now) == {"user-1": 2, "user-2": 1}
                assert limits.given_to(users, "CMP1", before, now) == {"user-1": 1}
                assert limits.given_to(users, "CMP1", hour, now) == {"user-1": 1}

        check()
        with storage.begin() as tx:
            assert tx.limits.given_to(users, "CMP1", before, START) == {}
        driver.in_transaction(storage, confirm)
        check()


class RefusalSuite(StorageHooks):
    """What `ports.Refusals` owes."""

    @needs("refusals")
    def test_refusals_add_up(self, storage: Storage) -> None:
        monday, tuesday = date(2026, 11, 23), date(2026, 11, 24)
        first = [
            RefusalCount(tuesday, RefusalReason.EXHAUSTED, None, 2),
            RefusalCount(tuesday, RefusalReason.EXHAUSTED, "10", 2),
            RefusalCount(monday, RefusalReason.USER_LIMIT, None, 1),
        ]
        driver.in_transaction(storage, lambda tx: tx.refusals.add("CMP1", first))
        again = [
            RefusalCount(tuesday, RefusalReason.EXHAUSTED, None, 3),
            RefusalCount(tuesday, RefusalReason.EXHAUSTED, "9", 3),
        ]
        driver.in_transaction(storage, lambda tx: tx.refusals.add("CMP1", again))
        expected = [
            RefusalCount(monday, RefusalReason.USER_LIMIT, None, 1),
            RefusalCount(tuesday, RefusalReason.EXHAUSTED, None, 5),
            RefusalCount(tuesday, RefusalReason.EXHAUSTED, "9", 3),
            RefusalCount(tuesday, RefusalReason.EXHAUSTED, "10", 2),
        ]
        with storage.begin(write=False) as tx:
            assert tx.refusals.of_campaign("CMP1", None, None) == expected
            assert tx.refusals.of_campaign("CMP1", tuesday, None) == expected[1:]
            assert tx.refusals.of_campaign("CMP1", None, monday) == expected[:1]
            assert tx.refusals.of_campaign("CMP2", None, None) == []
