"""What a partner's file of redemptions says: titles, separators, encodings, quotes, blank rows."""

from __future__ import annotations

import csv
import io
from io import BytesIO
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.csvfile.cells import unguard
from partner_vouchers.csvfile.chunks import Chunks
from partner_vouchers.csvfile.redemptions import HEADER, RedemptionFile, redemption_error_file
from partner_vouchers.csvfile.refusals import FileRefused
from partner_vouchers.domain import uploads
from partner_vouchers.domain.codes import CodeFormat
from partner_vouchers.domain.reconciliation import ReconciledRow, RowKind
from partner_vouchers.domain.titles import COLUMN_TITLES


class Row(NamedTuple):
    line: int
    code: str
    redeemed_at: str
    order_id: str
    amount: str
    surplus: bool = False


def rows_of(file: RedemptionFile) -> list[Row]:
    return [Row(*cells) for rows in file for cells in zip(*rows, strict=True)]


def read(data: bytes, **options: str) -> list[Row]:
    return rows_of(RedemptionFile(BytesIO(data), CodeFormat(), **options))


def refused(data: bytes, **options: str) -> tuple[str, int | None]:
    with pytest.raises(FileRefused) as error:
        RedemptionFile(BytesIO(data), CodeFormat(), **options).check()
    return error.value.fault.kind.value, error.value.fault.line


FULL = Row(2, "PM500AA", "2026-11-20", "991", "9.90")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_with_any_separator_encoding_and_line_end(
    separator: str, encoding: str, line_end: str
) -> None:
    rows = [
        "Voucher Code,Redeemed At,ORDER-ID,amount:,Store",
        "PM500AA,2026-11-20,991,9.90,Köln",
        ",,,,",
        "",
        "PM500BB,,,",
        "PM500CC",
    ]
    text = line_end.join(row.replace(",", separator) for row in rows)
    assert read(text.encode(encoding)) == [
        FULL,
        Row(5, "PM500BB", "", "", ""),
        Row(6, "PM500CC", "", "", ""),
    ]


@pytest.mark.parametrize("title", sorted(COLUMN_TITLES))
def test_every_known_title_names_the_column_of_codes(title: str) -> None:
    assert read(f'order_id,"{title}"\n991,PM500AA\n'.encode()) == [Row(2, "PM500AA", "", "991", "")]


@pytest.mark.parametrize(
    "titles, code",
    [
        ("code,voucher", 0),
        ("voucher,Code:", 1),
        ("value,voucher code", 1),
        ("Wert,Gutscheincode", 1),
        ("key,store", 0),
        ("amount,coupon", 1),
        ("redeemed_at,code,codes", 1),
    ],
)
def test_of_several_known_titles_the_clearest_counts(titles: str, code: int) -> None:
    cells = [f"cell-{index}" for index in range(titles.count(",") + 1)]
    assert [row.code for row in read(f"{titles}\n{','.join(cells)}\n".encode())] == [f"cell-{code}"]


def test_a_host_adds_titles() -> None:
    rules = CodeFormat(titles=COLUMN_TITLES | {"Glückszahl"})
    file = RedemptionFile(BytesIO("glückszahl\nA\n".encode()), rules)
    assert [row.code for row in rows_of(file)] == ["A"]


def test_a_sep_line_and_blank_lines_come_before_the_titles() -> None:
    assert read(b"sep=;\r\n\r\n;;\r\ncode;order_id\r\nA,B;1\r\n") == [Row(5, "A,B", "", "1", "")]


def test_quotes_enclose_separators_quotes_and_line_breaks() -> None:
    data = b'code,order_id,note\n"A","1,""2""","two\nlines"\nB,3,\n'
    assert read(data) == [Row(2, "A", "", '1,"2"', ""), Row(4, "B", "", "3", "")]


@pytest.mark.parametrize(
    "titles",
    [
        '"Voucher\ncode","Order\n\nID"',
        'Voucher code,"Order\nID"',
        '"\nVoucher\ncode\n",order_id',
        '5" code,code,"order\nid"',
    ],
)
def test_titles_may_have_line_breaks(titles: str) -> None:
    cells = ["A", "991"] if titles.count(",") == 1 else ["x", "A", "991"]
    line = titles.count("\n") + 2
    for separator in ",;\t":
        data = f"{titles.replace(',', separator)}\n{separator.join(cells)}\n"
        assert read(data.encode()) == [Row(line, "A", "", "991", "")]


def test_the_protection_of_spreadsheets_is_removed() -> None:
    assert read(b"code,order_id\n'-50OFF,'=991\n") == [Row(2, "-50OFF", "", "=991", "")]


def test_only_line_feeds_end_a_row() -> None:
    assert [row.code for row in read("code\nA\u2028B\nC\n".encode())] == ["A\u2028B", "C"]


