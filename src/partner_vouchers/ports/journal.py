"""Where events, the audit log, leases and settings are kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from partner_vouchers.domain.delivery import lane_of
from partner_vouchers.domain.events import Event, Recorded


@frozen
class OutboxEntry:
    """An event on its way to the sinks.

    Attributes:
        id: unique among all events of all storages, for ever; a receiver can tell repeats by it.
        position: grows with each entry of a storage, in the order of commits.
        event: what happened.
    """

    id: str
    position: int
    event: Event


class Outbox(Protocol):
    """The events that were committed with what caused them."""

    def append(self, events: Sequence[Event]) -> None:
        """Store events other than those of assignments, which come with `Assignments.add`."""
        ...

    def read(self, after: int, limit: int) -> list[OutboxEntry]:
        """Return the entries after a position, in order.

        An entry that was committed later than one that could be read has a greater position, whichever began first.
        """
        ...

    def read_lane(self, lane: int, after: int, limit: int) -> tuple[list[OutboxEntry], int]:
        """Return the entries of a lane (see `delivery.lane_of`) after a position, in order, and how far was read.

        That is the position of the last entry returned where there may be more, else that of the newest entry
        of the storage in any lane, or `after` where none is newer. It has a body.
        """
        found = [entry for entry in self.read(after, 2**31) if lane_of(entry.event) == lane][:limit]
        return found, found[-1].position if len(found) == limit else max(after, self.last_position())

    def get_many(self, positions: Sequence[int]) -> list[OutboxEntry]:
        """Return the entries at these positions, in this order, without those that are not there. It has a body."""
        found = ((position, self.read(position - 1, 1)) for position in positions)
        return [entry for position, read in found for entry in read if entry.position == position]

    def count(self, after: int, limit: int) -> int:
        """Return how many entries there are after a position, or the limit where there are more. It has a body."""
        return len(self.read(after, limit))

    def last_position(self) -> int:
        """Return the position of the newest entry that can be read, or 0."""
        ...

    def remove(self, until: int) -> int:
        """Remove the entries up to a position, except those that `Deliveries` holds; return how many.

        A storage that counts on from its newest entry keeps that one.
        """
        ...


@frozen
class AuditEntry:
    """A change in the audit log.

    Attributes:
        position: grows with each entry.
        actor: who made the change, or None where the host did not say.
        event: what was changed, when, from what to what.
    """

    position: int
    actor: str | None
    event: Recorded


class Audit(Protocol):
    """The log of changes. Nothing in it is ever changed or removed."""

    def append(self, actor: str | None, events: Sequence[Recorded]) -> None:
        """Add changes."""
        ...

    def entries(self, list_id: str | None, actor: str | None, after: int, limit: int) -> list[AuditEntry]:
        """Return the entries after a position, in order, of a list and of an actor where these are given.

        Each event has a `list_id`, which is None for what concerns no list, such as a new partner.
        """
        ...


class Leases(Protocol):
    """Promises that one process works on a thing, which end by themselves when that process is silent or dead."""

    def take(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Take or renew a lease; return False where another holder has it.

        A lease that ended before `now`, or whose holder the storage knows to be dead, is free.
        """
        ...

    def held(self, name: str, holder: str) -> bool:
        """Return whether this holder is the last who took the lease."""
        ...

    def release(self, name: str, holder: str) -> None:
        """Give a lease back, where this holder has it."""
        ...


class Settings(Protocol):
    """What the storage remembers about how it was set up."""

    def get(self, name: str) -> str | None:
        """Return a setting."""
        ...

    def put(self, name: str, value: str) -> None:
        """Store a setting."""
        ...
