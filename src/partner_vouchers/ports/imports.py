"""How the codes of an upload come into a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.uploads import RowFault, RowFaultKind
from partner_vouchers.ports.transaction import Transaction

Judge = Callable[[Holder], tuple[RowFaultKind, str]]
"""Says why a code that `Holder` has is refused."""


class CodeImport(Protocol):
    """The codes of one upload on their way into a list: private until they are published, all at once.

    The calls come in this order: `add` and `refuse` by turns while the file is read; then `check` alone, or
    `claim` and `publish`. A storage does the work in transactions of its own, each so short that others are
    not kept waiting. Leaving the context without `publish` gives up what was not published.
    """

    def add(self, lines: Sequence[int], codes: Sequence[str]) -> None:
        """Add valid codes with their lines in the file, in the order of the file."""

    def refuse(self, faults: Sequence[RowFault]) -> None:
        """Add refused rows, to be kept with the upload, up to `MAX_KEPT_FAULTS`."""

    def check(self, judge: Judge, full: Callable[[], tuple[RowFaultKind, str]]) -> None:
        """Find what `claim` would refuse, without storing anything."""

    def claim(
        self,
        judge: Judge,
        full: Callable[[], tuple[RowFaultKind, str]],
        keep_alive: Callable[[Transaction], None],
    ) -> None:
        """Claim the codes in the scope of the list, in the order of the file, and refuse those that another holds.

        If a code is in the file twice, the first wins. Codes of lists that do not count (see
        `Storage.import_codes`), withdrawn codes and leftovers of abandoned uploads are taken over; those
        of an earlier import of this same upload are cleared away first.
        Where the list would receive more codes than `Counts.capacity_left`, those at the end of the file are
        refused with `full()`.

        Imports of one scope come one after the other, from `claim` to the end of the transaction of `publish`: the
        caller holds a lease on the scope, and `keep_alive` raises once the lease is lost. So a storage may either
        refuse or take over what another import has claimed and not published.

        Args:
            judge: says why a code is refused.
            full: says why a code is refused that does not fit.
            keep_alive: called in each transaction before it commits; what it raises ends the import.
        """

    def held_before(self, limit: int) -> tuple[int, list[tuple[int, str]]]:
        """Return how many of the codes that were not refused users hold in lists of the scope that do not count.

        It comes after `check` or `claim`.

        Args:
            limit: how many of them to return, the first in the order of the file.

        Returns:
            their number, and the first of them as (line, code).
        """

    @property
    def refused(self) -> dict[RowFaultKind, int]:
        """How many rows were refused so far, by reason."""

    def sample(self, limit: int) -> list[RowFault]:
        """Return the first refused rows, in the order of their lines."""

    def save_faults(self, keep_alive: Callable[[Transaction], None]) -> None:
        """Keep the refused rows with the upload."""

    def publish(self, tx: Transaction) -> int:
        """Make the claimed codes available and count them as uploaded, when `tx` commits; return how many.

        It may be called again with another transaction where `tx` was undone.

        Raises:
            StorageError: `tx` is not of the storage that imports.
            UnknownList: the list was removed.
        """
