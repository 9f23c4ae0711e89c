"""Sinks for tests: they remember what they took, and do otherwise where they are told to."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from partner_vouchers.ports import OutboxEntry, Rejection

Behaviour = Callable[[Sequence[OutboxEntry]], Sequence[Rejection]]


def take_all(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
    return []


class ScriptedSink:
    """A sink that behaves as it is told, call by call, and then takes everything.

    Attributes:
        batches: what it was given, call by call.
        taken: what it took, in order.
        next: the behaviours of the next calls.
        always: the behaviour of all others.
    """

    def __init__(self, name: str = "crm", *, batch_size: int = 100, concurrency: int = 1) -> None:
        self.name: str = name
        self.batch_size: int = batch_size
        self.concurrency: int = concurrency
        self.batches: list[list[OutboxEntry]] = []
        self.taken: list[OutboxEntry] = []
        self.next: deque[Behaviour] = deque()
        self.always: Behaviour = take_all
        self._mutex = threading.Lock()

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        with self._mutex:
            self.batches.append(list(entries))
            behave = self.next.popleft() if self.next else self.always
        rejections = behave(entries)
        refused = {rejection.id for rejection in rejections}
        with self._mutex:
            self.taken += [entry for entry in entries if entry.id not in refused]
        return rejections

    def users(self) -> list[str]:
        """Return whose events it took, in order."""
        return [user for entry in self.taken if (user := getattr(entry.event, "user_id", None)) is not None]


def reject(*users: str, final: bool = False, reason: str = "unknown user") -> Behaviour:
    """Take all but the events of some users."""

    def behave(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        return [
            Rejection(entry.id, reason, final)
            for entry in entries
            if getattr(entry.event, "user_id", None) in users
        ]

    return behave


def fail(error: BaseException) -> Behaviour:
    """Raise an error."""

    def behave(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        raise error

    return behave


def fail_at(*users: str, error: Exception) -> Behaviour:
    """Raise an error where the batch has an event of some users."""

    def behave(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        if any(getattr(entry.event, "user_id", None) in users for entry in entries):
            raise error
        return []

    return behave
