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
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import UnknownReservation
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.limiting import remove_old, uncount_reservations
from partner_vouchers.usecases.revoking import require_not_revoked
from partner_vouchers.usecases.wiring import require_list


def require_reservation(
    tx: Transaction, reservation_id: str, now: datetime, *, for_update: bool = False
) -> Reservation:
    """Return a reservation as it is stored.

    Raises:
        UnknownReservation: there is none with this id, or it ended more than 30 days before `now`.
    """
    assignment_id = held_assignment_id(reservation_id)
    found: Reservation | None
    if assignment_id is not None:
        held = tx.assignments.get_many([assignment_id]) if could_be_id(assignment_id) else []
        found = held_code(held[0]) if held else None
    elif for_update:
        found = tx.reservations.get_for_update(reservation_id)
    else:
        found = tx.reservations.get(reservation_id)
    if found is None or not found.is_kept(now):
        raise UnknownReservation(reservation_id=reservation_id)
    return found


def confirm_by_id(tx: Transaction, reservation_id: str, now: datetime) -> Reward:
    """Turn a reservation into an assignment, or return the one that it was turned into.

    Raises:
        UnknownReservation: there is none with this id.
        ReservationExpired: it has run out.
        ReservationReleased: it was released.
        AssignmentRevoked: it was confirmed, and its code revoked since.
    """
    found = require_reservation(tx, reservation_id, now, for_update=True)
    if found.expires_at is None or found.next_state(ReservationAction.CONFIRM, now) is None:
        return Reward(require_not_revoked(tx.assignments.get_many([found.code_id])[0]), replayed=True)
    asked = None if found.campaign_id is not None else found.list_id
    holding = tx.assignments.holding(found.user_id, found.campaign_id, asked)
    return Reward(confirm(tx, found, holding.last_ordinal, now))


def confirm(tx: Transaction, reservation: Reservation, last_ordinal: int, now: datetime) -> Assignment:
    """Turn an open reservation, which this transaction has locked, into an assignment."""
    given = Assignment(
        reservation.code_id,
        reservation.code,
        reservation.user_id,
        reservation.campaign_id,
        last_ordinal + 1,
        now,
        _list_of(tx, reservation).snapshot,
    )
    tx.reservations.end(reservation, ReservationState.CONFIRMED, now)
    tx.assignments.add([given])
    return given


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


def _list_of(tx: Transaction, reservation: Reservation) -> VoucherList:
    # A storage knows the lists of a campaign by heart.
    if reservation.campaign_id is not None:
        for _, voucher_list in tx.campaigns.offer(reservation.campaign_id).lists:
            if voucher_list.id == reservation.list_id:
                return voucher_list
    return require_list(tx, reservation.list_id)
