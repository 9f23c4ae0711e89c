"""Remove old events that every sink has, or that wait for none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from partner_vouchers.ports import OutboxEntry, Transaction
from partner_vouchers.usecases.wiring import Wiring, ago

KEEP_EVENTS = timedelta(days=30)
"""How long an event is kept after it happened, unless the host says otherwise."""

_FIRST_LOOK, _AT_ONCE, _MOST = 20, 500, 16_000


def remove_old_events(wiring: Wiring) -> None:
    """Remove delivered events whose time has come, in short transactions."""
    if wiring.keep_events is None:
        return
    now = wiring.now()
    oldest_kept = ago(now, wiring.keep_events)

    def look(tx: Transaction, after: int, limit: int) -> tuple[Sequence[OutboxEntry], int, bool]:
        """Return some entries, up to which position they can go, and whether one after it must stay."""
        entries = tx.outbox.read(after, limit)
        old, ended = _old(entries, oldest_kept, now)
        until = min(old, _settled_until(tx)) if old else 0
        return entries, until, ended or until < old

    after, limit = 0, _FIRST_LOOK
    while True:
        entries, until, ended = wiring.read(look, after, limit)
        gone = wiring.write(_remove, until) if until > after else 0
        if ended or len(entries) < limit:
            return
        # Each removal looks at all that is kept before it, such as very many dead letters.
        after, limit = entries[-1].position, _AT_ONCE if gone or limit < _AT_ONCE else min(2 * limit, _MOST)


def _remove(tx: Transaction, until: int) -> int:
    # A sink may have become known meanwhile.
    return tx.outbox.remove(min(until, _settled_until(tx)))


def _old(entries: Sequence[OutboxEntry], oldest_kept: datetime, now: datetime) -> tuple[int, bool]:
    """Return up to which position entries are old, and whether one that is not came after."""
    until = 0
    for entry in entries:
        if entry.event.occurred_at < oldest_kept:
            until = entry.position
        elif entry.event.occurred_at <= now:
            return until, True
        # One that a host dated in the future must not keep all that came after it.
    return until, False


def _settled_until(tx: Transaction) -> int:
    """Return the position up to which no sink has anything left; 0 if nothing was ever delivered."""
    found = [tx.deliveries.progress(sink) for sink in tx.deliveries.sinks()]
    return min((progress.position for progress in found if progress is not None), default=0)
