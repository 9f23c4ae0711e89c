"""Codes: give them to users, and look up who has which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO

from partner_vouchers.csvfile.export import distributed_codes, remaining_codes
from partner_vouchers.csvfile.streams import as_binary_stream
from partner_vouchers.domain.assignment import (
    Assignment,
    BatchOutcome,
    Request,
    Reward,
    new_request,
    require_user_id,
)
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput, NoCodeAvailable
from partner_vouchers.ports import TakenCode, Transaction
from partner_vouchers.usecases.assigning import Assigner, UserContext
from partner_vouchers.usecases.attempts import transact
from partner_vouchers.usecases.wiring import Wiring, require_list

_PAGE = 1000


class CodesGroup:
    """The codes and who has them; reached as `vouchers.codes`."""

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
        """Give a user a code of their own, exactly once.

        With `campaign_id` the code comes from the first list of the campaign, by priority and then age of the
        link, that is Active and has one; with `list_id` from that list. The code, the counters, the assignment
        and its event are stored in one transaction; when the call returns, they are durable.

        Args:
            user_id: who earned the code.
            campaign_id: the campaign; either this or `list_id`.
            list_id: the list.
            idempotency_key: up to 255 characters. The same key with the same arguments always returns the first
                result, also when the list is paused, expired or archived by then.
            context: what is known about the user, for the eligibility rules of the campaign's links.

        Returns:
            the code; with `replayed` set where the user had it already.

        Raises:
            InvalidInput: an argument breaks its rule.
            CampaignNotLinked: no list is linked to the campaign.
            UnknownList: there is no such list.
            CodesExhausted: every active list has given out all its codes.
            NoActiveList: no list is active.
            NotEligible: the user does not meet the rules of the links.
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
        fingerprint = None if request.idempotency_key is None else request.fingerprint("one", user_id)
        return transact(self._wiring, self._assign, user_id, request, fingerprint, context or {})

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
        """Give many users a code each, in one transaction.

        Args:
            user_ids: who earned a code; a user who stands here twice asks twice.
            campaign_id: the campaign; either this or `list_id`.
            list_id: the list.
            idempotency_key: of the whole call; see `assign`.
            partial: False gives all users a code or nobody; True as many as there are codes, the first first.
            contexts: for each user id what is known about the user, for the eligibility rules.

        Returns:
            the codes, and the users for whom there was none.

        Raises:
            NoCodeAvailable: with `partial` False, some user could not be served; its subclasses say why.
            InvalidInput: `user_ids` is a text, or an argument breaks its rule.

        See `assign` for the others.
        """
        if isinstance(user_ids, str | bytes):
            raise InvalidInput(field="user_ids", reason="must be a sequence of user ids, not one text")
        users = [require_user_id(user_id) for user_id in user_ids]
        request = new_request(campaign_id, list_id, idempotency_key)
        fingerprint = None if request.idempotency_key is None else request.fingerprint("many", users, partial)
        return transact(self._wiring, self._assign_many, users, request, fingerprint, partial, contexts or {})

    def of_user(self, user_id: str, *, expired: bool = True) -> list[Assignment]:
        """Return the codes that a user has, the oldest first.

        Args:
            user_id: the user.
            expired: False leaves out those whose list has passed its expiry, as it is now.
        """
        user_id = require_user_id(user_id)
        now = self._wiring.now()

        def read(tx: Transaction) -> list[Assignment]:
            found = tx.assignments.of_user(user_id)
            return found if expired else [a for a in found if not _has_expired(tx, a.list_id, now)]

        return transact(self._wiring, read, write=False)

    def holders(self, code: str) -> list[Assignment]:
        """Return who has a code: one assignment for each list that gave it out, archived lists included."""
        code = self._wiring.code_format.trim(require_name("code", code))
        return transact(self._wiring, lambda tx: tx.assignments.of_code(code), write=False)

    def assignments(self, list_id: str) -> Iterator[Assignment]:
        """Yield the assignments of a list in the order of its codes, in pages, so that memory does not grow.

        What is given out while the iterator is read may be yielded or not.

        Raises:
            UnknownList: there is no such list; raised by the call.
        """
        transact(self._wiring, require_list, list_id, write=False)
        return self._stream_assignments(list_id)

    def export(self, list_id: str, *, remaining: bool = False, raw: bool = False) -> BinaryIO:
        """Return the codes of a list as a CSV file in UTF-8.

        Args:
            list_id: the list.
            remaining: False for the codes that were given out, with user, campaign and time; True for those
                that are left.
            raw: True leaves cells as they are that a spreadsheet would take for a formula.

        Returns:
            a stream to read from; it reads the storage bit by bit.

        Raises:
            UnknownList: there is no such list.
        """
        transact(self._wiring, require_list, list_id, write=False)
        if remaining:
            codes = (left.code for left in self._stream_remaining(list_id))
            return as_binary_stream(remaining_codes(codes, raw=raw))
        return as_binary_stream(distributed_codes(self._stream_assignments(list_id), raw=raw))

    def _assign(
        self, tx: Transaction, user_id: str, request: Request, fingerprint: str | None, context: UserContext
    ) -> Reward:
        assigner = self._assigner(tx, request)
        known = assigner.replay(fingerprint)
        if known is not None:
            return Reward(known[0], replayed=True)
        try:
            reward = assigner.serve_one(user_id, context)
        except NoCodeAvailable:
            # The refusal itself is worth an event: that a list has run dry must not be lost.
            tx.commit()
            raise
        assigner.remember(fingerprint, [reward.assignment])
        tx.commit()
        return reward

    def _assign_many(
        self,
        tx: Transaction,
        users: Sequence[str],
        request: Request,
        fingerprint: str | None,
        partial: bool,
        contexts: Mapping[str, UserContext],
    ) -> BatchOutcome:
        assigner = self._assigner(tx, request)
        known = assigner.replay(fingerprint)
        if known is not None:
            return _replayed(users, known)
        outcome = assigner.serve_many(users, contexts)
        if outcome.unserved and not partial:
            refusal = assigner.refusal(contexts, outcome.unserved[0])
            if all(reward.replayed for reward in outcome.rewards):
                # Nothing was taken that must be put back, and that a list is empty must not be lost.
                tx.commit()
            raise refusal
        assigner.remember(fingerprint, [reward.assignment for reward in outcome.rewards])
        tx.commit()
        return outcome

    def _assigner(self, tx: Transaction, request: Request) -> Assigner:
        return Assigner(tx, request, self._wiring.now(), self._wiring.eligibility)

    def _stream_assignments(self, list_id: str) -> Iterator[Assignment]:
        def read(tx: Transaction, after: str | None) -> list[Assignment]:
            return tx.assignments.of_list(list_id, after, _PAGE)

        after: str | None = None
        while True:
            page = transact(self._wiring, read, after, write=False)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].id

    def _stream_remaining(self, list_id: str) -> Iterator[TakenCode]:
        def read(tx: Transaction, after: str | None) -> list[TakenCode]:
            return tx.codes.remaining(list_id, after, _PAGE)

        after: str | None = None
        while True:
            page = transact(self._wiring, read, after, write=False)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].id


def _replayed(users: Sequence[str], known: Sequence[Assignment]) -> BatchOutcome:
    served = Counter(assignment.user_id for assignment in known)
    unserved: list[str] = []
    for user_id in users:
        if served[user_id]:
            served[user_id] -= 1
        else:
            unserved.append(user_id)
    return BatchOutcome(tuple(Reward(assignment, replayed=True) for assignment in known), tuple(unserved))


def _has_expired(tx: Transaction, list_id: str, now: datetime) -> bool:
    voucher_list = tx.lists.get(list_id)
    return voucher_list is not None and now > voucher_list.expires_at
