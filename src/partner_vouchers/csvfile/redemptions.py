"""Read a partner's file of redemptions, with bounded memory.

The layer below is that of code files: `chunks` makes clean UTF-8 of any bytes. The rows are read by `csv`, which is
told the separator, since a file of several columns says by its titles what it is separated by.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO, NamedTuple

from partner_vouchers.csvfile.cells import csv_bytes, unguard
from partner_vouchers.csvfile.chunks import BadEncoding, Chunks
from partner_vouchers.csvfile.refusals import (
    FileRefused,
    bad_encoding,
    broken_quoting,
    no_known_title,
    no_redemption,
    row_too_long,
    too_many_rows,
)
from partner_vouchers.domain import uploads
from partner_vouchers.domain.codes import CodeRules
from partner_vouchers.domain.reconciliation import ReconciledRow
from partner_vouchers.domain.titles import COLUMN_TITLES, title_key, title_keys

HEADER = ("line", "code", "redeemed_at", "order_id", "amount", "error", "message")
"""The titles of an error file."""

_COLUMNS = ("redeemed_at", "order_id", "amount")
_OF_COLUMN = {title_key(name): name for name in _COLUMNS}
_CODE = "code"
_SEPARATORS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[ \t]*', re.IGNORECASE)
_LONGEST_LINE = 64 * 1024
_MOST_LINES = 1_000
"""How many lines a row may have."""

# Titles of columns of codes that other columns of such a file may well have: they count where no other does.
_VAGUE = title_keys(
    (
        *("value", "values", "key", "keys", "serial", "serials", "serial number", "serial no", "card number"),
        *(
            "Wert",
            "valeur",
            "valor",
            "valore",
            "waarde",
            "värde",
            "værdi",
            "verdi",
            "arvo",
            "wartość",
            "hodnota",
        ),
        *(
            "érték",
            "valoare",
            "vrijednost",
            "vrednost",
            "значение",
            "значення",
            "стойност",
            "değer",
            "τιμή",
            "nilai",
        ),
        *("値", "番号", "值", "卡号", "卡號", "값", "القيمة", "bon", "vale"),
    )
)


class RedemptionRow(NamedTuple):
    """A row of a partner's file, as text.

    Attributes:
        line: the line of the file on which it begins, from 1.
        code: the code, trimmed.
        redeemed_at: when it was used; empty where the file does not say.
        order_id: in which order; likewise.
        amount: how much; likewise.
        surplus: whether the row has more columns than the first row names.
    """

    line: int
    code: str
    redeemed_at: str
    order_id: str
    amount: str
    surplus: bool = False


class RedemptionFile:
    """A partner's file of redemptions. Iterating over it, which can be done once, yields its rows without blank ones.

    The size of the file is not checked here. `check` reads the file too, so use an object of its own for it.

    Raises:
        FileRefused: on iterating: the file is refused as a whole. The rows before were already yielded.

    Example:
        >>> from io import BytesIO
        >>> from partner_vouchers.domain.codes import CodeFormat
        >>> file = RedemptionFile(BytesIO(b"Order ID;Voucher Code\\r\\n991;PM500AA\\r\\n"), CodeFormat())
        >>> [(row.line, row.code, row.order_id) for row in file]
        [(2, 'PM500AA', '991')]
    """

    def __init__(self, source: BinaryIO, rules: CodeRules, *, encoding: str = "utf-8") -> None:
        """Prepare to read; nothing is read yet.

        Args:
            source: a binary stream at its start.
            rules: what a valid code is; its column titles count.
            encoding: of the file; a byte order mark overrides it.

        Raises:
            InvalidInput: `encoding` is unknown.
        """
        self._chunks = Chunks(source, encoding)
        self._rules = rules
        self._titles = title_keys(getattr(rules, "titles", COLUMN_TITLES))
        self._line = 0
        self._row_line = 1
        self._rows = 0

    @property
    def bytes_read(self) -> int:
        """Bytes of the source read so far."""
        return self._chunks.bytes_read

    def check(self) -> None:
        """Read the file without looking at its rows: find out whether it is refused as a whole.

        Raises:
            FileRefused: it is.
        """
        _, reader = self._open()
        is_empty = True
        for cells in self._rows_of(reader):
            if is_empty:
                is_empty = not any(map(str.strip, cells))
        if is_empty:
            raise no_redemption()

    def __iter__(self) -> Iterator[RedemptionRow]:
        (most, code, at, order, amount), reader = self._open()
        trim = self._rules.trim
        missing = [""] * (most + 1)
        for cells in self._rows_of(reader):
            surplus = False
            if len(cells) != most:
                surplus = any(map(str.strip, cells[most:]))
                # Where a row is shorter, the cells are empty.
                cells = cells[:most] + missing
            else:
                # Where the file has no such column.
                cells.append("")
            text, redeemed_at, order_id, said = cells[code], cells[at], cells[order], cells[amount]
            if "'" in text or "'" in redeemed_at or "'" in order_id or "'" in said:
                text, redeemed_at, order_id, said = map(unguard, (text, redeemed_at, order_id, said))
            if not text.isalnum():
                text = trim(text)
                if not text and not surplus and not any(map(str.strip, cells)):
                    continue
            yield RedemptionRow(
                self._row_line, text, redeemed_at.strip(), order_id.strip(), said.strip(), surplus
            )

    def _open(self) -> tuple[tuple[int, int, int, int, int], Iterator[list[str]]]:
        """Read up to the titles; return how many there are, where each column is, and a reader of the rows."""
        lines = self._lines()
        separators: Sequence[str] = _SEPARATORS
        for line in lines:
            self._count_row()
            named = _SEPARATOR_LINE.fullmatch(line.rstrip("\n")) if self._line == 1 else None
            if named is not None:
                separators = named[1] if named[1] in _SEPARATORS else separators
            elif line.strip(" \n\t,;"):
                break
        else:
            raise no_redemption()
        separator, titles = max(
            ((each, _cells(line, each)) for each in separators), key=lambda found: self._known(found[1])
        )
        code, others = self._columns(titles)
        if code is None:
            raise no_known_title(self._line)
        most = len(titles)
        at, order, amount = (others.get(name, most) for name in _COLUMNS)
        return (most, code, at, order, amount), csv.reader(lines, delimiter=separator, strict=True)

    def _rows_of(self, reader: Iterator[list[str]]) -> Iterator[list[str]]:
        """Yield the cells of rows that are not empty; `_row_line` is where the row begins."""
        most = uploads.MAX_ROWS
        while True:
            self._row_line = self._line + 1
            try:
                cells = next(reader, None)
            except csv.Error:
                break
            if cells is None:
                return
            self._rows += 1
            if self._rows > most:
                raise too_many_rows()
            if cells:
                yield cells
        # Out of reach of the driver's error, which may quote the row.
        raise broken_quoting(self._row_line)

    def _lines(self) -> Iterator[str]:
        rest, longest = "", _LONGEST_LINE
        try:
            for chunk in self._chunks:
                *lines, rest = (rest + chunk.decode()).split("\n")
                for line in lines:
                    self._line += 1
                    if len(line) > longest or self._line - self._row_line > _MOST_LINES:
                        raise self._not_a_row(line)
                    yield line + "\n"
                if len(rest) > longest:
                    raise row_too_long(self._line + 1)
        except BadEncoding as error:
            raise bad_encoding(self._line + 1, str(error)) from None
        if rest:
            self._line += 1
            yield rest

    def _not_a_row(self, line: str) -> FileRefused:
        return row_too_long(self._line) if len(line) > _LONGEST_LINE else broken_quoting(self._row_line)

    def _count_row(self) -> None:
        self._rows += 1
        if self._rows > uploads.MAX_ROWS:
            raise too_many_rows()

    def _known(self, titles: Sequence[str]) -> tuple[bool, int, int]:
        """Return how well titles fit a file of redemptions."""
        code, others = self._columns(titles)
        return code is not None, len(others), len(titles)

    def _columns(self, titles: Sequence[str]) -> tuple[int | None, dict[str, int]]:
        """Return which column has the codes, and which have what else is read."""
        keys = [title_key(unguard(title)) for title in titles]
        others: dict[str, int] = {}
        for index, key in enumerate(keys):
            if key in _OF_COLUMN:
                others.setdefault(_OF_COLUMN[key], index)
        known = [
            index for index, key in enumerate(keys) if key in self._titles and index not in others.values()
        ]
        best = sorted(known, key=lambda index: (keys[index] != _CODE, keys[index] in _VAGUE))
        return (best[0] if best else None), others


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader(chain([line]), delimiter=separator, strict=True), [])
    except csv.Error:
        return []


def redemption_error_file(rows: Iterator[ReconciledRow], *, raw: bool = False) -> Iterator[bytes]:
    """Return rows that were not recorded as a CSV file, which can be corrected and uploaded again.

    Args:
        rows: the rows.
        raw: True leaves cells as they are that a spreadsheet would take for a formula.

    Yields:
        the file in UTF-8, some rows at a time.
    """
    cells = (
        (str(row.line), row.code, row.redeemed_at, row.order_id, row.amount, row.kind.value, row.message)
        for row in rows
    )
    return csv_bytes(HEADER, cells, raw=raw)
