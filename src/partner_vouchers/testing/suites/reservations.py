"""Reservations, limits and refusals: what the machine cannot see through the library."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from attrs import evolve

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.limits import Limit
from partner_vouchers.domain.refusals import RefusalCount, RefusalReason
from partner_vouchers.domain.reservation import Reservation, ReservationState, new_reservation_id
from partner_vouchers.domain.stock import Counts
from partner_vouchers.errors import StorageError
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import START
from partner_vouchers.testing.hooks import StorageHooks, must_refuse, needs

HOUR = timedelta(hours=1)


def reserve(
    tx: Transaction,
    list_id: str,
    user_id: str,
    *,
    campaign_id: str | None = None,
    now: datetime = START,
    hours: float = 1,
) -> Reservation:
    """Take a code of a list and reserve it, whatever the rules say."""
    expires_at = now + hours * HOUR
    [taken] = tx.codes.take(list_id, 1, reserve_until=expires_at).codes
    reservation = Reservation(
        id=new_reservation_id(taken.id, f"{user_id}-{now:%H%M%S%f}"),
        code=taken.code,
        code_id=taken.id,
        user_id=user_id,
        campaign_id=campaign_id,
        list_id=list_id,
        reserved_at=now,
        expires_at=expires_at,
    )
    tx.reservations.add([reservation])
    return reservation


def reserved(storage: Storage, list_id: str, user_id: str, **options: object) -> Reservation:
    """Reserve a code in a transaction."""
    return driver.in_transaction(storage, lambda tx: reserve(tx, list_id, user_id, **options))  # type: ignore[arg-type]


def confirm(tx: Transaction, reservation: Reservation) -> None:
    """Confirm a reservation, and store its assignment."""
    given = tx.reservations.confirm(reservation.id, START)
    assert given is not None
    tx.assignments.add([given])


class ReservationSuite(StorageHooks):
    """Tests of `ports.Reservations`."""

    @needs("reservations")
    def test_an_open_reservation_becomes_an_assignment(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(5))
        for ordinal in (1, 2):
            driver.give(storage, list_id, "user-1", ordinal=ordinal)
        ours = reserved(storage, list_id, "user-1")
        gone = reserved(storage, list_id, "user-1")
        driver.change(storage, list_id, name="changed")
        before = driver.stored(storage, list_id).counts
        with driver.committing(storage) as tx:
            assert tx.reservations.get_for_update(gone.id) == gone
            tx.reservations.end(gone, ReservationState.RELEASED, START)
            released = evolve(gone, state=ReservationState.RELEASED, ended_at=START)
            assert tx.reservations.get_for_update(gone.id) == released
            assert tx.reservations.get_for_update("1-x") is None
            for reservation_id in (gone.id, "1-x", f"{ours.id}x"):
                assert tx.reservations.confirm(reservation_id, START) is None
            assert tx.reservations.confirm(ours.id, START + HOUR) is None
            given = tx.reservations.confirm(ours.id, START + HOUR / 2)
            snapshot = driver.require_list(tx, list_id).snapshot
            assert given == Assignment(ours.code_id, ours.code, "user-1", None, 3, START + HOUR / 2, snapshot)
            tx.assignments.add([given])
            assert tx.reservations.confirm(ours.id, START) is None
            confirmed = evolve(ours, state=ReservationState.CONFIRMED, ended_at=START + HOUR / 2)
            assert tx.reservations.get_for_update(ours.id) == confirmed
        after = driver.stored(storage, list_id).counts
        assert after == evolve(before, reserved=0, distributed=before.distributed + 1)

    @needs("reservations")
    def test_a_code_is_reserved_once_and_a_reservation_ends_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        first = reserved(storage, list_id, "user-1")
        again = evolve(first, id=new_reservation_id(first.code_id, "again"), user_id="user-2")
        must_refuse(StorageError, storage, lambda tx: tx.reservations.add([again]))
        assert driver.stored(storage, list_id).counts == Counts(uploaded=2, reserved=1)

        def end(tx: Transaction, state: ReservationState) -> None:
            tx.reservations.end(first, state, START)

        driver.in_transaction(storage, lambda tx: end(tx, ReservationState.RELEASED))
        must_refuse(StorageError, storage, lambda tx: end(tx, ReservationState.RELEASED))
        must_refuse(StorageError, storage, lambda tx: end(tx, ReservationState.EXPIRED))
        with storage.begin(write=False) as tx:
            released = evolve(first, state=ReservationState.RELEASED, ended_at=START)
            assert tx.reservations.get(first.id) == released
        assert driver.stored(storage, list_id).counts == Counts(uploaded=2)

    @needs("reservations")
    def test_taking_reports_a_reservation_that_has_run_out(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        soon, later = reserved(storage, list_id, "user-1"), reserved(storage, list_id, "user-2", hours=2)
        for now in (START + HOUR - timedelta(microseconds=1), None):
            with storage.begin() as tx:
                before = tx.codes.take(list_id, 1, now)
                assert (driver.codes_of(before.codes), before.run_out) == (["C"], False)
        with storage.begin() as tx:
            taken = tx.codes.take(list_id, 1, START + HOUR)
            assert (list(taken.codes), taken.run_out) == ([], True)
            assert taken.counts == Counts(uploaded=3, reserved=2)
            passed_over = tx.codes.take(list_id, 9, START + HOUR, run_out_first=False)
            assert driver.codes_of(passed_over.codes) == ["C"]
        with driver.committing(storage) as tx:
            ended = tx.reservations.end_run_out(START + HOUR, 9, list_id=list_id)
            expired = evolve(soon, state=ReservationState.EXPIRED, ended_at=START + HOUR)
            assert ended == [expired]
            assert tx.reservations.end_run_out(START + HOUR, 9, list_id=list_id) == []
            after = tx.codes.take(list_id, 1, START + HOUR, reserve_until=START + 3 * HOUR)
            assert (driver.codes_of(after.codes), after.run_out) == (["A"], False)
            again = new_reservation_id(soon.code_id, "again")
            tx.reservations.add([evolve(soon, id=again, user_id="user-3", expires_at=START + 3 * HOUR)])
        with storage.begin(write=False) as tx:
            assert tx.reservations.get(soon.id) == expired
            assert [each.id for each in tx.reservations.of_list(list_id, None, 9)] == [later.id, again]

    @needs("reservations")
    def test_the_oldest_end_first_and_no_more_than_asked(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(5))
        other = driver.a_list(storage, ["X"], tag="other")
        made = [reserved(storage, list_id, f"user-{hours}", hours=hours) for hours in (3, 1, 2, 4)]
        reserved(storage, other, "user-1")
        late = START + 3 * HOUR
        with driver.committing(storage) as tx:
            assert tx.reservations.run_out([list_id, other], START) == {}
            assert tx.reservations.run_out([list_id, other], late) == {list_id: (3, 0), other: (1, 0)}
            assert tx.reservations.run_out([], late) == {}
            for expected in ([made[1].id, made[2].id], [made[0].id]):
                ended = tx.reservations.end_run_out(late, 2, list_id=list_id)
                assert [each.id for each in ended] == expected
        assert driver.stored(storage, list_id).counts == Counts(uploaded=5, reserved=1)
        assert driver.stored(storage, other).counts == Counts(uploaded=1, reserved=1)

    @needs("reservations")
    def test_those_of_a_withdrawn_upload_are_counted_on_their_own(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        for user in ("user-1", "user-2"):
            reserved(storage, list_id, user)
        upload = driver.upload(storage, list_id, ["C", "D"])
        reserved(storage, list_id, "user-3")
        with driver.committing(storage) as tx:
            assert tx.codes.withdraw(upload.id) == 1
            assert tx.reservations.run_out([list_id], START + HOUR) == {list_id: (3, 1)}
            assert tx.reservations.run_out(None, START + HOUR) == {list_id: (3, 1)}
            assert tx.reservations.run_out(None, START) == {}
            assert len(tx.reservations.end_run_out(START + HOUR, 9, list_id=list_id)) == 3
        assert driver.stored(storage, list_id).counts == Counts(uploaded=4, withdrawn=2)
        assert sorted(driver.remaining(storage, list_id)) == ["A", "B"]

    @needs("reservations")
    def test_a_list_knows_of_codes_that_came_back(self, storage: Storage) -> None:
        released, confirmed, untouched = (driver.a_list(storage, ["A", "B"], tag=tag) for tag in "xyz")
        driver.in_transaction(
            storage,
            lambda tx: tx.reservations.end(reserve(tx, released, "user-1"), ReservationState.RELEASED, START),
        )
        driver.in_transaction(storage, lambda tx: confirm(tx, reserve(tx, confirmed, "user-1")))
        with storage.begin(write=False) as tx:
            found = [
                tx.reservations.has_returned(each) for each in (released, confirmed, untouched, "999", "x")
            ]
        assert found == [True, False, False, False, False]

    @needs("reservations")
    def test_those_of_a_campaign_end_in_all_lists(self, storage: Storage) -> None:
        lists = [driver.a_list(storage, [f"{tag}1", f"{tag}2"], tag=tag) for tag in "xy"]
        ours = [reserved(storage, each, "user-1", campaign_id="CMP1") for each in lists]
        reserved(storage, lists[0], "user-1")
        with driver.committing(storage) as tx:
            ended = tx.reservations.end_run_out(START + HOUR, 9, campaign_id="CMP1")
            assert sorted(each.id for each in ended) == sorted(each.id for each in ours)
        assert [driver.stored(storage, each).counts.reserved for each in lists] == [1, 0]

    @needs("reservations")
    def test_ended_reservations_are_removed_and_others_stay(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(4))
        made = [reserved(storage, list_id, f"user-{number}") for number in range(4)]
        with driver.committing(storage) as tx:
            tx.reservations.end(made[0], ReservationState.RELEASED, START)
            tx.reservations.end(made[1], ReservationState.RELEASED, START + HOUR)
            confirm(tx, made[2])
        with storage.begin() as tx:
            assert tx.reservations.remove_ended(START + timedelta(microseconds=1), 9) == 1
            assert tx.reservations.remove_ended(START + timedelta(days=9), 1) == 1
            assert tx.reservations.remove_ended(START + timedelta(days=9), 9) == 0
            kept = [tx.reservations.get(each.id) is not None for each in made]
        assert kept == [False, False, True, True]


class LimitSuite(StorageHooks):
    """Tests of `ports.Limits` and `ports.Refusals`."""

    @needs("limits")
    def test_codes_are_counted_where_there_is_room_in_each_window(self, storage: Storage) -> None:
        with driver.committing(storage) as tx:
            tx.limits.replace("CMP1", [Limit(2, per="campaign")], {"": 0})
            within = tx.limits.count_within
            assert [within("CMP1", {"": 2}, 1) for _ in range(3)] == [True, True, False]
            assert [within("CMP1", {"": 9, "day": most}, 1) for most in (0, 1)] == [False, True]
            assert within("CMP2", {"": 1}, 1)
        with storage.begin(write=False) as tx:
            assert tx.limits.counts("CMP1", ["", "day"]) == {"": 3, "day": 1}
            assert tx.limits.counts("CMP2", [""]) == {"": 1}

    @needs("limits")
    def test_limits_and_counts_are_replaced_together(self, storage: Storage) -> None:
        limits = (Limit(5_000, per="campaign"), Limit(1, per="user", period="month", zone="Asia/Kolkata"))

        def count(keys: list[str], codes: int) -> dict[str, int]:
            driver.in_transaction(storage, lambda tx: tx.limits.count("CMP1", keys, codes))
            with storage.begin() as tx:
                return tx.limits.counts_for_update("CMP1", {"": 10, "day": 10}, 1)

        driver.in_transaction(storage, lambda tx: tx.limits.replace("CMP1", limits, {"": 7}))
        assert count(["", "day"], 3) == {"": 10, "day": 3}
        assert count([""], -1) == {"": 9, "day": 3}
        # It goes down only where something was counted.
        assert count(["never"], -1) == {"": 9, "day": 3}
        with driver.committing(storage) as tx:
            assert tx.limits.get("CMP1") == tx.limits.get_for_update("CMP1") == limits
            assert tx.limits.get("CMP2") == ()
            assert tx.limits.counts("CMP1", ["", "never"]) == {"": 9, "never": 0}
            assert tx.limits.counts("CMP2", [""]) == {"": 0}
            tx.limits.replace("CMP1", limits[:1], {})
        with storage.begin() as tx:
            assert tx.limits.get("CMP1") == limits[:1]
            assert tx.limits.counts("CMP1", ["", "day"]) == {"": 0, "day": 0}

    @needs("refusals")
    def test_refusals_add_up(self, storage: Storage) -> None:
        monday, tuesday = date(2026, 11, 23), date(2026, 11, 24)
        exhausted = RefusalReason.EXHAUSTED
        added = [
            [
                (tuesday, exhausted, None, 2),
                (tuesday, exhausted, "10", 2),
                (monday, RefusalReason.USER_LIMIT, None, 1),
            ],
            [(tuesday, exhausted, None, 3), (tuesday, exhausted, "9", 3)],
        ]
        for each in added:
            counts = [RefusalCount(*row) for row in each]
            driver.in_transaction(storage, lambda tx, counts=counts: tx.refusals.add("CMP1", counts))  # type: ignore[misc]
        expected = [
            RefusalCount(monday, RefusalReason.USER_LIMIT, None, 1),
            RefusalCount(tuesday, exhausted, None, 5),
            RefusalCount(tuesday, exhausted, "9", 3),
            RefusalCount(tuesday, exhausted, "10", 2),
        ]
        with storage.begin(write=False) as tx:
            assert tx.refusals.of_campaign("CMP1", None, None) == expected
            assert tx.refusals.of_campaign("CMP1", tuesday, None) == expected[1:]
            assert tx.refusals.of_campaign("CMP1", None, monday) == expected[:1]
            assert tx.refusals.of_campaign("CMP2", None, None) == []
