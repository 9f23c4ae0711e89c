"""Events that were given up: list them, and try them again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from attrs import evolve, frozen

from partner_vouchers.domain.arguments import require_each
from partner_vouchers.domain.delivery import Held, Pause
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.text import require_id
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.attempts import transact
from partner_vouchers.usecases.delivery.pauses import load_pause, save_pause
from partner_vouchers.usecases.paging import Page, decode_cursor, page_of
from partner_vouchers.usecases.wiring import Wiring

_AT_ONCE = 500
_RESULT = "dead letters"
# Positions of some storages are wider than any other number here.
_LARGEST = 10**40 - 1


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
    last_sink, last_position = decode_cursor(_RESULT, after, str, int, largest=_LARGEST) or ("", 0)
    found = list[tuple[Held, DeadLetter]]()
    for name in _names(tx, sink):
        if name >= last_sink:
            behind = last_position if name == last_sink else 0
            found += _with_events(tx, name, tx.deliveries.dead(name, behind, limit + 1 - len(found)))
        if len(found) > limit:
            break
    page = page_of(_RESULT, found, limit, lambda last: (last[1].sink, last[0].position))
    return Page(tuple(letter for _, letter in page), page.next)


def retry_dead_letters(wiring: Wiring, sink: str | None, ids: Collection[str] | None) -> int:
    """Let dead letters be tried again, as if they never had been; return how many.

    Raises:
        InvalidInput: `ids` is a single string, or contains anything but strings.
    """
    # A part of a single string would be the id of another event.
    chosen = (
        None if ids is None else frozenset(require_each("ids", ids, require_id, "ids such as [letter.id]"))
    )
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
