"""The search for ids of users. A storage may leave it out (`errors.Unsupported`)."""

from __future__ import annotations

from typing import Protocol

from partner_vouchers.domain.events import Event


class Users(Protocol):
    """Every place in which a storage has the id of a user."""

    def host_events(self, user_id: str) -> list[tuple[int, Event]]:
        """Return the events in the outbox that the host wrote about a user, with their positions.

        The position is 0 for an event that has none yet. The cost may depend on the number of stored events.
        """

    def rename(self, user_id: str, new_id: str) -> int:
        """Replace the id of a user, wherever it is, by an unused one; return how many reservations had it.

        That concerns assignments, reservations, redemptions, revocations, all events in the outbox, and what is
        deferred for sinks, with the reasons that they gave.
        """
