"""Reservations of codes: reserve, confirm, release, and look up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from attrs import evolve

from partner_vouchers.domain.assignment import Reward
from partner_vouchers.domain.reservation import Reservation, ReservationState, new_ttl
from partner_vouchers.domain.text import require_id, require_own_id
from partner_vouchers.errors import InvalidInput, NoCodeAvailable
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.assigning import Assigner, UserContext
from partner_vouchers.usecases.code_requests import CodeRequests, keyed_request, require_context
from partner_vouchers.usecases.reserving import confirm_by_id, release_by_id, require_reservation
from partner_vouchers.usecases.wiring import Commit, require_list

_PAGE = 1000
_MICROSECOND = timedelta(microseconds=1)
_RESERVATION = "r:"
"""With what the result of an idempotency key begins that is the id of a reservation."""


class CodeReservations(CodeRequests):
    """The part of `vouchers.codes` that sets codes aside."""

    def reserve(
        self,
        *,
        user_id: str,
        ttl: timedelta,
        campaign_id: str | None = None,
        list_id: str | None = None,
        idempotency_key: str | None = None,
        context: UserContext | None = None,
    ) -> Reservation:
        """Set a code aside for a user, while a message or an order is in flight.

        It follows the rules of `assign`: the order of the lists, eligibility, limits, and what a user gets who asks
        again. No other user gets the code until the reservation is released or runs out. No event is written.

        Args:
            user_id: who earns the code.
            ttl: how long the code is set aside, more than zero and at most 30 days.
            campaign_id: the campaign; pass either this or `list_id`.
            list_id: the list.
            idempotency_key: up to 255 characters. The same key with the same arguments always returns the same
                reservation, whatever became of it.
            context: facts about the user, for the eligibility rules of the campaign's links.

        Returns:
            the reservation. `replayed` is True for one that the user already has, with its `expires_at`, and for a code
            that the user already holds, with `expires_at=None`.

        Raises:
            InvalidInput: an argument breaks its rule.
            UnknownReservation: the key belongs to a reservation that ended more than 30 days ago.
            Unsupported: the storage keeps no reservations.

        `assign` lists the other errors.

        Example:
            >>> from datetime import timedelta
            >>> reservation = vouchers.codes.reserve(
            ...     campaign_id="CMP123456", user_id="user-42", ttl=timedelta(minutes=15)
            ... )
            >>> vouchers.codes.confirm(reservation.id).code
            'PM500AA'
        """
        user_id, ttl = require_own_id("user_id", user_id), new_ttl(ttl)
        request, fingerprint = keyed_request(
            campaign_id, list_id, idempotency_key, "reserve", user_id, ttl // _MICROSECOND
        )
        known, now, token = require_context(context), self._wiring.now(), self._wiring.new_token()

        def work(tx: Transaction, commit: Commit) -> Reservation:
            assigner = Assigner(tx, request, now, self._wiring.eligibility)
            results = None if fingerprint is None else assigner.replay(fingerprint)
            if results is not None:
                found = require_reservation(tx, results[0].removeprefix(_RESERVATION), now)
                return evolve(found.at(now), replayed=True)
            try:
                reservation = assigner.reserve_one(user_id, known, ttl, token)
            except NoCodeAvailable:
                tx.commit()
                raise
            if fingerprint is not None:
                assigner.remember(fingerprint, [f"{_RESERVATION}{reservation.id}"])
            commit(tx)
            return reservation

        return self._request(request, now, work)

    def confirm(self, reservation_id: str) -> Reward:
        """Turn a reservation into an assignment with its event, as if the code were assigned now.

        The list may be paused, expired or archived by now, and a limit may be reached.

        Returns:
            the code; `replayed` is True if it was confirmed before, or if the user held the code already.

        Raises:
            UnknownReservation: there is none with this id, or it ended more than 30 days ago.
            ReservationExpired: it has run out.
            ReservationReleased: it was released.
            InvalidInput: the id is not a string.
        """
        reservation_id, now = require_id("reservation_id", reservation_id), self._wiring.now()

        def work(tx: Transaction, commit: Commit) -> Reward:
            reward = confirm_by_id(tx, reservation_id, now)
            commit(tx)
            return reward

        return self._wiring.request(now, work)

    def release(self, reservation_id: str) -> Reservation:
        """Give a reserved code back to its list, where it is given out before all others.

        One that was released, or has run out, stays as it is; so does a code that the user holds already.

        Returns:
            the reservation as it is now.

        Raises:
            UnknownReservation: there is none with this id, or it ended more than 30 days ago.
            AlreadyConfirmed: it was confirmed.
            InvalidInput: the id is not a string.
        """
        reservation_id, now = require_id("reservation_id", reservation_id), self._wiring.now()

        def work(tx: Transaction, commit: Commit) -> Reservation:
            released = release_by_id(tx, reservation_id, now)
            commit(tx)
            return released

        return self._wiring.request(now, work)

    def reservations(self, *, user_id: str | None = None, list_id: str | None = None) -> list[Reservation]:
        """Return the open reservations of a user, the oldest first, or of a list, the first to run out first.

        Args:
            user_id: the user; pass either this or `list_id`.
            list_id: the list.

        Raises:
            UnknownList: there is no such list.
            InvalidInput: an argument breaks its rule.
            Unsupported: the storage keeps no reservations.
        """
        if (user_id is None) == (list_id is None):
            raise InvalidInput(field="user_id", reason="pass either user_id or list_id")
        now = self._wiring.now()
        if user_id is not None:
            user = require_own_id("user_id", user_id)
            found = self._wiring.read(lambda tx: tx.reservations.of_user(user))
        else:
            found = list(self._stream_reservations(require_id("list_id", list_id)))
        return [each for each in found if each.at(now).state is ReservationState.OPEN]

    def _stream_reservations(self, list_id: str) -> Iterator[Reservation]:
        self._wiring.read(require_list, list_id)
        after: tuple[datetime, str] | None = None
        while True:
            page = self._wiring.read(lambda tx, start: tx.reservations.of_list(list_id, start, _PAGE), after)
            yield from page
            if len(page) < _PAGE or page[-1].expires_at is None:
                return
            after = page[-1].expires_at, page[-1].id