def test_a_row_with_more_columns_than_titles_says_so() -> None:
    assert [row.surplus for row in read(b"code,order_id\nA,1,\nB,2,x\n")] == [False, True]


@pytest.mark.parametrize(
    "data, kind, line",
    [
        (b"", "empty_file", None),
        (b"\n\n", "empty_file", None),
        (b"code\n", "empty_file", None),
        (b"sep=;\ncode;order_id\n;\n\n", "empty_file", None),
        (b"order_id,amount\n1,2\n", "no_code_column", 1),
        (b"PM500AA\nPM500BB\n", "no_code_column", 1),
        (b'\n"code\nA\nB\n', "no_code_column", 2),
        (b'"' + b"x" * 60_000 + b"\n" + b"x" * 60_000 + b'",code\nA\n', "no_code_column", 1),
        (b'"code\n' + b"A\n" * 30 + b'",order_id\n', "no_code_column", 1),
        (b'code\n"A\nB\n', "broken_quoting", 2),
        (b'code\nA\n"B"C\n', "broken_quoting", 3),
        (b"code\nA\n\xff\n", "bad_encoding", 3),
        (b"c\0o\0d\0e\0\n\0A\0\n\0", "bad_encoding", 1),
        (b"code\n" + b"x" * 70_000, "broken_quoting", 2),
        (b"code\n" + b"x" * 700_000 + b"\nA\n", "broken_quoting", 2),
        (b'code,note\nA,"' + b"\n" * 2_000 + b'"\n', "broken_quoting", 2),
    ],
    ids=range(16),
)
def test_a_file_is_refused_as_a_whole(data: bytes, kind: str, line: int | None) -> None:
    assert refused(data) == (kind, line)


def test_a_file_has_a_limited_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_ROWS", 4)
    assert len(read(b"code\nA\n\nB\n")) == 2
    assert refused(b"code\nA\n\nB\n\n") == ("too_many_rows", None)


def test_the_encoding_can_be_named() -> None:
    assert [row.code for row in read("code\nJÖRG\n".encode("cp1252"), encoding="cp1252")] == ["JÖRG"]


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="'=+-@"), max_size=12)


@given(
    st.lists(st.tuples(CELLS.filter(lambda cell: cell.strip()), CELLS, CELLS), min_size=1, max_size=9),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_csv_writer_writes_is_read(rows: list[tuple[str, str, str]], separator: str, end: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerows([("code", "order_id", "amount"), *rows])
    found = read(text.getvalue().encode())
    rules = CodeFormat()
    assert [(row.code, row.order_id, row.amount) for row in found] == [
        (rules.trim(code), order.strip(), amount.strip()) for code, order, amount in rows
    ]


def test_an_error_file_is_read_back() -> None:
    rows = [
        ReconciledRow(3, RowKind.OTHER_ORDER, "-50OFF", "2026-11-20", "=991", "9.90", "7"),
        ReconciledRow(4, RowKind.MALFORMED, "A;B", "soon", "'1", "", fault="redeemed_at is no time"),
    ]
    data = b"".join(redemption_error_file(iter(rows)))
    assert data.splitlines()[0] == ",".join(HEADER).encode()
    assert b"'-50OFF" in data
    assert [row[1:5] for row in read(data)] == [row[2:6] for row in rows]
    assert b"'-50OFF" not in b"".join(redemption_error_file(iter(rows), raw=True))


HOSTILE = st.text("A1\u0663-, ;'=\t\0\x1f\xa0\u2028", max_size=8)
LINES = st.lists(
    st.sampled_from(
        ("A,1", "B,2,x", "C", "", " , ", "'=D,4", '"E",5', '"F\nG",6', "H I,'7'", ",8", '"J","9,""0"""')
    )
    | HOSTILE,
    max_size=9,
)


@given(LINES, st.integers(1, 12), st.booleans(), st.sampled_from(",;\t"))
def test_a_file_is_read_the_same_however_it_is_cut(
    lines: list[str], size: int, ends: bool, separator: str
) -> None:
    lines = [line.replace(",", separator) for line in lines]
    data = "\n".join([f"code{separator}order_id", *lines]).encode() + b"\n" * ends
    file = RedemptionFile(BytesIO(data), CodeFormat())
    file._chunks = Chunks(BytesIO(data), "utf-8", size)
    expected, line = [], 2
    for text in lines:
        cells = next(csv.reader(io.StringIO(text, newline="\n"), delimiter=separator, strict=True), [])
        if any(map(str.strip, cells)):
            code, order, *more = [*map(unguard, cells), "", ""][: max(len(cells), 2)]
            surplus = any(map(str.strip, more))
            expected.append((line, CodeFormat().trim(code), order.strip(), surplus))
        line += 1 + text.count("\n")
    assert [(row.line, row.code, row.order_id, row.surplus) for row in rows_of(file)] == expected
