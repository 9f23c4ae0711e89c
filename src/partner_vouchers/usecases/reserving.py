"""Confirm and release reservations."""

from __future__ import annotations

from datetime import datetime

from partner_vouchers.domain.assignment import Assignment, Reward
from partner_vouchers.domain.reservation import (
    Reservation,
    ReservationAction,
    ReservationState,
    held_assignment_id,
    held_code,
)
from partner_vouchers.domain.text import could_be_id
from partner_vouchers.errors import UnknownReservation
from partner_vouchers.ports import LockedReservation, Transaction
from partner_vouchers.usecases.limiting import remove_old, uncount_reservations


def require_reservation(tx: Transaction, reservation_id: str, now: datetime) -> Reservation:
    """Return a reservation as it is stored.

    Raises:
        UnknownReservation: there is none with this id, or it ended more than 30 days before `now`.
    """
    if could_be_id(reservation_id):
        held_id = held_assignment_id(reservation_id)
        if held_id is not None:
            return held_code(_require_held(tx, held_id, reservation_id))
        found = tx.reservations.get(reservation_id)
        if found is not None and found.is_kept(now):
            return found
    raise UnknownReservation(reservation_id=reservation_id)


def _require_locked(tx: Transaction, reservation_id: str, now: datetime) -> LockedReservation:
    """Return a reservation that this transaction may end, or that of a user who holds the code already.

    Raises:
        UnknownReservation: see `require_reservation`.
    """
    if could_be_id(reservation_id):
        held_id = held_assignment_id(reservation_id)
        if held_id is not None:
            held = _require_held(tx, held_id, reservation_id)
            return LockedReservation(held_code(held), held.ordinal, held.snapshot)
        found = tx.reservations.get_for_update(reservation_id)
        if found is not None and found.reservation.is_kept(now):
            return found
    raise UnknownReservation(reservation_id=reservation_id)


def _require_held(tx: Transaction, assignment_id: str, reservation_id: str) -> Assignment:
    """Return the assignment of a user who held the code already."""
    for held in tx.assignments.get_many([assignment_id]):
        return held
    raise UnknownReservation(reservation_id=reservation_id)


def confirm_by_id(tx: Transaction, reservation_id: str, now: datetime) -> Reward:
    """Turn a reservation into an assignment, or return the one that it was turned into.

    Raises:
        UnknownReservation: there is none with this id.
        ReservationExpired: it has run out.
        ReservationReleased: it was released.
        AssignmentRevoked: it was confirmed, and its code revoked since.
    """
    locked = _require_locked(tx, reservation_id, now)
    found = locked.reservation
    if found.expires_at is None or found.next_state(ReservationAction.CONFIRM, now) is None:
        return Reward(tx.assignments.get_many([found.code_id])[0].require_not_revoked(), replayed=True)
    return Reward(confirm(tx, locked, now))


def confirm(tx: Transaction, locked: LockedReservation, now: datetime) -> Assignment:
    """Turn an open reservation into an assignment."""
    reservation, last_ordinal, snapshot = locked
    given = Assignment(
        reservation.code_id,
        reservation.code,
        reservation.user_id,
        reservation.campaign_id,
        last_ordinal + 1,
        now,
        snapshot,
    )
    tx.reservations.end(reservation, ReservationState.CONFIRMED, now)
    tx.assignments.add((given,))
    return given


def release_by_id(tx: Transaction, reservation_id: str, now: datetime) -> Reservation:
    """Give a reserved code back, and return the reservation as it is then.

    Raises:
        UnknownReservation: there is none with this id.
        AlreadyConfirmed: it was confirmed.
    """
    found = _require_locked(tx, reservation_id, now).reservation
    if found.expires_at is None:
        return found
    released = found.after(ReservationAction.RELEASE, now)
    if released.state is ReservationState.RELEASED and found.state is ReservationState.OPEN:
        tx.reservations.end(found, released.state, now)
        uncount_reservations(tx, [found])
        remove_old(tx, now)
    return released
