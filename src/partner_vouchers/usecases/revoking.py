"""Take codes back from users."""

from __future__ import annotations

from datetime import datetime

from attrs import evolve

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.delivery import DeliveryState, state_of
from partner_vouchers.domain.events import AssignmentTakenBack, FieldChange
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.revocation import Obstacle, Revocation, require_restock
from partner_vouchers.domain.text import could_be_id
from partner_vouchers.errors import AlreadyRevoked, AssignmentRevoked, UnknownAssignment
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.limiting import limits_of, uncount


def revoke(
    tx: Transaction,
    assignment_id: str,
    now: datetime,
    *,
    reason: str | None,
    restock: bool,
    force: bool,
    actor: str | None,
) -> Revocation:
    """Revoke an assignment, or return its first revocation.

    Raises:
        UnknownAssignment: there is no such assignment.
        AlreadyRevoked: it was revoked without restock.
        RestockNotAllowed: the code can never return.
        CodeMayBeKnown: the code can return with `force` only.
    """
    revocations = tx.revocations
    given = revocations.get_for_update(assignment_id) if could_be_id(assignment_id) else None
    if given is None:
        raise UnknownAssignment(assignment_id=assignment_id)
    known = revocations.get(given.id)
    if known is not None:
        if restock and not known.restocked:
            raise AlreadyRevoked(assignment_id=given.id)
        return known
    if restock:
        require_restock(given.id, _facts(tx, given), force=force)
    revocations.add(Revocation(given, now, actor, reason, restock))
    if given.campaign_id is not None and limits_of(tx, given.campaign_id):
        uncount(tx, [(given.campaign_id, tx.revocations.counted_at(given.id))])
    position = revocations.event_position(given.id)
    if position is not None:
        for sink in tx.deliveries.sinks():
            cancel_dead_letter(tx, sink, position, now)
    changes = FieldChange("assignment", None, given.id), FieldChange("restocked", None, restock)
    tx.audit.append(actor, [AssignmentTakenBack(occurred_at=now, list_id=given.list_id, changes=changes)])
    return Revocation(evolve(given, revoked_at=now), now, actor, reason, restock)


def require_not_revoked(assignment: Assignment) -> Assignment:
    """Return the assignment that an idempotency key belongs to.

    Raises:
        AssignmentRevoked: it was revoked.
    """
    if assignment.revoked_at is not None:
        raise AssignmentRevoked(assignment_id=assignment.id, revoked_at=assignment.revoked_at)
    return assignment


def delivery_states(tx: Transaction, position: int) -> dict[str, DeliveryState]:
    """Return the state of an event for each known sink, by the name of the sink.

    Args:
        tx: the transaction.
        position: its position in the outbox; 0 for an event that has none yet.
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


def _facts(tx: Transaction, given: Assignment) -> frozenset[Obstacle]:
    """Return what may keep the code of an assignment from returning to its list."""
    voucher_list = tx.lists.get(given.list_id)
    position = tx.revocations.event_position(given.id)
    states = {} if position is None else delivery_states(tx, position)
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


def cancel_dead_letter(tx: Transaction, sink: str, position: int, now: datetime) -> None:
    """Make an event due if it is a dead letter of a sink: the owner of the sink then cancels it."""
    dead = [each for each in tx.deliveries.find(sink, [position]) if each.is_dead]
    tx.deliveries.put(sink, [evolve(each, state=DeliveryState.DEFERRED, retry_at=now) for each in dead])
