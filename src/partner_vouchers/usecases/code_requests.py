"""Requests for codes: assign, reserve, confirm, release, and what they would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import evolve

from partner_vouchers.domain.arguments import require_bool, require_each, require_mapping
from partner_vouchers.domain.assignment import (
    BatchOutcome,
    Request,
    Reward,
    Unserved,
    new_request,
    require_user_id,
)
from partner_vouchers.domain.refusals import Refusal
from partner_vouchers.domain.reservation import Preview, Reservation, ReservationState, new_ttl
from partner_vouchers.domain.text import require_id, require_own_id
from partner_vouchers.errors import (
    AssignmentRevoked,
    CampaignNotLinked,
    InvalidInput,
    NoCodeAvailable,
)
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.assigning import Assigner, UserContext
from partner_vouchers.usecases.reserving import confirm_by_id, release_by_id, require_reservation
from partner_vouchers.usecases.revoking import require_not_revoked
from partner_vouchers.usecases.wiring import Wiring, require_list

_PAGE = 1000
_RESERVATION, _UNSERVED = "r:", "!"
"""With what the results of an idempotency key begin that are no ids of assignments."""


class CodeRequests:
    """The part of `vouchers.codes` that gives out codes."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def assign(
        self,
        *,
        user_id: str,
        campaign_id: str | None = None,
        list_id: str | None = None,
        idempotency_key: str | None = None,
        context: UserContext | None = None,
    ) -> Reward:
        """Assign a code of their own to a user, exactly once.

        With `campaign_id` the code comes from the first list of the campaign, by priority and then age of the
        link, that is Active and has one; with `list_id` from that list. The code, the counters, the assignment
        and its event are stored in one transaction; when the call returns, they are durable.

        Args:
            user_id: who earned the code.
            campaign_id: the campaign; pass either this or `list_id`.
            list_id: the list.
            idempotency_key: up to 255 characters. The same key with the same arguments always returns the first
                result, also when the list is paused, expired or archived by then.
            context: facts about the user, for the eligibility rules of the campaign's links.

        Returns:
            the code; `replayed` is True if the user already had it.

        Raises:
            InvalidInput: an argument breaks its rule.
            CampaignNotLinked: no list is linked to the campaign.
            UnknownList: there is no such list.
            CodesExhausted: every active list has given out all its codes.
            NoActiveList: no list is active.
            NotEligible: the user does not meet the rules of the links.
            LimitReached: a limit of the campaign is used up; it says which, and when it frees.
            UnknownEligibilityRule: a link names a rule that this program has not registered.
            IdempotencyConflict: the key was used with other arguments.
            StorageBusy: the storage was locked by others for too long; call again.
            CommitOutcomeUnknown: the connection was lost during the commit; call again with the same key.

        Example:
            >>> reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
            >>> reward.code, reward.replayed
            ('PM500AA', False)
            >>> vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42").replayed
            True
        """
        user_id = require_user_id(user_id)
        request = new_request(campaign_id, list_id, idempotency_key)
        known = {} if context is None else require_mapping("context", context)
        fingerprint = None if request.idempotency_key is None else request.fingerprint("one", user_id)
        now = self._wiring.now()
        try:
            return self._wiring.request(
                now, self._assign, user_id, request, fingerprint, known, now, calls_rules=True
            )
        except (NoCodeAvailable, CampaignNotLinked) as refusal:
            self._count(request, refusal, now)
            raise

    def assign_many(
        self,
        user_ids: Sequence[str],
        *,
        campaign_id: str | None = None,
        list_id: str | None = None,
        idempotency_key: str | None = None,
        partial: bool = False,
        contexts: Mapping[str, UserContext] | None = None,
    ) -> BatchOutcome:
        """Assign a code to each of many users, in one transaction.

        Args:
            user_ids: who earned a code; a user who is here twice asks twice.
            campaign_id: the campaign; pass either this or `list_id`.
            list_id: the list.
            idempotency_key: of the whole call; see `assign`.
            partial: False serves all users or none; True serves as many as there are codes and the limits allow, in
                order.
            contexts: for each user id, facts about the user for the eligibility rules.

        Returns:
            the codes, and the users for whom there was none, each with the reason.

        Raises:
            NoCodeAvailable: with `partial` False, a user could not be served; its subclasses say why.
            InvalidInput: an argument breaks its rule.

        `assign` lists the other errors.
        """
        users = require_each("user_ids", user_ids, require_own_id, "user ids")
        request = new_request(campaign_id, list_id, idempotency_key)
        partial = require_bool("partial", partial)
        known = {} if contexts is None else require_mapping("contexts", contexts)
        for context in known.values():
            require_mapping("contexts", context)
        fingerprint = None if request.idempotency_key is None else request.fingerprint("many", users, partial)
        now = self._wiring.now()
        try:
            outcome = self._wiring.request(
                now, self._assign_many, users, request, fingerprint, partial, known, now, calls_rules=True
            )
        except (NoCodeAvailable, CampaignNotLinked) as refusal:
            self._count(request, refusal, now)
            raise
        for each in outcome.unserved:
            if isinstance(each.error, NoCodeAvailable):
                self._count(request, each.error, now)
        return outcome

    def preview(
        self,
        *,
        user_id: str,
        campaign_id: str | None = None,
        list_id: str | None = None,
        idempotency_key: str | None = None,
        context: UserContext | None = None,
    ) -> Preview:
        """Return what `assign` would do now, and change nothing.

        Others may take the code in between: to set it aside, call `reserve`.

        Args:
            user_id: see `assign`.
            campaign_id: see `assign`.
            list_id: see `assign`.
            idempotency_key: see `assign`; it stays unused.
            context: see `assign`.

        Returns:
            the list that the code would come from, the assignment that would be returned again, the reservation that
            would be confirmed, or the error that would be raised.

        Raises:
            InvalidInput: an argument breaks its rule.
            UnknownList: there is no such list.
            IdempotencyConflict: the key was used with other arguments.

        Example:
            >>> vouchers.codes.preview(campaign_id="CMP123456", user_id="user-42").list_id == winter.id
            True
        """
        user_id = require_user_id(user_id)
        request = new_request(campaign_id, list_id, idempotency_key)
        known = {} if context is None else require_mapping("context", context)
        fingerprint = None if request.idempotency_key is None else request.fingerprint("one", user_id)
        now = self._wiring.now()

        def read(tx: Transaction) -> Preview:
            assigner = Assigner(tx, request, now, self._wiring.eligibility)
            results = assigner.replay(fingerprint)
            if results is None:
                return assigner.preview(user_id, known)
            given = require_not_revoked(tx.assignments.get_many(results)[0])
            return Preview(given.list_id, replay=given)

        return self._wiring.read(read)

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
        again. Nobody else gets the code until the reservation is released or runs out. No event is written.

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
        user_id = require_user_id(user_id)
        ttl = new_ttl(ttl)
        request = new_request(campaign_id, list_id, idempotency_key)
        known = {} if context is None else require_mapping("context", context)
        fingerprint = None
        if request.idempotency_key is not None:
            fingerprint = request.fingerprint("reserve", user_id, ttl // timedelta(microseconds=1))
        now, token = self._wiring.now(), self._wiring.new_token()
        try:
            return self._wiring.request(
                now, self._reserve, user_id, request, fingerprint, known, ttl, now, token, calls_rules=True
            )
        except (NoCodeAvailable, CampaignNotLinked) as refusal:
            self._count(request, refusal, now)
            raise

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
        return self._wiring.request(now, self._confirm, reservation_id, now)

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
        return self._wiring.request(now, self._release, reservation_id, now)

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
            user = require_user_id(user_id)
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

    def _count(self, request: Request, refusal: Refusal, now: datetime) -> None:
        if request.campaign_id is not None:
            self._wiring.refusal_tally.add(request.campaign_id, refusal, now)

    def _assign(
        self,
        tx: Transaction,
        user_id: str,
        request: Request,
        fingerprint: str | None,
        context: UserContext,
        now: datetime,
    ) -> Reward:
        assigner = Assigner(tx, request, now, self._wiring.eligibility)
        known = assigner.replay(fingerprint)
        if known is not None:
            return Reward(require_not_revoked(tx.assignments.get_many(known)[0]), replayed=True)
        try:
            reward = assigner.serve_one(user_id, context)
        except NoCodeAvailable:
            # The refusal itself is worth an event: that a list has run dry must not be lost.
            tx.commit()
            raise
        assigner.remember(fingerprint, [reward.id])
        self._wiring.commit(tx)
        return reward

    def _assign_many(
        self,
        tx: Transaction,
        users: Sequence[str],
        request: Request,
        fingerprint: str | None,
        partial: bool,
        contexts: Mapping[str, UserContext],
        now: datetime,
    ) -> BatchOutcome:
        assigner = Assigner(tx, request, now, self._wiring.eligibility)
        known = assigner.replay(fingerprint)
        if known is not None:
            return _replayed(tx, users, known)
        outcome = assigner.serve_many(users, contexts)
        if outcome.unserved and not partial:
            if all(reward.replayed for reward in outcome.rewards):
                # Nothing was taken that must be put back, and that a list is empty must not be lost.
                tx.commit()
            raise outcome.unserved[0].error or NoCodeAvailable(campaign_id=request.campaign_id, lists=())
        assigner.remember(
            fingerprint,
            [reward.id for reward in outcome.rewards]
            + [f"{_UNSERVED}{each.reason}" for each in outcome.unserved],
        )
        self._wiring.commit(tx)
        return outcome

    def _reserve(
        self,
        tx: Transaction,
        user_id: str,
        request: Request,
        fingerprint: str | None,
        context: UserContext,
        ttl: timedelta,
        now: datetime,
        token: str,
    ) -> Reservation:
        assigner = Assigner(tx, request, now, self._wiring.eligibility)
        known = assigner.replay(fingerprint)
        if known is not None:
            found = require_reservation(tx, known[0].removeprefix(_RESERVATION), now)
            return evolve(found.at(now), replayed=True)
        try:
            reservation = assigner.reserve_one(user_id, context, ttl, token)
        except NoCodeAvailable:
            tx.commit()
            raise
        assigner.remember(fingerprint, [f"{_RESERVATION}{reservation.id}"])
        self._wiring.commit(tx)
        return reservation

    def _confirm(self, tx: Transaction, reservation_id: str, now: datetime) -> Reward:
        reward = confirm_by_id(tx, reservation_id, now)
        self._wiring.commit(tx)
        return reward

    def _release(self, tx: Transaction, reservation_id: str, now: datetime) -> Reservation:
        released = release_by_id(tx, reservation_id, now)
        self._wiring.commit(tx)
        return released


def _replayed(tx: Transaction, users: Sequence[str], results: Sequence[str]) -> BatchOutcome:
    known = tx.assignments.get_many([each for each in results if not each.startswith(_UNSERVED)])
    reasons = (each.removeprefix(_UNSERVED) for each in results if each.startswith(_UNSERVED))
    kept = [assignment for assignment in known if assignment.revoked_at is None]
    served = Counter(assignment.user_id for assignment in kept)
    revoked = Counter(assignment.user_id for assignment in known) - served
    unserved: list[Unserved] = []
    for user_id in users:
        if served[user_id]:
            served[user_id] -= 1
        elif revoked[user_id]:
            revoked[user_id] -= 1
            unserved.append(Unserved(user_id, AssignmentRevoked.code))
        else:
            unserved.append(Unserved(user_id, next(reasons, "")))
    return BatchOutcome(tuple(Reward(assignment, replayed=True) for assignment in kept), tuple(unserved))
