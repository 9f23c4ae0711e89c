"""Memory stays bounded, whatever the file: each of these has 50 MB, and is never held whole."""

import io
import tracemalloc
from itertools import islice
from typing import BinaryIO, cast

import pytest

from partner_vouchers.csvfile.chunks import CHUNK_BYTES
from partner_vouchers.csvfile.reader import CodeFile, FileRefused
from partner_vouchers.domain.codes import CodeFormat

SIZE = 50 * 1024 * 1024
SMALL_CHUNK = 128 * 1024
# A chunk with the codes or faults made of it; the file itself is several times as large.
BOUND = 24 * 1024 * 1024


class Repeated(io.RawIOBase):
    """A file that begins with some bytes and goes on with others over and over."""

    def __init__(self, start: bytes, then: bytes, size: int = SIZE) -> None:
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
def test_memory_is_bounded(name: str) -> None:
    start, then, refusal = FILES[name]
    _read_within_bound(Repeated(start, then), refusal)


FAULTY = {
    "faulty rows": (b"A1\n", b";\n"),
    "faulty quoted rows": (b"A1\n", b'";"\n'),
    "rows of several lines": (b"", b'"A\nB"\n'),
    "white space lines": (b"A1\n", b" \n"),
    "blank lines between codes": (b"A1", b"\n" * 99 + b"A1"),
    "suspicious rows": (b"A1\n", b"#N/A\n"),
    "titles": (b"A1\n", b"code\n"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_memory_is_bounded_by_the_batch_where_rows_are_faulty(name: str) -> None:
    start, then = FAULTY[name]
    # These are slower by the row, and two small chunks show as much as two hundred.
    size = len(start) + 2 * SMALL_CHUNK // len(then) * len(then)
    _read_within_bound(Repeated(start, then, size=size), None, chunk_bytes=SMALL_CHUNK)


def test_millions_of_blank_lines_before_a_code_come_in_batches() -> None:
    stream = Repeated(b"A1" + b"\n" * 1_500_000 + b"B2", b"\n", size=1_500_004)
    batches = CodeFile(cast(BinaryIO, stream), CodeFormat())
    assert [max(len(batch.faults) for batch in islice(batches, 100))] == [10_000]


def _read_within_bound(stream: Repeated, refusal: str | None, chunk_bytes: int = CHUNK_BYTES) -> None:
    codes = CodeFile(cast(BinaryIO, stream), CodeFormat(), _chunk_bytes=chunk_bytes)
    refused = None
    tracemalloc.start()
    try:
        for _ in codes:
            pass
    except FileRefused as error:
        refused = error.fault.kind.value
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert refused == refusal
    assert peak < BOUND
