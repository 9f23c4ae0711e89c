"""The error file: safe to open, exact to read back."""

import csv
from collections.abc import Iterator
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.csvfile.cells import csv_bytes, guard, unguard
from partner_vouchers.csvfile.error_file import error_file
from partner_vouchers.csvfile.reader import is_error_file
from partner_vouchers.domain.codes import CodeFormat
from partner_vouchers.domain.titles import COLUMN_TITLES, title_key, title_keys
from partner_vouchers.domain.uploads import RowFault, RowFaultKind
from tests.csvfile.reference import read_in_batches

FORMAT = CodeFormat()


def written(*faults: RowFault, raw: bool = False) -> bytes:
    return b"".join(error_file(faults, raw=raw))


def fault(raw: str, line: int = 7, message: str = "what is wrong") -> RowFault:
    return RowFault(line, raw, RowFaultKind.INVALID_CHARACTER, message)


def test_is_a_csv_file_of_line_code_error_and_message() -> None:
    data = written(fault("A 1"), fault('B,"2"', 9))
    assert data == (
        b"line,code,error,message\r\n"
        b"7,A 1,invalid_character,what is wrong\r\n"
        b'9,"B,""2""",invalid_character,what is wrong\r\n'
    )


def test_without_faults_is_a_header() -> None:
    assert written() == b"line,code,error,message\r\n"


def test_takes_its_faults_chunk_by_chunk() -> None:
    taken: list[int] = []

    def faults() -> Iterator[RowFault]:
        for line in range(1, 5001):
            taken.append(line)
            yield fault("A 1", line)

    chunks = error_file(faults())
    first = next(chunks) + next(chunks)
    assert 0 < len(taken) < 5000
    assert (first + b"".join(chunks)).count(b"\r\n") == 5001


# --- cells that a spreadsheet must not take for formulas ---------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\tA", "\rA",
        "＝1", "＋1", "－1", "＠A",  # noqa: RUF001
        " =1", "\u00a0=1", "\u200b=1", "\ufeff=1", "\x00=1", '"=1', "'", "'=1", "''=1", " '=1",
    ],
)  # fmt: skip
def test_cells_that_begin_a_formula_get_an_apostrophe(cell: str) -> None:
    assert guard(cell)[0] == "'"
    assert unguard(guard(cell)) == cell


@pytest.mark.parametrize("cell", ["", "A", "PM500-A", "a=b", "1,5", " A", "A\u200b=", "A 'B'", "a; b"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert guard(cell) == cell == unguard(cell)


@pytest.mark.parametrize("cell", ["A;=1+1", 'A;"=1+1', "A\t@x", "A\n-x", "A;;=1"])
def test_cells_that_another_separator_would_split_are_guarded_within(cell: str) -> None:
    for separator in (";", "\t"):
        opened = next(
            csv.reader(StringIO(written(fault(cell)).decode().split("\r\n")[1]), delimiter=separator)
        )
        assert not [part for part in opened if part.strip(' "')[:1] in tuple("=+-@")]
    assert unguard(guard(cell)) == cell


def test_messages_are_guarded_too() -> None:
    assert b",'=cmd\r\n" in written(fault("A 1", message="=cmd"))


def test_raw_leaves_cells_as_they_are() -> None:
    assert b"7,=1+1,invalid_character,=x\r\n" in written(fault("=1+1", message="=x"), raw=True)


@given(st.text() | st.text(st.sampled_from("=+-@'\" \t\r\n;A\u200b＝")))  # noqa: RUF001
def test_unguard_is_the_inverse_of_guard(cell: str) -> None:
    assert unguard(guard(cell)) == cell
    assert guard(cell).lstrip(' \t\r\n"\x00\u200b')[:1] not in tuple("=+-@＝＋－＠")  # noqa: RUF001


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=3))
def test_cells_come_back_from_the_csv_module(cells: list[str]) -> None:
    data = b"".join(csv_bytes(["x"], [cells], raw=True)).decode()
    assert list(csv.reader(StringIO(data, newline=""), strict=True)) == [["x"], cells]


def test_surrogates_and_nul_do_no_harm() -> None:
    assert b"7,A\\ud800\x00B," in written(fault("A\ud800\0B"))


# --- the corrected file ------------------------------------------------------------------------------

codes = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(lambda c: not FORMAT.fault(c))


corrections = st.lists(codes | codes.map(lambda c: "-" + c) | codes.map(lambda c: "=" + c)).map(
    lambda some: [code for code in some if title_key(code) not in title_keys(COLUMN_TITLES)]
)


@given(corrections, st.booleans())
def test_corrected_codes_are_read_back(corrected: list[str], raw: bool) -> None:
    data = written(*(fault(code, line) for line, code in enumerate(corrected, start=10)), raw=raw)
    outcome = read_in_batches(data, FORMAT)
    assert outcome.codes == list(enumerate(corrected, start=2))
    assert (outcome.faults, outcome.refusal, outcome.header_skipped) == ([], None, True)


@given(corrections, st.sampled_from([";", "\t", ","]), st.booleans())
def test_corrected_codes_are_read_back_after_a_spreadsheet(
    corrected: list[str], separator: str, bom: bool
) -> None:
    rows = list(csv.reader(StringIO(written(*map(fault, corrected)).decode(), newline="")))
    saved = StringIO(newline="")
    csv.writer(saved, delimiter=separator).writerows([*row, "", ""] for row in rows)
    outcome = read_in_batches(saved.getvalue().encode("utf-8-sig" if bom else "utf-8"), FORMAT)
    assert [code for _, code in outcome.codes] == corrected
    assert (outcome.faults, outcome.refusal) == ([], None)


