"""Rows and cells in bytes, where a file has quotes or several columns (RFC 4180).

This reads what `csv.reader(strict=True)` reads, with two differences. A row has a limit of its own, where that
of `csv` holds for the whole process. And a row that continues in the next chunk is not taken for a broken one.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from partner_vouchers.csvfile.refusals import broken_quoting, several_columns

QUOTE = b'"'
COMMA = b","
_LINE_FEED = b"\n"
_QUOTED = re.compile(rb'"((?:[^"]++|"")*+)"')
_UNQUOTED = {delimiter: re.compile(rb"[^%s\n]*+" % delimiter) for delimiter in (COMMA, b";", b"\t")}


class Row(NamedTuple):
    """A row in a buffer.

    Attributes:
        cells: the contents of its columns, without quotes.
        end: where in the buffer the next row begins.
        lines: how many lines of the file it takes.
    """

    cells: list[bytes]
    end: int
    lines: int


def read_row(
    data: bytes, start: int, line: int, *, limit: int, delimiter: bytes = COMMA, single: bool = False
) -> Row | None:
    """Return the row that begins at `start`, or None where `data` ends before it does.

    Args:
        data: lines of a file, with line feeds.
        start: where the row begins.
        line: the line of the file on which it begins.
        limit: how many bytes it may have without its last line feed.
        delimiter: what separates its columns: a comma, a semicolon or a tab.
        single: whether it may have one column only.

    Raises:
        FileRefused: it has several columns, but may not; or its quoting is broken. The latter also holds for a row
            that is too long, since only a quote that is never closed leads there; but not for a single column on one
            line, which is an `Overlong`.

    Example:
        >>> read_row(b'"a,b",c\\nd\\n', 0, 1, limit=100)
        Row(cells=[b'a,b', b'c'], end=8, lines=1)
    """
    # Nothing is read beyond the limit: how much of the file follows in the buffer must not matter.
    stop = min(len(data), start + limit + 1)
    position = start
    cells: list[bytes] = []
    while (cell := _read_cell(data, position, stop, delimiter)) and cell[1] < stop:
        content, end = cell
        after = data[end : end + 1]
        position = end + 1
        cells.append(content)
        if after == _LINE_FEED:
            return Row(cells, position, data.count(_LINE_FEED, start, position))
        if after != delimiter:
            raise broken_quoting(line)
        if single:
            raise several_columns(line)
    if stop - start > limit and not (single and is_overlong(data, start, limit)):
        raise broken_quoting(line)
    return None


def is_overlong(data: bytes, start: int, limit: int) -> bool:
    """Return whether the row that begins at `start` is one overlong line, as far as its first bytes show."""
    return data.find(_LINE_FEED, start, start + limit + 1) < 0


def _read_cell(data: bytes, start: int, stop: int, delimiter: bytes) -> tuple[bytes, int] | None:
    """Return the content of the cell at `start` and where it ends, or None where its quote is not closed."""
    if not data.startswith(QUOTE, start, stop):
        unquoted = _UNQUOTED[delimiter].match(data, start, stop)
        return (unquoted[0], unquoted.end()) if unquoted else None
    quoted = _QUOTED.match(data, start, stop)
    return (quoted[1].replace(b'""', QUOTE), quoted.end()) if quoted else None


@cache
def _quoted_run(limit: int) -> re.Pattern[bytes]:
    # A run ends after a few thousand rows, so that its results stay small.
    return re.compile(rb'(?:"[^"\n]{0,%d}+"\n){1,10000}+' % max(0, limit - 2))


def quoted_cells(data: bytes, start: int, limit: int) -> tuple[bytes, int] | None:
    """Return the contents of the quoted rows from `start`, one in each line, and where these rows end.

    It takes many rows at a time, but only rows of one column and one line without a quote in it. It returns None
    where the first row is another one; `read_row` reads it.

    Example:
        >>> quoted_cells(b'"a"\\n"b"\\nc\\n', 0, limit=100)
        (b'a\\nb\\n', 8)
    """
    run = _quoted_run(limit).match(data, start)
    if run is None:
        return None
    return run[0][1:-2].replace(b'"\n"', b"\n") + b"\n", run.end()


class Overlong:
    """A row of one line that is too long to be kept, while it is skipped.

    Attributes:
        head: the first bytes of the row, as they are written.
    """

    # 200 characters are shown, of up to four bytes.
    _HEAD_BYTES = 1024

    def __init__(self, *, quoted: bool) -> None:
        self.head: bytes = b""
        self._quoted = quoted
        self._within_quotes = False
        # The first byte that does not belong to the only column.
        self._after = b""

    def add(self, data: bytes) -> None:
        """Add the next bytes of the row."""
        self.head += data[: self._HEAD_BYTES - len(self.head)]
        if not self._quoted:
            self._after = b"," if b"," in data else self._after
            return
        parts = data.split(QUOTE)
        self._after = self._after or b"".join(parts[self._within_quotes :: 2])[:1]
        self._within_quotes ^= len(parts) % 2 == 0

    def content(self, line: int) -> bytes:
        """Return the beginning of its content, enough to show people which row it is, once all of it was added.

        Raises:
            FileRefused: it has several columns, or its quoting is broken.
        """
        if self._after == b",":
            raise several_columns(line)
        if self._after or self._within_quotes:
            raise broken_quoting(line)
        if not self._quoted:
            return self.head
        return self.head[1 : -1 if len(self.head) < self._HEAD_BYTES else None].replace(b'""', QUOTE)
