"""The calls that take codes back from users."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from uuid import uuid4

from attrs import evolve

from partner_vouchers.domain.arguments import require_bool
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.delivery import DeliveryState, state_of
from partner_vouchers.domain.erasure import ErasureReport, new_pseudonym
from partner_vouchers.domain.events import AssignmentTakenBack, FieldChange
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.revocation import Obstacle, Revocation, require_restock
from partner_vouchers.domain.text import could_be_id, require_id, require_name, require_own_id
from partner_vouchers.errors import AlreadyRevoked, UnknownAssignment
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.delivery.run import ERASURES
from partner_vouchers.usecases.limiting import limits_of, uncount
from partner_vouchers.usecases.wiring import Group, require_actor

_SENT = frozenset((DeliveryState.DELIVERED, DeliveryState.IN_FLIGHT))


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
            revocations = tx.revocations
            given = revocations.get_for_update(wanted) if could_be_id(wanted) else None
            if given is None:
                raise UnknownAssignment(assignment_id=wanted)
            known = revocations.get(given.id)
            if known is not None:
                if restock and not known.restocked:
                    raise AlreadyRevoked(assignment_id=given.id)
                return known
            if restock:
                require_restock(given.id, _facts(tx, given), force=force)
            revocations.add(Revocation(given, now, actor, reason, restock))
            if given.campaign_id is not None and limits_of(tx, given.campaign_id):
                uncount(tx, [(given.campaign_id, revocations.counted_at(given.id))])
            position = revocations.event_position(given.id)
            if position is not None:
                for sink in tx.deliveries.sinks():
                    _cancel_dead_letter(tx, sink, position, now)
            changes = FieldChange("assignment", None, given.id), FieldChange("restocked", None, restock)
            taken_back = AssignmentTakenBack(occurred_at=now, list_id=given.list_id, changes=changes)
            tx.audit.append(actor, [taken_back])
            return Revocation(evolve(given, revoked_at=now), now, actor, reason, restock)

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
            # First of all, since it waits for other transactions.
            emitted = tx.users.host_events(user_id)
            # A delivery run reads it where it decides what to send: it has decided, or will see the pseudonym.
            tx.settings.get(ERASURES)
            given = tx.assignments.of_user(user_id)
            cancelled, delivered = Counter[str](), Counter[str]()
            # Positions, and whether the event would be sent. Several events may have none yet, and with it the
            # position 0.
            told = [(position, True) for position, _ in emitted]
            told += [
                (position, each.revoked_at is None)
                for each in given
                if (position := tx.revocations.event_position(each.id)) is not None
            ]
            for position, would_be_sent in told:
                for sink, state in _delivery_states(tx, position).items():
                    if state in _SENT:
                        delivered[sink] += 1
                    elif would_be_sent:
                        cancelled[sink] += 1
                    if state is DeliveryState.DEAD:
                        _cancel_dead_letter(tx, sink, position, now)
            redemptions = tx.redemptions.of_assignments([each.id for each in given])
            reservations = tx.users.rename(user_id, new_pseudonym(token))
            tx.settings.put(ERASURES, token)
            return ErasureReport(
                assignments=len(given),
                reservations=reservations,
                redemptions=sum(len(found) for found in redemptions.values()),
                cancelled=dict(cancelled),
                delivered=dict(delivered),
            )

        return self._wiring.write_alone(work)


def _facts(tx: Transaction, given: Assignment) -> frozenset[Obstacle]:
    """Return what may keep the code of an assignment from returning to its list."""
    voucher_list = tx.lists.get(given.list_id)
    position = tx.revocations.event_position(given.id)
    states = {} if position is None else _delivery_states(tx, position)
    facts = {
        Obstacle.REDEEMED: given.redeemed_at is not None,
        Obstacle.LIST_ARCHIVED: voucher_list is None or voucher_list.state is State.ARCHIVED,
        Obstacle.UPLOAD_WITHDRAWN: tx.revocations.upload_is_withdrawn(given.id),
        Obstacle.EVENT_TAKEN: DeliveryState.DELIVERED in states.values(),
        Obstacle.EVENT_IN_FLIGHT: DeliveryState.IN_FLIGHT in states.values(),
        Obstacle.EVENT_REMOVED: position is None,
        Obstacle.NO_SINK: not tx.deliveries.sinks(),
    }
    return frozenset(fact for fact, is_true in facts.items() if is_true)


def _delivery_states(tx: Transaction, position: int) -> dict[str, DeliveryState]:
    """Return the state of an event for each known sink, by the name of the sink.

    `position` is its position in the outbox, or 0 for an event that has none yet.
    """
    states: dict[str, DeliveryState] = {}
    for sink in tx.deliveries.sinks():
        progress = tx.deliveries.progress(sink)
        if progress is None or not position:
            states[sink] = DeliveryState.WAITING
        else:
            deferred = tx.deliveries.find(sink, [position])
            states[sink] = state_of(position, progress, deferred[0] if deferred else None)
    return states


def _cancel_dead_letter(tx: Transaction, sink: str, position: int, now: datetime) -> None:
    """Make an event due if it is a dead letter of a sink: the owner of the sink then cancels it."""
    dead = [each for each in tx.deliveries.find(sink, [position]) if each.is_dead]
    tx.deliveries.put(sink, [evolve(each, state=DeliveryState.DEFERRED, retry_at=now) for each in dead])
