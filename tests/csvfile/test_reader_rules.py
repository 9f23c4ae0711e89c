"""The rules for code files, one example each."""

from io import BytesIO
from typing import BinaryIO, cast

import pytest

from partner_vouchers.csvfile.reader import CodeFile, FileRefused, require_encoding
from partner_vouchers.domain.codes import CodeFormat
from partner_vouchers.domain.uploads import FileFault
from partner_vouchers.errors import InvalidInput
from tests.csvfile.reference import Outcome, read_in_batches

FORMAT = CodeFormat()
BAD = "invalid_character"
ARTEFACT = "spreadsheet_artefact"


def read(data: bytes, header: bool | None = None, encoding: str = "utf-8") -> Outcome:
    return read_in_batches(data, FORMAT, header=header, encoding=encoding)


def refusal_of(data: bytes, encoding: str = "utf-8") -> FileFault:
    with pytest.raises(FileRefused) as refused:
        list(CodeFile(BytesIO(data), FORMAT, encoding=encoding))
    return refused.value.fault


CODES = {
    "one code a line": (b"A1\nB2\n", ["A1", "B2"]),
    "mixed line ends": (b"A1\nB2\r\nC3\rD4", ["A1", "B2", "C3", "D4"]),
    "outer white space is trimmed": (" A1\t\n\u00a0B2\u3000\n".encode(), ["A1", "B2"]),
    "not normalised": ("\u00e9\ne\u0301\n".encode(), ["\u00e9", "e\u0301"]),
    "UTF-16 with a BOM": ("A1\nB2\n".encode("utf-16"), ["A1", "B2"]),
    "UTF-32 with a BOM": ("A1\nB2\n".encode("utf-32"), ["A1", "B2"]),
    "quoted sep=": (b'"sep=,"\ncode\nA1\nB2\n', ["A1", "B2"]),
    "SEP=, in upper case, and no line end": (b"SEP=|\nA1\nB2", ["A1", "B2"]),
    "a BOM before sep=": ("\ufeffsep=;\r\nA1\r\nB2\r\n".encode(), ["A1", "B2"]),
    "an apostrophe before a formula": ("'=A1\n'-B2\n'\uff0bC3\n".encode(), ["=A1", "-B2", "\uff0bC3"]),
    "an apostrophe after spaces": (b"  '=A1\n\"  '-B2 \"\n", ["=A1", "-B2"]),
    "an apostrophe within quotes": (b"\"'@A1\"\n' +B2\n", ["@A1", "+B2"]),
    "128 characters of four bytes": ("\U00020000".encode() * 128, ["\U00020000" * 128]),
    "white space within quotes is trimmed": (b'" A1\n"\n', ["A1"]),
    "blank lines at the end": (b'A1\n\n\r\n  \n\t\n""\n" "\n', ["A1"]),
}


@pytest.mark.parametrize("name", CODES)
def test_accepts(name: str) -> None:
    data, codes = CODES[name]
    outcome = read(data)
    assert [code for _, code in outcome.codes] == codes
    assert (outcome.faults, outcome.refusal, outcome.rows) == ([], None, len(codes))


