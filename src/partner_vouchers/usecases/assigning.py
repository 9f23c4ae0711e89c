"""Give codes to users, each once: the work behind `codes.assign` and `codes.assign_many`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from attrs import field, frozen

from partner_vouchers.domain.assignment import (
    EXHAUSTED,
    Assignment,
    BatchOutcome,
    Candidate,
    Request,
    Reward,
    ineligibility_reason,
    no_code,
    should_replay,
)
from partner_vouchers.domain.stock import is_ample
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import (
    CampaignNotLinked,
    IdempotencyConflict,
    NoCodeAvailable,
    UnknownEligibilityRule,
)
from partner_vouchers.ports import Holding, Transaction
from partner_vouchers.ports.codes import NOTHING
from partner_vouchers.usecases.stock import notify_stock_level
from partner_vouchers.usecases.wiring import EligibilityRule, require_list

UserContext = Mapping[str, object]


@frozen
class Assigner:
    """One request for codes, in one transaction.

    The order of the checks: the idempotency key (`replay`), whether the list exists or the campaign is linked
    (`candidates`), the code that a user already holds (`_is_replay`), and then each list in turn.

    Attributes:
        tx: the transaction.
        request: the request.
        now: the present instant.
        rules: the host's eligibility rules.
    """

    tx: Transaction
    request: Request
    now: datetime
    rules: Mapping[str, EligibilityRule]
    _lists: dict[str, VoucherList | None] = field(factory=dict, init=False)

    def replay(self, fingerprint: str | None) -> list[Assignment] | None:
        """Return the first result of the request's idempotency key, or None for a new key or none.

        Raises:
            IdempotencyConflict: the key was used with other arguments.
        """
        key = self.request.idempotency_key
        if key is None:
            return None
        known = self.tx.keys.get(key)
        if known is None:
            return None
        known_fingerprint, assignment_ids = known
        if known_fingerprint != fingerprint:
            raise IdempotencyConflict(key=key)
        return self.tx.assignments.get_many(assignment_ids)

    def remember(self, fingerprint: str | None, assignments: Sequence[Assignment]) -> None:
        """Keep the result under the request's idempotency key, if it has one."""
        key = self.request.idempotency_key
        if key is not None and fingerprint is not None:
            self.tx.keys.put(key, fingerprint, tuple(assignment.id for assignment in assignments))

    def candidates(self) -> list[Candidate]:
        """Return the lists that may give a code, in the order in which they do; at least one.

        Raises:
            UnknownList: the requested list does not exist.
            CampaignNotLinked: no list is linked to the campaign.
        """
        if self.request.list_id is not None:
            return [Candidate(require_list(self.tx, self.request.list_id))]
        campaign_id = self.request.campaign_id or ""
        linked = [Candidate(found, link) for link, found in self.tx.campaigns.of_campaign(campaign_id)]
        if not linked:
            raise CampaignNotLinked(campaign_id=campaign_id)
        return linked

    def serve_one(self, user_id: str, context: UserContext) -> Reward:
        """Give one user a code, or the code that they have.

        Raises:
            UnknownList: the requested list does not exist.
            CampaignNotLinked: no list is linked to the campaign.
            NoCodeAvailable: no list can give a code; its subclasses say why.
        """
        request = self.request
        candidates = self.candidates()
        holding = self.tx.assignments.holding(user_id, request.campaign_id, request.list_id)
        held, ordinal = holding.held, holding.last_ordinal + 1
        if held is not None and self._is_replay(held, candidates):
            return Reward(held, replayed=True)
        reasons: list[tuple[str, str]] = []
        for candidate in candidates:
            reason = self._ineligibility_reason(candidate, context)
            if reason is None:
                given = self._give(candidate.voucher_list, [(user_id, ordinal)])
                if given:
                    return Reward(given[0])
                reason = EXHAUSTED
            reasons.append((candidate.voucher_list.id, reason))
        raise no_code(request.campaign_id, tuple(reasons))

    def serve_many(self, user_ids: Sequence[str], contexts: Mapping[str, UserContext]) -> BatchOutcome:
        """Give each user a code, or the code that they have, as far as there are codes.

        A user who is in the request twice gets two answers.

        Raises:
            UnknownList: the requested list does not exist.
            CampaignNotLinked: no list is linked to the campaign.
        """
        request = self.request
        candidates = self.candidates()
        holdings = self.tx.assignments.holdings(
            list(dict.fromkeys(user_ids)), request.campaign_id, request.list_id
        )
        rewards: dict[int, Reward] = {}
        unserved: list[tuple[int, str]] = []
        for part in _parts_without_repeats(user_ids):
            asking: list[tuple[int, str]] = []
            for index, user_id in part:
                owned = holdings.get(user_id, NOTHING).held
                if owned is not None and self._is_replay(owned, candidates):
                    rewards[index] = Reward(owned, replayed=True)
                else:
                    asking.append((index, user_id))
            unserved += self._serve_part(asking, candidates, contexts, holdings, rewards)
        return BatchOutcome(
            tuple(rewards[index] for index in sorted(rewards)),
            tuple(user_id for _, user_id in unserved),
        )

    def refusal(self, contexts: Mapping[str, UserContext], user_id: str) -> NoCodeAvailable:
        """Return the error that says why a user of a batch got nothing."""
        context = contexts.get(user_id, {})
        reasons = tuple(
            (each.voucher_list.id, self._ineligibility_reason(each, context) or EXHAUSTED)
            for each in self.candidates()
        )
        return no_code(self.request.campaign_id, reasons)

    def _serve_part(
        self,
        asking: list[tuple[int, str]],
        candidates: Sequence[Candidate],
        contexts: Mapping[str, UserContext],
        holdings: dict[str, Holding],
        rewards: dict[int, Reward],
    ) -> list[tuple[int, str]]:
        for candidate in candidates:
            if not asking:
                break
            turned_away: list[tuple[int, str]] = []
            admitted: list[tuple[int, str]] = []
            for index, user_id in asking:
                fits = self._ineligibility_reason(candidate, contexts.get(user_id, {})) is None
                (admitted if fits else turned_away).append((index, user_id))
            asks = [(user_id, holdings.get(user_id, NOTHING).last_ordinal + 1) for _, user_id in admitted]
            given = self._give(candidate.voucher_list, asks) if asks else []
            for (index, user_id), assignment in zip(admitted, given, strict=False):
                rewards[index] = Reward(assignment)
                holdings[user_id] = Holding(assignment, assignment.ordinal)
            asking = sorted(turned_away + admitted[len(given) :])
        return asking

    def _give(self, voucher_list: VoucherList, asks: Sequence[tuple[str, int]]) -> list[Assignment]:
        taken = self.tx.codes.take(voucher_list.id, len(asks), self.now)
        given: list[Assignment] = []
        if taken.codes:
            snapshot, campaign_id, now = voucher_list.snapshot, self.request.campaign_id, self.now
            given = [
                Assignment(code.id, code.code, user_id, campaign_id, ordinal, now, snapshot)
                for code, (user_id, ordinal) in zip(taken.codes, asks, strict=False)
            ]
            self.tx.assignments.add(given)
        if not is_ample(taken.counts, voucher_list.low_stock_at, taken.notified):
            notify_stock_level(self.tx, voucher_list, taken.notified, taken.counts, self.now)
        return given

    def _is_replay(self, held: Assignment, candidates: Sequence[Candidate]) -> bool:
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
