"""Where codes, assignments and idempotency keys are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import field, frozen

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts, StockLevel


@frozen
class TakenCode:
    """A code taken out of a list.

    Attributes:
        id: the id of the code, which becomes the id of its assignment.
        code: the voucher code, masked in the repr.
    """

    id: str
    code: str = field(repr=mask)


@frozen
class Taken:
    """What was taken out of a list, and what is left.

    Attributes:
        codes: the codes, in upload order.
        counts: the counters of the list, after the taking.
        announced: the stock level of the list that was announced last.
    """

    codes: Sequence[TakenCode]
    counts: Counts
    announced: StockLevel


class Codes(Protocol):
    """The codes of the lists that were published, and were not withdrawn."""

    def take(self, list_id: str, limit: int) -> Taken:
        """Take up to `limit` of a list's available codes, in upload order, and count them as distributed.

        No code is ever taken twice. Fewer than `limit` codes, or none, are returned where no more are available.

        Raises:
            UnknownList: there is no such list.
        """
        ...

    def counts(self, list_id: str) -> Counts:
        """Return the counters of a list as of now, within the transaction.

        Raises:
            UnknownList: there is no such list.
        """
        ...

    def withdraw(self, upload_id: str) -> int:
        """Take back the codes of an upload that were not taken, count them as withdrawn, and return how many."""
        ...

    def holder(self, scope: str, code: str, counts: Callable[[State], bool]) -> Holder | None:
        """Return which list of a scope holds a code, where `counts` says that the codes of such a list count.

        A code that was given out is held, one that was withdrawn or not published is not. `counts` is the rule that
        `Storage.import_codes` is given, so no two lists hold a code; for another rule it is the list that took the
        code last.
        """
        ...

    def remaining(self, list_id: str, after: str | None, limit: int) -> list[TakenCode]:
        """Return available codes of a list in the order in which they would be taken, after the one with an id."""
        ...


class Assignments(Protocol):
    """Who has which code."""

    def add(self, assignments: Sequence[Assignment]) -> None:
        """Store assignments of codes that were taken in this transaction, and their events, one for one.

        The event of an assignment (`Assignment.event`) goes into the outbox with it, in the order given. It follows
        from the assignment for ever, so a row with the assignment's id is enough to keep it.
        A code, and likewise an ordinal of a user in a campaign or else list, can be stored only once.

        Raises:
            StorageError: a code or an ordinal is stored already, or stands twice among these. It may come only with
                the commit, which then stores nothing.
        """
        ...

    def latest(self, user_id: str, campaign_id: str | None, list_id: str | None) -> Assignment | None:
        """Return the user's assignment with the greatest ordinal in a campaign, or of a list asked directly.

        Where both are given the campaign alone counts, from whichever list its codes were. It has a body.
        """
        return self.latest_of_many([user_id], campaign_id, list_id).get(user_id)

    def latest_of_many(
        self, user_ids: Sequence[str], campaign_id: str | None, list_id: str | None
    ) -> dict[str, Assignment]:
        """Return `latest` for each user who has one."""
        ...

    def get_many(self, ids: Sequence[str]) -> list[Assignment]:
        """Return the assignments with these ids, in this order."""
        ...

    def of_user(self, user_id: str) -> list[Assignment]:
        """Return a user's assignments, the oldest first; those of one instant by ordinal, then age of the list."""
        ...

    def of_code(self, code: str) -> list[Assignment]:
        """Return the assignments of a code in all lists, archived ones too, the oldest list first."""
        ...

    def of_list(self, list_id: str, after: str | None, limit: int) -> list[Assignment]:
        """Return assignments of a list in the order of their codes, after the one with an id."""
        ...


class IdempotencyKeys(Protocol):
    """The results of requests that carried an idempotency key; kept for ever."""

    def get(self, key: str) -> tuple[str, tuple[str, ...]] | None:
        """Return the fingerprint of a key's request and the ids of the assignments that it led to."""
        ...

    def put(self, key: str, fingerprint: str, assignment_ids: tuple[str, ...]) -> None:
        """Store a key. It must not exist."""
        ...
