"""Give codes to many users in one request: the work behind `codes.assign_many`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import define, field

from partner_vouchers.domain.assignment import (
    EXHAUSTED,
    BatchOutcome,
    Candidate,
    Reward,
    Unserved,
    no_code,
)
from partner_vouchers.errors import LimitReached, NoCodeAvailable
from partner_vouchers.ports import Holding
from partner_vouchers.ports.codes import NOTHING
from partner_vouchers.usecases.assigning import Assigner, UserContext
from partner_vouchers.usecases.limiting import Limiter

Asking = list[tuple[int, str]]
"""Users who ask, each with the place in the request."""

UNSERVED = "!"
"""With what those results of an idempotency key begin that say why a user was not served."""


@define
class BatchAssigner(Assigner):
    """One request for codes of many users, in one transaction.

    Attributes:
        contexts: facts about the users.
    """

    contexts: Mapping[str, UserContext]
    _candidates: Sequence[Candidate] = field(default=(), init=False)
    _holdings: dict[str, Holding] = field(factory=dict, init=False)
    _rewards: dict[int, Reward] = field(factory=dict, init=False)
    _unserved: dict[int, Unserved] = field(factory=dict, init=False)

    def serve_many(self, user_ids: Sequence[str]) -> BatchOutcome:
        """Give each user a code, or the code that they have, as far as there are codes and limits allow it.

        A user who is in the request twice asks twice.

        Raises:
            UnknownList: the requested list does not exist.
            CampaignNotLinked: no list is linked to the campaign.
        """
        request = self.request
        self._candidates, limiter = self._offer()
        self._holdings = self.tx.assignments.holdings(
            list(dict.fromkeys(user_ids)), request.campaign_id, request.list_id
        )
        for part in _parts_without_repeats(user_ids):
            asking: Asking = []
            for index, user_id in part:
                holding = self._holding(user_id)
                known = None if holding == NOTHING else self._reward_of(user_id, holding, self._candidates)
                if known is None:
                    asking.append((index, user_id))
                else:
                    self._reward(index, known)
            self._serve_part(asking, limiter)
        rewards = tuple(self._rewards[index] for index in sorted(self._rewards))
        return BatchOutcome(rewards, tuple(self._unserved[index] for index in sorted(self._unserved)))

    def results(self) -> list[str]:
        """Return what the idempotency key keeps: for each place in the request its assignment, or why it has none."""
        kept = {index: reward.id for index, reward in self._rewards.items()}
        kept |= {index: f"{UNSERVED}{each.reason}" for index, each in self._unserved.items()}
        return [kept[index] for index in sorted(kept)]

    def _serve_part(self, asking: Asking, limiter: Limiter | None) -> None:
        """Serve users of whom each is there once, in order, within the limits."""
        if limiter is None:
            self._serve_from_lists(asking)
            return
        refused = limiter.refusals_of_users({user_id: self._holding(user_id) for _, user_id in asking})
        for index, user_id in asking:
            if user_id in refused:
                self._refuse(index, user_id, refused[user_id])
        asking = [(index, user_id) for index, user_id in asking if user_id not in refused]
        room, too_few = limiter.room(len(asking)) if asking else (0, None)
        if too_few is None:
            limiter.count(self._serve_from_lists(asking))
            return
        # One after the other: whom no list serves leaves the room to the next.
        refusal: LimitReached | None = None
        for index, user_id in asking:
            if room <= 0 and refusal is None:
                # What refuses one more code now may be another limit than the one that refused them all together.
                _, refusal = limiter.room(1)
            if refusal is None:
                served = self._serve_from_lists([(index, user_id)])
                limiter.count(served)
                room -= served
            else:
                self._refuse(index, user_id, refusal)

    def _serve_from_lists(self, asking: Asking) -> int:
        """Serve users from the lists, in order, and return how many were served."""
        served = 0
        reasons: dict[int, list[tuple[str, str]]] = {index: [] for index, _ in asking}
        for candidate in self._candidates:
            if not asking:
                break
            voucher_list = candidate.voucher_list
            turned_away: Asking = []
            admitted: Asking = []
            for index, user_id in asking:
                reason = self._ineligibility_reason(candidate, self.contexts.get(user_id, {}))
                if reason is None:
                    admitted.append((index, user_id))
                else:
                    turned_away.append((index, user_id))
                    reasons[index].append((voucher_list.id, reason))
            if admitted:
                taken = self._take(voucher_list, len(admitted))
                asks = [(user_id, self._holding(user_id).last_ordinal + 1) for _, user_id in admitted]
                given = self._assignments(voucher_list, taken, asks)
                self._notify(voucher_list, taken)
                for (index, _), assignment in zip(admitted, given, strict=False):
                    self._reward(index, Reward(assignment))
                served += len(given)
                admitted = admitted[len(given) :]
                for index, _ in admitted:
                    reasons[index].append((voucher_list.id, EXHAUSTED))
            asking = sorted(turned_away + admitted)
        for index, user_id in asking:
            self._refuse(index, user_id, no_code(self.request.campaign_id, tuple(reasons[index])))
        return served

    def _holding(self, user_id: str) -> Holding:
        return self._holdings.get(user_id, NOTHING)

    def _reward(self, index: int, reward: Reward) -> None:
        """Note that the user at a place in the request is served."""
        self._rewards[index] = reward
        before = self._holding(reward.user_id)
        if not reward.replayed:
            ordinal = max(before.last_ordinal, reward.assignment.ordinal)
            self._holdings[reward.user_id] = Holding(reward.assignment, ordinal, before.has_reservation)

    def _refuse(self, index: int, user_id: str, error: NoCodeAvailable) -> None:
        """Note why a user is not served."""
        self._unserved[index] = Unserved(user_id, error=error)


def _parts_without_repeats(user_ids: Sequence[str]) -> Iterator[Asking]:
    """Cut a request, in its order, into parts in which each user is at most once; with the places in the request."""
    part: Asking = []
    seen: set[str] = set()
    for index, user_id in enumerate(user_ids):
        if user_id in seen:
            yield part
            part, seen = [], set()
        part.append((index, user_id))
        seen.add(user_id)
    if part:
        yield part