FAULTS = {
    "control character": (b"AB\x00CDEFGH\n", [(1, "AB\x00CDEFGH", BAD)]),
    "U+2028 does not end a line": ("A\u2028B\n".encode(), [(1, "A\u2028B", BAD)]),
    "semicolons, then tabs": (b"A;B\nA\tB\n", [(1, "A;B", BAD), (2, "A\tB", BAD)]),
    "a title in a file of plain codes": (b"A1\n" * 20_000 + b"GIFT_CODE\n", [(20_001, "GIFT_CODE", "column_title")]),
    "a title of another language": ("A1\n코드\n".encode(), [(2, "코드", "column_title")]),
    "an apostrophe before a faulty formula": (b"'=A 1\n", [(1, "=A 1", BAD)]),
    "several lines within quotes": (b'A1\n"B\r\n2"\n', [(2, "B\n2", BAD)]),
    "the line after several lines within quotes": (b'"A1\n\n"\nC 3\n', [(4, "C 3", BAD)]),
    "very long": (b"A1\n" + b"x" * 300 + b"\nB2", [(2, "x" * 200 + "…", "too_long")]),
    "very long within quotes": (b'A1\n"' + b"x" * 10**5 + b'"\nB2', [(2, "x" * 200 + "…", "too_long")]),
    "longer than any chunk within quotes": (b'A1\n"' + b'x""' * 10**6 + b'"\nB2', [(2, 'x"' * 100 + "…", "too_long")]),
    "longer than any chunk": (b"A1\n" + b"x" * 10**6 + b"\nB2", [(2, "x" * 200 + "…", "too_long")]),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_refuses_rows(name: str) -> None:
    data, faults = FAULTS[name]
    outcome = read(data)
    assert outcome.faults == faults
    assert outcome.refusal is None
    assert outcome.rows == len(outcome.codes) + len(faults)


REFUSALS = {
    "two columns": (b"A1\nB2,x\nC3\n", ("multiple_columns", 2)),
    "an empty second column": (b"A1,\n", ("multiple_columns", 1)),
    "two columns, the first quoted": (b'A1\n"B2",x\n', ("multiple_columns", 2)),
    "a comma far behind": (b"A1\n" + b"x" * 10**6 + b",\n", ("multiple_columns", 2)),
    "a quote that is never closed": (b'A1\n"B2\nC3\nD4\n', ("broken_quoting", 2)),
    "a quote that is closed too far away": (b'A1\n"' + b"x\n" * 10**5 + b'"\n', ("broken_quoting", 2)),
    "a second column behind a very long one": (b'A1\n"' + b"x" * 10**5 + b'","y"\n', ("multiple_columns", 2)),
    "a quote in a very long one": (b'A1\n"' + b"x" * 10**5 + b'"x"\n', ("broken_quoting", 2)),
    "a quote in one longer than any chunk": (
        b'A1\n"' + b"x" * 10**6 + b'"x"' + b"x" * 10**6 + b'"\n',
        ("broken_quoting", 2),
    ),
    "text after the closing quote": (b'A1\n"B2"x\n', ("broken_quoting", 2)),
    "white space after the closing quote": (b'A1\n"B2" \n', ("broken_quoting", 2)),
    "not UTF-8": (b"A1\nB\xe9\nC3\n", ("bad_encoding", 2)),
    "not UTF-8 in a row of several lines": (b'A1\n"B\n\xe9"\n', ("bad_encoding", 3)),
    "not UTF-8 in an overlong row": (b"A1\n" + b"x" * 10**6 + b"\xe9\n", ("bad_encoding", 2)),
    "cut off within a character": (b"A1\nB\xc3", ("bad_encoding", 2)),
    "a surrogate": (b"A1\nB\xed\xa0\x80\n", ("bad_encoding", 2)),
    "UTF-16 without a BOM": ("A1\nB2\n".encode("utf-16-le"), ("bad_encoding", 1)),
    "UTF-8 after its BOM": (b"\xef\xbb\xbfA\xe9\n", ("bad_encoding", 1)),
    "rows that split at semicolons": (b"\nA;1\nB;2\n\n", ("multiple_columns", 2)),
    "one row that splits at a semicolon": (b"A;\n", ("multiple_columns", 1)),
    "very many rows that split at semicolons": (b"A;1\n" * 100_000, ("multiple_columns", 1)),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refuses_files(name: str) -> None:
    data, refusal = REFUSALS[name]
    outcome = read(data)
    assert outcome.refusal == refusal
    before = data.startswith(b"A1\n") and refusal[1] != 1
    assert [code for _, code in outcome.codes] == (["A1"] if before else [])


def test_what_comes_before_a_refusal_is_kept() -> None:
    outcome = read(b"A1\nB 2\n\nC3,x\n")
    assert outcome.codes == [(1, "A1")]
    assert outcome.faults == [(2, "B 2", BAD), (3, "", "empty")]


@pytest.mark.parametrize("separator,name", [(b";", "semicolon"), (b"\t", "tab")])
def test_the_reason_names_the_separator(separator: bytes, name: str) -> None:
    assert name in refusal_of(b"A;1\nB;2\n".replace(b";", separator)).message
    # Also where the title of the sheet, which does not split, comes first.
    file = CodeFile(BytesIO(b"August 2026\nA;1\nB;2\n".replace(b";", separator)), FORMAT)
    assert [len(batch.faults) for batch in file] == [3]
    assert file.separator == name


def test_a_file_has_a_largest_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    # The true number is in `tests/domain/test_uploads.py`.
    monkeypatch.setattr("partner_vouchers.csvfile.collecting.MAX_ROWS", 50)
    most = b"A1\n" + b"\n" * 48 + b"B2\n"
    assert read(most).rows == 50
    for more in (most + b"C3", most + b"\n", b"\n" * 51, b"code\n" + most, b'"A1"\n' * 51):
        assert read(more).refusal == ("too_many_rows", None)


@pytest.mark.parametrize(
    "data", [b"", b"\xef\xbb\xbf", b"\n", b"\r\n \r\n", b"code", b"code\n\n", b"sep=;", b"\n\ncode\n"]
)
def test_a_file_without_rows_yields_nothing(data: bytes) -> None:
    assert list(CodeFile(BytesIO(data), FORMAT)) == []


# --- header ------------------------------------------------------------------------------------------


HEADERS = {
    "blank lines before it": (b"\n\ncode\nA1\n", None, ["A1"], True),
    "True skips whatever it is": (b"A1\nB2\n", True, ["B2"], True),
    "True skips no blank line": (b"\nB2\nC3\n", True, ["C3"], True),
    "True skips a row that splits": (b"A;B\nB2\n", True, ["B2"], True),
    "True skips a row of several lines": (b'"my\ncodes"\nB2\n', True, ["B2"], True),
    "True skips an overlong row": (b"x" * 10**6 + b"\nB2\n", True, ["B2"], True),
    "False never skips": (b"code\nB2\nVoucher-Code\n", False, ["code", "B2", "Voucher-Code"], False),
}


@pytest.mark.parametrize("name", HEADERS)
def test_header(name: str) -> None:
    data, header, codes, skipped = HEADERS[name]
    outcome = read(data, header)
    assert ([code for _, code in outcome.codes], outcome.header_skipped) == (codes, skipped)


FIRST_ROWS = {
    "a code": (b"A1\nB2\n", None, "A1"),
    "a title": (b"\n\nsep\n"[:2] + b"Code\nA1\n", None, "Code"),
    "of an error file": (b"line,code\n1,A1\n", None, "line,code"),
    "very long": (b"x" * 10**6, None, "x" * 200 + "…"),
    "of two columns": (b"\n \nA1,B2\nC3\n", None, "A1,B2"),
    "of two quoted columns, below a blank quoted one": (b'" "\n"A1","B2"\n', None, '"A1","B2"'),
    "of several lines and two columns": (b'"A1\nA2",B2\n', None, '"A1'),
    "of two columns, and very long": (b"x" * 10**6 + b",B\n", None, "x" * 200 + "…"),
    "a quote that is never closed": (b'sep=,\n"A1\nB2\n', None, '"A1'),
    "a quote that is never closed, and very long": (b'"' + b"x" * 10**6 + b"\n", None, '"' + "x" * 199 + "…"),
    "in another encoding": ("Prämie\nA1\n".encode("latin-1"), None, None),
    "no row": (b"\n \n", None, None),
    "no line": (b"", None, None),
}


@pytest.mark.parametrize("name", FIRST_ROWS)
def test_first_row(name: str) -> None:
    data, header, first_row = FIRST_ROWS[name]
    assert read(data, header).first_row == first_row


# --- warnings ----------------------------------------------------------------------------------------

WARNINGS = {
    "artefacts": (b"A1\n#N/A\n1.23E+15\nnull\n########\n", [(line, ARTEFACT) for line in (2, 3, 4, 5)]),
    "in a row that is looked at by itself": ("É1\n#WERT!\nNaN\n".encode(), [(2, ARTEFACT), (3, ARTEFACT)]),
    "in a row that is trimmed": (b"A1\n null\n#N/A \n 1.23E+15\n", [(2, ARTEFACT), (3, ARTEFACT), (4, ARTEFACT)]),
    "in quotes": (b'"A1"\n"#N/A"\n', [(2, ARTEFACT)]),
    "in a large file": (b"A1\n" * 30_000 + b"NULL\n", [(30_001, ARTEFACT)]),
    "markup": (b"A1\n<html>\n<p>B2</p>\n", [(2, "markup"), (3, "markup")]),
    "an odd length": (b"WINTER24\nPM001\nPM002\nPM003\n", [(1, "odd_first_row")]),
    "no digit": (b"August\nPM1\nPM22\nPM333\n", [(1, "odd_first_row")]),
    "a first row below blank lines": (b"\nAugust\nPM1\nPM22\nPM333\n", [(2, "odd_first_row")]),
    "no warning with two other rows": (b"August\nPM1\nPM2\n", []),
    "no warning for the usual length": (b"PMABC\nPM001\nPM002\nPMXYZ\n", []),
    "no warning where lengths differ": (b"PM1\nPM22\nPM333\nPM4444\n", []),
    "no warning about a refused first row": (b"PM 1\nPM001\nPM002\nPM003\n", []),
    "no warning about a header": (b"code\nPM001\nPM002\nPM003\n", []),
    "no warning about ordinary codes": (b"A1\nA#B\nA<B\n12E4\n", []),
}  # fmt: skip


@pytest.mark.parametrize("name", WARNINGS)
def test_warnings(name: str) -> None:
    data, warnings = WARNINGS[name]
    outcome = read(data)
    assert outcome.warnings == warnings
    assert {line for line, _ in warnings} <= {line for line, _ in outcome.codes}


def test_a_caller_who_says_whether_there_is_a_header_gets_no_warning_about_it() -> None:
    for header in (True, False):
        assert read(b"August\nPM1\nPM22\nPM333\nPM444\n", header).warnings == []


# --- encodings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "UTF8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "mac_roman"],
)
def test_named_encodings_are_read(encoding: str) -> None:
    text = "code\r\nÄ1\r\nB2\r\n"
    outcome = read(text.encode(encoding), encoding=encoding)
    assert outcome.codes == [(2, "Ä1"), (3, "B2")]


@pytest.mark.parametrize("written", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-be"])
@pytest.mark.parametrize(
    "named", ["utf-8", "cp1252", "utf-16", "utf-16-be", "shift_jis", "mac_roman", "utf-7"]
)
def test_a_byte_order_mark_decides_whatever_encoding_was_named(written: str, named: str) -> None:
    bom = "" if written in ("utf-8-sig", "utf-16", "utf-32") else "\ufeff"
    assert read(f"{bom}code\nÄ1\n".encode(written), encoding=named).codes == [(2, "Ä1")]


@pytest.mark.parametrize("written", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_the_likely_encoding_is_named_in_the_way_to_read_it(written: str) -> None:
    data = "PM500AA\nPM500BB\n".encode(written)
    message = refusal_of(data).message
    named = message.rpartition("the encoding ")[2]
    assert [code for _, code in read(data, encoding=named).codes] == ["PM500AA", "PM500BB"]


def test_bytes_that_are_not_of_the_named_encoding_are_refused() -> None:
    fault = refusal_of(b"A1\nB\x81\n", "cp1252")
    assert (fault.kind.value, fault.line) == ("bad_encoding", 2)
    assert "cp1252" in fault.message


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13", "", "utf\0", "locale", None, 8])
def test_unknown_encodings_are_the_callers_mistake(encoding: object) -> None:
    with pytest.raises(InvalidInput) as error:
        CodeFile(BytesIO(b"A1"), FORMAT, encoding=cast(str, encoding))
    assert error.value.field == "encoding"
    with pytest.raises(InvalidInput):
        require_encoding(encoding)


# --- streams -----------------------------------------------------------------------------------------


class Trickle(BytesIO):
    """A stream that gives less than it is asked for, as sockets do."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(3, size or 0))


def test_short_reads_are_not_the_end() -> None:
    data = "".join(f"CODE{number}\n" for number in range(100)).encode()
    file = CodeFile(Trickle(data), FORMAT)
    batches = list(file)
    assert [len(batch.codes) for batch in batches] == [100]
    assert batches[0].lines == range(1, 101)
    assert file.bytes_read == len(data)


@pytest.mark.parametrize("given", ["A1\n", None])
def test_a_stream_must_give_bytes(given: object) -> None:
    class Stream:
        def read(self, size: int) -> object:
            return given

    with pytest.raises(InvalidInput, match="binary stream"):
        list(CodeFile(cast(BinaryIO, Stream()), FORMAT))


# --- secrets -----------------------------------------------------------------------------------------


def test_codes_are_not_shown() -> None:
    (batch,) = CodeFile(BytesIO(b"SECRET1\nSECRET 2\n<SECRET>\n"), FORMAT)
    assert (len(batch.codes), len(batch.faults), len(batch.warnings)) == (2, 1, 1)
    assert "SECRET" not in repr(batch)


@pytest.mark.parametrize("name", [name for name in REFUSALS if name != "UTF-16 without a BOM"])
def test_refusals_do_not_hold_the_text_of_the_file(name: str) -> None:
    with pytest.raises(FileRefused) as refused:
        list(CodeFile(BytesIO(REFUSALS[name][0].replace(b"B", b"SECRET")), FORMAT))
    seen: BaseException | None = refused.value
    while seen is not None:
        assert not isinstance(seen, UnicodeError)
        assert "SECRET" not in repr(seen)
        seen = seen.__cause__ or seen.__context__
