"""The storage of revocations. A storage may leave it out (`errors.Unsupported`)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from attrs import frozen

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.revocation import Revocation


@frozen
class Unsent:
    """Voucher events that are not sent now.

    Attributes:
        cancelled: the positions of those whose assignment was revoked; they are never sent.
        uncertain: the positions of those whose assignment another transaction may be revoking.
    """

    cancelled: frozenset[int] = frozenset()
    uncertain: frozenset[int] = frozenset()


class Revocations(Protocol):
    """The codes that were taken back from users."""

    def get_for_update(self, assignment_id: str) -> Assignment | None:
        """Return an assignment that this transaction may revoke.

        Until it ends, no other transaction revokes or redeems it, gives its user a code in the same campaign or list,
        or begins to send its event.
        """

    def get(self, assignment_id: str) -> Revocation | None:
        """Return the revocation of an assignment."""

    def upload_is_withdrawn(self, assignment_id: str) -> bool:
        """Return whether the upload that the code of an assignment came with was withdrawn."""

    def event_position(self, assignment_id: str) -> int | None:
        """Return the position of the voucher event of an assignment in the outbox.

        It is 0 for an event that has no position yet, and None for one that was removed.
        """

    def counted_at(self, assignment_id: str) -> datetime:
        """Return the instant at which an assignment counts in the limits of its campaign.

        It is the instant at which its code was reserved, if it was, and otherwise assigned.
        """

    def add(self, revocation: Revocation) -> None:
        """Store the revocation of an assignment that this transaction has read, with its event (`Revocation.event`).

        With `restocked` the code becomes a new entry of its list, with an id of its own, that is taken before all codes
        that were never taken; it counts as available, and takes the place of the old entry in the duplicate rule.
        Otherwise it counts as retired. The code no longer counts as distributed.

        Raises:
            StorageError: the assignment was revoked before.
        """

    def unsent(self, positions: Collection[int]) -> Unsent:
        """Return which events of the outbox must not be sent.

        Until the transaction ends, no other transaction revokes the assignments of the other events.
        """
