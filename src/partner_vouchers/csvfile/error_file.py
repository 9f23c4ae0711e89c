"""The error file: the refused rows of an upload, to be corrected and uploaded again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from partner_vouchers.csvfile.cells import csv_bytes
from partner_vouchers.csvfile.refusals import FileRefused
from partner_vouchers.csvfile.rows import COMMA, read_row
from partner_vouchers.domain.titles import title_key
from partner_vouchers.domain.uploads import RowFault

HEADER = ("line", "code", "error", "message")
"""The titles of the columns."""

_CODE = "code"
_BESIDE_CODE = frozenset(HEADER) - {_CODE}
_DELIMITERS = (COMMA, b";", b"\t")


class ErrorFileColumns(NamedTuple):
    """How the rows of a corrected error file are laid out.

    Attributes:
        delimiter: what separates the columns.
        code: the index of the column of codes.
        titles: how many columns the first row names.
    """

    delimiter: bytes
    code: int
    titles: int


def error_file_columns(first_row: bytes) -> ErrorFileColumns | None:
    """Return the layout of a corrected error file that begins with this row; None for another file.

    A corrected error file names a column `code` and at least one of `line`, `error` and `message`. A spreadsheet may
    have saved it with semicolons or tabs, and people may have changed case or order, removed or added columns.

    Example:
        >>> error_file_columns(b"Line;Code;Error;;")
        ErrorFileColumns(delimiter=b';', code=1, titles=5)
    """
    if _CODE.encode() not in first_row.lower():
        return None
    for delimiter in _DELIMITERS:
        try:
            row = read_row(first_row + b"\n", 0, 1, limit=len(first_row), delimiter=delimiter)
        except FileRefused:
            continue
        titles = [title_key(cell.decode()) for cell in row.cells] if row else []
        if _CODE in titles and not _BESIDE_CODE.isdisjoint(titles):
            return ErrorFileColumns(delimiter, titles.index(_CODE), len(titles))
    return None


_KEPT = 200
_SHORTENED = "…"


def shortened(raw: str) -> str:
    """Return a refused row as it is kept: its first 200 characters, and an ellipsis where it was longer."""
    return raw if len(raw) <= _KEPT else raw[:_KEPT] + _SHORTENED


def is_shortened(raw: str) -> bool:
    """Return whether `shortened` cut this row, so that it is not a whole code any more."""
    return len(raw) == _KEPT + 1 and raw.endswith(_SHORTENED)


def error_file(faults: Iterable[RowFault], *, raw: bool = False) -> Iterator[bytes]:
    """Return refused rows as a CSV file: line, code, error code, message.

    Args:
        faults: the refused rows.
        raw: True leaves cells as they are that a spreadsheet would take for a formula.

    Yields:
        the file in UTF-8, some rows at a time.

    Example:
        >>> from partner_vouchers.domain.uploads import RowFaultKind
        >>> faults = [RowFault(7, "-50 OFF", RowFaultKind.INVALID_CHARACTER, "character 4 is U+0020 SPACE")]
        >>> print(b"".join(error_file(faults)).decode().replace("\\r", ""), end="")
        line,code,error,message
        7,'-50 OFF,invalid_character,character 4 is U+0020 SPACE
    """
    return csv_bytes(HEADER, ((str(f.line), f.raw, f.kind.value, f.message) for f in faults), raw=raw)
