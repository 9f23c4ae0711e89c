"""The storage of reservations, limits and refusals. A storage may leave them out (`errors.Unsupported`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple, Protocol

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.limits import Limit, Window
from partner_vouchers.domain.refusals import RefusalCount
from partner_vouchers.domain.reservation import Reservation, ReservationState


class RunOut(NamedTuple):
    """How many open reservations of a list have run out.

    Attributes:
        codes: how many there are.
        withdrawn: how many of them have a code whose upload was withdrawn.
    """

    codes: int
    withdrawn: int


class Reservations(Protocol):
    """Codes that are set aside for users.

    A reservation stays `Open` in the storage until it is ended, also after `expires_at`: an open one counts as reserved
    in `Counts`, and its code cannot be taken. `Codes.take` reports when one has run out.
    """

    def add(self, reservations: Sequence[Reservation]) -> None:
        """Store open reservations of codes that were taken in this transaction with `reserve_until`.

        An id begins with that of its code (`domain.reservation.new_reservation_id`).

        Raises:
            StorageError: the code is reserved already. The error may come only with the commit.
        """

    def get(self, reservation_id: str) -> Reservation | None:
        """Return a reservation."""

    def get_for_update(self, reservation_id: str) -> Reservation | None:
        """Return a reservation that this transaction may end.

        Until the transaction ends, no other one ends it, gives its user a code where it was asked for, or changes its
        list.
        """

    def confirm(self, reservation_id: str, now: datetime) -> Assignment | None:
        """End a reservation that is open at `now` as confirmed, and return the assignment that it becomes.

        The caller stores the assignment (`Assignments.add`) in the same transaction; its code counts as distributed
        already. What `get_for_update` promises holds from then on. None, without a change, for any other reservation.
        """

    def end(self, reservation: Reservation, state: ReservationState, at: datetime) -> None:
        """End an open reservation as released or expired.

        Its code returns to the list, and is taken before all codes that were never taken; if its upload was withdrawn,
        the code counts as withdrawn.

        Raises:
            StorageError: the reservation is not open.
        """

    def end_run_out(
        self, now: datetime, limit: int, *, list_id: str | None = None, campaign_id: str | None = None
    ) -> list[Reservation]:
        """End up to `limit` open reservations whose `expires_at` is not after `now`, and return them, now Expired.

        The oldest come first. Their codes return as in `end`. With `list_id` they are those of a list, without those
        that another transaction is ending. With `campaign_id` they are those of a campaign, after waiting for such
        transactions.
        """

    def open_of_user(self, user_id: str, campaign_id: str | None, list_id: str | None) -> list[Reservation]:
        """Return the open reservations of a user in a campaign or, without one, asked of a list; the latest first."""

    def of_user(self, user_id: str) -> list[Reservation]:
        """Return all open reservations of a user, the oldest first."""

    def of_list(self, list_id: str, after: tuple[datetime, str] | None, limit: int) -> list[Reservation]:
        """Return a page of the open reservations of a list, ordered by `expires_at`, then id, after such a pair."""

    def run_out(self, list_ids: Collection[str] | None, now: datetime) -> dict[str, RunOut]:
        """Return how many open reservations have run out, by list, without lists that have none."""

    def has_returned(self, list_id: str) -> bool:
        """Return whether a list has a code that came back and was not given again or withdrawn since."""

    def remove_ended(self, before: datetime, limit: int) -> int:
        """Remove up to `limit` reservations that were released or had run out before an instant; return how many."""


class Limits(Protocol):
    """The limits of campaigns, and how many codes count in each window of them.

    `Campaigns.offer` returns the limits of a campaign where each assignment needs them.
    """

    def get(self, campaign_id: str) -> tuple[Limit, ...]:
        """Return the limits of a campaign, as they were set."""

    def get_for_update(self, campaign_id: str) -> tuple[Limit, ...]:
        """Return the limits of a campaign that this transaction will replace.

        Until it ends, no other transaction changes the limits or the links of the campaign, or gives a code in it. It
        has a body for storages with one writer at a time: `get`.
        """
        return self.get(campaign_id)

    def replace(self, campaign_id: str, limits: Sequence[Limit], counts: Mapping[str, int]) -> None:
        """Replace the limits of a campaign, and all its counts: codes by the key of a window."""

    def given(self, campaign_id: str, window: Window) -> int:
        """Return how many codes of a campaign count in a window.

        These are its assignments that are not revoked, and its open reservations. A code counts at the instant at which
        it was reserved, if it was, and otherwise assigned. It may look at all assignments.
        """

    def given_to(
        self, user_ids: Collection[str], campaign_id: str, window: Window, now: datetime
    ) -> dict[str, int]:
        """Return what `given` counts for users, by user id, without those who have none.

        Reservations that have run out by `now` are left out. It is asked after `Assignments.holding` of these users in
        the same transaction, so no other transaction gives them a code meanwhile.
        """

    def run_out(self, campaign_id: str, window: Window, now: datetime) -> int:
        """Return how many of the open reservations that `given` counts have run out by `now`."""

    def counts(self, campaign_id: str, keys: Collection[str]) -> dict[str, int]:
        """Return the counts of windows, by key; 0 for a window in which nothing was counted."""

    def counts_for_update(self, campaign_id: str, most: Mapping[str, int], codes: int) -> dict[str, int]:
        """Return `counts` for a request of a number of codes, so that it can be decided by them.

        If a count leaves room for the request, it does so until the transaction ends, whatever others do. If it leaves
        none, no other open transaction has a part in it. It has a body for storages with one writer at a time.

        `most` is the limit of each window, by key, and `codes` how many codes this transaction may give.
        """
        del codes
        return self.counts(campaign_id, most)

    def count_within(self, campaign_id: str, most: Mapping[str, int], codes: int) -> bool:
        """Count codes in windows if there is room for them in each, and return whether there was; see the arguments of
        `counts_for_update`. It has a body.
        """
        counts = self.counts_for_update(campaign_id, most, codes)
        has_room = all(counts[key] + codes <= limit for key, limit in most.items())
        if has_room:
            self.count(campaign_id, most, codes)
        return has_room

    def count(self, campaign_id: str, keys: Collection[str], codes: int) -> None:
        """Add a number of codes, which may be negative, to the counts of windows.

        A negative number does not change windows in which nothing was ever counted.
        """


class Refusals(Protocol):
    """How often requests in a campaign were refused."""

    def add(self, campaign_id: str, counts: Sequence[RefusalCount]) -> None:
        """Add to the counts of a campaign."""

    def of_campaign(self, campaign_id: str, since: date | None, until: date | None) -> list[RefusalCount]:
        """Return the counts of a campaign by day, reason and list.

        They are ordered by day, then reason, then list; what counts requests comes before lists. `since` is the first
        day, `until` the last one.
        """
