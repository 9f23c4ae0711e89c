"""The reader, the reference and the `csv` module say the same of any file, wherever the chunks end."""

import csv
from io import StringIO

from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st

from partner_vouchers.csvfile.rows import quoted_cells, read_row
from partner_vouchers.domain.codes import CodeFormat
from tests.csvfile.reference import read_in_batches, read_simply


@frozen
class Unpromising(CodeFormat):
    """The same rules, without the promise that lets a file be checked by the block."""

    @property
    def plain(self) -> str:
        return ""


SHORT = CodeFormat(max_length=5)
ROW_BYTES = 8

_usual = [b"A", b"BB", b"c-1", b"12345", b"123456", b"\n", b"\n", b"\r\n", b"\r"]
_odd = [
    b" ", b"\t", b"\n\n\n", b";", b",", b"'", b'"', b'"', b'""', b'\n"', b'"\n', b'"A1"\n', b"\x00", b"\x0b",
    b"\x1c", "é".encode(), "\x85".encode(), "\u2028".encode(), "\ufeff".encode(), "\u200b".encode(),
    "\U0001f600".encode(), b"\xc3", b"\xff", b"code\n", b"Voucher Code\r\n", b"x" * 29, b"x" * 40, b" " * 45,
    b'"' + b"x" * 40 + b'"\n', b'"' + b'x""' * 20 + b'"\n', b'"' + b"x" * 40, b'"' + b"x" * 40 + b'",y\n',
    b"xy " * 90, b"sep=;\n", b"sep=,\n", b"CODES\n", b"'", b"=", b"'=A\n", b"NULL\n", b"A;B\n", b"A\tB\n",
]  # fmt: skip
_error_file = [
    b"1,",
    b",A1,",
    b",'-A1,",
    b",e,m\r\n",
    b'"2","B2","e","m"\r\n',
    b"3,C3,e,m\n",
    b"4," + b"y" * 40,
]

usual_files = st.lists(st.sampled_from(_usual), max_size=30).map(b"".join)
odd_files = st.lists(st.sampled_from(_usual + _odd), max_size=25).map(b"".join)
_headers = [
    b"line,code,error,message\r\n",
    b'"Line";CODE;"message"\n',
    b"\n\nsep=,\nmessage,Code,,\n",
    b"sep=;\ncode;line;;\n",
    b"error\tcode\tmessage\n",
]
error_files = st.builds(
    lambda header, parts, delimiter: header + b"".join(parts).replace(b",", delimiter),
    st.sampled_from(_headers),
    st.lists(st.sampled_from(_usual + _odd + _error_file), max_size=20),
    st.sampled_from([b",", b";", b"\t"]),
)
files = usual_files | odd_files | error_files | st.binary(max_size=60)
headers = st.sampled_from([None, True, False])
chunk_sizes = st.integers(1, 40) | st.just(1 << 18)


_rows = [
    b"A1", b" A2", b"null", b" null", b"NaN\t", "\u00a0n/a".encode(), b"#N/A", b" #REF!", b"1.2E+15", b" 1.2E+15",
    b"'-1E+9", b"<p>", "<b>\u3000".encode(), "É1".encode(), b"B B", b"code", b" code", b'"C1"', b'" null"', b"x" * 70,
]  # fmt: skip


@given(st.lists(st.sampled_from(_rows)))
@example([b" null", b"A1"])
def test_the_report_of_a_row_does_not_depend_on_its_neighbours(rows: list[bytes]) -> None:
    def report(*some: bytes) -> list[tuple[int, str]]:
        read = read_in_batches(b"\n".join([b"code", *some]), CodeFormat(), header=True)
        return sorted(
            [*read.codes, *((line, f"{raw} {kind}") for line, raw, kind in read.faults), *read.warnings]
        )

    alone = [(line, what) for line, row in enumerate(rows, 2) for _, what in report(row)]
    assert report(*rows) == sorted(alone)


