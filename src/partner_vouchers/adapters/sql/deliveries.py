"""How far each sink has come."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from partner_vouchers.adapters.sql.columns import LAST_ID, from_instant, to_instant
from partner_vouchers.adapters.sql.rows import DEFERRED
from partner_vouchers.adapters.sql.session import Repository, Row, first
from partner_vouchers.domain.delivery import Deferred, Pause, SinkProgress


class SqlDeliveries(Repository):
    def sinks(self) -> list[str]:
        return [name for (name,) in self._db.fetch("sinks")]

    def progress(self, sink: str) -> SinkProgress | None:
        row = first(self._db.fetch("sink", sink))
        if row is None:
            return None
        position, ahead, sent, failures, until, suspect, cancelled = row
        ranges = tuple((start, end) for start, end in json.loads(ahead))
        pause = Pause(failures, None if until is None else to_instant(until), suspect)
        return SinkProgress(position, ranges, sent, pause, cancelled)

    def progress_for_update(self, sink: str) -> SinkProgress | None:
        self._db.lock("sink", sink)
        return self.progress(sink)

    def save_progress(self, sink: str, progress: SinkProgress) -> None:
        pause = progress.pause
        self._db.queue(
            "save_sink",
            sink,
            progress.position,
            json.dumps(progress.ahead, separators=(",", ":")),
            progress.sent,
            pause.failures,
            None if pause.until is None else from_instant(pause.until),
            pause.suspect,
            progress.cancelled,
        )

    def forget(self, sink: str) -> None:
        for statement in ("forget_sink", "forget_deferred", "forget_dead"):
            self._db.queue(statement, sink)

    def put(self, sink: str, deferred: Sequence[Deferred]) -> None:
        rows = [(sink, *DEFERRED.row(row)) for row in deferred]
        self._db.queue_many("put_deferred", rows)

    def remove(self, sink: str, positions: Collection[int]) -> None:
        self._db.queue_many("remove_deferred", [(sink, position) for position in positions])

    def find(self, sink: str, positions: Collection[int]) -> list[Deferred]:
        return _deferred(self._db.fetch("deferred_at", json.dumps(list(positions)), sink))

    def due(self, sink: str, now: datetime, limit: int) -> list[Deferred]:
        return _deferred(self._db.fetch("due", sink, from_instant(now), limit))

    def promote(self, sink: str, keys: Collection[str], now: datetime) -> set[str]:
        found = self._first(sink, keys)
        rows = [(from_instant(now), position, sink) for position in found.values()]
        self._db.queue_many("promote", rows)
        return set(found)

    def deferred_keys(self, sink: str, keys: Collection[str]) -> set[str]:
        return set(self._first(sink, keys)) if self._db.fetch("has_deferred", sink) else set()

    def backlog(self, sink: str) -> tuple[int, int | None]:
        ((count, oldest),) = self._db.fetch("count_deferred", sink)
        return count, oldest

    def dead(self, sink: str, after: int, limit: int) -> list[Deferred]:
        return _deferred(self._db.fetch("dead_letters_after", sink, min(after, LAST_ID), limit))

    def dead_with_ids(self, sink: str, ids: Collection[str]) -> list[Deferred]:
        return _deferred(self._db.fetch("dead_letters_with_ids", json.dumps(sorted(set(ids))), sink))

    def count_dead(self, sink: str) -> int:
        return int(self._db.fetch("count_dead", sink)[0][0])

    def _first(self, sink: str, keys: Collection[str]) -> dict[str, int]:
        rows = self._db.fetch("first_of_keys", sink, json.dumps(list(keys)))
        return {key: position for key, position in rows if position is not None}


def _deferred(rows: Iterable[Row]) -> list[Deferred]:
    return [DEFERRED.entity(row) for row in rows]
