"""A sink that writes down what it receives, and what must be so of that."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from partner_vouchers.ports import OutboxEntry, Rejection


class WitnessSink:
    """Writes what it receives to a file, synced before it answers; any number of processes may share the file."""

    def __init__(self, file: Path, *, batch_size: int = 20, concurrency: int = 2) -> None:
        self.name = "crm"
        self.batch_size = batch_size
        self.concurrency = concurrency
        self._file = file

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        lines = [[entry.id, entry.position, entry.event.ordering_key] for entry in entries]
        written = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            # One write, so that the line is there whole or not at all.
            os.write(written, (json.dumps(lines) + "\n").encode())
            os.fsync(written)
        finally:
            os.close(written)
        return []


def received(file: Path) -> list[tuple[str, int, str]]:
    """Return the id, the position and the ordering key of all that arrived, in the order of arrival."""
    batches = file.read_text().splitlines() if file.exists() else []
    return [(id, position, key) for batch in batches for id, position, key in json.loads(batch)]


def require_delivered(
    file: Path,
    outbox: Sequence[OutboxEntry],
    *,
    whole: bool,
    may_be_cancelled: frozenset[str] = frozenset(),
) -> int:
    """Check that what arrived is what was committed, and in order; return how often something came again.

    Args:
        file: what the sink wrote.
        outbox: all events.
        whole: whether all must have arrived.
        may_be_cancelled: the ids of events that need not arrive.
    """
    committed = {(entry.id, entry.position): entry.event.ordering_key for entry in outbox}
    arrived = [(id, position) for id, position, _ in received(file)]
    assert committed.keys() >= set(arrived), "something arrived that was never committed"
    first = dict.fromkeys(arrived)
    expected = {event for event in committed if event in first or event[0] not in may_be_cancelled}
    if whole:
        assert first.keys() == expected, "an event was lost"
    # A user who was forgotten has another key since: that of the outbox.
    in_order = _by_key((committed[event], event[1]) for event in sorted(expected, key=lambda event: event[1]))
    for key, positions in _by_key((committed[event], event[1]) for event in first).items():
        assert positions == in_order[key][: len(positions)], (
            "events of one user or list came in the wrong order, or one was passed over"
        )
    return len(arrived) - len(first)


def _by_key(events: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for key, position in events:
        found.setdefault(key, []).append(position)
    return found
