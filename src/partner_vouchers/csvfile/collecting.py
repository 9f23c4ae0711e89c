"""Judged rows on their way into batches, and the blank lines that may or may not count."""

from __future__ import annotations

from collections.abc import Iterator

from partner_vouchers.csvfile.judging import Judged, blank_lines

_BATCH_ROWS = 10_000


class Collector:
    """Gathers judged rows until there are enough for a batch, in the order of the file.

    Blank lines are held back as a number, since a file may end with millions of them. They count as refused
    rows once another row follows.
    """

    def __init__(self) -> None:
        self._parts: list[Judged] = []
        self._size = 0
        self._first_blank = 0
        self._blanks = 0

    def hold(self, line: int, count: int) -> None:
        """Hold back blank lines, of which the first is `line`."""
        if not self._blanks:
            self._first_blank = line
        self._blanks += count

    def add(self, judged: Judged) -> Iterator[Judged]:
        """Add rows, after the blank lines before them; yield what is enough for a batch."""
        if self._blanks:
            yield from self.release()
        self._put(judged)
        if self._size >= _BATCH_ROWS:
            yield from self.flush()

    def release(self) -> Iterator[Judged]:
        """Let the blank lines count that were held back; yield what is enough for a batch."""
        while self._blanks:
            count = min(self._blanks, _BATCH_ROWS)
            self._put(blank_lines(self._first_blank, count))
            self._first_blank += count
            self._blanks -= count
            if self._size >= _BATCH_ROWS:
                yield from self.flush()

    def flush(self) -> Iterator[Judged]:
        """Yield the rows that were gathered."""
        parts, self._parts, self._size = self._parts, [], 0
        if len(parts) == 1:
            yield parts[0]
        elif parts:
            yield _joined(parts)

    def _put(self, judged: Judged) -> None:
        self._parts.append(judged)
        self._size += len(judged)


def _joined(parts: list[Judged]) -> Judged:
    lines: list[int] = []
    codes: list[str] = []
    faults = []
    for part in parts:
        lines += part.lines
        codes += part.codes
        faults += part.faults
    return Judged(lines, codes, faults)
