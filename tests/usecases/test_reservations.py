"""A code is set aside for a user, until it is confirmed, released, or has run out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers import PerPartner, RepeatPolicy, Reservation, ReservationState, VoucherRewarded
from partner_vouchers.domain.uploads import WarningKind
from partner_vouchers.errors import (
    AlreadyConfirmed,
    CodesExhausted,
    IdempotencyConflict,
    InvalidInput,
    ListDistributed,
    NoActiveList,
    ReservationExpired,
    ReservationReleased,
    UnknownAssignment,
    UnknownList,
    UnknownReservation,
)
from partner_vouchers.ports import Storage
from tests.support.host import FixedClock, Host

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
CAMPAIGN = "CMP123456"


def reserve(host: Host, user_id: str = "ann", ttl: timedelta = MINUTE, **asked: Any) -> Reservation:
    return host.vouchers.codes.reserve(user_id=user_id, ttl=ttl, **asked or {"campaign_id": CAMPAIGN})


def counts(host: Host, list_id: str) -> tuple[int, int, int, int]:
    """Return available, reserved, distributed and withdrawn codes, having checked that they add up."""
    found = host.vouchers.lists.get(list_id)
    parts = (found.available, found.reserved, found.distributed, found.withdrawn)
    assert sum(parts) + found.retired == found.uploaded
    return parts


def rewarded(host: Host) -> list[str]:
    return [each.user_id for each in host.events(VoucherRewarded)]


def test_a_reserved_code_is_nobody_elses(host: Host) -> None:
    found = host.a_list("A", "B", campaign=CAMPAIGN)
    ours = reserve(host)
    assert (ours.code, ours.list_id, ours.state) == ("A", found.id, ReservationState.OPEN)
    assert ours.expires_at == host.clock.now + MINUTE
    assert "'A'" not in repr(ours)
    assert counts(host, found.id) == (1, 1, 0, 0)
    assert host.give(found.id, "ben") == ["B"]
    with pytest.raises(CodesExhausted):
        host.vouchers.codes.assign(campaign_id=CAMPAIGN, user_id="cleo")
    assert rewarded(host) == ["ben"]


def test_a_confirmed_reservation_is_an_assignment_of_that_moment(host: Host) -> None:
    found = host.a_list("A", campaign=CAMPAIGN)
    ours = reserve(host)
    host.vouchers.lists.edit(found.id, name="Spring Sale")
    host.clock.advance(seconds=30)
    reward = host.vouchers.codes.confirm(ours.id)
    assert (reward.code, reward.replayed, reward.assigned_at) == ("A", False, host.clock.now)
    assert reward.event.list_name == "Spring Sale"
    again = host.vouchers.codes.confirm(ours.id)
    assert (again.assignment, again.replayed) == (reward.assignment, True)
    assert counts(host, found.id) == (0, 0, 1, 0)
    assert rewarded(host) == ["ann"]
    with pytest.raises(AlreadyConfirmed):
        host.vouchers.codes.release(ours.id)
    host.clock.advance(days=400)
    assert host.vouchers.codes.confirm(ours.id).assignment == reward.assignment


def test_a_released_code_is_given_before_all_others(host: Host) -> None:
    found = host.a_list("A", "B", campaign=CAMPAIGN)
    ours = reserve(host)
    released = host.vouchers.codes.release(ours.id)
    assert (released.state, released.ended_at) == (ReservationState.RELEASED, host.clock.now)
    assert host.vouchers.codes.release(ours.id) == released
    with pytest.raises(ReservationReleased):
        host.vouchers.codes.confirm(ours.id)
    assert counts(host, found.id) == (2, 0, 0, 0)
    assert host.give(found.id, "ben", "cleo") == ["A", "B"]


def test_a_reservation_runs_out_at_its_instant_by_itself(host: Host) -> None:
    found = host.a_list("A", campaign=CAMPAIGN)
    ours = reserve(host)
    host.clock.advance(seconds=59)
    assert [each.id for each in host.vouchers.codes.reservations(list_id=found.id)] == [ours.id]
    host.clock.advance(seconds=1)
    assert host.vouchers.codes.reservations(list_id=found.id) == []
    assert host.vouchers.codes.reservations(user_id="ann") == []
    assert counts(host, found.id) == (1, 0, 0, 0)
    assert [each.available for each in host.vouchers.lists.find()] == [1]
    assert host.vouchers.lists.stock(found.id).counts.available == 1
    with pytest.raises(ReservationExpired):
        host.vouchers.codes.confirm(ours.id)
    assert host.vouchers.codes.release(ours.id).state is ReservationState.EXPIRED
    theirs = reserve(host, "ben")
    assert (theirs.code, host.vouchers.codes.confirm(theirs.id).code) == ("A", "A")
    with pytest.raises(ReservationExpired):
        host.vouchers.codes.confirm(ours.id)
    assert counts(host, found.id) == (0, 0, 1, 0)


def test_codes_whose_reservations_have_run_out_are_exported_as_remaining(host: Host) -> None:
    found = host.a_list("A1", "B1", "C1", "D1", campaign=CAMPAIGN)
    for user_id, ttl in (("ann", MINUTE), ("bob", MINUTE), ("cleo", DAY)):
        reserve(host, user_id, ttl)
    host.clock.advance(minutes=1)
    with host.vouchers.codes.export(found.id, remaining=True) as file:
        assert sorted(file.read().decode().split()) == ["A1", "B1", "D1", "code"]
    assert counts(host, found.id) == (3, 1, 0, 0)


def test_many_that_have_run_out_return_as_they_are_needed(host: Host) -> None:
    codes = [f"C{number:03}" for number in range(250)]
    found = host.a_list(*codes)
    for number in range(240):
        reserve(host, f"user-{number}", list_id=found.id)
    host.clock.advance(minutes=2)
    got = [host.vouchers.codes.assign(list_id=found.id, user_id=f"new-{n}").code for n in range(250)]
    assert sorted(got) == codes
    assert counts(host, found.id) == (0, 0, 250, 0)


def test_who_has_reserved_a_code_gets_that_one(host: Host) -> None:
    found = host.a_list("A", "B", campaign=CAMPAIGN)
    ours = reserve(host)
    host.clock.advance(seconds=10)
    again = reserve(host, ttl=DAY)
    assert (again.id, again.expires_at, again.replayed) == (ours.id, ours.expires_at, True)
    reward = host.vouchers.codes.assign(campaign_id=CAMPAIGN, user_id="ann")
    assert (reward.code, reward.replayed) == ("A", False)
    assert host.vouchers.codes.confirm(ours.id).assignment == reward.assignment
    assert counts(host, found.id) == (1, 0, 1, 0)


def test_a_batch_confirms_what_its_users_have_reserved(host: Host) -> None:
    found = host.a_list("A", "B", campaign=CAMPAIGN)
    reserve(host, "ben")
    outcome = host.vouchers.codes.assign_many(["ann", "ben", "ben"], campaign_id=CAMPAIGN)
    assert [(each.user_id, each.code, each.replayed) for each in outcome.rewards] == [
        ("ann", "B", False),
        ("ben", "A", False),
        ("ben", "A", True),
    ]
    assert counts(host, found.id) == (0, 0, 2, 0)


def test_who_holds_a_code_reserves_nothing(host: Host) -> None:
    found = host.a_list("A", "B", campaign=CAMPAIGN)
    held = host.vouchers.codes.assign(campaign_id=CAMPAIGN, user_id="ann")
    ours = reserve(host)
    assert (ours.code, ours.replayed, ours.expires_at) == ("A", True, None)
    assert host.vouchers.codes.release(ours.id).state is ReservationState.OPEN
    reward = host.vouchers.codes.confirm(ours.id)
    assert (reward.assignment, reward.replayed) == (held.assignment, True)
    assert counts(host, found.id) == (1, 0, 1, 0)


def test_with_new_codes_each_reservation_is_another_one(host: Host) -> None:
    found = host.a_list("A", "B", "C", campaign=CAMPAIGN, repeat=RepeatPolicy.NEW_CODE)
    first, second = reserve(host), reserve(host)
    assert (first.code, second.code) == ("A", "B")
    assert host.vouchers.codes.assign(campaign_id=CAMPAIGN, user_id="ann").code == "C"
    assert [host.vouchers.codes.confirm(each.id).code for each in (second, first)] == ["B", "A"]
    assert [each.ordinal for each in host.vouchers.codes.of_user("ann")] == [1, 2, 3]
    assert counts(host, found.id) == (0, 0, 3, 0)


def test_a_key_returns_the_same_reservation_whatever_became_of_it(host: Host) -> None:
    host.a_list("A", "B", campaign=CAMPAIGN)
    ours = reserve(host, campaign_id=CAMPAIGN, idempotency_key="order-1")
    host.vouchers.codes.release(ours.id)
    again = reserve(host, campaign_id=CAMPAIGN, idempotency_key="order-1")
    assert (again.id, again.state, again.replayed) == (ours.id, ReservationState.RELEASED, True)
    for other in ({"ttl": DAY}, {"user_id": "ben"}):
        with pytest.raises(IdempotencyConflict):
            reserve(host, campaign_id=CAMPAIGN, idempotency_key="order-1", **other)
    with pytest.raises(IdempotencyConflict):
        host.vouchers.codes.assign(campaign_id=CAMPAIGN, user_id="ann", idempotency_key="order-1")
    host.clock.advance(days=31)
    with pytest.raises(UnknownReservation):
        reserve(host, campaign_id=CAMPAIGN, idempotency_key="order-1")


def test_an_ended_reservation_is_forgotten_after_thirty_days(host: Host) -> None:
    host.a_list("A", "B", campaign=CAMPAIGN)
    released, expired = reserve(host), reserve(host, "ben", ttl=2 * MINUTE)
    host.vouchers.codes.release(released.id)
    host.clock.advance(days=30)
    with pytest.raises(UnknownReservation):
        host.vouchers.codes.confirm(released.id)
    with pytest.raises(ReservationExpired):
        host.vouchers.codes.confirm(expired.id)
    host.clock.advance(minutes=2)
    with pytest.raises(UnknownReservation):
        host.vouchers.codes.confirm(expired.id)


@pytest.mark.parametrize("change", ["pause", "archive", "expire"])
def test_a_reservation_can_be_confirmed_whatever_becomes_of_its_list(host: Host, change: str) -> None:
    found = host.a_list("A", "B", campaign=CAMPAIGN, expires_at=host.clock.now + MINUTE)
    ours, theirs = reserve(host, ttl=DAY), reserve(host, "ben", ttl=DAY)
    if change == "expire":
        host.clock.advance(hours=1)
    else:
        getattr(host.vouchers.lists, change)(found.id)
    assert host.vouchers.codes.confirm(ours.id).code == "A"
    host.vouchers.codes.release(theirs.id)
    assert counts(host, found.id) == (1, 0, 1, 0)
    with pytest.raises(NoActiveList):
        reserve(host, "cleo")


def test_a_code_that_returns_to_a_withdrawn_upload_is_withdrawn(host: Host) -> None:
    found = host.a_list("A", campaign=CAMPAIGN)
    [upload] = host.vouchers.uploads.find(list_id=found.id)
    ours = reserve(host)
    assert host.vouchers.uploads.withdraw(upload.id).withdrawn == 0
    host.vouchers.codes.release(ours.id)
    assert counts(host, found.id) == (0, 0, 0, 1)


@pytest.mark.every_storage
@pytest.mark.parametrize("restocked", [False, True])
@pytest.mark.parametrize("runs_out_first", [False, True])
def test_a_reservation_that_runs_out_of_a_withdrawn_upload_counts_as_withdrawn(
    host: Host, runs_out_first: bool, restocked: bool
) -> None:
    found = host.a_list("A", "B", "C", campaign=CAMPAIGN)
    [upload] = host.vouchers.uploads.find(list_id=found.id)
    if restocked:
        given = host.vouchers.codes.assign(list_id=found.id, user_id="ann")
        host.vouchers.codes.revoke(given.id, restock=True, force=True)
    reserve(host)
    reserve(host, "ben", DAY)
    if runs_out_first:
        host.clock.advance(minutes=1)
    assert host.vouchers.uploads.withdraw(upload.id).withdrawn == 1 + runs_out_first
    host.clock.advance(minutes=1)
    for _ in range(2):
        # Before and after the storage has ended the reservation.
        assert counts(host, found.id) == (0, 1, 0, 2)
        refusal = host.vouchers.codes.preview(campaign_id=CAMPAIGN, user_id="cleo").refusal
        assert isinstance(refusal, CodesExhausted)
        with pytest.raises(CodesExhausted):
            host.vouchers.codes.assign(campaign_id=CAMPAIGN, user_id="cleo")
    assert host.vouchers.uploads.withdraw(upload.id).withdrawn == 1 + runs_out_first
    host.upload(found.id, "D")
    host.clock.advance(days=1)
    assert counts(host, found.id) == (1, 0, 0, 3)
    assert host.give(found.id, "cleo") == ["D"]
    assert counts(host, found.id) == (0, 0, 1, 3)


@pytest.mark.every_storage
def test_a_code_whose_reservation_ran_out_after_the_withdrawal_is_no_duplicate(
    host: Host, clock: FixedClock
) -> None:
    found = host.a_list()
    wrong = host.upload(found.id, "A", "B")
    host.vouchers.codes.reserve(list_id=found.id, user_id="ann", ttl=MINUTE)
    host.vouchers.codes.reserve(list_id=found.id, user_id="ben", ttl=DAY)
    host.vouchers.uploads.withdraw(wrong.id)
    clock.advance(minutes=1)
    checked = host.vouchers.uploads.validate(found.id, b"A\nB\nC\n", filename="codes.csv")
    assert checked.acceptable == 2
    assert host.upload(found.id, "A", "B", "C").accepted == 2
    assert host.left(found.id) == ["A", "C"]


def test_a_code_of_a_withdrawn_upload_is_no_duplicate_once_its_reservation_has_run_out(
    storage: Storage, clock: FixedClock
) -> None:
    host = Host(storage, clock, duplicates=PerPartner())
    wrong, right = host.a_list("A", "B", "C"), host.a_list()
    [upload] = host.vouchers.uploads.find(list_id=wrong.id)
    reserve(host, list_id=wrong.id)
    reserve(host, "ben", DAY, list_id=wrong.id)
    host.vouchers.uploads.withdraw(upload.id)
    explain = host.vouchers.uploads.explain_duplicate
    assert explain(right.id, "A") is not None
    clock.advance(minutes=1)
    assert explain(right.id, "A") is None
    assert host.vouchers.uploads.validate(right.id, b"A\nB\nC\n", filename="c.csv").acceptable == 2
    assert host.upload(right.id, "A", "B", "C").accepted == 2
    clock.advance(days=1)
    assert host.upload(right.id, "B").accepted == 1
    assert (counts(host, wrong.id), counts(host, right.id)) == ((0, 0, 0, 3), (3, 0, 0, 0))
    assert host.vouchers.uploads.validate(wrong.id, b"A\nB\n", filename="c.csv").acceptable == 0


@pytest.mark.every_storage
def test_an_upload_takes_no_notice_of_reservations_that_have_run_out_in_an_archived_or_a_deleted_list(
    host: Host,
) -> None:
    archived, deleted = host.a_list("A", "B", tag="winter"), host.a_list("A", tag="summer")
    for list_id, user_id, ttl in (
        (archived.id, "ann", MINUTE),
        (archived.id, "ben", DAY),
        (deleted.id, "ann", MINUTE),
    ):
        reserve(host, user_id, ttl, list_id=list_id)
    host.vouchers.lists.archive(archived.id)
    [upload] = host.vouchers.uploads.find(list_id=deleted.id)
    host.vouchers.uploads.withdraw(upload.id)
    host.clock.advance(minutes=1)
    host.vouchers.lists.delete(deleted.id)
    again = host.a_list(tag="winter")
    assert host.upload(again.id, "A", "B").warnings == {WarningKind.HELD_BEFORE: 1}
    assert counts(host, archived.id) == (1, 1, 0, 0)


@pytest.mark.every_storage
def test_a_code_that_is_reserved_in_an_archived_list_is_warned_of_also_when_another_list_had_it_since(
    host: Host,
) -> None:
    first = host.a_list("A", "B", tag="winter")
    reserve(host, "ann", DAY, list_id=first.id)
    host.vouchers.lists.archive(first.id)
    second = host.a_list("A", "B", tag="winter")
    host.vouchers.lists.archive(second.id)
    third = host.a_list(tag="winter")
    assert host.upload(third.id, "A", "B").warnings == {WarningKind.HELD_BEFORE: 1}


def test_the_open_ones_are_those_of_a_user_or_of_a_list(host: Host) -> None:
    for wrong in ({}, {"user_id": "ann", "list_id": host.a_list().id}):
        with pytest.raises(InvalidInput):
            host.vouchers.codes.reservations(**wrong)
    with pytest.raises(UnknownList):
        host.vouchers.codes.reservations(list_id="999")


def test_alerts_take_no_notice_of_reservations_that_have_run_out(host: Host) -> None:
    def running_low() -> int:
        return [each.event.event_name for each in host.outbox()].count("list.running_low")

    found = host.a_list(*(f"C{number:03}" for number in range(200)), low_stock_at=60)
    for number in range(190):
        reserve(host, f"user-{number}", list_id=found.id)
    assert running_low() == 1
    host.clock.advance(minutes=1)
    host.vouchers.lists.edit(found.id, low_stock_at=150)
    host.give(found.id, *(f"new-{number}" for number in range(49)))
    assert running_low() == 1
    host.give(found.id, "the-last-but-150")
    assert running_low() == 2


def test_a_release_does_not_arm_the_alert_again(host: Host) -> None:
    host.a_list("A", campaign=CAMPAIGN)
    for _ in range(3):
        host.vouchers.codes.release(reserve(host).id)
    names = [each.event.event_name for each in host.outbox()]
    assert names.count("list.exhausted") == 1


@pytest.mark.every_storage
def test_a_list_of_which_a_code_was_reserved_is_not_deleted(host: Host) -> None:
    found, other = host.a_list("A", "B"), host.a_list("C")
    ours, released = reserve(host, list_id=found.id), reserve(host, "ben", list_id=other.id)
    host.vouchers.codes.release(released.id)
    for minutes in (0, 1):
        host.clock.advance(minutes=minutes)
        for list_id in (found.id, other.id):
            with host.nothing_changes(), pytest.raises(ListDistributed):
                host.vouchers.lists.delete(list_id)
    # So what became of them is still known.
    with pytest.raises(ReservationExpired):
        host.vouchers.codes.confirm(ours.id)
    assert host.vouchers.codes.release(released.id).state is ReservationState.RELEASED


def test_a_preview_takes_nothing(host: Host) -> None:
    found = host.a_list("A", campaign=CAMPAIGN)
    preview = host.vouchers.codes.preview
    assert preview(campaign_id=CAMPAIGN, user_id="ann").list_id == found.id
    assert preview(list_id=found.id, user_id="ann").list_id == found.id
    ours = reserve(host)
    assert preview(campaign_id=CAMPAIGN, user_id="ann").reservation == ours
    refusal = preview(campaign_id=CAMPAIGN, user_id="ben").refusal
    assert isinstance(refusal, CodesExhausted)
    assert refusal.lists == ((found.id, "exhausted"),)
    host.clock.advance(minutes=1)
    assert preview(campaign_id=CAMPAIGN, user_id="ben").list_id == found.id
    held = host.vouchers.codes.assign(campaign_id=CAMPAIGN, user_id="ben")
    assert preview(campaign_id=CAMPAIGN, user_id="ben").replay == held.assignment
    assert counts(host, found.id) == (0, 0, 1, 0)
    assert preview(campaign_id="nowhere", user_id="ann").refusal is not None


def test_what_ended_more_than_30_days_ago_is_removed_when_others_end(host: Host) -> None:
    host.a_list("A", "B", "C", campaign=CAMPAIGN)
    old, confirmed = reserve(host), reserve(host, "ben")
    host.vouchers.codes.release(old.id)
    host.vouchers.codes.confirm(confirmed.id)

    def is_kept() -> bool:
        with host.storage.begin(write=False) as tx:
            return tx.reservations.get(old.id) is not None

    host.clock.advance(days=30)
    host.vouchers.codes.release(reserve(host, "cleo").id)
    assert is_kept()
    host.clock.advance(seconds=1)
    host.vouchers.codes.release(reserve(host, "dan").id)
    assert not is_kept()
    assert host.vouchers.codes.confirm(confirmed.id).user_id == "ben"


@pytest.mark.every_storage
def test_a_clock_that_goes_back_is_no_error_and_doubles_no_code(host: Host) -> None:
    found = host.a_list("A", "B", "C")
    codes = host.vouchers.codes
    reserved = codes.reserve(list_id=found.id, user_id="ann", ttl=MINUTE)
    host.clock.advance(minutes=2)
    given = codes.assign(list_id=found.id, user_id="ben")
    host.clock.advance(days=-2)
    early = codes.assign(list_id=found.id, user_id="cleo")
    assert (given.code, early.code, early.assigned_at) == ("A", "B", host.clock.now)
    with pytest.raises(ReservationExpired):
        codes.confirm(reserved.id)
    codes.revoke(early.id)
    assert host.vouchers.redemptions.add("A", "order-1").redeemed_at == host.clock.now
    assert host.left(found.id) == ["C"]


@pytest.mark.every_storage
@pytest.mark.parametrize(
    "unknown", ["", "r", "1-nothing", "held-", "held-7777", "7777", "9" * 400, "\ud800"], ids=ascii
)
def test_any_string_is_an_id_that_nobody_has(host: Host, unknown: str) -> None:
    host.a_list("A")
    codes = host.vouchers.codes
    with host.nothing_changes():
        for call, error in (
            (codes.confirm, UnknownReservation),
            (codes.release, UnknownReservation),
            (codes.revoke, UnknownAssignment),
            (lambda text: codes.reveal(text, actor="ops"), UnknownAssignment),
        ):
            with pytest.raises(error):
                call(unknown)
