"""Requests for codes: assign, and what it would do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from partner_vouchers.domain.arguments import require_bool, require_each, require_mapping
from partner_vouchers.domain.assignment import (
    Assignment,
    BatchOutcome,
    Request,
    Reward,
    Unserved,
    new_request,
)
from partner_vouchers.domain.refusals import Refusal
from partner_vouchers.domain.reservation import Preview
from partner_vouchers.domain.text import require_own_id
from partner_vouchers.errors import AssignmentRevoked, CampaignNotLinked, NoCodeAvailable
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.assigning import Assigner, UserContext
from partner_vouchers.usecases.assigning_many import UNSERVED, BatchAssigner
from partner_vouchers.usecases.wiring import Commit, Group

T = TypeVar("T")


class CodeRequests(Group):
    """The part of `vouchers.codes` that gives out codes."""

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
        user_id = require_own_id("user_id", user_id)
        request, fingerprint = keyed_request(campaign_id, list_id, idempotency_key, "one", user_id)
        known, now = require_context(context), self._wiring.now()

        def work(tx: Transaction, commit: Commit) -> Reward:
            assigner = Assigner(tx, request, now, self._wiring.eligibility)
            results = None if fingerprint is None else assigner.replay(fingerprint)
            if results is not None:
                return Reward(tx.assignments.get_many(results)[0].require_not_revoked(), replayed=True)
            try:
                reward = assigner.serve_one(user_id, known)
            except NoCodeAvailable:
                # The refusal itself is worth an event: that a list has run dry must not be lost.
                tx.commit()
                raise
            if fingerprint is not None:
                assigner.remember(fingerprint, (reward.id,))
            commit(tx)
            return reward

        return self._request(request, now, work)

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
        partial = require_bool("partial", partial)
        request, fingerprint = keyed_request(campaign_id, list_id, idempotency_key, "many", users, partial)
        known = {} if contexts is None else require_mapping("contexts", contexts)
        for context in known.values():
            require_mapping("contexts", context)
        now = self._wiring.now()

        def work(tx: Transaction, commit: Commit) -> BatchOutcome:
            assigner = BatchAssigner(tx, request, now, self._wiring.eligibility, known)
            results = assigner.replay(fingerprint)
            if results is not None:
                return _replayed(tx, users, results)
            outcome = assigner.serve_many(users)
            if outcome.unserved and not partial:
                if all(reward.replayed for reward in outcome.rewards):
                    # Nothing was taken that must be put back, and that a list is empty must not be lost.
                    tx.commit()
                raise outcome.unserved[0].error or NoCodeAvailable(campaign_id=request.campaign_id, lists=())
            if fingerprint is not None:
                assigner.remember(fingerprint, assigner.results())
            commit(tx)
            return outcome

        outcome = self._request(request, now, work)
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
        user_id = require_own_id("user_id", user_id)
        request, fingerprint = keyed_request(campaign_id, list_id, idempotency_key, "one", user_id)
        known, now = require_context(context), self._wiring.now()

        def read(tx: Transaction) -> Preview:
            assigner = Assigner(tx, request, now, self._wiring.eligibility)
            results = assigner.replay(fingerprint)
            if results is None:
                return assigner.preview(user_id, known)
            given = tx.assignments.get_many(results)[0].require_not_revoked()
            return Preview(given.list_id, replay=given)

        return self._wiring.read(read)

    def _request(self, request: Request, now: datetime, work: Callable[[Transaction, Commit], T]) -> T:
        """Run a request for codes in a transaction, and count it if it is refused."""
        try:
            return self._wiring.request(now, work, calls_rules=True)
        except (NoCodeAvailable, CampaignNotLinked) as refusal:
            self._count(request, refusal, now)
            raise

    def _count(self, request: Request, refusal: Refusal, now: datetime) -> None:
        self._wiring.refusal_tally.add(request.campaign_id, refusal, now)


def keyed_request(
    campaign_id: object, list_id: object, idempotency_key: object, *arguments: object
) -> tuple[Request, str | None]:
    """Return a request, and the fingerprint of its arguments if it has an idempotency key.

    Raises:
        InvalidInput: see `domain.assignment.new_request`.
    """
    request = new_request(campaign_id, list_id, idempotency_key)
    return request, None if request.idempotency_key is None else request.fingerprint(*arguments)


def require_context(context: object) -> UserContext:
    """Return facts about a user, none for None.

    Raises:
        InvalidInput: it is no mapping.
    """
    return {} if context is None else require_mapping("context", context)


def _replayed(tx: Transaction, users: Sequence[str], results: Sequence[str]) -> BatchOutcome:
    # By place, not by user: an assignment has another user id once its user was forgotten.
    served = [each for each in results if not each.startswith(UNSERVED)]
    known = {each.id: each for each in tx.assignments.get_many(served)}
    if len(results) < len(users):
        results = _by_place(users, [known[each] for each in served])
    rewards: list[Reward] = []
    unserved: list[Unserved] = []
    for user_id, result in zip(users, results, strict=True):
        given = known.get(result)
        if given is None:
            unserved.append(Unserved(user_id, result.removeprefix(UNSERVED)))
        elif given.revoked_at is not None:
            unserved.append(Unserved(user_id, AssignmentRevoked.code))
        else:
            rewards.append(Reward(given, replayed=True))
    return BatchOutcome(tuple(rewards), tuple(unserved))


def _by_place(users: Sequence[str], given: Sequence[Assignment]) -> list[str]:
    """Return results by place for a key of the version before, which has those of the served users alone."""
    left, asked = deque(given), set(users)
    return [
        left.popleft().id
        if left and (left[0].user_id == user_id or left[0].user_id not in asked)
        else UNSERVED
        for user_id in users
    ]
