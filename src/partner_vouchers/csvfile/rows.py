"""Rows and cells in bytes, where a file has quotes or several columns (RFC 4180).

This reads what `csv.reader(strict=True)` reads, with two differences: a row has a bound of its own, where
that of `csv` is one for the whole process, and a row that goes on in the next chunk is told from a broken
one.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from partner_vouchers.csvfile.refusals import broken_quoting, several_columns

QUOTE = b'"'
_COMMA, _LINE_FEED = b",\n"
_QUOTED = re.compile(rb'"((?:[^"]++|"")*+)"')
_UNQUOTED = re.compile(rb"[^,\n]*+")


class Row(NamedTuple):
    """A row in a buffer.

    Attributes:
        cells: the contents of its columns, without quotes.
        end: where in the buffer the next row begins.
        lines: on how many lines of the file it stands.
    """

    cells: list[bytes]
    end: int
    lines: int


def read_row(data: bytes, start: int, line: int, *, columns: int, limit: int) -> Row | None:
    """Return the row that begins at `start`, or None where `data` ends before it does.

    Args:
        data: lines of a file, with line feeds.
        start: where the row begins.
        line: the line of the file on which it begins.
        columns: how many columns it must have.
        limit: how many bytes it may have without its last line feed.

    Raises:
        FileRefused: it has another number of columns; or its quoting is broken, which also holds for a row
            that is too long, since only a quote that is never closed leads there.

    Example:
        >>> read_row(b'"a,b",c\\nd\\n', 0, 1, columns=2, limit=100)
        Row(cells=[b'a,b', b'c'], end=8, lines=1)
    """
    # Nothing is judged beyond the limit: how much of the file follows in the buffer must not matter.
    stop = min(len(data), start + limit + 1)
    position = start
    cells: list[bytes] = []
    while (cell := _read_cell(data, position, stop)) and cell[1] < stop:
        content, end = cell
        delimiter = data[end]
        position = end + 1
        cells.append(content)
        if delimiter == _LINE_FEED:
            if len(cells) != columns:
                raise several_columns(line, columns)
            return Row(cells, position, data.count(b"\n", start, position))
        if delimiter != _COMMA:
            raise broken_quoting(line)
        if len(cells) == columns:
            raise several_columns(line, columns)
    if stop - start > limit:
        raise broken_quoting(line)
    return None


def _read_cell(data: bytes, start: int, stop: int) -> tuple[bytes, int] | None:
    """Return the content of the cell at `start` and where it ends, or None where its quote is not closed."""
    if not data.startswith(QUOTE, start, stop):
        unquoted = _UNQUOTED.match(data, start, stop)
        return (unquoted[0], unquoted.end()) if unquoted else None
    quoted = _QUOTED.match(data, start, stop)
    return (quoted[1].replace(b'""', QUOTE), quoted.end()) if quoted else None


@cache
def _quoted_run(limit: int) -> re.Pattern[bytes]:
    # A run is cut off after some thousand rows, so that what is made of it stays small.
    return re.compile(rb'(?:"[^"\n]{0,%d}+"\n){1,10000}+' % max(0, limit - 2))


def quoted_cells(data: bytes, start: int, limit: int) -> tuple[bytes, int] | None:
    """Return the contents of the quoted rows from `start`, a line each, and where these rows end.

    This takes many rows at a time, but only such as have one column, one line and no quote within. It returns
    None where the first row is not like that; `read_row` can tell what it is.

    Example:
        >>> quoted_cells(b'"a"\\n"b"\\nc\\n', 0, limit=100)
        (b'a\\nb\\n', 8)
    """
    run = _quoted_run(limit).match(data, start)
    if run is None:
        return None
    return run[0][1:-2].replace(b'"\n"', b"\n") + b"\n", run.end()


class Overlong:
    """A row without quotes that is too long to be kept, while it is passed over.

    Attributes:
        head: its first bytes, enough to show people which row it is.
        has_comma: whether it has more than one column.
    """

    _HEAD_BYTES = 1024

    def __init__(self, data: bytes) -> None:
        self.head: bytes = b""
        self.has_comma: bool = False
        self.add(data)

    def add(self, data: bytes) -> None:
        """Take notice of more of the row."""
        self.head += data[: self._HEAD_BYTES - len(self.head)]
        self.has_comma = self.has_comma or b"," in data
