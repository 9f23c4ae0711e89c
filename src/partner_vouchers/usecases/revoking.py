"""What taking codes back has to know about their events and assignments."""

from __future__ import annotations

from datetime import datetime

from attrs import evolve

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.delivery import DeliveryState, state_of
from partner_vouchers.errors import AssignmentRevoked
from partner_vouchers.ports import Transaction


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


def cancel_dead_letter(tx: Transaction, sink: str, position: int, now: datetime) -> None:
    """Make an event due if it is a dead letter of a sink: the owner of the sink then cancels it."""
    dead = [each for each in tx.deliveries.find(sink, [position]) if each.is_dead]
    tx.deliveries.put(sink, [evolve(each, state=DeliveryState.DEFERRED, retry_at=now) for each in dead])
