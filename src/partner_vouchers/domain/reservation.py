"""Reservations: a code is set aside for a user, until it is confirmed, released, or has run out.

The state machine is `TRANSITIONS`. Expired is derived and never has to be stored: an open reservation is Expired from
its `expires_at` on, so no job has to run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from attrs import evolve, field, frozen

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.codes import mask
from partner_vouchers.errors import (
    AlreadyConfirmed,
    InvalidInput,
    PartnerVouchersError,
    ReservationExpired,
    ReservationReleased,
)

MAX_TTL = timedelta(days=30)
"""The longest time for which a code can be reserved."""

_NO_TIME = timedelta(0)

KEPT = timedelta(days=30)
"""How long a released or expired reservation is kept."""


class ReservationState(StrEnum):
    """The state of a reservation."""

    OPEN = "Open"
    CONFIRMED = "Confirmed"
    RELEASED = "Released"
    EXPIRED = "Expired"


class ReservationAction(StrEnum):
    """An action on a reservation."""

    CONFIRM = "confirm"
    RELEASE = "release"


_State: Final = ReservationState
_Action: Final = ReservationAction
_Refusal = type[ReservationExpired] | type[ReservationReleased] | type[AlreadyConfirmed]

TRANSITIONS: dict[tuple[ReservationState, ReservationAction], ReservationState | _Refusal | None] = {
    (_State.OPEN, _Action.CONFIRM): _State.CONFIRMED,
    (_State.OPEN, _Action.RELEASE): _State.RELEASED,
    (_State.CONFIRMED, _Action.CONFIRM): None,
    (_State.CONFIRMED, _Action.RELEASE): AlreadyConfirmed,
    (_State.RELEASED, _Action.CONFIRM): ReservationReleased,
    (_State.RELEASED, _Action.RELEASE): None,
    (_State.EXPIRED, _Action.CONFIRM): ReservationExpired,
    (_State.EXPIRED, _Action.RELEASE): None,
}
"""What an action leads to in a state: the next state, an error, or None where nothing changes."""


@frozen
class Reservation:
    """A code that is set aside for a user.

    Attributes:
        id: an opaque string.
        code: the voucher code, masked in the repr.
        code_id: the entry of the pool; it becomes the id of the assignment.
        user_id: for whom it is set aside.
        campaign_id: the campaign that was asked, or None where a list was asked.
        list_id: the list that the code came from.
        reserved_at: when, in UTC. The code counts in the limits of this instant's period.
        expires_at: from when on it is void, in UTC; None where the user holds the code already.
        state: what became of it, at the instant at which it was returned.
        replayed: whether the user had this reservation, or the code, already.
        ended_at: when it was confirmed or released, or ran out, in UTC; None for an open one.
    """

    id: str
    code: str = field(repr=mask)
    code_id: str
    user_id: str
    campaign_id: str | None
    list_id: str
    reserved_at: datetime
    expires_at: datetime | None
    state: ReservationState = ReservationState.OPEN
    replayed: bool = False
    ended_at: datetime | None = None

    def at(self, now: datetime) -> Reservation:
        """Return the reservation with the state that it has at `now`."""
        if self.state is _State.OPEN and self.expires_at is not None and now >= self.expires_at:
            return evolve(self, state=_State.EXPIRED, ended_at=self.expires_at)
        return self

    def is_kept(self, now: datetime) -> bool:
        """Return whether it is on record: a confirmed one for ever, others until 30 days after their end."""
        if self.state is _State.OPEN and (self.expires_at is None or now < self.expires_at):
            return True
        current = self.at(now)
        return current.state is _State.CONFIRMED or current.ended_at is None or now < current.ended_at + KEPT

    def next_state(self, action: ReservationAction, now: datetime) -> ReservationState | None:
        """Return the state to which an action leads at `now`; None where nothing changes.

        Raises:
            ReservationExpired: it is to be confirmed and has run out.
            ReservationReleased: it is to be confirmed and was released.
            AlreadyConfirmed: it is to be released and was confirmed.
        """
        is_over = self.state is _State.OPEN and self.expires_at is not None and now >= self.expires_at
        result = TRANSITIONS[_State.EXPIRED if is_over else self.state, action]
        if result is None or isinstance(result, ReservationState):
            return result
        raise result(reservation_id=self.id)

    def after(self, action: ReservationAction, now: datetime) -> Reservation:
        """Return the reservation after an action; the same one where nothing changes.

        Raises:
            ReservationExpired: see `next_state`, also for the others.
        """
        state = self.next_state(action, now)
        return self.at(now) if state is None else evolve(self, state=state, ended_at=now)


def new_reservation_id(code_id: str, token: str) -> str:
    """Return the id of a reservation of a code: it begins with the id of the code, by which a storage can find it."""
    return f"{code_id}-{token}"


_HELD = "held-"


def held_code(held: Assignment, *, replayed: bool = True) -> Reservation:
    """Return the reservation of a user who already holds the code: it is not stored, and nothing can end it."""
    return Reservation(
        id=f"{_HELD}{held.id}",
        code=held.code,
        code_id=held.id,
        user_id=held.user_id,
        campaign_id=held.campaign_id,
        list_id=held.list_id,
        reserved_at=held.assigned_at,
        expires_at=None,
        replayed=replayed,
    )


def held_assignment_id(reservation_id: str) -> str | None:
    """Return the id of the assignment of a `held_code`; None for a reservation that is stored."""
    return reservation_id.removeprefix(_HELD) if reservation_id.startswith(_HELD) else None


@frozen
class Preview:
    """The result that `assign` would have now.

    Attributes:
        list_id: the list that the code would come from; None for a refusal.
        replay: the assignment that would be returned again, or None.
        reservation: the open reservation that would be confirmed, or None.
        refusal: the error that would be raised, with all its reasons, or None.
    """

    list_id: str | None = None
    replay: Assignment | None = None
    reservation: Reservation | None = None
    refusal: PartnerVouchersError | None = None


def new_ttl(value: object) -> timedelta:
    """Return how long a code is to be reserved.

    Raises:
        InvalidInput: it is no timedelta, not more than zero, or longer than 30 days.
    """
    if not isinstance(value, timedelta):
        raise InvalidInput(field="ttl", reason="must be a timedelta, such as timedelta(minutes=15)")
    if not _NO_TIME < value <= MAX_TTL:
        raise InvalidInput(field="ttl", reason="must be more than zero and at most 30 days")
    return value
