"""Read a partner's file of redemptions, with bounded memory.

The layer below is that of code files: `chunks` makes clean UTF-8 of any bytes. A file of several columns says by its
titles what it is separated by. Lines without quotes are rows, and are split at once; `csv` reads those with quotes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from partner_vouchers.csvfile.cells import csv_bytes, unguard
from partner_vouchers.csvfile.chunks import BadEncoding, Chunks
from partner_vouchers.csvfile.refusals import (
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
from partner_vouchers.picking import picker

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

_PLAIN = bytes(range(ord("!"), ord("~") + 1)).translate(None, b"\"'")
"""Bytes that a cell has only as they are: neither white space nor quotes."""

_MOST_TITLE_LINES = 20
"""How many lines the titles may have."""

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


class RedemptionRows(NamedTuple):
    """Some rows of a partner's file as columns of text: a list for each column, because a file can have very many rows.

    Attributes:
        lines: the line of the file on which each row begins, from 1.
        codes: the codes, trimmed.
        redeemed_at: when they were used; empty where the file does not say.
        order_ids: in which orders; likewise.
        amounts: how much; likewise.
        surplus: whether each row has more columns than the first row names.
    """

    lines: list[int]
    codes: list[str]
    redeemed_at: list[str]
    order_ids: list[str]
    amounts: list[str]
    surplus: list[bool]

    def only(self, indexes: Sequence[int]) -> RedemptionRows:
        """Return some of the rows."""
        columns: Sequence[Sequence[Any]] = self
        return RedemptionRows._make(map(list, map(picker(indexes), columns)))

    def add(self, more: RedemptionRows) -> None:
        """Add rows that follow."""
        columns: zip[tuple[list[Any], list[Any]]] = zip(self, more, strict=True)
        for column, cells in columns:
            column.extend(cells)


class RedemptionFile:
    """A partner's file of redemptions. Iterating over it, which can be done once, yields its rows without blank ones.

    The size of the file is not checked here. `check` reads the file too, so use an object of its own for it.

    Raises:
        FileRefused: on iterating: the file is refused as a whole. Rows before were already yielded.

    Example:
        >>> from io import BytesIO
        >>> from partner_vouchers.domain.codes import CodeFormat
        >>> file = RedemptionFile(BytesIO(b"Order ID;Voucher Code\\r\\n991;PM500AA\\r\\n"), CodeFormat())
        >>> [(rows.lines, rows.codes, rows.order_ids) for rows in file]
        [([2], ['PM500AA'], ['991'])]
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
        self._blocks = self._read_blocks()
        self._rules = rules
        self._titles = title_keys(frozenset(getattr(rules, "titles", COLUMN_TITLES)))
        self._line = 0
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
        separator, _, _ = self._open()
        is_empty = True
        for block in iter(self._next_block, ""):
            if '"' in block:
                _, rows = self._by_csv(block, separator)
                is_empty = is_empty and not any(any(map(str.strip, cells)) for cells in rows)
            else:
                self._count_lines(block.count("\n"))
                is_empty = is_empty and not block.replace(separator, "").strip()
        if is_empty:
            raise no_redemption()

    def __iter__(self) -> Iterator[RedemptionRows]:
        separator, most, places = self._open()
        plain = _PLAIN + separator.encode()
        for block in iter(self._next_block, ""):
            first = self._line + 1
            if '"' in block:
                found = self._of_cells(*self._by_csv(block, separator), most, places)
            else:
                # One look at the block saves many at its cells.
                odd = block.encode().translate(None, plain)
                count = odd.count(b"\n")
                self._count_lines(count)
                lines = list(range(first, first + count))
                columns = _regular_columns(block, count, separator, most)
                found = self._of_columns(lines, columns or [[]] * most, places, is_plain=count == len(odd))
                if columns is None or not all(map(str.strip, found.codes)):
                    rows = [line.split(separator) for line in block.split("\n")[:count]]
                    found = self._of_cells(lines, rows, most, places)
            if found.lines:
                yield found

    def _of_cells(
        self, lines: list[int], rows: list[list[str]], most: int, places: Sequence[int]
    ) -> RedemptionRows:
        """Return rows of any form, without blank ones."""
        filled = [index for index, cells in enumerate(rows) if any(map(str.strip, cells))]
        if not filled:
            return RedemptionRows([], [], [], [], [], [])
        rows = [rows[index] for index in filled]
        # Where a row is shorter, the cells are empty.
        missing = [""] * most
        columns = list(map(list, zip(*((cells + missing)[:most] for cells in rows), strict=True)))
        found = self._of_columns([lines[index] for index in filled], columns, places)
        return found._replace(surplus=[any(map(str.strip, cells[most:])) for cells in rows])

    def _of_columns(
        self, lines: list[int], columns: list[list[str]], places: Sequence[int], *, is_plain: bool = False
    ) -> RedemptionRows:
        """Return rows of the form of the titles. `is_plain`: their cells have no white space and no quotes."""
        # A column that the file does not have has the place after the last one.
        cells = [columns[place] if place < len(columns) else [""] * len(lines) for place in places]
        if not is_plain:
            codes, *others = map(_unguarded, cells)
            cells = [codes, *(list(map(str.strip, each)) for each in others)]
        codes, redeemed_at, order_ids, amounts = cells
        if not "".join(codes).isalnum():
            codes = list(map(self._rules.trim, codes))
        return RedemptionRows(lines, codes, redeemed_at, order_ids, amounts, [False] * len(lines))

    def _open(self) -> tuple[str, int, list[int]]:
        """Read up to the titles; return the separator, how many titles there are, and where each column is."""
        separators: Sequence[str] = _SEPARATORS
        begun, first = "", 0
        for block in self._blocks:
            text = io.StringIO(block, newline="\n")
            for each in text:
                line = begun + each[:-1]
                self._line += 1
                if begun:
                    begun = ""
                else:
                    first = self._line
                    self._count(1)
                named = _SEPARATOR_LINE.fullmatch(line) if self._line == 1 else None
                if named is not None:
                    separators = named[1] if named[1] in _SEPARATORS else separators
                elif line.strip(" \t,;"):
                    if len(line) > _LONGEST_LINE:
                        raise no_known_title(first)
                    found = self._columns_of(line, separators)
                    if found is not None:
                        self._put_back(text.read())
                        return found
                    if self._line - first >= _MOST_TITLE_LINES or not _is_unfinished(line, separators):
                        raise no_known_title(first)
                    # A title has a line break, as in a cell of several lines.
                    begun = f"{line}\n"
        raise no_known_title(first) if begun else no_redemption()

    def _next_block(self) -> str:
        return next(filter(None, self._blocks), "")

    def _put_back(self, rest: str) -> None:
        if rest:
            self._blocks = chain([rest], self._blocks)

    def _columns_of(self, line: str, separators: Sequence[str]) -> tuple[str, int, list[int]] | None:
        separator, titles = max(
            ((each, _cells(line, each)) for each in separators), key=lambda found: self._known(found[1])
        )
        code, others = self._columns(titles)
        if code is None:
            return None
        most = len(titles)
        return separator, most, [code, *(others.get(name, most) for name in _COLUMNS)]

    def _by_csv(self, block: str, separator: str) -> tuple[list[int], list[list[str]]]:
        """Return the lines and the cells of rows with quotes. The last row may take lines of the next block."""
        own, begun, text = block.count("\n"), self._line, io.StringIO()
        start = begun + 1

        def lines() -> Iterator[str]:
            nonlocal text
            for part in chain([block], self._blocks):
                text = io.StringIO(part, newline="\n")
                for line in text:
                    self._line += 1
                    if self._line - start > _MOST_LINES:
                        raise broken_quoting(start)
                    yield line

        reader = csv.reader(lines(), delimiter=separator, strict=True)
        numbers: list[int] = []
        rows: list[list[str]] = []
        try:
            while reader.line_num < own:
                start = begun + reader.line_num + 1
                cells = next(reader)
                self._count(1)
                numbers.append(start)
                rows.append(cells)
        except csv.Error:
            pass
        else:
            self._put_back(text.read())
            return numbers, rows
        # Out of reach of the driver's error, which may quote the row.
        raise broken_quoting(start)

    def _read_blocks(self) -> Iterator[str]:
        """Yield the text of the file, some thousand lines at a time, each with a line feed at its end.

        The lines of a block must be counted before the next one is asked for, which may be refused.
        """
        rest = ""
        try:
            for chunk in self._chunks:
                text, end, rest = (rest + chunk.decode()).rpartition("\n")
                start = 0
                while len(text) - start > _LONGEST_LINE:
                    after = text.rfind("\n", start, start + _LONGEST_LINE + 1) + 1
                    if not after:
                        yield text[:start]
                        raise row_too_long(self._line + 1)
                    start = after
                yield text + end
                if len(rest) > _LONGEST_LINE:
                    raise row_too_long(self._line + 1)
        except BadEncoding as error:
            raise bad_encoding(self._line + 1, str(error)) from None
        yield rest and rest + "\n"

    def _count_lines(self, count: int) -> None:
        self._line += count
        self._count(count)

    def _count(self, rows: int) -> None:
        self._rows += rows
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


def _is_unfinished(line: str, separators: Sequence[str]) -> bool:
    """Return whether a quote of a line is not closed in it."""
    for separator in separators:
        try:
            next(csv.reader([line, '"'], delimiter=separator, strict=True), None)
        except csv.Error:
            continue
        if not _cells(line, separator):
            return True
    return False


def _regular_columns(block: str, count: int, separator: str, most: int) -> list[list[str]] | None:
    """Return the columns of a block without quotes; None unless each line has as many cells as there are columns."""
    cells = block.replace("\n", f"{separator}\n{separator}").split(separator)
    # As all lines have, every line feed is where it is expected.
    if len(cells) != count * (most + 1) + 1 or cells[most :: most + 1] != ["\n"] * count:
        return None
    return [cells[column : -1 : most + 1] for column in range(most)]


def _unguarded(column: list[str]) -> list[str]:
    return list(map(unguard, column)) if "'" in "".join(column) else column


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
