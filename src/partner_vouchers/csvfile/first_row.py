"""Is the first row a code, although it is no known title?"""

from __future__ import annotations

from collections.abc import Sequence

from partner_vouchers.domain.uploads import RowWarning, WarningKind

_FEWEST_OTHERS = 3


class FirstRowCheck:
    """Compares the first row of a file, where it is a valid code, with all others, which are given in batches.

    The first row is odd when at least three others all share one length, or all have a digit, and it does not.
    """

    def __init__(self, line: int, code: str) -> None:
        self._first = RowWarning(line, code, WarningKind.ODD_FIRST_ROW)
        self._others = 0
        self._lengths: set[int] = set()
        self._may_share_length = True
        self._may_have_digits = not _has_digit(code)

    def add(self, codes: Sequence[str]) -> None:
        """Add valid codes of other rows."""
        self._others += len(codes)
        if self._may_share_length:
            self._lengths.update(map(len, codes))
            self._may_share_length = len(self._lengths) <= 1 and len(self._first.code) not in self._lengths
        if self._may_have_digits:
            self._may_have_digits = all(map(_has_digit, codes))

    def warning(self) -> RowWarning | None:
        """Return the warning about the first row, where it is odd, once all rows were added."""
        is_odd = self._may_share_length or self._may_have_digits
        return self._first if is_odd and self._others >= _FEWEST_OTHERS else None


def _has_digit(code: str) -> bool:
    return any(character.isdigit() for character in code)
