"""Give codes to users, each once: the work behind `codes.assign`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from attrs import define, evolve, field

from partner_vouchers.domain.assignment import (
    EXHAUSTED,
    Assignment,
    Candidate,
    Request,
    Reward,
    ineligibility_reason,
    no_code,
    should_replay,
)
from partner_vouchers.domain.limits import limit_reached, reached
from partner_vouchers.domain.reservation import (
    Preview,
    Reservation,
    ReservationState,
    held_code,
    new_reservation_id,
)
from partner_vouchers.domain.stock import is_ample
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import CampaignNotLinked, IdempotencyConflict, UnknownEligibilityRule
from partner_vouchers.ports import Holding, Taken, Transaction
from partner_vouchers.ports.codes import NOTHING
from partner_vouchers.usecases.limiting import Limiter, end_run_out
from partner_vouchers.usecases.reserving import confirm
from partner_vouchers.usecases.stock import counts_at, notify_falling_stock
from partner_vouchers.usecases.wiring import EligibilityRule, require_list

UserContext = Mapping[str, object]


@define
class Assigner:
    """One request for codes, in one transaction.

    The order of the checks: the idempotency key (`replay`), whether the list exists or the campaign is linked
    (`_offer`), the code that a user already holds or has reserved (`_reward_of`), the limits (`_require_room`), and
    then each list in turn.

    Attributes:
        tx: the transaction.
        request: what is asked for.
        now: the present instant.
        rules: the host's eligibility rules.
    """

    tx: Transaction
    request: Request
    now: datetime
    rules: Mapping[str, EligibilityRule]
    _lists: dict[str, VoucherList | None] = field(factory=dict, init=False)

    def replay(self, fingerprint: str | None) -> tuple[str, ...] | None:
        """Return the results of the request's idempotency key, or None for a new key or none.

        Raises:
            IdempotencyConflict: the key was used with other arguments.
        """
        key = self.request.idempotency_key
        if key is None:
            return None
        known = self.tx.keys.get(key)
        if known is None:
            return None
        known_fingerprint, results = known
        if known_fingerprint != fingerprint:
            raise IdempotencyConflict(key=key)
        return results

    def remember(self, fingerprint: str | None, results: Iterable[str]) -> None:
        """Keep the results under the request's idempotency key, if it has one."""
        key = self.request.idempotency_key
        if key is not None and fingerprint is not None:
            self.tx.keys.put(key, fingerprint, tuple(results))

    def serve_one(self, user_id: str, context: UserContext) -> Reward:
        """Give one user a code: the one that they have, the one that they reserved, or a new one.

        Raises:
            UnknownList: the requested list does not exist.
            CampaignNotLinked: no list is linked to the campaign.
            NoCodeAvailable: no list can give a code, or a limit is reached; its subclasses say why.
        """
        request = self.request
        candidates, limiter = self._offer()
        assignments = self.tx.assignments
        holding = assignments.holding(user_id, request.campaign_id, request.list_id)
        if holding is not NOTHING:
            known = self._reward_of(user_id, holding, candidates)
            if known is not None:
                return known
        if limiter is not None:
            self._require_room(user_id, holding, limiter)
        voucher_list, taken = self._take_first(candidates, context, limiter)
        code_id, code = taken.codes[0]
        given = Assignment(
            code_id,
            code,
            user_id,
            request.campaign_id,
            holding.last_ordinal + 1,
            self.now,
            voucher_list.snapshot,
        )
        assignments.add((given,))
        self._notify(voucher_list, taken)
        return Reward(given)

    def reserve_one(self, user_id: str, context: UserContext, ttl: timedelta, token: str) -> Reservation:
        """Reserve a code for one user, or return what they have or have reserved.

        Raises:
            UnknownList: the requested list does not exist.
            CampaignNotLinked: no list is linked to the campaign.
            NoCodeAvailable: no list can give a code, or a limit is reached; its subclasses say why.
        """
        request, now = self.request, self.now
        candidates, limiter = self._offer()
        holding = self.tx.assignments.holding(user_id, request.campaign_id, request.list_id)
        if holding.held is not None and self._is_replay(holding.held, candidates):
            return held_code(holding.held)
        if holding.has_reservation:
            known = self._open_reservation(user_id, candidates)
            if known is not None:
                return evolve(known, replayed=True)
        if limiter is not None:
            self._require_room(user_id, holding, limiter)
        expires_at = now + ttl
        voucher_list, taken = self._take_first(candidates, context, limiter, expires_at)
        code = taken.codes[0]
        reservation = Reservation(
            new_reservation_id(code.id, token),
            code.code,
            code.id,
            user_id,
            request.campaign_id,
            voucher_list.id,
            now,
            expires_at,
        )
        self.tx.reservations.add((reservation,))
        self._notify(voucher_list, taken)
        return reservation

    def preview(self, user_id: str, context: UserContext) -> Preview:
        """Return what `serve_one` would do, in a transaction that only reads."""
        request = self.request
        try:
            candidates, limiter = self._offer()
        except CampaignNotLinked as refusal:
            return Preview(refusal=refusal)
        holding = self.tx.assignments.holding(user_id, request.campaign_id, request.list_id)
        if holding.held is not None and self._is_replay(holding.held, candidates):
            return Preview(holding.held.list_id, replay=holding.held)
        if holding.has_reservation:
            known = next(self._open_reservations(user_id, candidates), None)
            if known is not None:
                return Preview(known.list_id, reservation=known)
        if limiter is not None:
            usage = reached(limiter.usages(user_id))
            if usage is not None:
                return Preview(refusal=limit_reached(limiter.campaign_id, usage))
        reasons: list[tuple[str, str]] = []
        for candidate in candidates:
            reason = ineligibility_reason(candidate, self.now, self._is_eligible, context)
            list_id = candidate.voucher_list.id
            if reason is None and counts_at(self.tx, list_id, self.now).available > 0:
                return Preview(list_id)
            reasons.append((list_id, reason or EXHAUSTED))
        return Preview(refusal=no_code(request.campaign_id, tuple(reasons)))

    def _offer(self) -> tuple[Sequence[Candidate], Limiter | None]:
        """Return the lists that may give a code, in order, at least one; and the limits, if there are any."""
        if self.request.list_id is not None:
            return [Candidate(require_list(self.tx, self.request.list_id))], None
        campaign_id = self.request.campaign_id or ""
        offer = self.tx.campaigns.offer(campaign_id)
        if not offer.lists:
            raise CampaignNotLinked(campaign_id=campaign_id)
        limiter = Limiter(self.tx, campaign_id, offer.limits, self.now) if offer.limits else None
        return offer.candidates, limiter

    def _require_room(self, user_id: str, holding: Holding, limiter: Limiter) -> None:
        """Check that the limits allow one more code for a user, and count it."""
        refusal = limiter.refusals_of_users({user_id: holding}).get(user_id) or limiter.take_room()
        if refusal is not None:
            raise refusal

    def _reward_of(self, user_id: str, holding: Holding, candidates: Sequence[Candidate]) -> Reward | None:
        """Return the code that a user has or has reserved, if they get that one; a reserved one is confirmed."""
        if holding.held is not None and self._is_replay(holding.held, candidates):
            return Reward(holding.held, replayed=True)
        if holding.has_reservation:
            for each in self._open_reservations(user_id, candidates):
                given = confirm(self.tx, each.id, self.now)
                if given is not None:
                    return Reward(given)
        return None

    def _open_reservations(self, user_id: str, candidates: Sequence[Candidate]) -> Iterator[Reservation]:
        """Yield the reservations of a user that are open, if they get the code that they reserved."""
        request = self.request
        for each in self.tx.reservations.open_of_user(user_id, request.campaign_id, request.list_id):
            if self._is_replay(each, candidates) and each.at(self.now).state is ReservationState.OPEN:
                yield each

    def _open_reservation(self, user_id: str, candidates: Sequence[Candidate]) -> Reservation | None:
        """Return the first of them that no other transaction has ended since, locked."""
        for each in self._open_reservations(user_id, candidates):
            locked = self.tx.reservations.get_for_update(each.id)
            if locked is None or locked.user_id != user_id:
                # The user was forgotten meanwhile.
                continue
            if locked.at(self.now).state is ReservationState.OPEN:
                return locked
        return None

    def _take_first(
        self,
        candidates: Sequence[Candidate],
        context: UserContext,
        limiter: Limiter | None,
        reserve_until: datetime | None = None,
    ) -> tuple[VoucherList, Taken]:
        """Take a code, which was counted before, from the first list that can give one.

        Raises:
            NoCodeAvailable: none can; its subclasses say why.
        """
        reasons: list[tuple[str, str]] = []
        for candidate in candidates:
            voucher_list = candidate.voucher_list
            reason = ineligibility_reason(candidate, self.now, self._is_eligible, context)
            if reason is None:
                taken = self._take(voucher_list, 1, reserve_until)
                if taken.codes:
                    return voucher_list, taken
                self._notify(voucher_list, taken)
                reason = EXHAUSTED
            reasons.append((voucher_list.id, reason))
        if limiter is not None:
            limiter.count(-1)
        raise no_code(self.request.campaign_id, tuple(reasons))

    def _take(self, voucher_list: VoucherList, codes: int, reserve_until: datetime | None = None) -> Taken:
        take = self.tx.codes.take
        if reserve_until is not None:
            take = partial(take, reserve_until=reserve_until)
        taken = take(voucher_list.id, codes, self.now)
        if taken.run_out:
            end_run_out(self.tx, voucher_list.id, codes, self.now)
            # What others are about to end is passed over.
            taken = take(voucher_list.id, codes, self.now, run_out_first=False)
        return taken

    def _notify(self, voucher_list: VoucherList, taken: Taken) -> None:
        if not is_ample(taken.counts, voucher_list.low_stock_at, taken.notified):
            notify_falling_stock(self.tx, voucher_list, taken.notified, taken.counts, self.now)

    def _is_replay(self, held: Assignment | Reservation, candidates: Sequence[Candidate]) -> bool:
        return should_replay(held, candidates, self.now, self._find_list)

    def _find_list(self, list_id: str) -> VoucherList | None:
        # Once for a batch of any size.
        if list_id not in self._lists:
            self._lists[list_id] = self.tx.lists.get(list_id)
        return self._lists[list_id]

    def _is_eligible(self, name: str, context: UserContext) -> bool:
        rule = self.rules.get(name)
        if rule is None:
            raise UnknownEligibilityRule(name=name, registered=tuple(self.rules))
        return bool(rule(context))
