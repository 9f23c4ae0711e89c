"""Why a file is refused as a whole while it is read."""

from __future__ import annotations

from partner_vouchers.domain.uploads import FileFault, FileFaultKind


class FileRefused(Exception):
    """The file cannot be read on. Between this room and the use case; it never reaches a host.

    Attributes:
        fault: what to enter in the upload log.
    """

    def __init__(self, fault: FileFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def several_columns(line: int, expected: int = 1) -> FileRefused:
    """Return the refusal of a file with a row of another number of columns than expected."""
    if expected == 1:
        message = "a row has more than one column; the file must hold one code a line, and no commas"
    else:
        message = f"a row of the corrected error file does not have its {expected} columns"
    return FileRefused(FileFault(FileFaultKind.MULTIPLE_COLUMNS, message, line))


def broken_quoting(line: int) -> FileRefused:
    """Return the refusal of a file in which quotes do not enclose a whole cell."""
    message = "a quote that begins here is not closed, or text follows its end; remove the quotes"
    return FileRefused(FileFault(FileFaultKind.BROKEN_QUOTING, message, line))


def bad_encoding(line: int, message: str) -> FileRefused:
    """Return the refusal of a file that is not in the encoding that was named."""
    return FileRefused(FileFault(FileFaultKind.BAD_ENCODING, message, line))
