"""Take the codes of a corrected error file, whose rows have several columns."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from partner_vouchers.csvfile.collecting import Collector
from partner_vouchers.csvfile.error_file import ErrorFileColumns, is_shortened
from partner_vouchers.csvfile.refusals import FileRefused, no_code_column
from partner_vouchers.csvfile.rows import Row, read_row
from partner_vouchers.csvfile.validation import RowValidator, ValidatedRows, refused
from partner_vouchers.domain.uploads import RowFault, RowFaultKind

_ELLIPSIS = "…".encode()
_WHOLE_CODE_NEEDED = "the row was shortened when it was refused; put the whole code here"


def take_corrected(
    data: bytes, position: int, columns: ErrorFileColumns, validator: RowValidator, collector: Collector
) -> Generator[ValidatedRows, None, int]:
    """Take the rows of a corrected error file from a position; return where the first incomplete row begins.

    Args:
        data: lines of the file.
        position: where a row begins.
        columns: how the rows are laid out.
        validator: applies the rules for codes.
        collector: takes the validated rows.

    Raises:
        FileRefused: a row does not fit the titles, or its quoting is broken.
    """
    codes: list[bytes] = []  # of rows that are validated together, one line each
    while position < len(data):
        line = collector.line + len(codes)
        try:
            row = read_row(data, position, line, limit=validator.row_limit, delimiter=columns.delimiter)
            code = _code_of(row, line, columns, validator) if row else None
        except FileRefused:
            yield from _add_lines(codes, validator, collector)
            raise
        if row is None:
            break
        position = row.end
        if code and row.lines == 1 and not code.endswith(_ELLIPSIS):
            codes.append(code)
            continue
        yield from _add_lines(codes, validator, collector)
        codes = []
        if code is None:
            # A row that was cleared in a spreadsheet keeps its separators.
            collector.add_blanks(1)
            continue
        text = code.decode()
        if is_shortened(text):
            validated = refused(RowFault(line, text, RowFaultKind.TOO_LONG, _WHOLE_CODE_NEEDED))
        else:
            validated = validator.row(text, line)
        yield from collector.add(validated, row.lines)
    yield from _add_lines(codes, validator, collector)
    return position


def _add_lines(codes: list[bytes], validator: RowValidator, collector: Collector) -> Iterator[ValidatedRows]:
    if codes:
        validated = validator.lines(b"\n".join(codes) + b"\n", collector.line)
        yield from collector.add(validated, len(validated))


def _code_of(row: Row, line: int, columns: ErrorFileColumns, validator: RowValidator) -> bytes | None:
    """Return the code cell of a row; None for a row that was cleared."""
    cells, is_blank = row.cells, validator.is_blank
    code = cells[columns.code] if columns.code < len(cells) else None
    if row.lines == 1 and (not code or is_blank(code)) and all(map(is_blank, cells)):
        return None
    if code is None or not all(map(is_blank, cells[columns.titles :])):
        raise no_code_column(line)
    return code
