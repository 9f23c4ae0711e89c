"""How far the sinks have come."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen

from partner_vouchers.domain.delivery import LANES, Progress
from partner_vouchers.ports import OutboxEntry, Transaction
from partner_vouchers.usecases.delivery.pauses import load_pause


@frozen
class Backlog:
    """What a sink does not have yet.

    Attributes:
        sink: the name of the sink.
        oldest: when the oldest event happened that it has not taken and that is still tried; None for none.
        age: how long ago that was; zero for none.
        waiting: how many events were tried and are to be tried again, or wait for such a one.
        dead_letters: how many events are not tried any more.
        paused_until: until when the sink is left alone because it failed; None where it is not.
    """

    sink: str
    oldest: datetime | None
    age: timedelta
    waiting: int
    dead_letters: int
    paused_until: datetime | None


def backlog_of(tx: Transaction, sink: str, now: datetime) -> Backlog:
    """Return what a sink does not have yet."""
    waiting, oldest_waiting = tx.deliveries.waiting(sink)
    behind = [] if oldest_waiting is None else tx.outbox.get_many([oldest_waiting])
    untried = first_open(tx, sink)
    if untried is not None:
        behind.append(untried)
    oldest = min((entry.event.occurred_at for entry in behind), default=None)
    pause = load_pause(tx, sink)
    return Backlog(
        sink,
        oldest,
        timedelta() if oldest is None else max(now - oldest, timedelta()),
        waiting,
        tx.deliveries.count_dead(sink),
        pause.until if pause.holds(now) else None,
    )


def first_open(tx: Transaction, sink: str) -> OutboxEntry | None:
    """Return the oldest event that was not tried with a sink yet."""
    known = tx.deliveries.progress(sink)
    found = list[OutboxEntry]()
    for lane in range(LANES):
        progress = known.get(lane, Progress())
        entries, _ = tx.outbox.read_lane(lane, progress.position, len(progress.ahead) + 1)
        found += [entry for entry in entries if entry.position not in progress.ahead][:1]
    return min(found, key=lambda entry: entry.position, default=None)
