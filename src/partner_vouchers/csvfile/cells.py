"""Cells that a spreadsheet must not take for formulas.

A cell like `=HYPERLINK(...)` runs when a person opens the file. So `guard` puts an apostrophe before everything
that might begin a formula (OWASP, "CSV injection"), and `unguard` removes exactly these apostrophes. A program
that is set to another separator splits a cell in the middle, so a formula may also begin after `;`, a tab or a
line break. An apostrophe gets an apostrophe too, or `unguard` would remove the original one.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

_ROWS_A_CHUNK = 1000

# White space, control and invisible characters and quotes: programs drop them before they look for a formula.
_IGNORED = '\\s\\x00-\\x20\\x7f-\\xa0\\u00ad\\u200b-\\u200f\\u2028-\\u202f\\u2060-\\u2064\\ufeff"'
_SEPARATORS = "[;\\t\\r\\n]"
_BEGINNING = f"(^|{_SEPARATORS})"
_RISKY = f"(?=[{_IGNORED}]*['=+\\-@\uff1d\uff0b\uff0d\uff20]|[\\t\\r\\n])"
_SEPARATOR = re.compile(_SEPARATORS)
_GUARD = re.compile(f"{_BEGINNING}{_RISKY}")
# Spaces that a spreadsheet or a person put before the apostrophe do not matter.
_UNGUARD = re.compile(f"(^ *|{_SEPARATORS})'{_RISKY}")


def guard(cell: str) -> str:
    """Return a cell that a spreadsheet shows as text.

    Example:
        >>> guard("=1+1"), guard("PM500-A")
        ("'=1+1", 'PM500-A')
    """
    if cell[:1].isalnum() and not _SEPARATOR.search(cell):
        return cell  # as nearly all are; this only saves time
    return _GUARD.sub(r"\1'", cell)


def unguard(cell: str) -> str:
    """Return the cell from which `guard` made this one. A cell that was never guarded is returned as it is.

    The exception is a cell that already had an apostrophe where `guard` adds one.

    Example:
        >>> unguard("'-50OFF"), unguard("-50OFF")
        ('-50OFF', '-50OFF')
    """
    return _UNGUARD.sub(r"\1", cell) if "'" in cell else cell


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[str]], *, raw: bool = False) -> Iterator[bytes]:
    """Return a CSV file according to RFC 4180 in UTF-8, some rows at a time.

    Args:
        header: the names of the columns.
        rows: the cells of each row.
        raw: True leaves cells as they are that a spreadsheet would take for a formula.

    Yields:
        the header, then some rows at a time. Lone surrogates, which UTF-8 cannot express, are written as
        backslash escapes.
    """
    yield _encoded([header])
    rest = iter(rows)
    while some := list(islice(rest, _ROWS_A_CHUNK)):
        yield _encoded(some if raw else [[guard(cell) for cell in row] for row in some])


def _encoded(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
