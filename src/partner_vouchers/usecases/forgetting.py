"""Forget a user."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from partner_vouchers.domain.delivery import DeliveryState
from partner_vouchers.domain.erasure import ErasureReport
from partner_vouchers.domain.pseudonym import new_pseudonym
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.delivery.run import ERASURES
from partner_vouchers.usecases.revoking import cancel_dead_letter, delivery_states

_SENT = frozenset((DeliveryState.DELIVERED, DeliveryState.IN_FLIGHT))


def forget(tx: Transaction, user_id: str, now: datetime, token: str) -> ErasureReport:
    """Replace a user's id by a pseudonym, wherever it is.

    Args:
        tx: the transaction.
        user_id: the user.
        now: the present instant.
        token: 32 random hexadecimal digits.
    """
    users = tx.users
    given = tx.assignments.of_user(user_id)
    cancelled, delivered = Counter[str](), Counter[str]()
    # Positions, and whether the event would be sent. Several events may have none yet, and with it the position 0.
    told = [(position, True) for position, _ in users.host_events(user_id)]
    told += [
        (position, each.revoked_at is None)
        for each in given
        if (position := tx.revocations.event_position(each.id)) is not None
    ]
    for position, would_be_sent in told:
        for sink, state in delivery_states(tx, position).items():
            if state in _SENT:
                delivered[sink] += 1
            elif would_be_sent:
                cancelled[sink] += 1
            if state is DeliveryState.DEAD:
                cancel_dead_letter(tx, sink, position, now)
    redemptions = tx.redemptions.of_assignments([each.id for each in given])
    reservations = users.rename(user_id, new_pseudonym(token))
    tx.settings.put(ERASURES, token)
    return ErasureReport(
        assignments=len(given),
        reservations=reservations,
        redemptions=sum(len(found) for found in redemptions.values()),
        cancelled=dict(cancelled),
        delivered=dict(delivered),
    )
