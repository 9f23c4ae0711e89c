"""Reasons why a file is refused as a whole while it is read."""

from __future__ import annotations

from collections.abc import Callable

from partner_vouchers.domain.uploads import MAX_ROWS, FileFault, FileFaultKind


class FileRefused(Exception):
    """The file cannot be read on. The use case catches it; it never reaches a host.

    Attributes:
        fault: what to enter in the upload log.
    """

    def __init__(self, kind: FileFaultKind, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.fault: FileFault = FileFault(kind, message, line)


SEPARATORS = {";": "semicolon", "\t": "tab"}
"""Characters other than the comma at which programs split rows into columns, and their names."""


Refusal = Callable[[int], FileRefused]
"""Returns the refusal of a file at a line."""


def _at_line(kind: FileFaultKind, message: str) -> Refusal:
    return lambda line: FileRefused(kind, message, line)


several_columns: Refusal = _at_line(
    FileFaultKind.MULTIPLE_COLUMNS,
    "a row has more than one column; the file must have one code per row and no commas",
)
"""Return the refusal of a file with a row of more than one column."""

no_code_column: Refusal = _at_line(
    FileFaultKind.MULTIPLE_COLUMNS,
    "a row does not have the columns that the first row names; put codes into the column 'code' only",
)
"""Return the refusal of a corrected error file with a row that does not fit its titles."""

no_known_title: Refusal = _at_line(
    FileFaultKind.NO_CODE_COLUMN,
    "the first row names no column of codes; give the columns titles, such as code, redeemed_at and order_id",
)
"""Return the refusal of a partner's file whose first row names no column of codes."""

row_too_long: Refusal = _at_line(
    FileFaultKind.BROKEN_QUOTING,
    "the line is longer than 64 KB, so the file is no table of redemptions; save it as a CSV file",
)
"""Return the refusal of a partner's file with a line that is too long to be one of a table."""

broken_quoting: Refusal = _at_line(
    FileFaultKind.BROKEN_QUOTING,
    "a quote that begins here is not closed, or characters follow its end; remove the quotes",
)
"""Return the refusal of a file in which quotes do not enclose a whole cell."""


def split_columns(line: int, separator: str) -> FileRefused:
    """Return the refusal of a file whose rows all split into columns at a separator."""
    name = SEPARATORS[separator]
    message = f"the rows split into columns at {name}s; save only the column of codes, one per row"
    return FileRefused(FileFaultKind.MULTIPLE_COLUMNS, message, line)


def no_redemption() -> FileRefused:
    """Return the refusal of a partner's file without a row under its titles."""
    return FileRefused(FileFaultKind.EMPTY_FILE, "the file has no row with a redemption")


def bad_encoding(line: int, message: str) -> FileRefused:
    """Return the refusal of a file that is not in the encoding that was named."""
    return FileRefused(FileFaultKind.BAD_ENCODING, message, line)


def too_many_rows() -> FileRefused:
    """Return the refusal of a file with more rows than a file may have."""
    message = f"the file has more than {MAX_ROWS} rows; split it, and delete blank rows"
    return FileRefused(FileFaultKind.TOO_MANY_ROWS, message)
