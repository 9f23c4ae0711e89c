"""Give codes to many users in one request: the work behind `codes.assign_many`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from attrs import define, field

from partner_vouchers.domain.assignment import (
    EXHAUSTED,
    Assignment,
    BatchOutcome,
    Candidate,
    Reward,
    Unserved,
    ineligibility_reason,
    no_code,
)
from partner_vouchers.domain.voucher_list import VoucherList
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
        before: Asking = []
        for part in _parts_without_repeats(user_ids):
            self._note_rewards(before)
            before = part
            asking: Asking = []
            for each in part:
                holding = self._holdings.get(each[1])
                known = None if holding is None else self._reward_of(each[1], holding, self._candidates)
                if known is None:
                    asking.append(each)
                else:
                    self._rewards[each[0]] = known
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
        reasons = defaultdict[int, list[tuple[str, str]]](list)
        for candidate in self._candidates:
            if not asking:
                break
            list_id, link = candidate.voucher_list.id, candidate.link
            names_rule = link is not None and link.eligibility is not None
            reason = None if names_rule else ineligibility_reason(candidate, self.now, self._is_eligible, {})
            turned_away: Asking = []
            admitted: Asking = []
            for each in asking:
                if names_rule:
                    reason = ineligibility_reason(
                        candidate, self.now, self._is_eligible, self.contexts.get(each[1], {})
                    )
                if reason is None:
                    admitted.append(each)
                else:
                    turned_away.append(each)
                    reasons[each[0]].append((list_id, reason))
            if admitted:
                given = self._give(candidate.voucher_list, admitted)
                served += given
                admitted = admitted[given:]
                for index, _ in admitted:
                    reasons[index].append((list_id, EXHAUSTED))
            asking = sorted(turned_away + admitted)
        for index, user_id in asking:
            self._refuse(index, user_id, no_code(self.request.campaign_id, tuple(reasons[index])))
        return served

    def _give(self, voucher_list: VoucherList, asking: Asking) -> int:
        """Give users codes of a list, in order, as far as it has any, and return how many."""
        taken = self._take(voucher_list, len(asking))
        snapshot, campaign_id, now = voucher_list.snapshot, self.request.campaign_id, self.now
        given = [
            Assignment(
                code_id, code, user_id, campaign_id, self._holding(user_id).last_ordinal + 1, now, snapshot
            )
            for (code_id, code), (_, user_id) in zip(taken.codes, asking, strict=False)
        ]
        if given:
            self.tx.assignments.add(given)
        self._notify(voucher_list, taken)
        for (index, _), assignment in zip(asking, given, strict=False):
            self._rewards[index] = Reward(assignment)
        return len(given)

    def _holding(self, user_id: str) -> Holding:
        return self._holdings.get(user_id, NOTHING)

    def _note_rewards(self, served: Asking) -> None:
        """Note what users were given, for those who ask again."""
        for index, user_id in served:
            reward = self._rewards.get(index)
            if reward is not None and not reward.replayed:
                before = self._holding(user_id)
                ordinal = max(before.last_ordinal, reward.assignment.ordinal)
                self._holdings[user_id] = Holding(reward.assignment, ordinal, before.has_reservation)

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
