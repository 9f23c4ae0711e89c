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
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.limiting import remove_old, uncount_reservations


def require_reservation(
    tx: Transaction, reservation_id: str, now: datetime, *, for_update: bool = False
) -> Reservation:
    """Return a reservation as it is stored, or that of a user who holds the code already.

    Args:
        tx: the transaction.
        reservation_id: the reservation.
        now: the present instant.
        for_update: whether the transaction may end it.

    Raises:
        UnknownReservation: there is none with this id, or it ended more than 30 days before `now`.
    """
    if could_be_id(reservation_id):
        held_id = held_assignment_id(reservation_id)
        if held_id is not None:
            for held in tx.assignments.get_many([held_id]):
                return held_code(held)
        else:
            get = tx.reservations.get_for_update if for_update else tx.reservations.get
            found = get(reservation_id)
            if found is not None and found.is_kept(now):
                return found
    raise UnknownReservation(reservation_id=reservation_id)


def confirm(tx: Transaction, reservation_id: str, now: datetime) -> Assignment | None:
    """Turn a reservation that is open at `now` into an assignment; return None for any other one."""
    given = tx.reservations.confirm(reservation_id, now)
    if given is not None:
        tx.assignments.add((given,))
    return given


def confirm_by_id(tx: Transaction, reservation_id: str, now: datetime) -> Reward:
    """Turn a reservation into an assignment, or return the one that it was turned into.

    Raises:
        UnknownReservation: there is none with this id.
        ReservationExpired: it has run out.
        ReservationReleased: it was released.
        AssignmentRevoked: it was confirmed, and its code revoked since.
    """
    given = confirm(tx, reservation_id, now) if could_be_id(reservation_id) else None
    if given is not None:
        return Reward(given)
    found = require_reservation(tx, reservation_id, now)
    found.next_state(ReservationAction.CONFIRM, now)
    return Reward(tx.assignments.get_many([found.code_id])[0].require_not_revoked(), replayed=True)


def release_by_id(tx: Transaction, reservation_id: str, now: datetime) -> Reservation:
    """Give a reserved code back, and return the reservation as it is then.

    Raises:
        UnknownReservation: there is none with this id.
        AlreadyConfirmed: it was confirmed.
    """
    found = require_reservation(tx, reservation_id, now, for_update=True)
    if found.expires_at is None:
        return found
    released = found.after(ReservationAction.RELEASE, now)
    if released.state is ReservationState.RELEASED and found.state is ReservationState.OPEN:
        tx.reservations.end(found, released.state, now)
        uncount_reservations(tx, [found])
        remove_old(tx, now)
    return released
