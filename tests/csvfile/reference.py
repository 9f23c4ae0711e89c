"""The rules for code files a second time: the whole file in memory, character by character."""

from __future__ import annotations

import csv
import re
from io import BytesIO

from attrs import field, frozen

from partner_vouchers.csvfile.cells import unguard
from partner_vouchers.csvfile.chunks import encoding_of_bom, likely_encoding
from partner_vouchers.csvfile.error_file import is_shortened, shortened
from partner_vouchers.csvfile.reader import CodeFile, FileRefused
from partner_vouchers.domain.codes import CodeRules
from partner_vouchers.domain.titles import COLUMN_TITLES, title_key, title_keys

Fault = tuple[int, str, str]


@frozen
class Outcome:
    """What became of a file: (line, code), (line, raw, kind), and (kind, line) of a refusal of the whole."""

    codes: list[tuple[int, str]] = field(factory=list)
    faults: list[Fault] = field(factory=list)
    refusal: tuple[str, int | None] | None = None
    header_skipped: bool = False
    first_row: str | None = None
    rows: int = 0
    warnings: list[tuple[int, str]] = field(factory=list, eq=False)


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
    warnings: list[tuple[int, str]] = []
    refusal = None
    try:
        for batch in file:
            codes += zip(batch.lines, batch.codes, strict=True)
            faults += [(fault.line, fault.raw, fault.kind.value) for fault in batch.faults]
            warnings += [(each.line, each.kind.value) for each in batch.warnings]
            assert file.rows == len(codes) + len(faults)
            assert file.bytes_read <= len(data)
    except FileRefused as refused:
        refusal = (refused.fault.kind.value, refused.fault.line)
    else:
        assert file.bytes_read == len(data)
    return Outcome(codes, faults, refusal, file.header_skipped, file.first_row, file.rows, warnings)


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
        self.titles = title_keys(COLUMN_TITLES) if header is not False else frozenset()
        self.codes: list[tuple[int, str]] = []
        self.faults: list[Fault] = []
        self.blanks: list[Fault] = []
        self.first_row: str | None = None
        self.header_skipped = False
        self.delimiter, self.code, self.columns = ",", 0, 1
        self.is_error_file = False
        # While every row has one of these, the file is refused as a whole.
        self.separators = {";", "\t"}
        self.split: list[tuple[int, str]] = []

    def read(self, data: bytes) -> Outcome:
        text, readable = _decoded(data)
        refusal: tuple[str, int | None] | None = None
        position, line = 0, 1
        while position < len(text) and refusal is None:
            try:
                step = self.take(text, position, line)
            except _Refused as refused:
                kind, at = refused.args
                refusal = (kind, at or line)
                break
            if step is None:
                break
            line += text.count("\n", position, step)
            position = step
        if refusal is None and not readable:
            refusal = ("bad_encoding", line + text.count("\n", position))
        elif refusal is None and position < len(text):
            refusal = ("broken_quoting", line)
        elif refusal is None and self.split:
            refusal = ("multiple_columns", self.split[0][0])
        if refusal is not None:
            self.faults += self.blanks
            begun = text[position:].partition("\n")[0]
            if self.first_row is None and refusal[0] != "bad_encoding" and self.rules.trim(begun):
                self.first_row = shortened(begun)
        rows = len(self.codes) + len(self.faults)
        return Outcome(self.codes, self.faults, refusal, self.header_skipped, self.first_row, rows)

    def take(self, text: str, start: int, line: int) -> int | None:
        """Take one row; return where the next begins, or None where it is not complete."""
        rest = text[start:]
        complete = rest[: rest.rfind("\n") + 1]
        first = complete[: complete.find("\n")]
        if start == 0 and re.fullmatch(r'"?sep=."?[ \t]*', first, re.IGNORECASE):
            return len(first) + 1
        if self.is_error_file:
            row = self.split_row(complete) or self.split_row(rest, cut=True)
            if row is None:
                return None
            self.correct(*row, line)
            return start + row[1]
        fits = len(first.encode()) <= self.limit
        if (
            self.first_row is None
            and complete
            and fits
            and self.header is not False
            and self.is_header_of_errors(first)
        ):
            self.skip_header(first)
            self.separators.clear()
            return start + len(first) + 1
        if not rest.startswith('"'):
            if not complete:
                return None
            if "," in first:
                raise _Refused("multiple_columns", None)
            self.add(first, line, 1)
            return start + len(first) + 1
        row = self.split_row(complete) or self.split_row(rest, cut=True)
        if row is None and complete and not fits:
            self.add_overlong(self.only_cell(first), line)
            return start + len(first) + 1
        if row is None:
            return None
        self.add(row[0][0], line, text.count("\n", start, start + row[1]))
        return start + row[1]

    def only_cell(self, line: str) -> str:
        """Return the content of a quoted line of one column."""
        cell = re.match('"((?:[^"]|"")*+)"', line)
        if cell is None:
            raise _Refused("broken_quoting", None)
        if cell.end() < len(line):
            raise _Refused("multiple_columns" if line[cell.end()] == "," else "broken_quoting", None)
        return cell[1].replace('""', '"')

    def is_header_of_errors(self, first: str) -> bool:
        for delimiter in ",;\t":
            try:
                cells = next(csv.reader([first], delimiter=delimiter, strict=True), [])
            except csv.Error:
                continue
            titles = list(map(title_key, cells))
            if "code" in titles and {"line", "error", "message"} & set(titles):
                self.delimiter, self.code, self.columns = delimiter, titles.index("code"), len(titles)
                self.is_error_file = True
                return True
        return False

    def skip_header(self, row: str) -> None:
        self.first_row = shortened(row)
        self.header_skipped = True
        self.blanks = []

    def correct(self, cells: list[str], length: int, line: int) -> None:
        if not any(map(self.rules.trim, cells)) and sum(cell.count("\n") for cell in cells) == 0:
            self.blanks.append((line, "", "empty"))
            return
        if len(cells) <= self.code or any(map(self.rules.trim, cells[self.columns :])):
            raise _Refused("multiple_columns", None)
        cell = cells[self.code]
        if is_shortened(cell):
            self.refuse(line, cell, "too_long")
        else:
            self.judge(cell, line)

    def add(self, row: str, line: int, lines: int) -> None:
        """Add a row of one column."""
        if len(row.encode()) > self.limit:
            self.add_overlong(row, line)
            return
        trimmed = self.rules.trim(row)
        if not trimmed and lines == 1 and not self.split:
            self.blanks.append((line, "", "empty"))
            return
        if trimmed and self.first_row is None:
            if self.header or (self.header is None and title_key(row) in self.titles):
                self.skip_header(row)
                return
            self.first_row = shortened(row)
        if self.separators:
            if trimmed or not self.split:
                self.separators &= set(trimmed)
            if self.separators:
                self.split.append((line, row))
                return
            self.are_no_columns()
        self.judge(row, line)

    def add_overlong(self, row: str, line: int) -> None:
        if self.first_row is None:
            if self.header:
                self.skip_header(row)
                return
            self.first_row = shortened(row)
        self.are_no_columns()
        self.refuse(line, row, "too_long")

    def are_no_columns(self) -> None:
        self.separators.clear()
        split, self.split = self.split, []
        for line, row in split:
            if self.rules.trim(row):
                self.judge(row, line)
            else:
                self.blanks.append((line, "", "empty"))

    def split_row(self, text: str, cut: bool = False) -> tuple[list[str], int] | None:
        """Return the cells of the row at the start, and its length; `cut`: what a row that is too long breaks."""
        if cut and len(text.encode()) <= self.limit:
            return None
        cells, cell, state, size = list[str](), "", "start", 0
        for index, character in enumerate(text):
            size += len(character.encode())
            if size > self.limit + 1:
                break
            if state == "quoted":
                state, cell = ("closed", cell) if character == '"' else (state, cell + character)
            elif character == '"' and state != "plain":
                state, cell = "quoted", cell + ('"' if state == "closed" else "")
            elif character in (self.delimiter, "\n"):
                cells.append(cell)
                if character == "\n":
                    return cells, index + 1
                if not self.is_error_file:
                    raise _Refused("multiple_columns", None)
                cell, state = "", "start"
            elif state == "closed":
                raise _Refused("broken_quoting", None)
            else:
                state, cell = "plain", cell + character
        is_overlong_line = len(text.partition("\n")[0].encode()) > self.limit and not self.is_error_file
        if len(text.encode()) > self.limit and not is_overlong_line:
            raise _Refused("broken_quoting", None)
        return None

    def judge(self, cell: str, line: int) -> None:
        if len(cell.encode()) > self.limit:
            self.refuse(line, cell, "too_long")
            return
        cell = unguard(cell)
        code = self.rules.trim(cell)
        fault = self.rules.fault(code)
        if code and title_key(cell) in self.titles:
            self.refuse(line, cell, "column_title")
        elif fault is None:
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
    encoding = encoding_of_bom(data) or "utf-8"
    if encoding == "utf-8" and likely_encoding(data[:64]):
        return "", False
    try:
        text, readable = data.decode(encoding), True
    except UnicodeDecodeError as error:
        text, readable = data[: error.start].decode(encoding), False
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if readable and text and not text.endswith("\n"):
        text += "\n"
    return text, readable
