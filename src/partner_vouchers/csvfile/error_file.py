"""The error file: the refused rows of an upload, to be corrected and uploaded again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from partner_vouchers.csvfile.cells import csv_bytes
from partner_vouchers.domain.uploads import RowFault

HEADER = ("line", "code", "error", "message")
"""The columns. A file that begins with them is read as a corrected error file."""

CODE_COLUMN = HEADER.index("code")

_KEPT = 200
_SHORTENED = "…"


def shortened(raw: str) -> str:
    """Return the text of a refused row as it is kept: 200 characters, and an ellipsis where it was longer."""
    return raw if len(raw) <= _KEPT else raw[:_KEPT] + _SHORTENED


def is_shortened(raw: str) -> bool:
    """Tell whether `shortened` took something away from this text, so that it cannot be a code any more."""
    return len(raw) == _KEPT + 1 and raw.endswith(_SHORTENED)


def error_file(faults: Iterable[RowFault], *, raw: bool = False) -> Iterator[bytes]:
    """Return refused rows as a CSV file: line, code, error code, message.

    Args:
        faults: the refused rows.
        raw: True leaves cells as they are that a spreadsheet would take for a formula.

    Yields:
        the file in UTF-8, bit by bit.

    Example:
        >>> from partner_vouchers.domain.uploads import RowFaultKind
        >>> faults = [RowFault(7, "-50 OFF", RowFaultKind.INVALID_CHARACTER, "character 4 is U+0020 SPACE")]
        >>> print(b"".join(error_file(faults)).decode().replace("\\r", ""), end="")
        line,code,error,message
        7,'-50 OFF,invalid_character,character 4 is U+0020 SPACE
    """
    return csv_bytes(HEADER, ((str(f.line), f.raw, f.kind.value, f.message) for f in faults), raw=raw)
