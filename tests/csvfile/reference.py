"""The rules for code files a second time: the whole file in memory, character by character."""

from __future__ import annotations

from io import BytesIO

from attrs import field, frozen

from partner_vouchers.csvfile.cells import unguard
from partner_vouchers.csvfile.chunks import likely_encoding
from partner_vouchers.csvfile.error_file import is_shortened, shortened
from partner_vouchers.csvfile.reader import CodeFile, FileRefused
from partner_vouchers.domain.codes import CodeRules
from partner_vouchers.domain.uploads import HEADER_NAMES

Fault = tuple[int, str, str]


@frozen
class Outcome:
    """What became of a file: (line, code), (line, raw, kind), and (kind, line) of a refusal of the whole."""

    codes: list[tuple[int, str]] = field(factory=list)
    faults: list[Fault] = field(factory=list)
    refusal: tuple[str, int | None] | None = None
    header_skipped: bool = False
    rows: int = 0


def read_in_batches(
    data: bytes,
    rules: CodeRules,
    *,
    encoding: str = "utf-8",
    header: bool | None = None,
    chunk_bytes: int = 256 * 1024,
    row_bytes: int = 64 * 1024,
) -> Outcome:
    """Read a file with the code under test."""
    file = CodeFile(
        BytesIO(data), rules, encoding=encoding, header=header, _chunk_bytes=chunk_bytes, _row_bytes=row_bytes
    )
    codes: list[tuple[int, str]] = []
    faults: list[Fault] = []
    refusal = None
    try:
        for batch in file:
            codes += zip(batch.lines, batch.codes, strict=True)
            faults += [(fault.line, fault.raw, fault.kind.value) for fault in batch.faults]
            assert file.rows == len(codes) + len(faults)
            assert batch.bytes_read <= len(data)
    except FileRefused as refused:
        refusal = (refused.fault.kind.value, refused.fault.line)
    else:
        assert file.bytes_read == len(data)
    return Outcome(codes, faults, refusal, file.header_skipped, file.rows)


def read_simply(
    data: bytes, rules: CodeRules, *, header: bool | None = None, row_bytes: int = 64 * 1024
) -> Outcome:
    """Read a file by the reference."""
    return _Reference(rules, header, row_bytes + 4 * rules.max_length + 2).read(data)


class _Refused(Exception):
    pass


class _Reference:
    def __init__(self, rules: CodeRules, header: bool | None, limit: int) -> None:
        self.rules = rules
        self.header = header
        self.limit = limit
        self.codes: list[tuple[int, str]] = []
        self.faults: list[Fault] = []
        self.blanks: list[Fault] = []
        self.header_skipped = False
        self.columns = 1

    def read(self, data: bytes) -> Outcome:
        text, readable = _decoded(data)
        refusal = None
        position, line = 0, 1
        while position < len(text) and refusal is None:
            try:
                step = self.take(text, position, line)
            except _Refused as refused:
                refusal = (str(refused), line)
                break
            if step is None:
                break
            line += text.count("\n", position, step)
            position = step
        if refusal is None and not readable:
            refusal = ("bad_encoding", line + text.count("\n", position))
        elif refusal is None and position < len(text):
            refusal = ("broken_quoting", line)
        if refusal is not None:
            self.faults += self.blanks
        rows = len(self.codes) + len(self.faults)
        return Outcome(self.codes, self.faults, refusal, self.header_skipped, rows)

    def take(self, text: str, start: int, line: int) -> int | None:
        """Take one row; return where the next begins, or None where it is not complete."""
        rest = text[start:]
        complete = rest[: rest.rfind("\n") + 1]
        first = complete[: complete.find("\n")]
        if start == 0 and self.header is not False and first.replace('"', "") == "line,code,error,message":
            self.columns = 4
            self.header_skipped = True
            return len(first) + 1
        if not rest.startswith('"') and (self.columns == 1 or not set(first) & set(',"')):
            blank = len(first.encode()) <= self.limit and not self.rules.trim(first)
            if self.columns == 1 or (complete and blank):
                return self.take_plain(first, start, line) if complete else None
        row = self.split(complete)
        if row is None and len(rest.encode()) > self.limit:
            self.split(rest)
            raise _Refused("broken_quoting")
        if row is None:
            return None
        cells, length = row
        if start == 0 and self.is_header(cells[0]):
            return length
        cell = cells[0] if self.columns == 1 else cells[1]
        if self.columns == 4 and is_shortened(cell):
            self.refuse(line, cell, "too_long")
        else:
            self.judge(cell if self.columns == 1 else unguard(cell), line)
        return start + length

    def take_plain(self, row: str, start: int, line: int) -> int:
        end = start + len(row) + 1
        if "," in row:
            raise _Refused("multiple_columns")
        if start == 0 and self.is_header(row):
            return end
        if len(row.encode()) > self.limit:
            self.refuse(line, row, "too_long")
        elif not self.rules.trim(row):
            self.blanks.append((line, "", "empty"))
        else:
            self.judge(row, line)
        return end

    def split(self, text: str) -> tuple[list[str], int] | None:
        """Return the cells of the row at the start, and its length."""
        cells, cell, state, size = [], "", "start", 0
        for index, character in enumerate(text):
            size += len(character.encode())
            if size > self.limit + 1:
                break
            if state == "quoted":
                state, cell = ("closed", cell) if character == '"' else (state, cell + character)
            elif character == '"' and state != "plain":
                state, cell = "quoted", cell + ('"' if state == "closed" else "")
            elif character in ",\n":
                cells.append(cell)
                if (len(cells) == self.columns) != (character == "\n"):
                    raise _Refused("multiple_columns")
                if character == "\n":
                    return cells, index + 1
                cell, state = "", "start"
            elif state == "closed":
                raise _Refused("broken_quoting")
            else:
                state, cell = "plain", cell + character
        if len(text.encode()) > self.limit:
            raise _Refused("broken_quoting")
        return None

    def is_header(self, cell: str) -> bool:
        fits = len(cell.encode()) <= self.limit
        known = self.header is None and fits and cell.strip().lower() in HEADER_NAMES
        self.header_skipped = bool(self.header) or known
        return self.header_skipped

    def judge(self, cell: str, line: int) -> None:
        code = self.rules.trim(cell)
        fault = self.rules.fault(code)
        if fault is None:
            self.settle_blanks()
            self.codes.append((line, code))
        else:
            self.refuse(line, cell if code else "", fault[0].value)

    def refuse(self, line: int, raw: str, kind: str) -> None:
        self.settle_blanks()
        self.faults.append((line, shortened(raw), kind))

    def settle_blanks(self) -> None:
        self.faults += self.blanks
        self.blanks = []


def _decoded(data: bytes) -> tuple[str, bool]:
    """Return the text up to the first bad byte with line feeds, and whether that is all."""
    if likely_encoding(data[:64]):
        return "", False
    try:
        text, readable = data.decode(), True
    except UnicodeDecodeError as error:
        text, readable = data[: error.start].decode(), False
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if readable and text and not text.endswith("\n"):
        text += "\n"
    return text, readable
