"""Remove events that every sink has settled and that are old."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports import OutboxEntry, Transaction
from partner_vouchers.usecases.delivery.standing import first_open
from partner_vouchers.usecases.wiring import Wiring

KEEP_EVENTS = timedelta(days=30)
"""How long an event is kept after it happened, unless the host says otherwise."""

_AT_ONCE = 500


def require_retention(value: object) -> timedelta | None:
    """Return for how long delivered events are kept, or None for ever.

    Raises:
        InvalidInput: it is not such a time, or negative.
    """
    if value is None or (isinstance(value, timedelta) and value >= timedelta()):
        return value
    raise InvalidInput(
        field="keep_events", reason="must be a timedelta that is not negative, or None for ever"
    )


def remove_old_events(wiring: Wiring) -> int:
    """Remove delivered events whose time has come, in short transactions; return how many."""
    if wiring.keep_events is None:
        return 0
    oldest_kept = wiring.now() - wiring.keep_events
    removed, after = 0, 0
    while True:
        with wiring.storage.begin(write=False) as tx:
            entries = tx.outbox.read(after, _AT_ONCE)
            until = _old_until(entries, oldest_kept, wiring.now())
            if until is not None:
                until = min(until, _settled_until(tx))
        if until is None or until <= after:
            return removed
        with wiring.storage.begin() as tx:
            removed += tx.outbox.remove(min(until, _settled_until(tx)))
            tx.commit()
        after = until


def _old_until(entries: Sequence[OutboxEntry], oldest_kept: datetime, now: datetime) -> int | None:
    """Return up to which position the entries are old; None where the first is not."""
    until = None
    for entry in entries:
        if entry.event.occurred_at < oldest_kept:
            until = entry.position
        elif entry.event.occurred_at <= now:
            break
        # One that a host dated in the future must not keep all that came after it.
    return until


def _settled_until(tx: Transaction) -> int:
    """Return the position up to which no sink has anything left; 0 where nothing was ever delivered."""
    sinks = tx.deliveries.sinks()
    if not sinks:
        return 0
    found = [first_open(tx, sink) for sink in sinks]
    return min(
        (entry.position - 1 for entry in found if entry is not None), default=tx.outbox.last_position()
    )
