"""Give codes to users, each once: the work behind `codes.assign` and `codes.assign_many`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from attrs import define, evolve, field, frozen

from partner_vouchers.domain.assignment import (
    EXHAUSTED,
    Assignment,
    BatchOutcome,
    Candidate,
    Request,
    Reward,
    Unserved,
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
from partner_vouchers.errors import (
    CampaignNotLinked,
    IdempotencyConflict,
    NoCodeAvailable,
    UnknownEligibilityRule,
)
from partner_vouchers.ports import Holding, Taken, Transaction
from partner_vouchers.ports.codes import NOTHING
from partner_vouchers.usecases.limiting import Limiter, end_run_out
from partner_vouchers.usecases.reserving import confirm
from partner_vouchers.usecases.stock import available, notify_falling_stock
from partner_vouchers.usecases.wiring import EligibilityRule, require_list

UserContext = Mapping[str, object]


@frozen
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
        holding = self.tx.assignments.holding(user_id, request.campaign_id, request.list_id)
        if holding is not NOTHING:
            known = self._reward_of(user_id, holding, candidates)
            if known is not None:
                return known
        self._require_room(user_id, holding, limiter)
        voucher_list, taken = self._take_first(candidates, context)
        given = self._assignments(voucher_list, taken, [(user_id, holding.last_ordinal + 1)])
        self._count_and_notify(voucher_list, taken, limiter)
        return Reward(given[0])

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
        self._require_room(user_id, holding, limiter)
        expires_at = now + ttl
        voucher_list, taken = self._take_first(candidates, context, expires_at)
        code = taken.codes[0]
        reservation = Reservation(
            id=new_reservation_id(code.id, token),
            code=code.code,
            code_id=code.id,
            user_id=user_id,
            campaign_id=request.campaign_id,
            list_id=voucher_list.id,
            reserved_at=now,
            expires_at=expires_at,
        )
        self.tx.reservations.add([reservation])
        self._count_and_notify(voucher_list, taken, limiter)
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
            known = self._open_reservation(user_id, candidates, for_update=False)
            if known is not None:
                return Preview(known.list_id, reservation=known)
        if limiter is not None:
            usage = reached(limiter.usages(user_id))
            if usage is not None:
                return Preview(refusal=limit_reached(limiter.campaign_id, usage))
        reasons: list[tuple[str, str]] = []
        for candidate in candidates:
            reason = self._ineligibility_reason(candidate, context)
            list_id = candidate.voucher_list.id
            if reason is None and available(self.tx, list_id, self.now) > 0:
                return Preview(list_id)
            reasons.append((list_id, reason or EXHAUSTED))
        return Preview(refusal=no_code(request.campaign_id, tuple(reasons)))

    def serve_many(self, user_ids: Sequence[str], contexts: Mapping[str, UserContext]) -> BatchOutcome:
        """Give each user a code, or the code that they have, as far as there are codes and limits allow it.

        A user who is in the request twice asks twice.

        Raises:
            UnknownList: the requested list does not exist.
            CampaignNotLinked: no list is linked to the campaign.
        """
        request = self.request
        candidates, limiter = self._offer()
        batch = _Batch(candidates, limiter, contexts)
        holdings = self.tx.assignments.holdings(
            list(dict.fromkeys(user_ids)), request.campaign_id, request.list_id
        )
        batch.holdings.update(holdings)
        for part in _parts_without_repeats(user_ids):
            asking: list[tuple[int, str]] = []
            for index, user_id in part:
                holding = batch.holdings.get(user_id, NOTHING)
                known = None if holding == NOTHING else self._reward_of(user_id, holding, candidates)
                if known is None:
                    asking.append((index, user_id))
                else:
                    batch.reward(index, known)
            self._serve_part(asking, batch)
        return batch.outcome

    def _serve_part(self, asking: list[tuple[int, str]], batch: _Batch) -> None:
        """Serve users of whom each is there once, in order, within the limits."""
        limiter = batch.limiter
        if limiter is None:
            self._serve_from_lists(asking, batch)
            return
        having = {user_id: batch.holdings.get(user_id, NOTHING) for _, user_id in asking}
        refused = limiter.refusals_of_users(having)
        for index, user_id in asking:
            if user_id in refused:
                batch.refuse(index, user_id, refused[user_id])
        asking = [(index, user_id) for index, user_id in asking if user_id not in refused]
        room, refusal = limiter.room(len(asking)) if asking else (0, None)
        if refusal is None:
            limiter.count(self._serve_from_lists(asking, batch))
            return
        # One after the other: whom no list serves leaves the room to the next.
        for index, user_id in asking:
            if room > 0:
                room -= self._serve_from_lists([(index, user_id)], batch, limiter)
            else:
                batch.refuse(index, user_id, refusal)

    def _serve_from_lists(
        self, asking: list[tuple[int, str]], batch: _Batch, limiter: Limiter | None = None
    ) -> int:
        """Serve users from the lists, in order, and return how many were served."""
        served = 0
        reasons: dict[int, list[tuple[str, str]]] = {index: [] for index, _ in asking}
        for candidate in batch.candidates:
            if not asking:
                break
            voucher_list = candidate.voucher_list
            turned_away: list[tuple[int, str]] = []
            admitted: list[tuple[int, str]] = []
            for index, user_id in asking:
                reason = self._ineligibility_reason(candidate, batch.contexts.get(user_id, {}))
                if reason is None:
                    admitted.append((index, user_id))
                else:
                    turned_away.append((index, user_id))
                    reasons[index].append((voucher_list.id, reason))
            if admitted:
                taken = self._take(voucher_list, len(admitted))
                asks = [
                    (user_id, batch.holdings.get(user_id, NOTHING).last_ordinal + 1)
                    for _, user_id in admitted
                ]
                given = self._assignments(voucher_list, taken, asks)
                self._count_and_notify(voucher_list, taken, limiter)
                for (index, _), assignment in zip(admitted, given, strict=False):
                    batch.reward(index, Reward(assignment))
                served += len(given)
                admitted = admitted[len(given) :]
                for index, _ in admitted:
                    reasons[index].append((voucher_list.id, EXHAUSTED))
            asking = sorted(turned_away + admitted)
        for index, user_id in asking:
            batch.refuse(index, user_id, no_code(self.request.campaign_id, tuple(reasons[index])))
        return served

    def _offer(self) -> tuple[list[Candidate], Limiter | None]:
        """Return the lists that may give a code, in order, at least one; and the limits, if there are any."""
        if self.request.list_id is not None:
            return [Candidate(require_list(self.tx, self.request.list_id))], None
        campaign_id = self.request.campaign_id or ""
        offer = self.tx.campaigns.offer(campaign_id)
        if not offer.lists:
            raise CampaignNotLinked(campaign_id=campaign_id)
        linked = [Candidate(found, link) for link, found in offer.lists]
        return linked, Limiter(self.tx, campaign_id, offer.limits, self.now) if offer.limits else None

    def _require_room(self, user_id: str, holding: Holding, limiter: Limiter | None) -> None:
        """Check that the limits allow one more code for a user."""
        if limiter is None:
            return
        refusal = limiter.refusals_of_users({user_id: holding}).get(user_id) or limiter.room(1)[1]
        if refusal is not None:
            raise refusal

    def _reward_of(self, user_id: str, holding: Holding, candidates: Sequence[Candidate]) -> Reward | None:
        """Return the code that a user has or has reserved, if they get that one; a reserved one is confirmed."""
        if holding.held is not None and self._is_replay(holding.held, candidates):
            return Reward(holding.held, replayed=True)
        if holding.has_reservation:
            known = self._open_reservation(user_id, candidates)
            if known is not None:
                return Reward(confirm(self.tx, known, holding.last_ordinal, self.now))
        return None

    def _open_reservation(
        self, user_id: str, candidates: Sequence[Candidate], *, for_update: bool = True
    ) -> Reservation | None:
        request = self.request
        for each in self.tx.reservations.open_of_user(user_id, request.campaign_id, request.list_id):
            if not self._is_replay(each, candidates):
                continue
            # Another transaction may have ended it since.
            locked = self.tx.reservations.get_for_update(each.id) if for_update else each
            if locked is not None and locked.at(self.now).state is ReservationState.OPEN:
                return locked
        return None

    def _take_first(
        self, candidates: Sequence[Candidate], context: UserContext, reserve_until: datetime | None = None
    ) -> tuple[VoucherList, Taken]:
        """Take a code from the first list that can give one.

        Raises:
            NoCodeAvailable: none can; its subclasses say why.
        """
        reasons: list[tuple[str, str]] = []
        for candidate in candidates:
            voucher_list = candidate.voucher_list
            reason = self._ineligibility_reason(candidate, context)
            if reason is None:
                taken = self._take(voucher_list, 1, reserve_until)
                if taken.codes:
                    return voucher_list, taken
                self._count_and_notify(voucher_list, taken, None)
                reason = EXHAUSTED
            reasons.append((voucher_list.id, reason))
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

    def _assignments(
        self, voucher_list: VoucherList, taken: Taken, asks: Sequence[tuple[str, int]]
    ) -> list[Assignment]:
        snapshot, campaign_id, now = voucher_list.snapshot, self.request.campaign_id, self.now
        given = [
            Assignment(code.id, code.code, user_id, campaign_id, ordinal, now, snapshot)
            for code, (user_id, ordinal) in zip(taken.codes, asks, strict=False)
        ]
        if given:
            self.tx.assignments.add(given)
        return given

    def _count_and_notify(self, voucher_list: VoucherList, taken: Taken, limiter: Limiter | None) -> None:
        if limiter is not None:
            limiter.count(len(taken.codes))
        if not is_ample(taken.counts, voucher_list.low_stock_at, taken.notified):
            notify_falling_stock(self.tx, voucher_list, taken.notified, taken.counts, self.now)

    def _is_replay(self, held: Assignment | Reservation, candidates: Sequence[Candidate]) -> bool:
        return should_replay(held, candidates, self.now, self._find_list)

    def _find_list(self, list_id: str) -> VoucherList | None:
        # Once for a batch of any size.
        if list_id not in self._lists:
            self._lists[list_id] = self.tx.lists.get(list_id)
        return self._lists[list_id]

    def _ineligibility_reason(self, candidate: Candidate, context: UserContext) -> str | None:
        return ineligibility_reason(candidate, self.now, lambda name: self._is_eligible(name, context))

    def _is_eligible(self, name: str, context: UserContext) -> bool:
        rule = self.rules.get(name)
        if rule is None:
            raise UnknownEligibilityRule(name=name, registered=tuple(self.rules))
        return bool(rule(context))


@define
class _Batch:
    """A request for many users.

    Attributes:
        candidates: the lists that may give codes.
        limiter: the limits of the campaign, if it has any.
        contexts: facts about the users.
        holdings: what the users have, by user id.
        rewards: who was served, by the place in the request.
        unserved: who was not, likewise.
    """

    candidates: Sequence[Candidate]
    limiter: Limiter | None
    contexts: Mapping[str, UserContext]
    holdings: dict[str, Holding] = field(factory=dict)
    rewards: dict[int, Reward] = field(factory=dict)
    unserved: dict[int, Unserved] = field(factory=dict)

    def reward(self, index: int, reward: Reward) -> None:
        """Note that a user is served."""
        self.rewards[index] = reward
        before = self.holdings.get(reward.user_id, NOTHING)
        if not reward.replayed:
            ordinal = max(before.last_ordinal, reward.assignment.ordinal)
            self.holdings[reward.user_id] = Holding(reward.assignment, ordinal, before.has_reservation)

    def refuse(self, index: int, user_id: str, error: NoCodeAvailable) -> None:
        """Note why a user is not served."""
        self.unserved[index] = Unserved(user_id, error=error)

    @property
    def outcome(self) -> BatchOutcome:
        """The outcome, in the order of the request."""
        rewards = tuple(self.rewards[index] for index in sorted(self.rewards))
        return BatchOutcome(rewards, tuple(self.unserved[index] for index in sorted(self.unserved)))


def _parts_without_repeats(user_ids: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Cut a request, in its order, into parts in which each user is at most once; with the places in the request."""
    part: list[tuple[int, str]] = []
    seen: set[str] = set()
    for index, user_id in enumerate(user_ids):
        if user_id in seen:
            yield part
            part, seen = [], set()
        part.append((index, user_id))
        seen.add(user_id)
    if part:
        yield part
