"""What the sinks do not have yet."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import evolve, frozen

from partner_vouchers.domain.delivery import SinkProgress
from partner_vouchers.ports import Transaction

_EXACT_UP_TO = 100_000


@frozen
class Backlog:
    """The events that a sink does not have yet.

    Attributes:
        sink: the name of the sink; None for all sinks together.
        undelivered: how many committed events the sink does not have, dead letters aside.
        deferred: how many of them were not taken, or wait for such a one.
        dead_letters: how many events are not sent any more.
        at_least: whether `undelivered` was counted up to 100,000 only.
        oldest: when the oldest undelivered event happened; None if there is none.
        age: how long ago that was; zero if there is none.
        held_back_since: when the oldest event happened that the database holds back behind an open transaction; None
            if there is none.
        paused_until: until when the sink is left alone because it failed; None if it is not.
    """

    sink: str | None
    undelivered: int
    deferred: int
    dead_letters: int
    at_least: bool
    oldest: datetime | None
    age: timedelta
    held_back_since: datetime | None
    paused_until: datetime | None


def backlog_of(tx: Transaction, sink: str, now: datetime) -> Backlog:
    """Return what a sink does not have yet; an unknown one has nothing of what is kept."""
    progress = tx.deliveries.progress(sink) or SinkProgress()
    deferred, oldest_deferred = tx.deliveries.backlog(sink)
    last = tx.outbox.last_position()
    fresh = tx.outbox.count(progress.position, last, _EXACT_UP_TO + 1)
    if fresh <= _EXACT_UP_TO:
        fresh -= sum(
            tx.outbox.count(first - 1, until, _EXACT_UP_TO)
            for first, until in progress.ahead
            if until <= last
        )
    unordered = tx.outbox.unordered(_EXACT_UP_TO + 1)
    undelivered = fresh + deferred + unordered.count
    behind = [] if oldest_deferred is None else tx.outbox.get_many([oldest_deferred])
    behind += tx.outbox.read(progress.position, 1)
    behind += [] if unordered.oldest is None else [unordered.oldest]
    oldest = min((entry.event.occurred_at for entry in behind), default=None)
    return Backlog(
        sink,
        min(undelivered, _EXACT_UP_TO),
        deferred,
        tx.deliveries.count_dead(sink),
        undelivered > _EXACT_UP_TO,
        oldest,
        timedelta() if oldest is None else max(now - oldest, timedelta()),
        None if unordered.held_back is None else unordered.held_back.event.occurred_at,
        progress.pause.until if progress.pause.holds(now) else None,
    )


def backlog_of_all(tx: Transaction, now: datetime) -> Backlog:
    """Return what all sinks together do not have yet; if there are none, what a new one would get."""
    each = [backlog_of(tx, name, now) for name in tx.deliveries.sinks()] or [backlog_of(tx, "", now)]
    undelivered = sum(one.undelivered for one in each)
    found = max(each, key=lambda one: one.age)
    return evolve(
        found,
        sink=None,
        undelivered=min(undelivered, _EXACT_UP_TO),
        deferred=sum(one.deferred for one in each),
        dead_letters=sum(one.dead_letters for one in each),
        at_least=undelivered > _EXACT_UP_TO or any(one.at_least for one in each),
        paused_until=max((one.paused_until for one in each if one.paused_until is not None), default=None),
    )
