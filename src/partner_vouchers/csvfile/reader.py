"""Read the codes of a file in batches, with bounded memory.

The layers, from below: `chunks` makes clean UTF-8 of any bytes; `rows` reads quotes and columns; `validation`
applies the rules for codes; this module puts them together.

Which row a fault belongs to, and which fault comes first, never depends on where a chunk ends: a row is looked at
once its last line is complete, or once it passes the limit for a row.
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import BinaryIO

from partner_vouchers.csvfile.chunks import CHUNK_BYTES, BadEncoding, Chunks, require_encoding
from partner_vouchers.csvfile.collecting import Collector
from partner_vouchers.csvfile.corrected import take_corrected
from partner_vouchers.csvfile.error_file import ErrorFileColumns, error_file_columns, shortened
from partner_vouchers.csvfile.first_row import FirstRowCheck
from partner_vouchers.csvfile.refusals import (
    SEPARATORS,
    FileRefused,
    bad_encoding,
    broken_quoting,
    several_columns,
    split_columns,
)
from partner_vouchers.csvfile.rows import COMMA, QUOTE, Overlong, Row, is_overlong, quoted_cells, read_row
from partner_vouchers.csvfile.validation import RowValidator, ValidatedRows, refused
from partner_vouchers.domain.codes import CodeFormat, CodeRules
from partner_vouchers.domain.uploads import FileFaultKind

__all__ = ["CodeFile", "FileRefused", "is_error_file", "require_encoding"]

_ROW_BYTES = 64 * 1024
"""How much longer than the longest code a row may be. A longer line is skipped; a longer row of several lines is
taken for a quote that is not closed."""

_STRETCH_BYTES = 32 * 1024
_SPLIT_ROWS = 100
_SEPARATOR_LINE = re.compile(r'"?sep=."?[ \t]*', re.IGNORECASE)
_BLANK_LINES = re.compile(rb"\n++")


class CodeFile:
    """A file of codes. Iterating over it, which can be done once, yields its rows in batches.

    A file without rows yields nothing. The size of the file is not checked here.

    Attributes:
        header_skipped: whether the first row was skipped as a header.
        first_row: the first row that is neither blank nor `sep=`, skipped or not, at most 200 characters of it. Where
            the file is refused because of it: its first line as it is written. None before it was read.
        rows: rows so far, valid or refused, without header, `sep=` line, and blank lines that are no errors.

    Raises:
        FileRefused: on iterating: the file is refused as a whole. The rows before were already yielded.

    Example:
        >>> from io import BytesIO
        >>> from partner_vouchers.domain.codes import CodeFormat
        >>> file = CodeFile(BytesIO(b"code\\r\\nPM500AA\\r\\nPM 500\\r\\n"), CodeFormat())
        >>> for batch in file:
        ...     print(batch.codes, [(fault.line, fault.message) for fault in batch.faults])
        ['PM500AA'] [(3, 'character 3 is U+0020 SPACE')]
        >>> file.first_row, file.header_skipped, file.rows
        ('code', True, 2)
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
            encoding: of the file; a byte order mark overrides it.
            header: True skips the first row that is neither blank nor `sep=`; None skips it where it is the title of
                a column, and later titles are refused in both cases. False takes every row as a code. Unless False,
                a corrected error file is recognised by its titles.

        Raises:
            InvalidInput: `encoding` is unknown.
        """
        self.header_skipped: bool = False
        self.first_row: str | None = None
        self.rows: int = 0
        self._chunks = Chunks(source, encoding, _chunk_bytes)
        self._header = header
        # Four bytes a character, and the two quotes around them.
        self._row_limit = _row_bytes + 4 * rules.max_length + 2
        self._validator = RowValidator(rules, self._row_limit, refuses_titles=header is not False)
        self._collector = Collector()
        self._columns: ErrorFileColumns | None = None
        self._overlong: Overlong | None = None  # the row in the middle of which the next chunk begins
        # The first rows are taken one by one: they show the kind of file.
        self._is_opening = True
        self._begun = b""  # the first of these that is not taken yet, as it is written
        self._split: list[tuple[int, str]] = []  # each with its number of lines
        self._separators = set(SEPARATORS)
        self._unchecked_line = 0  # of the first row, where it may be an odd code
        self._first_row_check: FirstRowCheck | None = None

    @property
    def bytes_read(self) -> int:
        """Bytes of the source read so far."""
        return self._chunks.bytes_read

    @property
    def is_error_file(self) -> bool:
        """Whether the file was recognised as a corrected error file."""
        return self._columns is not None

    @property
    def separator(self) -> str | None:
        """The name of the character at which refused rows split into columns, such as "semicolon", if they do."""
        return self._validator.separator

    def __iter__(self) -> Iterator[ValidatedRows]:
        for validated in self._validated():
            self.rows += len(validated)
            yield validated
        warning = self._first_row_check.warning() if self._first_row_check else None
        if warning:
            yield ValidatedRows([], [], [], [warning])

    def _validated(self) -> Iterator[ValidatedRows]:
        try:
            yield from self._whole_file()
        except FileRefused as error:
            if self.first_row is None and error.fault.kind is not FileFaultKind.BAD_ENCODING:
                begun = self._begun.decode(errors="ignore")
                self.first_row = shortened(begun) if self._validator.trim(begun) else None
            # Millions of blank lines are no errors worth keeping.
            if error.fault.kind is not FileFaultKind.TOO_MANY_ROWS:
                yield from self._collector.release_blanks()
            yield from self._collector.flush()
            raise

    def _whole_file(self) -> Iterator[ValidatedRows]:
        rest = b""
        try:
            for chunk in self._chunks:
                rest = yield from self._take(rest + chunk)
        except BadEncoding as error:
            raise bad_encoding(self._collector.line + rest.count(b"\n"), str(error)) from None
        if rest or self._overlong:
            rest = yield from self._take(rest + b"\n")
        if rest:
            raise broken_quoting(self._collector.line)
        if self._split:
            raise self._all_split()

    def _take(self, data: bytes) -> Generator[ValidatedRows, None, bytes]:
        """Take the complete rows from `data`, which begins with a row; return the rest."""
        if self._overlong:
            data = yield from self._skip(self._overlong, data)
        # A row is taken only when its last line is complete: the result must not depend on the chunks.
        end = data.rfind(b"\n") + 1
        complete, rest = data[:end], data[end:]
        position = 0
        while self._is_opening and position < len(complete):
            taken = yield from self._take_opening(complete, position)
            if taken == position:
                break
            position = taken
        if self._columns is not None:
            position = yield from take_corrected(
                complete, position, self._columns, self._validator, self._collector
            )
        elif not self._is_opening:
            position = yield from self._take_codes(complete, position)
        yield from self._collector.flush()
        rest = complete[position:] + rest
        if len(rest) <= self._row_limit:
            return rest
        quoted = rest.startswith(QUOTE)
        if self._columns is not None or quoted:
            delimiter = COMMA if self._columns is None else self._columns.delimiter
            line, single = self._collector.line, self._columns is None
            read_row(rest, 0, line, limit=self._row_limit, delimiter=delimiter, single=single)
            if not (single and is_overlong(rest, 0, self._row_limit)):
                raise broken_quoting(line)
        self._overlong = Overlong(quoted=quoted)
        return (yield from self._take(rest))

    # --- the first rows ---

    def _take_opening(self, data: bytes, position: int) -> Generator[ValidatedRows, None, int]:
        """Take one of the first rows; return where the next one begins, or `position` where it is incomplete."""
        blanks = _BLANK_LINES.match(data, position)
        if blanks and not self._split:
            self._collector.add_blanks(blanks.end() - position)
            return blanks.end()
        line_end = data.find(b"\n", position)
        line = data[position:line_end]
        if self._collector.line == 1 and _SEPARATOR_LINE.fullmatch(line.decode()):
            self._collector.pass_over(rows=1, lines=1)
            return line_end + 1
        self._begun = line
        row: Row | None = Row([line], line_end + 1, 1)
        if self.first_row is None and self._header is not False and len(line) <= self._row_limit:
            self._columns = error_file_columns(line)
        if self._columns is None:
            if data.startswith(QUOTE, position):
                row = read_row(data, position, self._collector.line, limit=self._row_limit, single=True)
            elif b"," in line:
                raise several_columns(self._collector.line)
        if row is None:
            return position
        self._begun = b""
        yield from self._add_opening(row.cells[0], row.lines)
        return row.end if self._is_opening or self._columns else position

    def _add_opening(self, content: bytes, lines: int) -> Iterator[ValidatedRows]:
        """Add one of the first rows: a blank one, a header, or one that splits into columns.

        Any other row ends the opening and is left to be taken with those that follow.
        """
        if len(content) > self._row_limit:
            if self.first_row is None:
                self.first_row = self._validator.overlong(content, self._collector.line).raw
                if self._header:
                    self._skip_header(lines)
                    return
            yield from self._end_opening()
            return
        text = content.decode()
        trimmed = self._validator.trim(text)
        if not trimmed and lines == 1 and (not self._split or len(self._split) >= _SPLIT_ROWS):
            if self._split:
                yield from self._end_opening()
            else:
                self._collector.add_blanks(1)
            return
        if not trimmed and self.first_row is None:
            # A quoted row of several blank lines, which says nothing about the kind of file but that it has one column.
            self._separators.clear()
            yield from self._add(self._validator.row(text, self._collector.line), lines)
            return
        is_first = self.first_row is None
        if is_first:
            self.first_row = shortened(text)
            if self._columns or self._header or (self._header is None and self._validator.is_title(text)):
                self._skip_header(lines)
                return
        self._separators &= set(trimmed) if trimmed or not self._split else self._separators
        if self._separators:
            if len(self._split) >= _SPLIT_ROWS:
                raise self._all_split()
            self._split.append((lines, text))
            self._collector.line += lines
            return
        if is_first and self._header is None:
            self._unchecked_line = self._collector.line
        yield from self._end_opening()

    def _skip_header(self, lines: int) -> None:
        self._collector.drop_blanks()
        self.header_skipped = True
        self._is_opening = self._columns is None
        self._collector.pass_over(rows=1, lines=lines)

    def _end_opening(self) -> Iterator[ValidatedRows]:
        """Add the rows that seemed to split into columns; the row that follows shows that they do not."""
        self._is_opening = False
        self._collector.line = self._first_split_line
        split, self._split = self._split, []
        for lines, text in split:
            if self._validator.trim(text) or lines > 1:
                yield from self._collector.add(self._validator.row(text, self._collector.line), lines)
            else:
                self._collector.add_blanks(1)

    @property
    def _first_split_line(self) -> int:
        return self._collector.line - sum(lines for lines, _ in self._split)

    def _all_split(self) -> FileRefused:
        return split_columns(self._first_split_line, min(self._separators, key=list(SEPARATORS).index))

    # --- the other rows ---

    def _take_codes(self, data: bytes, position: int) -> Generator[ValidatedRows, None, int]:
        """Take rows of one column; return where the first incomplete row begins."""
        clean = self._validator.clean(data[position:], self._collector.line) if position < len(data) else None
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
                yield from self._take_lines(cells)
            elif row := read_row(data, position, self._collector.line, limit=self._row_limit, single=True):
                position = row.end
                if row.lines == 1 and self._validator.is_blank(row.cells[0]):
                    self._collector.add_blanks(1)
                else:
                    yield from self._add(
                        self._validator.row(row.cells[0].decode(), self._collector.line), row.lines
                    )
            else:
                break
        return position

    def _take_unquoted(self, data: bytes) -> Iterator[ValidatedRows]:
        comma = data.find(b",")
        if comma >= 0:
            data = data[: data.rfind(b"\n", 0, comma) + 1]
        yield from self._take_lines(data)
        if comma >= 0:
            raise several_columns(self._collector.line)

    def _take_lines(self, data: bytes) -> Iterator[ValidatedRows]:
        """Take lines of one row each; those at the end that are blank wait, since they may end the file."""
        content, blanks = self._validator.without_blank_end(data)
        if content:
            validated = self._validator.lines(content, self._collector.line)
            yield from self._add(validated, len(validated))
        self._collector.add_blanks(blanks)

    def _skip(self, row: Overlong, data: bytes) -> Generator[ValidatedRows, None, bytes]:
        """Skip what belongs to an overlong row; return what follows."""
        line_end = data.find(b"\n")
        row.add(data if line_end < 0 else data[:line_end])
        if line_end < 0:
            return b""
        self._overlong = None
        line, self._begun = self._collector.line, row.head
        fault = self._validator.overlong(row.content(line), line)
        if self.first_row is None:
            self.first_row = fault.raw
            if self._header:
                self._skip_header(1)
                return data[line_end + 1 :]
        yield from self._end_opening()
        yield from self._add(refused(fault), 1)
        return data[line_end + 1 :]

    def _add(self, validated: ValidatedRows, lines: int) -> Iterator[ValidatedRows]:
        if self._first_row_check:
            self._first_row_check.add(validated.codes)
        elif validated.codes and validated.lines[0] == self._unchecked_line:
            self._first_row_check = FirstRowCheck(validated.lines[0], validated.codes[0])
            self._first_row_check.add(validated.codes[1:])
        yield from self._collector.add(validated, lines)


def is_error_file(head: bytes, encoding: str) -> bool:
    """Return whether a file that begins with these bytes is a corrected error file.

    Args:
        head: the first bytes of the file, at least its first row.
        encoding: the encoding that the caller named.
    """
    file = CodeFile(io.BytesIO(head), CodeFormat(), encoding=encoding)
    with suppress(FileRefused):
        next(iter(file), None)
    return file.is_error_file


def _end_of_unquoted(data: bytes, start: int) -> int:
    """Return the end of some lines from `start` that do not begin with a quote, few enough for a list."""
    # Looking for one byte is many times faster than for two, and most files have no quotes.
    any_quote = data.find(QUOTE, start)
    next_quote = data.find(b'\n"', any_quote - 1) + 1 if any_quote >= 0 else 0
    stop = next_quote or len(data)
    return data.find(b"\n", start + _STRETCH_BYTES, stop) + 1 or stop
