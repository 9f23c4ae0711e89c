"""The storage of events, the audit log, leases and settings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from partner_vouchers.domain.events import AuditedEvent, Event


@frozen
class OutboxEntry:
    """An event on its way to the sinks.

    Attributes:
        id: unique among all events of all storages, for ever, also after a backup was restored; a receiver can
            recognise repeats by it.
        position: grows with each entry of a storage, in the order in which sinks are sent them.
        event: what happened.
    """

    id: str
    position: int
    event: Event


@frozen
class Unordered:
    """Events that were committed and have no position yet.

    Attributes:
        count: how many they are.
        oldest: the oldest of them.
        held_back: the oldest that a transaction which is still open keeps from getting a position.
    """

    count: int = 0
    oldest: OutboxEntry | None = None
    held_back: OutboxEntry | None = None


class Outbox(Protocol):
    """The events that were committed with what caused them."""

    def append(self, events: Sequence[Event]) -> None:
        """Store events other than those of assignments, which come with `Assignments.add`."""

    def can_order(self) -> bool:
        """Return whether `order` would find events. It has a body, for a storage that needs no `order`."""
        return False

    def order(self) -> bool:
        """Give a position to events that have none yet, if nothing can be committed before them any more.

        For a storage in which transactions commit in another order than they write. It has a body, for one in which
        every event has its position when it is committed.

        Returns:
            whether there may be more; they are ordered in a later transaction.
        """
        return False

    def unordered(self, limit: int) -> Unordered:
        """Return what was committed and has no position yet, counted up to `limit`. It has a body, like `order`."""
        del limit
        return Unordered()

    def read(self, after: int, limit: int) -> list[OutboxEntry]:
        """Return the entries after a position, in order.

        An entry that gets its position later has a greater position. An event that this version of the library does
        not know is an `UnreadableEvent`.
        """

    def get_many(self, positions: Sequence[int]) -> list[OutboxEntry]:
        """Return the entries at these positions, in this order, without those that are missing. It has a body."""
        found = ((position, self.read(position - 1, 1)) for position in positions)
        return [entry for position, read in found for entry in read if entry.position == position]

    def count(self, after: int, until: int, limit: int) -> int:
        """Return how many entries there are after a position, up to another one, at most `limit`. It has a body."""
        return len([entry for entry in self.read(after, limit) if entry.position <= until])

    def last_position(self) -> int:
        """Return the position of the newest entry that can be read, or 0."""

    def remove(self, until: int) -> int:
        """Remove the entries up to a position, except those that `Deliveries` keeps; return how many.

        A storage that counts on from its newest entry keeps that one.
        """


@frozen
class AuditEntry:
    """A change in the audit log.

    Attributes:
        position: grows with each entry.
        actor: the person who made the change, or None if the host passed none.
        event: what was changed, when, from what to what.
    """

    position: int
    actor: str | None
    event: AuditedEvent


class Audit(Protocol):
    """The log of changes. Nothing in it is ever changed or removed."""

    def append(self, actor: str | None, events: Sequence[AuditedEvent]) -> None:
        """Add changes."""

    def entries(self, list_id: str | None, actor: str | None, after: int, limit: int) -> list[AuditEntry]:
        """Return the entries after a position, in order, of a list and of an actor where these are given.

        Each event has a `list_id`, which is None for what concerns no list, such as a new partner.
        """

    def latest(
        self, list_id: str | None, actor: str | None, before: int | None, limit: int
    ) -> list[AuditEntry]:
        """Return the entries before a position, the newest first. It has a body, which reads all of them."""
        found = self.entries(list_id, actor, 0, sys.maxsize)
        return [each for each in reversed(found) if before is None or each.position < before][:limit]


class Leases(Protocol):
    """Exclusive, time-limited claims. They expire unless renewed, or when their process is known to be dead."""

    def take(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Take or renew a lease; return False if another owner has it.

        A lease that ended before `now`, or whose owner the storage knows to be dead, is free.
        """

    def held(self, name: str, holder: str) -> bool:
        """Return whether this owner took the lease last."""

    def release(self, name: str, holder: str) -> None:
        """Release a lease, if this owner has it."""


class Settings(Protocol):
    """The settings with which the storage was set up."""

    def get(self, name: str) -> str | None:
        """Return a setting. Until a transaction that may write ends, no other one that may write reads it."""

    def put(self, name: str, value: str) -> None:
        """Store a setting."""
