"""The calls that take codes back from users."""

from __future__ import annotations

from uuid import uuid4

from partner_vouchers.domain.arguments import require_bool
from partner_vouchers.domain.erasure import ErasureReport
from partner_vouchers.domain.revocation import Revocation
from partner_vouchers.domain.text import require_id, require_name, require_own_id
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.forgetting import forget
from partner_vouchers.usecases.revoking import revoke
from partner_vouchers.usecases.wiring import Group, require_actor


class TakingBack(Group):
    """The part of `vouchers.codes` that takes codes back."""

    def revoke(
        self,
        assignment_id: str,
        *,
        reason: str | None = None,
        restock: bool = False,
        force: bool = False,
        actor: str | None = None,
    ) -> Revocation:
        """Take a code back from a user, for instance because an order was cancelled.

        The assignment stays on record, marked as revoked. Its voucher event is not sent to sinks that have not taken it
        yet. The user no longer holds the code, so the next request gives a new one. An assignment that was revoked
        before is not revoked again: its first revocation is returned, also to several calls at once.

        Args:
            assignment_id: the assignment: the `id` of a `Reward`.
            reason: why, up to 255 characters. Put no ids of users into it: `forget_user` does not search it.
            restock: False retires the code: it is never given again. True returns it to its list, to be given first.
            force: True returns the code although the user may know it.
            actor: who revokes it.

        Raises:
            UnknownAssignment: there is no such assignment.
            RestockNotAllowed: the code was redeemed, its list is archived, or its upload was withdrawn.
            CodeMayBeKnown: the user may have received the code from a sink; pass `force=True`, or leave out `restock`.
            AlreadyRevoked: it was revoked without restock before, and `restock` is True.
            InvalidInput: an argument breaks its rule.

        Example:
            >>> reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
            >>> revocation = vouchers.codes.revoke(reward.id, reason="order cancelled", actor="asha@example.com")
            >>> revocation.restocked, vouchers.codes.of_user("user-42")
            (False, [])
        """
        wanted = require_id("assignment_id", assignment_id)
        reason = None if reason is None else require_name("reason", reason)
        restock, force = require_bool("restock", restock), require_bool("force", force)
        actor = require_actor(actor)
        now = self._wiring.now()

        def work(tx: Transaction) -> Revocation:
            revocation = revoke(tx, wanted, now, reason=reason, restock=restock, force=force, actor=actor)
            tx.commit()
            return revocation

        return self._wiring.write(work)

    def forget_user(self, user_id: str) -> ErasureReport:
        """Replace a user's id by one random pseudonym in everything that is stored.

        That the codes were given out stays on record. Promo events of the user are not sent to sinks that have not
        taken them yet. A later request with this id is one of a new user; an idempotency key of an earlier one returns
        its first result, with the pseudonym. Free text of your own (idempotency keys, order ids, reasons) is not
        searched.

        It reads all stored events, so it may take a while where many wait.

        Args:
            user_id: the user.

        Returns:
            how much was found, and which sinks have taken events: erasing the user there is up to you. All counts are
            zero for a user who is not known.

        Raises:
            InvalidInput: the id breaks its rule.

        Example:
            >>> reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
            >>> report = vouchers.codes.forget_user("user-42")
            >>> report.assignments > 0, vouchers.codes.of_user("user-42")
            (True, [])
        """
        user_id = require_own_id("user_id", user_id)
        now, token = self._wiring.now(), uuid4().hex

        def work(tx: Transaction) -> ErasureReport:
            report = forget(tx, user_id, now, token)
            tx.commit()
            return report

        return self._wiring.write_alone(work)
