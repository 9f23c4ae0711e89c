"""Events that were given up: list them, and try them again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from attrs import evolve, frozen

from partner_vouchers.domain.delivery import Held, Pause
from partner_vouchers.domain.events import Event
from partner_vouchers.errors import InvalidCursor, InvalidInput
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.attempts import transact
from partner_vouchers.usecases.delivery.pauses import load_pause, save_pause
from partner_vouchers.usecases.paging import Page
from partner_vouchers.usecases.wiring import Wiring

_AT_ONCE = 500
_MOST_DIGITS = 40


@frozen
class DeadLetter:
    """An event that a sink has not taken, and that is not tried any more.

    Attributes:
        id: the id of the event, as the sink was given it.
        sink: the name of the sink.
        event: the event.
        attempts: how often it was tried.
        reason: why the sink did not take it the last time.
    """

    id: str
    sink: str
    event: Event
    attempts: int
    reason: str


def list_dead_letters(tx: Transaction, sink: str | None, after: str | None, limit: int) -> Page[DeadLetter]:
    """Return a page of dead letters, by sink and age."""
    last_sink, last_position = _parse(after)
    found = list[tuple[Held, DeadLetter]]()
    for name in _names(tx, sink):
        if name >= last_sink:
            behind = last_position if name == last_sink else 0
            found += _with_events(tx, name, tx.deliveries.dead(name, behind, limit + 1 - len(found)))
        if len(found) > limit:
            last, letter = found[limit - 1]
            return Page(tuple(letter for _, letter in found[:limit]), f"{last.position}:{letter.sink}")
    return Page(tuple(letter for _, letter in found), None)


def retry_dead_letters(wiring: Wiring, sink: str | None, ids: Collection[str] | None) -> int:
    """Let dead letters be tried again, as if they never had been; return how many.

    Raises:
        InvalidInput: `ids` is a single text.
    """
    if isinstance(ids, str):
        # A part of it would be the id of another event.
        raise InvalidInput(field="ids", reason="must be a collection of ids, such as [letter.id]")
    chosen = None if ids is None else frozenset(ids)
    now = wiring.now()
    names = transact(wiring, _names, sink, write=False)
    return sum(_revive(wiring, name, chosen, now) for name in names)


def _revive(wiring: Wiring, sink: str, ids: Collection[str] | None, now: datetime) -> int:
    def revive(tx: Transaction, after: int) -> tuple[Sequence[Held], int]:
        dead = tx.deliveries.dead(sink, after, _AT_ONCE)
        if ids is not None:
            chosen = [held for held, letter in _with_events(tx, sink, dead) if letter.id in ids]
        else:
            chosen = dead
        if chosen:
            tx.deliveries.hold(sink, [evolve(held, attempts=0, retry_at=now) for held in chosen])
            # Whoever asks for this has seen to the sink.
            if load_pause(tx, sink) != Pause():
                save_pause(tx, sink, Pause())
            tx.commit()
        return dead, len(chosen)

    revived, after = 0, 0
    while True:
        dead, chosen = transact(wiring, revive, after)
        revived += chosen
        if len(dead) < _AT_ONCE:
            return revived
        after = dead[-1].position


def _names(tx: Transaction, sink: str | None) -> list[str]:
    return tx.deliveries.sinks() if sink is None else [sink]


def _with_events(tx: Transaction, sink: str, dead: list[Held]) -> Iterator[tuple[Held, DeadLetter]]:
    entries = {entry.position: entry for entry in tx.outbox.get_many([held.position for held in dead])}
    for held in dead:
        entry = entries[held.position]
        yield held, DeadLetter(entry.id, sink, entry.event, held.attempts, held.reason)


def _parse(after: object) -> tuple[str, int]:
    if after is None:
        return "", 0
    position, colon, sink = after.partition(":") if isinstance(after, str) else ("", "", "")
    # Positions of some storages are wider than any other number here.
    if not colon or not (position.isascii() and position.isdigit() and len(position) <= _MOST_DIGITS):
        raise InvalidCursor(field="after", reason="is not the `next` of a page of dead letters")
    return sink, int(position)
