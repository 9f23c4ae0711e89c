"""Validated rows on their way into batches, and blank lines that may or may not count."""

from __future__ import annotations

from collections.abc import Iterator

from partner_vouchers.csvfile.refusals import too_many_rows
from partner_vouchers.csvfile.validation import ValidatedRows, blank_lines
from partner_vouchers.domain.uploads import MAX_ROWS, RowFault, RowWarning

_BATCH_ROWS = 10_000


class Collector:
    """Gathers validated rows until there are enough for a batch, in the order of the file.

    Blank lines wait as a number, since a file may end with millions of them. They count as refused rows once
    another row follows.

    Attributes:
        line: the line of the file of the first row that was not taken yet.
    """

    def __init__(self) -> None:
        self.line: int = 1
        self._rows_taken = 0
        self._parts: list[ValidatedRows] = []
        self._size = 0
        self._first_blank = 0
        self._blanks = 0

    def pass_over(self, *, rows: int, lines: int) -> None:
        """Take note of rows that were taken.

        Raises:
            FileRefused: the file has too many.
        """
        self.line += lines
        self._rows_taken += rows
        if self._rows_taken > MAX_ROWS:
            raise too_many_rows()

    def add_blanks(self, count: int) -> None:
        """Add blank lines, one row each. They wait for the next row."""
        if not self._blanks:
            self._first_blank = self.line
        self._blanks += count
        self.pass_over(rows=count, lines=count)

    def drop_blanks(self) -> None:
        """Forget the blank lines that wait: they are no errors."""
        self._blanks = 0

    def add(self, validated: ValidatedRows, lines: int) -> Iterator[ValidatedRows]:
        """Add rows, which take so many lines, after the blank lines before them; yield full batches."""
        if self._blanks:
            yield from self.release_blanks()
        self._put(validated)
        if self._size >= _BATCH_ROWS:
            yield from self.flush()
        self.pass_over(rows=len(validated), lines=lines)

    def release_blanks(self) -> Iterator[ValidatedRows]:
        """Refuse the blank lines that wait; yield full batches."""
        while self._blanks:
            count = min(self._blanks, _BATCH_ROWS)
            self._put(blank_lines(self._first_blank, count))
            self._first_blank += count
            self._blanks -= count
            if self._size >= _BATCH_ROWS:
                yield from self.flush()

    def flush(self) -> Iterator[ValidatedRows]:
        """Yield the rows that were gathered."""
        parts, self._parts, self._size = self._parts, [], 0
        if len(parts) == 1:
            yield parts[0]
        elif parts:
            yield _joined(parts)

    def _put(self, validated: ValidatedRows) -> None:
        self._parts.append(validated)
        self._size += len(validated)


def _joined(parts: list[ValidatedRows]) -> ValidatedRows:
    lines: list[int] = []
    codes: list[str] = []
    faults: list[RowFault] = []
    warnings: list[RowWarning] = []
    for part in parts:
        lines += part.lines
        codes += part.codes
        faults += part.faults
        warnings += part.warnings
    return ValidatedRows(lines, codes, faults, warnings)