@given(files, headers, chunk_sizes)
@example(b"A\r", None, 1)
@example(b"A\r\nB", None, 2)
@example(b'"A\n"x\xff', None, 1 << 18)
@example(b"A\n\n\n\xff", None, 3)
@example(b"x" * 40 + b",", True, 7)
@example(b" " * 40 + b"code", None, 1)
@example(b"\xef\xbb\xbfcode\n\xef\xbb\xbfA", None, 1)
@example(b'A\n""', None, 1 << 18)
@example(b'"\n"\n\x00', None, 1)
@example(b';\n"\n"\n\n\x00', None, 1)
@example(b'A A\n" "\n', None, 1)
@example(b'code;line\nA A\n""B\n', None, 1 << 18)
@example(b'"' + b"x" * 40 + b'"\nA', None, 7)
@example(b'"' + b"x" * 40 + b'"\nA', True, 1 << 18)
@example(b'A\n"' + b"x" * 40 + b'",\xff\n', None, 7)
def test_reader_and_reference_agree(data: bytes, header: bool | None, chunk_bytes: int) -> None:
    expected = read_simply(data, SHORT, header=header, row_bytes=ROW_BYTES)
    read = read_in_batches(data, SHORT, header=header, chunk_bytes=chunk_bytes, row_bytes=ROW_BYTES)
    assert read == expected


@given(files, headers, chunk_sizes, chunk_sizes)
def test_fast_and_slow_path_agree(data: bytes, header: bool | None, fast_chunk: int, slow_chunk: int) -> None:
    fast = read_in_batches(data, CodeFormat(), header=header, chunk_bytes=fast_chunk)
    slow = read_in_batches(data, Unpromising(), header=header, chunk_bytes=slow_chunk)
    assert fast == slow


@given(
    odd_files,
    st.sampled_from(["utf-16", "utf-16-be", "utf-32-le", "utf-7", "gb18030", "utf-8-sig"]),
    chunk_sizes,
)
def test_every_encoding_is_read_like_utf8(data: bytes, encoding: str, chunk_bytes: int) -> None:
    # With NUL at its start, the byte order mark of UTF-16 is that of UTF-32.
    text = data.decode(errors="ignore").lstrip("\ufeff\0")
    read = read_in_batches(
        text.encode(encoding), SHORT, encoding=encoding, chunk_bytes=chunk_bytes, row_bytes=ROW_BYTES
    )
    expected = read_in_batches(text.encode(), SHORT, encoding="utf-8-sig", row_bytes=ROW_BYTES)
    if expected.refusal and expected.refusal[0] == "bad_encoding":  # NUL-ridden, which is no sign in UTF-16
        return
    assert read == expected


@given(
    st.binary(max_size=60),
    st.sampled_from(
        ["utf-16", "utf-32", "utf-7", "shift_jis", "euc_jp", "gb18030", "hz", "iso2022_jp", "cp1252", "cp037"]
    ),
    chunk_sizes,
)
def test_any_bytes_in_any_encoding_give_the_same_in_any_chunks(
    data: bytes, encoding: str, chunk_bytes: int
) -> None:
    read = read_in_batches(data, SHORT, encoding=encoding, chunk_bytes=chunk_bytes)
    assert read == read_in_batches(data, SHORT, encoding=encoding)


cells = st.text(st.sampled_from('ab", \n'), max_size=6)


@given(st.lists(cells, min_size=1, max_size=4), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_rows_are_read_as_the_csv_module_wrote_them(row: list[str], quoting: int) -> None:
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=quoting).writerow(row)  # type: ignore[arg-type]
    data = text.getvalue().encode()
    read = read_row(b"before\n" + data + b'"after"\n', 7, 1, limit=100)
    assert read is not None
    assert [cell.decode() for cell in read.cells] == row
    assert (read.end, read.lines) == (7 + len(data), data.count(b"\n"))


@given(
    st.lists(st.text(st.sampled_from("ab, é"), max_size=6), min_size=1),
    st.sampled_from([b"", b"a\n", b'"a\n']),
)
def test_runs_of_quoted_rows_are_read_as_the_csv_module_reads_them(rows: list[str], after: bytes) -> None:
    data = "".join(f'"{row}"\n' for row in rows).encode()
    assert quoted_cells(data + after, 0, limit=100) == (
        "".join(f"{row}\n" for row in rows).encode(),
        len(data),
    )
    assert list(csv.reader(StringIO(data.decode()), strict=True)) == [[row] for row in rows]
