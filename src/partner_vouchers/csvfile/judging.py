"""What the rows of a file hold: codes, or faults."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, repeat
from operator import not_

from attrs import field, frozen

from partner_vouchers.csvfile.error_file import shortened
from partner_vouchers.domain.codes import CodeFault, CodeRules, unstorable
from partner_vouchers.domain.uploads import RowFault, RowFaultKind

_KINDS = {fault: RowFaultKind(fault.value) for fault in CodeFault}
_EMPTY_MESSAGE = "the row is empty"


def only_length(items: Sequence[object]) -> str:
    """Return how a sequence of secrets is shown."""
    return f"<{len(items)}>"


@frozen
class Judged:
    """Rows that were judged, in the order of the file. The repr tells only how many, since codes are secrets.

    Attributes:
        lines: the line of the file, from 1, on which each code stands.
        codes: the valid codes, trimmed.
        faults: the refused rows.
    """

    lines: Sequence[int] = field(repr=only_length)
    codes: list[str] = field(repr=only_length)
    faults: list[RowFault] = field(repr=only_length)

    def __len__(self) -> int:
        return len(self.codes) + len(self.faults)


class Judge:
    """Applies the rules for codes to rows."""

    def __init__(self, rules: CodeRules, row_limit: int) -> None:
        self._rules = rules
        self._row_limit = row_limit
        # A host's own rules may promise more than they may: these never belong to a plain code.
        self._plain = bytes(
            ord(c) for c in rules.plain if c.isascii() and c.isprintable() and c not in '",\\'
        )

    def clean(self, data: bytes, first_line: int) -> Judged | None:
        """Return the codes of some lines, where all are seen to be valid at one look; else None."""
        odd = data.translate(None, self._plain)
        count = odd.count(b"\n")
        if count != len(odd):
            return None
        codes = data[:-1].decode("ascii").split("\n")
        length = len(codes[0])
        # Codes of one length, the usual case, show by where the line feeds stand: at next to no cost.
        if len(data) == count * (length + 1) and data[length :: length + 1] == odd:
            in_bounds = 0 < length <= self._rules.max_length
        else:
            lengths = set(map(len, codes))
            in_bounds = 0 not in lengths and max(lengths) <= self._rules.max_length
        return Judged(range(first_line, first_line + count), codes, []) if in_bounds else None

    def lines(self, data: bytes, first_line: int) -> Judged:
        """Judge lines, each of which holds the content of one row."""
        return self.clean(data, first_line) or self._line_by_line(data, first_line)

    def row(self, raw: str, line: int) -> Judged:
        """Judge a single row."""
        verdict = self._verdict(raw, line)
        return Judged([line], [verdict], []) if isinstance(verdict, str) else refused(verdict)

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
        """Tell whether a line holds nothing but white space."""
        return len(line) <= self._row_limit and not self._rules.trim(line.decode())

    def _line_by_line(self, data: bytes, first_line: int) -> Judged:
        rows = data[:-1].decode().split("\n")
        # What is left of each row without its plain characters: nothing, for nearly all of them.
        odd = data.translate(None, self._plain).split(b"\n")
        odd.pop()
        self._mark_lengths(rows, odd)
        faults = []
        for index in list(compress(range(len(rows)), odd)):
            verdict = self._verdict(rows[index], first_line + index)
            if isinstance(verdict, str):
                rows[index] = verdict
                odd[index] = b""
            else:
                faults.append(verdict)
        lines = range(first_line, first_line + len(rows))
        if not faults:
            return Judged(lines, rows, faults)
        valid = list(map(not_, odd))
        return Judged(list(compress(lines, valid)), list(compress(rows, valid)), faults)

    def _verdict(self, raw: str, line: int) -> str | RowFault:
        # A character has at most four bytes, so most rows need not be encoded to know that they fit.
        if len(raw) * 4 > self._row_limit and len(raw.encode()) > self._row_limit:
            return self.overlong(raw.encode(), line)
        code = self._rules.trim(raw)
        if not code:
            # White space is not worth keeping, and not kept where blank lines are only counted.
            return RowFault(line, "", RowFaultKind.EMPTY, _EMPTY_MESSAGE)
        fault = self._rules.fault(code) or unstorable(code)
        if fault is None:
            return code
        return RowFault(line, shortened(raw), _KINDS[fault[0]], fault[1])

    def _mark_lengths(self, rows: list[str], odd: list[bytes]) -> None:
        lengths = set(map(len, rows))
        if 0 in lengths or max(lengths) > self._rules.max_length:
            for index, row in enumerate(rows):
                if not 0 < len(row) <= self._rules.max_length:
                    odd[index] = b"!"


def refused(fault: RowFault) -> Judged:
    """Return a single refused row."""
    return Judged([], [], [fault])


def blank_lines(first_line: int, count: int) -> Judged:
    """Return blank lines that are refused as empty rows."""
    lines = range(first_line, first_line + count)
    faults = map(RowFault, lines, repeat(""), repeat(RowFaultKind.EMPTY), repeat(_EMPTY_MESSAGE))
    return Judged([], [], list(faults))
