"""Apply the rules for codes to the rows of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import compress, repeat
from operator import not_
from string import ascii_lowercase, digits

from attrs import field, frozen

from partner_vouchers.csvfile.cells import unguard
from partner_vouchers.csvfile.error_file import shortened
from partner_vouchers.csvfile.refusals import SEPARATORS
from partner_vouchers.domain.codes import CodeFault, CodeRules, unstorable
from partner_vouchers.domain.suspicion import EMPTY_VALUES, suspicious
from partner_vouchers.domain.titles import COLUMN_TITLES, TitleLength, title_key, title_keys
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, RowWarning

_KINDS = {fault: RowFaultKind(fault.value) for fault in CodeFault}
_EMPTY_MESSAGE = "the row is empty"
_TITLE_MESSAGE = "this is the title of a column, not a code; delete the row"

# Without one of these no row is suspicious, apart from EMPTY_VALUES. Single bytes are found at next to no cost.
_TRACES = (b"#", b"<", b"(", b"\\", b":")
_SCIENTIFIC = re.compile(rb"\n[+-]?\d(?:[.,]\d++)?[eE][+-]")
_BETWEEN_WORDS = b"_-:"


def only_length(items: Sequence[object]) -> str:
    """Return how a sequence of secrets is shown."""
    return f"<{len(items)}>"


@frozen
class ValidatedRows:
    """Validated rows in the order of the file. The repr shows only how many, since codes are secrets.

    Attributes:
        lines: the line of the file, from 1, of each code.
        codes: the valid codes, trimmed.
        faults: the refused rows.
        warnings: those of the codes that are suspicious.
    """

    lines: Sequence[int] = field(repr=only_length)
    codes: list[str] = field(repr=only_length)
    faults: list[RowFault] = field(repr=only_length)
    warnings: list[RowWarning] = field(factory=list, repr=only_length)

    def __len__(self) -> int:
        return len(self.codes) + len(self.faults)


class _Titles:
    """Finds the column titles among rows.

    Attributes:
        keys: the titles, as `title_key` spells them.
        words: the titles, and how programs write no value, as `_word_keys` spells them.
    """

    def __init__(self, titles: frozenset[str]) -> None:
        self.keys = title_keys(titles)
        self._length = TitleLength(self.keys)
        # Letters and digits are compared as they are, but for their case.
        others = set(ascii_lowercase + digits).difference(*self.keys)
        self._others = re.compile(f"[{''.join(others)}]" if others else "(?!)", re.IGNORECASE | re.ASCII)
        # Words that need a closer look where they are all that a row has.
        words = {key.encode() for key in self.keys | EMPTY_VALUES if key.isascii()}
        self.words = frozenset(word.translate(None, _BETWEEN_WORDS) for word in words)
        letters = bytes(sorted({*b"".join(words), *b"".join(words).upper(), *_BETWEEN_WORDS}))
        self._word_row = re.compile(rb"\n[%s]++(?=\n)" % re.escape(letters))

    def has_words(self, data: bytes) -> bool:
        """Return whether a row of these lines may be one of the words."""
        rows = self._word_row.findall(b"\n" + data)
        return bool(rows) and not self.words.isdisjoint(_word_keys(b"".join(rows)))

    def has(self, raw: str) -> bool:
        """Return whether a row is a title. Most rows are told apart at less cost than that of a key."""
        if raw.isascii() and self._others.search(raw):
            return False
        return len(raw) < 200 and self._length.fits(raw) and title_key(raw) in self.keys


# A file of a few rows takes less time than this.
_prepared = lru_cache(_Titles)


class RowValidator:
    """Applies the rules for codes to rows.

    Attributes:
        row_limit: how many bytes a row may have.
    """

    def __init__(self, rules: CodeRules, row_limit: int, *, refuses_titles: bool) -> None:
        self._rules = rules
        self.row_limit: int = row_limit
        # A host's own rules may promise more than they may: these never belong to a plain code.
        self._plain = bytes(
            ord(c) for c in rules.plain if c.isascii() and c.isprintable() and c not in '",\\'
        )
        titles = getattr(rules, "titles", COLUMN_TITLES) if refuses_titles else ()
        self._titles = _prepared(frozenset(titles))
        self._split_rows = dict.fromkeys(SEPARATORS, 0)

    @property
    def separator(self) -> str | None:
        """The name of the character at which most of the refused rows split into columns; None for no such."""
        most = max(self._split_rows, key=lambda each: self._split_rows[each])
        return SEPARATORS[most] if self._split_rows[most] else None

    def is_title(self, text: str) -> bool:
        """Return whether a row is the title of a column."""
        return title_key(text) in self._titles.keys

    def trim(self, row: str) -> str:
        """Return a row without what does not belong to the code."""
        return self._rules.trim(row)

    def clean(self, data: bytes, first_line: int) -> ValidatedRows | None:
        """Return the codes of some lines, where one look shows that all are valid; else None."""
        odd = data.translate(None, self._plain)
        count = odd.count(b"\n")
        if count != len(odd):
            return None
        codes = data[:-1].decode("ascii").split("\n")
        length = len(codes[0])
        # Codes of one length, the usual case, show by the places of the line feeds: at next to no cost.
        if len(data) == count * (length + 1) and data[length :: length + 1] == odd:
            in_bounds = 0 < length <= self._rules.max_length
        else:
            lengths = set(map(len, codes))
            in_bounds = 0 not in lengths and max(lengths) <= self._rules.max_length
        if not in_bounds or self._titles.has_words(data):
            return None
        lines = range(first_line, first_line + count)
        return ValidatedRows(lines, codes, [], _warnings(data, lines, codes, has_words=False))

    def lines(self, data: bytes, first_line: int) -> ValidatedRows:
        """Validate lines, each of which is one row."""
        return self.clean(data, first_line) or self._line_by_line(data, first_line)

    def row(self, raw: str, line: int) -> ValidatedRows:
        """Validate a single row."""
        result = self._validated(raw, line)
        if not isinstance(result, str):
            return refused(result)
        kind = suspicious(result)
        return ValidatedRows([line], [result], [], [RowWarning(line, result, kind)] if kind else [])

    def overlong(self, head: bytes, line: int) -> RowFault:
        """Return the fault of a row of which only the first bytes are known."""
        message = f"the code is longer than {self._rules.max_length} characters"
        return RowFault(line, shortened(head.decode(errors="ignore")), RowFaultKind.TOO_LONG, message)

    def without_blank_end(self, data: bytes) -> tuple[bytes, int]:
        """Return some lines without the blank ones at their end, and the number of these."""
        end = len(data.rstrip(b"\n"))
        while end > 0:
            start = data.rfind(b"\n", 0, end) + 1
            if not self.is_blank(data[start:end]):
                break
            end = start - 1
        content = data[: end + 1] if end > 0 else b""
        return content, data.count(b"\n", len(content))

    def is_blank(self, line: bytes) -> bool:
        """Return whether a line has nothing but white space."""
        return len(line) <= self.row_limit and not self._rules.trim(line.decode())

    def _line_by_line(self, data: bytes, first_line: int) -> ValidatedRows:
        rows = data[:-1].decode().split("\n")
        # The rest of each row without its plain characters: nothing, for nearly all rows.
        odd = data.translate(None, self._plain).split(b"\n")
        odd.pop()
        for index in self._out_of_bounds(rows):
            odd[index] = b"!"
        has_words = self._titles.has_words(data)
        if has_words:
            for index, key in enumerate(_word_keys(data[:-1])):
                odd[index] = odd[index] or (b"!" if key in self._titles.words else b"")
        faults = []
        for index in list(compress(range(len(rows)), odd)):
            result = self._validated(rows[index], first_line + index)
            if isinstance(result, str):
                rows[index] = result
                odd[index] = b""
                # What was trimmed hid the code from a look at the whole lines.
                has_words = has_words or suspicious(result) is not None
            else:
                faults.append(result)
        lines: Sequence[int] = range(first_line, first_line + len(rows))
        if faults:
            valid = list(map(not_, odd))
            lines, rows = list(compress(lines, valid)), list(compress(rows, valid))
        return ValidatedRows(lines, rows, faults, _warnings(data, lines, rows, has_words=has_words))

    def _validated(self, raw: str, line: int) -> str | RowFault:
        """Return the code of a row, or its error."""
        # A character has at most four bytes, so most rows need not be encoded to know that they fit.
        if len(raw) * 4 > self.row_limit and len(raw.encode()) > self.row_limit:
            return self.overlong(raw.encode(), line)
        # The protection that our own files add; any other apostrophe is a quote.
        raw = unguard(raw)
        code = self._rules.trim(raw)
        if not code:
            # White space is not worth keeping, and not kept where blank lines are only counted.
            return RowFault(line, "", RowFaultKind.EMPTY, _EMPTY_MESSAGE)
        if self._titles.has(raw):
            return RowFault(line, shortened(raw), RowFaultKind.COLUMN_TITLE, _TITLE_MESSAGE)
        fault = self._rules.fault(code) or unstorable(code)
        if fault is None:
            return code
        for separator in SEPARATORS:
            self._split_rows[separator] += separator in code
        return RowFault(line, shortened(raw), _KINDS[fault[0]], fault[1])

    def _out_of_bounds(self, rows: list[str]) -> list[int]:
        """Return which rows are empty or too long."""
        most = self._rules.max_length
        return [index for index, length in enumerate(map(len, rows)) if not 0 < length <= most]


def _warnings(
    data: bytes, lines: Sequence[int], codes: Sequence[str], *, has_words: bool
) -> list[RowWarning]:
    is_number = (b"-" in data or b"+" in data) and _SCIENTIFIC.search(b"\n" + data)
    if not (has_words or is_number or any(trace in data for trace in _TRACES)):
        return []
    found = zip(lines, codes, map(suspicious, codes), strict=True)
    return [RowWarning(line, code, kind) for line, code, kind in found if kind]


def _word_keys(rows: bytes) -> list[bytes]:
    return rows.lower().translate(None, _BETWEEN_WORDS).split(b"\n")


def refused(fault: RowFault) -> ValidatedRows:
    """Return a single refused row."""
    return ValidatedRows([], [], [fault])


def blank_lines(first_line: int, count: int) -> ValidatedRows:
    """Return blank lines that are refused as empty rows."""
    lines = range(first_line, first_line + count)
    faults = map(RowFault, lines, repeat(""), repeat(RowFaultKind.EMPTY), repeat(_EMPTY_MESSAGE))
    return ValidatedRows([], [], list(faults))
