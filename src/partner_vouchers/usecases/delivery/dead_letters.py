"""Dead letters: list them, and send them again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from attrs import evolve, frozen

from partner_vouchers.domain.arguments import require_each
from partner_vouchers.domain.delivery import Deferred, DeliveryState, Pause
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.text import require_id
from partner_vouchers.errors import UnknownSink
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.delivery.run import ERASURES
from partner_vouchers.usecases.paging import Page, decode_cursor, page_of
from partner_vouchers.usecases.wiring import Wiring

_AT_ONCE = 500
_RESULT = "dead letters"


@frozen
class DeadLetter:
    """An event that a sink has not taken, and that is not sent any more.

    Attributes:
        id: the id of the event, as the sink was given it.
        sink: the name of the sink.
        event: the event.
        attempts: how many refusals counted against it.
        reason: why the sink did not take it the last time.
    """

    id: str
    sink: str
    event: Event
    attempts: int
    reason: str


def require_sink(tx: Transaction, sink: str) -> str:
    """Return the name of a sink that the storage knows.

    Raises:
        UnknownSink: it does not.
    """
    if tx.deliveries.progress(sink) is None:
        raise UnknownSink(sink=sink, known=tuple(tx.deliveries.sinks()))
    return sink


def list_dead_letters(tx: Transaction, sink: str | None, after: str | None, limit: int) -> Page[DeadLetter]:
    """Return a page of dead letters, by sink and age."""
    last_sink, last_position = decode_cursor(_RESULT, after, str, int) or ("", 0)
    found = list[tuple[str, Deferred]]()
    for name in tx.deliveries.sinks() if sink is None else [require_sink(tx, sink)]:
        if name >= last_sink and len(found) <= limit:
            behind = last_position if name == last_sink else 0
            found += [(name, row) for row in tx.deliveries.dead(name, behind, limit + 1 - len(found))]
    page = page_of(_RESULT, found, limit, lambda last: (last[0], last[1].position))
    entries = {entry.position: entry for entry in tx.outbox.get_many([row.position for _, row in page])}
    letters = (
        DeadLetter(row.id, name, entries[row.position].event, row.attempts, row.reason) for name, row in page
    )
    return Page(tuple(letters), page.next)


def retry_dead_letters(wiring: Wiring, sink: str | None, ids: Collection[str] | None) -> int:
    """Send dead letters again, as if they had never been sent; return how many.

    Raises:
        InvalidInput: `ids` is a single string, or contains anything but strings.
        UnknownSink: the storage does not know the sink.
    """
    # A part of a single string would be the id of another event.
    chosen = (
        None if ids is None else frozenset(require_each("ids", ids, require_id, "ids such as [letter.id]"))
    )
    now = wiring.now()

    def names(tx: Transaction) -> list[str]:
        found = tx.deliveries.sinks() if sink is None else [require_sink(tx, sink)]
        return [name for name in found if tx.deliveries.count_dead(name)]

    return sum(_revive(wiring, name, chosen, now) for name in wiring.read(names))


def _revive(wiring: Wiring, sink: str, ids: Collection[str] | None, now: datetime) -> int:
    def revive(tx: Transaction) -> int:
        progress = tx.deliveries.progress_for_update(sink)
        # The rows have the ids of users: none of these is forgotten until the rows are stored.
        tx.settings.get(ERASURES)
        if ids is None:
            rows = tx.deliveries.dead(sink, 0, _AT_ONCE)
        else:
            rows = tx.deliveries.dead_with_ids(sink, ids)
        if not rows or progress is None:
            return 0
        revived = [
            evolve(row, state=DeliveryState.DEFERRED, attempts=0, failures=0, retry_at=None, reason="")
            for row in rows
        ]
        tx.deliveries.put(sink, revived)
        tx.deliveries.promote(sink, {row.key for row in rows}, now)
        # Whoever asks for this has seen to the sink.
        tx.deliveries.save_progress(sink, evolve(progress, pause=Pause()))
        return len(rows)

    revived = found = wiring.write(revive)
    while ids is None and found == _AT_ONCE:
        found = wiring.write(revive)
        revived += found
    return revived
