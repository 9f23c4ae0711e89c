"""Memory stays bounded, whatever the file: each is several times as large as what may be held of it."""

import io
import tracemalloc
from typing import BinaryIO, cast

import pytest

from partner_vouchers.csvfile.reader import CodeFile, FileRefused
from partner_vouchers.domain.codes import CodeFormat

CHUNK = 4 * 1024
# A chunk, a batch of ten thousand rows, and the longest row.
BOUND = 3 * 1024 * 1024


class Repeated(io.RawIOBase):
    """A file that begins with some bytes and goes on with others over and over."""

    def __init__(self, start: bytes, then: bytes, size: int) -> None:
        super().__init__()
        self._start = start
        self._then = then * (1 + 300_000 // len(then))
        self._period = len(then)
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = min(size, self._size - self._position)
        head = self._start[self._position :][:size]
        phase = max(0, self._position - len(self._start)) % self._period
        data = head + self._then[phase : phase + size - len(head)]
        self._position += len(data)
        return data


FILES = {
    "no line end": (b"", b"x", None),
    "no line end and blank": (b"", b" ", None),
    "quote that is never closed": (b'A1\n"', b"x", "broken_quoting"),
    "quote that is never closed, many lines": (b'A1\n"', b"x\n", "broken_quoting"),
    "empty lines": (b"A1", b"\n", "too_many_rows"),
    "empty lines of CRLF": (b"A1", b"\r\n", "too_many_rows"),
    "rows of one character": (b"", b"A\n", "too_many_rows"),
    "rows that split into columns": (b"", b"A;B\n", "multiple_columns"),
    "blank lines below a row that splits": (b"A;B", b"\n", "too_many_rows"),
    "corrected error file without a line end": (b"line,code,error,message\n1,", b"x", "broken_quoting"),
}


@pytest.mark.parametrize("name", FILES)
def test_memory_is_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partner_vouchers.csvfile.collecting.MAX_ROWS", 50_000)
    start, then, refusal = FILES[name]
    if refusal == "multiple_columns":
        monkeypatch.undo()
    peak, refused, _ = read(Repeated(start, then, 8 * 1024 * 1024))
    assert refused == refusal
    assert peak < BOUND


FAULTY = {
    "faulty rows": (b"A1\n", b";\n"),
    "faulty quoted rows": (b"A1\n", b'";"\n'),
    "rows of several lines": (b"", b'"A\nB"\n'),
    "white space lines": (b"A1\n", b" \n"),
    "blank lines between codes": (b"A1", b"\n" * 99 + b"A1"),
    "blank lines before a code": (b"A1", b"\n" * 50_000 + b"B2"),
    "suspicious rows": (b"A1\n", b"#N/A\n"),
    "titles": (b"A1\n", b"code\n"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_memory_is_bounded_by_the_batch_where_rows_are_faulty(name: str) -> None:
    start, then = FAULTY[name]
    rows = max(12_000 // len(then), 1) if "blank lines" in name else 12_000
    peak, refused, most = read(Repeated(start, then, len(start) + rows * len(then)))
    assert refused is None
    assert most <= 20_000
    assert peak < BOUND


def read(stream: Repeated) -> tuple[int, str | None, int]:
    """Read a file; return the peak of memory, why the file was refused, and the most rows of a batch."""
    codes = CodeFile(cast(BinaryIO, stream), CodeFormat(), _chunk_bytes=CHUNK)
    refused, most = None, 0
    tracemalloc.start()
    try:
        for batch in codes:
            most = max(most, len(batch.codes) + len(batch.faults))
    except FileRefused as error:
        refused = error.fault.kind.value
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, refused, most
