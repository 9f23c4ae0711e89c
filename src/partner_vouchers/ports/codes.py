"""The storage of codes, assignments and idempotency keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import NamedTuple, Protocol

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.errors import Unsupported

# Tuples, since one is made for each code, and a frozen class of attrs takes four times as long.


class TakenCode(NamedTuple):
    """A code taken out of a list.

    Attributes:
        id: the id of the code, which becomes the id of its assignment.
        code: the voucher code, masked in the repr.
    """

    id: str
    code: str

    def __repr__(self) -> str:
        return f"TakenCode(id={self.id!r}, code={mask(self.code)})"


class Taken(NamedTuple):
    """Codes taken out of a list, and the state of the list afterwards.

    Attributes:
        codes: the codes, in upload order.
        counts: the counters of the list, after the taking.
        notified: the stock level of the list that was notified last.
        run_out: whether reservations have run out, and nothing was taken because their codes must return first.
    """

    codes: Sequence[TakenCode]
    counts: Counts
    notified: StockLevel
    run_out: bool = False


class Holding(NamedTuple):
    """What a user has in a campaign or, without one, from a list.

    Attributes:
        held: the assignment with the greatest ordinal among those that are not revoked, or None.
        last_ordinal: the greatest ordinal of any assignment, revoked ones included; 0 for none.
        has_reservation: whether the storage has an open reservation, which may have run out.
    """

    held: Assignment | None = None
    last_ordinal: int = 0
    has_reservation: bool = False


NOTHING = Holding()
"""The holding of a user without assignments."""


class Codes(Protocol):
    """The published codes of the lists, without withdrawn ones."""

    def take(
        self,
        list_id: str,
        limit: int,
        now: datetime | None = None,
        *,
        run_out_first: bool = True,
        reserve_until: datetime | None = None,
    ) -> Taken:
        """Take up to `limit` available codes of a list, in upload order, and count them as distributed or reserved.

        No code is ever taken twice while it is taken. Codes that returned to the list come before all others. If fewer
        are available, all of them are returned, possibly none. The caller stores an assignment (`Assignments.add`) for
        each code in the same transaction, with `reserve_until` a reservation (`Reservations.add`).

        Args:
            list_id: the list.
            limit: the most codes to take.
            now: takes nothing, and sets `Taken.run_out`, if an open reservation of the list has run out by then. The
                codes count as given on its UTC day. None takes no notice of reservations and counts no day.
            run_out_first: False takes no notice of reservations that have run out by `now`.
            reserve_until: counts the codes as reserved and on no day, since they are for reservations that run out
                then; only a storage that keeps reservations is asked for it.

        Raises:
            UnknownList: there is no such list.
        """

    def given(self, list_id: str, since: date | None, until: date | None) -> dict[date, int]:
        """Return how many codes of a list were given to users on each UTC day from `since` to `until`.

        Days without any are left out. A code counts on the day on which it was assigned, and stays counted when it is
        revoked; a reserved one counts on the day of its confirmation. The cost does not depend on the number of codes.

        Raises:
            Unsupported: the storage does not count days.
        """
        del list_id, since, until
        raise Unsupported(ability="codes a day")

    def counts(self, list_id: str) -> Counts:
        """Return the counters of a list, including the changes of this transaction.

        Raises:
            UnknownList: there is no such list.
        """

    def withdraw(self, upload_id: str) -> int:
        """Withdraw the available codes of an upload, and return how many.

        They are never given out, and no longer count as duplicates or against the capacity of the list. The same holds
        for a code of the upload that is reserved, once it returns.
        """

    def holder(self, scope: str, code: str, counts: Callable[[State], bool]) -> Holder | None:
        """Return the list of a scope that holds a code, or None.

        A list holds its available codes and those that were given out, but not withdrawn or unpublished ones. `counts`
        says whether the codes of a list in a state count. With the rule that `Storage.import_codes` is given, at most
        one list holds a code. With another rule, only the list that took the code last is considered.
        """

    def remaining(self, list_id: str, after: str | None, limit: int) -> list[TakenCode]:
        """Return a page of the available codes of a list, in the order of their ids, in which they are taken."""


class Assignments(Protocol):
    """The codes that users have."""

    def add(self, assignments: Sequence[Assignment]) -> None:
        """Store assignments of codes that were taken in this transaction, each with its event.

        The events (`Assignment.event`) go into the outbox in the order of the assignments. An event can always be
        computed from its assignment, so it is enough to store the id of the assignment.

        Raises:
            StorageError: a code is assigned already, or an ordinal of a user in a campaign (without a campaign: in a
                list) exists already, here or among the others given. The error may come only with the commit, which
                then stores nothing.
        """

    def holding(self, user_id: str, campaign_id: str | None, list_id: str | None) -> Holding:
        """Return what a user has in a campaign or, without one, from a list. It has a body.

        Until the transaction ends, no other transaction gives this user a code there, or ends a reservation of theirs.
        """
        return self.holdings([user_id], campaign_id, list_id).get(user_id, NOTHING)

    def holdings(
        self, user_ids: Sequence[str], campaign_id: str | None, list_id: str | None
    ) -> dict[str, Holding]:
        """Return `holding` for many users, by id, without those who have nothing."""

    def get_many(self, ids: Sequence[str]) -> list[Assignment]:
        """Return the assignments with these ids, in this order."""

    def of_user(self, user_id: str) -> list[Assignment]:
        """Return the assignments of a user, the oldest first; those of one instant by ordinal, then age of the list."""

    def of_code(self, code: str) -> list[Assignment]:
        """Return the assignments of a code in all lists, including archived ones, the oldest list first."""

    def of_list(self, list_id: str, after: str | None, limit: int) -> list[Assignment]:
        """Return a page of the assignments of a list, in the order of their codes."""


class IdempotencyKeys(Protocol):
    """The results of requests with an idempotency key, kept for ever."""

    def get(self, key: str) -> tuple[str, tuple[str, ...]] | None:
        """Return the fingerprint of the request with a key and its results, or None."""

    def put(self, key: str, fingerprint: str, results: tuple[str, ...]) -> None:
        """Store a key with its results: strings without white space, such as ids of assignments.

        Raises:
            StorageError: the key exists. The error may come only with the commit, which then stores nothing.
        """
