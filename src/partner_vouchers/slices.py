"""How much work fits into a transaction that is so short that other writers wait little."""

from __future__ import annotations

TARGET_SECONDS = 0.008
"""How long one transaction should take."""


class SliceSize:
    """How many rows fit into one short transaction, learned from those before.

    Attributes:
        rows: the number of rows for the next transaction.
    """

    def __init__(self, smallest: int, first: int, largest: int) -> None:
        """Begin with a number of rows.

        Args:
            smallest: the fewest rows.
            first: the rows of the first transaction.
            largest: the most rows.
        """
        self.rows: int = first
        self._smallest, self._largest = smallest, largest

    def learn(self, seconds: float) -> None:
        """Take into account how long a transaction of `rows` rows took."""
        fitting = self.rows * TARGET_SECONDS / max(seconds, 1e-4)
        # Growing slowly and shrinking at once keeps the longest ones rare.
        self.rows = int(max(self._smallest, min(self._largest, fitting, self.rows * 1.5)))