@given(corrections, st.booleans())
def test_exported_codes_are_read_back(exported: list[str], raw: bool) -> None:
    outcome = read_in_batches(b"".join(csv_bytes(("code",), ((code,) for code in exported), raw=raw)), FORMAT)
    assert outcome.codes == list(enumerate(exported, start=2))
    assert (outcome.faults, outcome.refusal, outcome.header_skipped) == ([], None, True)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), min_size=1))
def test_what_was_not_corrected_is_refused_again(raws: list[str]) -> None:
    raws = [raw.replace("\r\n", "\n").replace("\r", "\n") for raw in raws]
    raws = [raw for raw in raws if title_key(raw) not in title_keys(COLUMN_TITLES)]
    outcome = read_in_batches(written(*map(fault, raws)), FORMAT)
    read = [code for _, code in outcome.codes] + [raw for _, raw, _ in outcome.faults]
    expected = [(FORMAT.trim(raw), raw if FORMAT.trim(raw) else "") for raw in raws]
    assert sorted(read) == sorted(raw if FORMAT.fault(code) else code for code, raw in expected)


HEADER = b"line,code,error,message\n"
CORRECTED = {
    "saved by a spreadsheet that quotes": (
        b'"line","code","error","message"\n"7","A1","e","m"\n',
        [(2, "A1")],
    ),
    "with a BOM": (b"\xef\xbb\xbf" + HEADER + b"7,A1,e,m\n", [(2, "A1")]),
    "a message of several lines": (HEADER + b'7,A1,e,"m\nn"\n8,B2,e,m\n', [(2, "A1"), (4, "B2")]),
    "blank lines at the end": (HEADER + b"7,A1,e,m\n\n \n", [(2, "A1")]),
    "the apostrophe taken off by hand": (HEADER + b"7,-A1,e,m\n8,'-B2,e,m\n", [(2, "-A1"), (3, "-B2")]),
    "other order": (b"code,message,line\nA1,m,7\n", [(2, "A1")]),
    "empty columns": (b"line,code,error,message,,\n7,A1,e,m,,\n,,,,,\n", [(2, "A1")]),
    "a column of notes": (b"note,code,error\nask Asha,A1,e\n", [(2, "A1")]),
    "sep= before it": (b"sep=;\r\nline;code\r\n7;A1\r\n", [(3, "A1")]),
    "cells missing at the end": (HEADER + b"7,A1,e\n8,B2\n", [(2, "A1"), (3, "B2")]),
    "empty cells added at the end": (HEADER + b"7,A1,e,m,,,\n", [(2, "A1")]),
}


@pytest.mark.parametrize("name", CORRECTED)
def test_corrected_file(name: str) -> None:
    data, expected = CORRECTED[name]
    outcome = read_in_batches(data, FORMAT)
    assert (outcome.codes, outcome.faults, outcome.refusal) == (expected, [], None)


def test_rows_of_a_corrected_file_can_be_faulty() -> None:
    outcome = read_in_batches(HEADER + b"7,A 1,e,m\n\n8,,e,m\n9,code,e,m\n9,B2,e,m\n", FORMAT)
    assert outcome.codes == [(6, "B2")]
    assert outcome.faults == [
        (2, "A 1", "invalid_character"),
        (3, "", "empty"),
        (4, "", "empty"),
        (5, "code", "column_title"),
    ]


def test_a_text_that_was_shortened_does_not_become_a_code() -> None:
    lenient = CodeFormat(max_length=1000)
    original = read_in_batches(b"A" * 300 + b" B\n", lenient)
    again = written(
        *(RowFault(line, raw, RowFaultKind.INVALID_CHARACTER, "") for line, raw, _ in original.faults)
    )
    outcome = read_in_batches(again, lenient)
    assert outcome.codes == []
    assert [kind for _, _, kind in outcome.faults] == ["too_long"]


@pytest.mark.parametrize("row", [b"7,A,1,e,m\n", b"7,A1,e,m,n\n", b"A1\n", b'"7"\n'])
def test_a_row_that_does_not_fit_the_titles_refuses_the_file(row: bytes) -> None:
    assert read_in_batches(HEADER + row, FORMAT).refusal == ("multiple_columns", 2)


@pytest.mark.parametrize(
    "titles", [b"code,amount\n", b"line,codes\n", b"line,error\n", b"code|error\n", b"code\n"]
)
def test_other_titles_are_not_those_of_an_error_file(titles: bytes) -> None:
    several = b"," in titles
    outcome = read_in_batches(titles + b"A1\n", FORMAT)
    assert outcome.refusal == (("multiple_columns", 1) if several else None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_corrected_file_is_recognised_by_its_first_bytes(encoding: str) -> None:
    named = "cp1252" if encoding == "utf-8" else encoding
    assert is_error_file((HEADER.decode() + "7,Ä1,e,m\n").encode(encoding), named)
    for text in ("code\nline\nA1\n", "A1\nline,code\n", "", "\n\n", "line,code"):
        assert is_error_file(text.encode(encoding), named) == (text == "line,code")


def test_header_false_makes_it_a_file_of_several_columns() -> None:
    assert read_in_batches(HEADER + b"7,A1,e,m\n", FORMAT, header=False).refusal == ("multiple_columns", 1)
    assert read_in_batches(HEADER + b"7,A1,e,m\n", FORMAT, header=True).codes == [(2, "A1")]
