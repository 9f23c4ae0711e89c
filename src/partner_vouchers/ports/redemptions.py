"""The storage of redemptions and of the reports of reconciliations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import starmap
from typing import NamedTuple, Protocol

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.reconciliation import ReconciledRow, ReconciliationReport, RowKind
from partner_vouchers.domain.redemption import Entry, Redemption
from partner_vouchers.errors import StorageError


class HeldEntries(NamedTuple):
    """Entries that users hold, as columns in the order in which they were asked for.

    Attributes:
        unused: those that were not revoked and never redeemed.
        expires_at: when the list of each of these expires.
        used: those whose only redemption was not reverted.
        order_ids: the orders of these redemptions; None for one that has no order.
    """

    unused: Sequence[int]
    expires_at: Sequence[datetime]
    used: Sequence[int]
    order_ids: Sequence[str | None]


class Uses(NamedTuple):
    """First redemptions of assignments, as columns: a list for each, because a file can have very many.

    Attributes:
        places: the assignment of each, as `Redemptions.held` returned it.
        order_ids: the orders, or None.
        redeemed_at: when the codes were used.
        amounts: decimal numbers as text, or None.
        late: whether each was used after the expiry of its list.
    """

    places: Sequence[int]
    order_ids: Sequence[str | None]
    redeemed_at: Sequence[datetime]
    amounts: Sequence[str | None]
    late: Sequence[bool]


class Redemptions(Protocol):
    """Which codes were used, and what a redemption must know about a code."""

    def entries(
        self, codes: Sequence[str], partner: str | None, list_id: str | None
    ) -> dict[str, list[Entry]]:
        """Return the entries of codes in all lists that are not deleted, by code, in any order.

        An entry is a code of a list that is available, reserved or retired, or that a user was given. Withdrawn codes
        have none, and neither have available ones whose place in the duplicate rule was taken over after their list
        was archived. In a transaction that writes, no other transaction takes, revokes or redeems one of these codes
        until this one ends.

        Each code is given once. Entries of other partners and other lists need not be returned.
        """

    def places(self, codes: Sequence[str], partner: str | None, list_id: str | None) -> Sequence[int | None]:
        """Return where each code may have an entry: its id as a number, or None to have `entries` look at it.

        It takes no locks, so other transactions may change what it says at once. A code with several entries has None;
        one without an entry has 0, or None. The arguments are those of `entries`, but a code may be given more than
        once. It has a body, which is None for each code.
        """
        del partner, list_id
        return [None] * len(codes)

    def held(self, places: Sequence[int]) -> HeldEntries:
        """Return which entries users hold, and whether their codes were used.

        It is what most rows of a partner's file are about, so it should be fast; entries may be left out. The locks are
        those of `entries`. It has a body, which leaves out all.
        """
        del places
        return HeldEntries([], [], [], [])

    def record(self, recorded_at: datetime, uses: Uses) -> None:
        """Store the first redemption of each of some entries that are `HeldEntries.unused` in this transaction.

        It stores the event of each, as `add` does. It has a body, which a storage without its own `held` keeps.
        """
        del recorded_at
        if uses.places:
            raise StorageError(
                reason="`held` returned none of these entries; a storage that has it has `record`"
            )

    def add(self, redemptions: Sequence[Redemption]) -> None:
        """Store redemptions of entries that this transaction has read, each with its event (`Redemption.event`).

        Raises:
            StorageError: the assignment has a redemption with this number.
        """

    def set_order(self, redemptions: Sequence[Redemption]) -> None:
        """Set the order of redemptions that had none. Their events in the outbox stay as they were."""

    def revert(self, redemption: Redemption) -> None:
        """Set when a redemption was reverted, and store the event (`Redemption.reverted_event`)."""

    def retire(self, entries: Sequence[Entry]) -> None:
        """Take available codes, which this transaction has read, out of the pool, and count them as retired."""

    def of_assignments(self, assignment_ids: Collection[str]) -> dict[str, tuple[Redemption, ...]]:
        """Return the redemptions of assignments by their number, by assignment id, without those that have none."""

    def unredeemed(
        self,
        campaign_id: str | None,
        list_id: str | None,
        assigned_until: datetime,
        after: str | None,
        limit: int,
    ) -> list[Assignment]:
        """Return a page of the assignments that are neither redeemed nor revoked, in the order of their codes.

        They are those of a campaign or of a list, which were given out at `assigned_until` or before.
        """


class Reports(Protocol):
    """The reports of reconciliations."""

    def new_id(self) -> str:
        """Return a new id: a growing number in decimal digits that no report ever had."""

    def add(self, report: ReconciliationReport) -> None:
        """Store a new report, without rows."""

    def save(self, report: ReconciliationReport) -> None:
        """Replace a report; its rows stay."""

    def get(self, report_id: str) -> ReconciliationReport | None:
        """Return a report, without rows."""

    def unfinished(
        self, sha256: str, partner: str | None, list_id: str | None
    ) -> ReconciliationReport | None:
        """Return the latest report that has not finished, of a file and what it is about, or None."""

    def add_rows(self, report_id: str, rows: Sequence[ReconciledRow]) -> None:
        """Store rows of a report in any order, each with a line that no stored row has."""

    def add_found(
        self,
        report_id: str,
        kind: RowKind,
        lines: Sequence[int],
        codes: Sequence[str],
        places: Sequence[int],
    ) -> None:
        """Store rows of one kind about codes that users have, as columns; `places` are their assignments as numbers.

        It has a body, which calls `add_rows`.
        """
        self.add_rows(
            report_id,
            [
                ReconciledRow(line, kind, code, assignment_id=str(place))
                for line, code, place in zip(lines, codes, places, strict=True)
            ],
        )

    def add_unknown(
        self,
        report_id: str,
        lines: Sequence[int],
        codes: Sequence[str],
        redeemed_at: Sequence[str],
        order_ids: Sequence[str],
        amounts: Sequence[str],
    ) -> None:
        """Store rows about codes that no list contains, as columns of the attributes of `ReconciledRow`.

        It has a body, which calls `add_rows`.
        """
        kinds = [RowKind.UNKNOWN_CODE] * len(lines)
        rows = zip(lines, kinds, codes, redeemed_at, order_ids, amounts, strict=True)
        self.add_rows(report_id, list(starmap(ReconciledRow, rows)))

    def rows(
        self, report_id: str, kinds: Collection[RowKind], after_line: int, limit: int
    ) -> list[ReconciledRow]:
        """Return a page of the rows of these kinds, in the order of their lines, after a line."""
