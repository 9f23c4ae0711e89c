"""Read the codes of a file in batches, with bounded memory.

The layers, from below: `chunks` makes clean UTF-8 of any bytes; `rows` knows quotes and columns; `judging`
applies the rules for codes; this module puts them together.

Which row a fault belongs to, and which fault comes first, never depends on where a chunk ends: what is wrong
with a row is said once its last line is complete, or once it passes the limit for a row.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import BinaryIO

from attrs import field, frozen

from partner_vouchers.csvfile.cells import unguard
from partner_vouchers.csvfile.chunks import CHUNK_BYTES, BadEncoding, Chunks, require_encoding
from partner_vouchers.csvfile.collecting import Collector
from partner_vouchers.csvfile.error_file import CODE_COLUMN, HEADER, is_shortened
from partner_vouchers.csvfile.judging import Judge, Judged, only_length, refused
from partner_vouchers.csvfile.refusals import FileRefused, bad_encoding, broken_quoting, several_columns
from partner_vouchers.csvfile.rows import QUOTE, Overlong, Row, quoted_cells, read_row
from partner_vouchers.domain.codes import CodeRules
from partner_vouchers.domain.uploads import HEADER_NAMES, RowFault, RowFaultKind

__all__ = ["Batch", "CodeFile", "FileRefused", "require_encoding"]

_ROW_BYTES = 64 * 1024
"""How much longer than the longest code a row may be. Beyond it a row is skipped, a quote not closed."""

_STRETCH_BYTES = 32 * 1024
_ERROR_FILE_HEADER = ",".join(HEADER).encode()
_WHOLE_CODE_NEEDED = "the text was shortened when it was refused; put the whole code here"


@frozen
class Batch:
    """Some rows of a file that follow one another.

    Attributes:
        lines: the line of the file, from 1, on which each code stands.
        codes: the valid codes, trimmed, in the order of the file; not shown in the repr.
        faults: the refused rows, in the order of the file; not shown in the repr.
        bytes_read: bytes of the source read so far.
    """

    lines: Sequence[int] = field(repr=only_length)
    codes: list[str] = field(repr=only_length)
    faults: list[RowFault] = field(repr=only_length)
    bytes_read: int


class CodeFile:
    """A file of codes. Iterating over it, which can be done once, yields its rows in batches.

    A file without rows yields nothing. The size of the file is not checked here.

    Attributes:
        header_skipped: whether the first row was skipped as a header.
        rows: rows so far, valid or refused, without a header and blank lines at the end.

    Raises:
        FileRefused: on iterating: the file is refused as a whole. The rows before were already yielded.

    Example:
        >>> from io import BytesIO
        >>> from partner_vouchers.domain.codes import CodeFormat
        >>> file = CodeFile(BytesIO(b"code\\r\\nPM500AA\\r\\nPM 500\\r\\n"), CodeFormat())
        >>> for batch in file:
        ...     print(batch.codes, [(fault.line, fault.message) for fault in batch.faults])
        ['PM500AA'] [(3, 'character 3 is U+0020 SPACE')]
        >>> file.header_skipped, file.rows
        (True, 2)
    """

    def __init__(
        self,
        source: BinaryIO,
        rules: CodeRules,
        *,
        encoding: str = "utf-8",
        header: bool | None = None,
        _chunk_bytes: int = CHUNK_BYTES,
        _row_bytes: int = _ROW_BYTES,
    ) -> None:
        """Prepare to read; nothing is read yet.

        Args:
            source: a binary stream at its start.
            rules: what a valid code is.
            encoding: of the file; a BOM is skipped in any case.
            header: True skips the first row, False takes it as a code, None skips it where it is exactly one
                of `HEADER_NAMES`. Unless False, a file that begins with the header of an error file is read
                as a corrected one.

        Raises:
            InvalidInput: `encoding` is unknown.
        """
        self.header_skipped: bool = False
        self.rows: int = 0
        self._chunks = Chunks(source, encoding, _chunk_bytes)
        self._header = header
        # Four bytes a character, and the two quotes around them.
        self._row_limit = _row_bytes + 4 * rules.max_length + 2
        self._judge = Judge(rules, self._row_limit)
        self._collector = Collector()
        self._is_error_file = False
        self._before_first_row = True
        self._line = 1  # on which the first row stands that is not done with
        self._overlong: Overlong | None = None  # the row in the middle of which the next chunk begins

    @property
    def bytes_read(self) -> int:
        """Bytes of the source read so far."""
        return self._chunks.bytes_read

    def __iter__(self) -> Iterator[Batch]:
        for judged in self._judged():
            self.rows += len(judged)
            yield Batch(judged.lines, judged.codes, judged.faults, self.bytes_read)

    def _judged(self) -> Iterator[Judged]:
        try:
            yield from self._whole_file()
        except FileRefused:
            yield from self._collector.release()
            yield from self._collector.flush()
            raise

    def _whole_file(self) -> Iterator[Judged]:
        rest = b""
        try:
            for chunk in self._chunks:
                rest = yield from self._take(rest + chunk)
        except BadEncoding as error:
            raise bad_encoding(self._line + rest.count(b"\n"), str(error)) from None
        if rest or self._overlong:
            rest = yield from self._take(rest + b"\n")
        if rest:
            raise broken_quoting(self._line)

    def _take(self, data: bytes) -> Generator[Judged, None, bytes]:
        """Take the rows that are complete from `data`, which begins with a row; return what is left."""
        if self._overlong:
            data = yield from self._skip(self._overlong, data)
        # A row is judged only when its last line is complete: what is judged must not depend on the chunks.
        end = data.rfind(b"\n") + 1
        complete, rest = data[:end], data[end:]
        position = self._take_first_row(complete) if complete and self._before_first_row else 0
        if not self._before_first_row:
            take = self._take_error_file if self._is_error_file else self._take_codes
            position = yield from take(complete, position)
        yield from self._collector.flush()
        rest = complete[position:] + rest
        if len(rest) <= self._row_limit:
            return rest
        if self._is_error_file or rest.startswith(QUOTE):
            self._read_row(rest, 0)
            raise broken_quoting(self._line)
        self._overlong = Overlong(rest)
        return b""

    def _take_first_row(self, data: bytes) -> int:
        """Find out what kind of file it is; return where the first row after a header begins."""
        line_end = data.find(b"\n")
        if self._header is not False and data[:line_end].replace(QUOTE, b"") == _ERROR_FILE_HEADER:
            self._is_error_file = self.header_skipped = True
            row: Row | None = Row([b""], line_end + 1, 1)
        elif data.startswith(QUOTE):
            row = self._read_row(data, 0)
        elif b"," in data[:line_end]:
            raise several_columns(self._line)
        else:
            row = Row([data[:line_end]], line_end + 1, 1)
        if row is None:
            return 0
        self._before_first_row = False
        if not self._is_error_file:
            self.header_skipped = self._is_header(row.cells[0])
        if not self.header_skipped:
            return 0
        self._line += row.lines
        return row.end

    def _is_header(self, cell: bytes) -> bool:
        if self._header is not None:
            return self._header
        return len(cell) <= self._row_limit and cell.decode().strip().lower() in HEADER_NAMES

    def _take_codes(self, data: bytes, position: int) -> Generator[Judged, None, int]:
        """Take rows of one column; return where the first incomplete row begins."""
        clean = self._judge.clean(data[position:], self._line)
        if clean is not None:
            yield from self._add(clean, len(clean))
            return len(data)
        while position < len(data):
            if not data.startswith(QUOTE, position):
                stretch_end = _end_of_unquoted(data, position)
                yield from self._take_unquoted(data[position:stretch_end])
                position = stretch_end
            elif quoted := quoted_cells(data, position, self._row_limit):
                cells, position = quoted
                judged = self._judge.lines(cells, self._line)
                yield from self._add(judged, len(judged))
            elif row := self._read_row(data, position):
                position = row.end
                yield from self._add(self._judge.row(row.cells[0].decode(), self._line), row.lines)
            else:
                break
        return position

    def _take_unquoted(self, data: bytes) -> Iterator[Judged]:
        comma = data.find(b",")
        if comma >= 0:
            data = data[: data.rfind(b"\n", 0, comma) + 1]
        content, blanks = self._judge.without_blank_end(data)
        if content:
            judged = self._judge.lines(content, self._line)
            yield from self._add(judged, len(judged))
        self._hold_blanks(blanks)
        if comma >= 0:
            raise several_columns(self._line)

    def _take_error_file(self, data: bytes, position: int) -> Generator[Judged, None, int]:
        """Take rows of a corrected error file; return where the first incomplete row begins."""
        while position < len(data):
            line_end = data.find(b"\n", position)
            line = data[position:line_end]
            if b"," not in line and QUOTE not in line and self._judge.is_blank(line):
                self._hold_blanks(1)
                position = line_end + 1
            elif row := self._read_row(data, position):
                position = row.end
                code = row.cells[CODE_COLUMN].decode()
                if is_shortened(code):
                    judged = refused(RowFault(self._line, code, RowFaultKind.TOO_LONG, _WHOLE_CODE_NEEDED))
                else:
                    judged = self._judge.row(unguard(code), self._line)
                yield from self._add(judged, row.lines)
            else:
                break
        return position

    def _skip(self, row: Overlong, data: bytes) -> Generator[Judged, None, bytes]:
        """Pass over what belongs to an overlong row; return what follows."""
        line_end = data.find(b"\n")
        row.add(data if line_end < 0 else data[:line_end])
        if line_end < 0:
            return b""
        self._overlong = None
        if row.has_comma:
            raise several_columns(self._line)
        if self._before_first_row and self._header:
            self.header_skipped = True
            self._line += 1
        else:
            yield from self._add(refused(self._judge.overlong(row.head, self._line)), 1)
        self._before_first_row = False
        return data[line_end + 1 :]

    def _read_row(self, data: bytes, start: int) -> Row | None:
        columns = len(HEADER) if self._is_error_file else 1
        return read_row(data, start, self._line, columns=columns, limit=self._row_limit)

    def _add(self, judged: Judged, lines: int) -> Iterator[Judged]:
        self._line += lines
        return self._collector.add(judged)

    def _hold_blanks(self, count: int) -> None:
        self._collector.hold(self._line, count)
        self._line += count


def _end_of_unquoted(data: bytes, start: int) -> int:
    """Return the end of some lines from `start` that do not begin with a quote, few enough for a list."""
    # Looking for one byte is many times faster than for two, and most files have no quotes.
    any_quote = data.find(QUOTE, start)
    next_quote = data.find(b'\n"', any_quote - 1) + 1 if any_quote >= 0 else 0
    stop = next_quote or len(data)
    return data.find(b"\n", start + _STRETCH_BYTES, stop) + 1 or stop
