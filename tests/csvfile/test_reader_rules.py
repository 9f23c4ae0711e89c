"""The rules for code files, one example each."""

from io import BytesIO
from typing import BinaryIO, cast

import pytest

from partner_vouchers.csvfile.reader import Batch, CodeFile, FileRefused, require_encoding
from partner_vouchers.domain.codes import CodeFormat
from partner_vouchers.domain.uploads import HEADER_NAMES, FileFault, RowFault, RowFaultKind
from partner_vouchers.errors import InvalidInput
from tests.csvfile.reference import Outcome, read_in_batches

FORMAT = CodeFormat()


def read(data: bytes, header: bool | None = None, encoding: str = "utf-8") -> Outcome:
    return read_in_batches(data, FORMAT, header=header, encoding=encoding)


def refusal_of(data: bytes, encoding: str = "utf-8") -> FileFault:
    with pytest.raises(FileRefused) as refused:
        list(CodeFile(BytesIO(data), FORMAT, encoding=encoding))
    return refused.value.fault


CODES = {
    "one code a line": (b"A1\nB2\n", ["A1", "B2"]),
    "no line end at the end": (b"A1\nB2", ["A1", "B2"]),
    "CRLF": (b"A1\r\nB2\r\n", ["A1", "B2"]),
    "CR": (b"A1\rB2\r", ["A1", "B2"]),
    "mixed line ends": (b"A1\nB2\r\nC3\rD4", ["A1", "B2", "C3", "D4"]),
    "BOM": (b"\xef\xbb\xbfA1\n", ["A1"]),
    "BOM before a header": (b"\xef\xbb\xbfcode\nA1\n", ["A1"]),
    "outer white space is trimmed": (" A1\t\n\u00a0B2\u3000\n".encode(), ["A1", "B2"]),
    "case counts": (b"a1\nA1\n", ["a1", "A1"]),
    "not normalised": ("\u00e9\ne\u0301\n".encode(), ["\u00e9", "e\u0301"]),
    "punctuation": (b"A-1_#2/3\\4\n", ["A-1_#2/3\\4"]),
    "other scripts": ("गुप्त1\n優惠\n".encode(), ["गुप्त1", "優惠"]),
    "128 characters": (b"A" * 128, ["A" * 128]),
    "128 characters of four bytes": ("\U00020000".encode() * 128, ["\U00020000" * 128]),
    "quoted": (b'"A1"\n"B2"\n', ["A1", "B2"]),
    "quoted without a line end": (b'"A1"', ["A1"]),
    "some quoted": (b'A1\n"B2"\r\nC3\n', ["A1", "B2", "C3"]),
    "white space within quotes is trimmed": (b'" A1\n"\n', ["A1"]),
    "blank lines at the end": (b"A1\n\n\r\n  \n\t\n", ["A1"]),
}


@pytest.mark.parametrize("name", CODES)
def test_accepts(name: str) -> None:
    data, codes = CODES[name]
    outcome = read(data)
    assert [code for _, code in outcome.codes] == codes
    assert (outcome.faults, outcome.refusal, outcome.rows) == ([], None, len(codes))


FAULTS = {
    "blank line in between": (b"A1\n\nB2\n", [(2, "", "empty")]),
    "blank line at the start": (b"\nB2\n", [(1, "", "empty")]),
    "white space only": (b"A1\n \t\nB2\n", [(2, "", "empty")]),
    "empty quotes, also at the end": (b'A1\n""\n', [(2, "", "empty")]),
    "white space within": (b"A 1\n", [(1, "A 1", "invalid_character")]),
    "the fault shows the row as it came": (b" A 1\n", [(1, " A 1", "invalid_character")]),
    "invisible character": ("A\u200b1\n".encode(), [(1, "A\u200b1", "invalid_character")]),
    "control character": (b"AB\x00CDEFGH\n", [(1, "AB\x00CDEFGH", "invalid_character")]),
    "U+2028 does not end a line": ("A\u2028B\n".encode(), [(1, "A\u2028B", "invalid_character")]),
    "U+0085 does not end a line": ("A\x85B\n".encode(), [(1, "A\x85B", "invalid_character")]),
    "vertical tab does not end a line": (b"A\x0bB\n", [(1, "A\x0bB", "invalid_character")]),
    "file separator does not end a line": (b"A\x1cB\n", [(1, "A\x1cB", "invalid_character")]),
    "semicolon": (b"A;B\n", [(1, "A;B", "invalid_character")]),
    "tab within": (b"A\tB\n", [(1, "A\tB", "invalid_character")]),
    "quote within": (b'A"B\n', [(1, 'A"B', "invalid_character")]),
    "quote after white space": (b' "A"\n', [(1, ' "A"', "invalid_character")]),
    "doubled quote within quotes": (b'"A""B"\n', [(1, 'A"B', "invalid_character")]),
    "comma within quotes": (b'"A,B"\nC3\n', [(1, "A,B", "invalid_character")]),
    "several lines within quotes": (b'A1\n"B\r\n2"\n', [(2, "B\n2", "invalid_character")]),
    "the line after several lines within quotes": (b'"A1\n\n"\nC 3\n', [(4, "C 3", "invalid_character")]),
    "BOM that is not at the start": ("A1\n\ufeffB2\n".encode(), [(2, "\ufeffB2", "invalid_character")]),
    "129 characters": (b"A" * 129, [(1, "A" * 129, "too_long")]),
    "very long": (b"A1\n" + b"x" * 300 + b"\nB2", [(2, "x" * 200 + "…", "too_long")]),
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
    "two columns in the header": (b"code,name\nA1,x\n", ("multiple_columns", 1)),
    "two columns, the first quoted": (b'A1\n"B2",x\n', ("multiple_columns", 2)),
    "a comma far behind": (b"A1\n" + b"x" * 10**6 + b",\n", ("multiple_columns", 2)),
    "a quote that is never closed": (b'A1\n"B2\nC3\nD4\n', ("broken_quoting", 2)),
    "a quote that is closed too far away": (b'A1\n"' + b"x\n" * 10**5 + b'"\n', ("broken_quoting", 2)),
    "text after the closing quote": (b'A1\n"B2"x\n', ("broken_quoting", 2)),
    "white space after the closing quote": (b'A1\n"B2" \n', ("broken_quoting", 2)),
    "not UTF-8": (b"A1\nB\xe9\nC3\n", ("bad_encoding", 2)),
    "not UTF-8 in a row of several lines": (b'A1\n"B\n\xe9"\n', ("bad_encoding", 3)),
    "not UTF-8 in an overlong row": (b"A1\n" + b"x" * 10**6 + b"\xe9\n", ("bad_encoding", 2)),
    "cut off within a character": (b"A1\nB\xc3", ("bad_encoding", 2)),
    "a surrogate": (b"A1\nB\xed\xa0\x80\n", ("bad_encoding", 2)),
    "UTF-16": ("A1\nB2\n".encode("utf-16"), ("bad_encoding", 1)),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refuses_files(name: str) -> None:
    data, refusal = REFUSALS[name]
    outcome = read(data)
    assert outcome.refusal == refusal
    assert [code for _, code in outcome.codes] == ([] if refusal[1] == 1 else ["A1"])


def test_what_comes_before_a_refusal_is_kept() -> None:
    outcome = read(b"A1\nB 2\n\nC3,x\n")
    assert outcome.codes == [(1, "A1")]
    assert outcome.faults == [(2, "B 2", "invalid_character"), (3, "", "empty")]


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n", b"\r\n \r\n", b"code", b"code\n\n"])
def test_a_file_without_rows_yields_nothing(data: bytes) -> None:
    assert list(CodeFile(BytesIO(data), FORMAT)) == []


# --- header ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(HEADER_NAMES))
def test_known_headers_are_skipped_in_any_case(name: str) -> None:
    for header in (name, name.upper(), f" {name.title()} ", f'"{name}"'):
        outcome = read(f"{header}\nA1\n".encode())
        assert (outcome.codes, outcome.header_skipped, outcome.rows) == ([(2, "A1")], True, 1)


HEADERS = {
    "a code that only looks like a header": (b"CODES2024\nA1\n", None, ["CODES2024", "A1"], False),
    "a header only in the first row": (b"A1\ncode\n", None, ["A1", "code"], False),
    "a header only in the first row, be it blank": (b"\ncode\n", None, ["code"], False),
    "True skips whatever it is": (b"A1\nB2\n", True, ["B2"], True),
    "True skips a blank line": (b"\nB2\n", True, ["B2"], True),
    "True skips a row of several lines": (b'"my\ncodes"\nB2\n', True, ["B2"], True),
    "True skips an overlong row": (b"x" * 10**6 + b"\nB2\n", True, ["B2"], True),
    "True skips nothing in an empty file": (b"", True, [], False),
    "False never skips": (b"code\nB2\n", False, ["code", "B2"], False),
}


@pytest.mark.parametrize("name", HEADERS)
def test_header(name: str) -> None:
    data, header, codes, skipped = HEADERS[name]
    outcome = read(data, header)
    assert ([code for _, code in outcome.codes], outcome.header_skipped) == (codes, skipped)


# --- encodings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "UTF8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "mac_roman"],
)
def test_named_encodings_are_read(encoding: str) -> None:
    text = "code\r\nÄ1\r\nB2\r\n"
    outcome = read(text.encode(encoding), encoding=encoding)
    assert outcome.codes == [(2, "Ä1"), (3, "B2")]


def test_a_bom_is_skipped_in_other_encodings_too() -> None:
    assert read("\ufeffcode\nA1\n".encode("utf-16-be"), encoding="utf-16-be").codes == [(2, "A1")]


@pytest.mark.parametrize("written", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_the_likely_encoding_is_named_in_the_way_to_read_it(written: str) -> None:
    data = "PM500AA\nPM500BB\n".encode(written)
    message = refusal_of(data).message
    named = message.partition("encoding='")[2].partition("'")[0]
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
    batches = list(CodeFile(Trickle(data), FORMAT))
    assert [len(batch.codes) for batch in batches] == [100]
    assert batches[0].lines == range(1, 101)
    assert batches[0].bytes_read == len(data)


@pytest.mark.parametrize("given", ["A1\n", None])
def test_a_stream_must_give_bytes(given: object) -> None:
    class Stream:
        def read(self, size: int) -> object:
            return given

    with pytest.raises(InvalidInput, match="binary stream"):
        list(CodeFile(cast(BinaryIO, Stream()), FORMAT))


# --- secrets -----------------------------------------------------------------------------------------


def test_codes_are_not_shown() -> None:
    fault = RowFault(2, "SECRET 2", RowFaultKind.INVALID_CHARACTER, "character 7 is U+0020 SPACE")
    assert "SECRET" not in repr(Batch([1], ["SECRET1"], [fault], 17))


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_do_not_hold_the_text_of_the_file(name: str) -> None:
    with pytest.raises(FileRefused) as refused:
        list(CodeFile(BytesIO(REFUSALS[name][0].replace(b"B", b"SECRET")), FORMAT))
    seen: BaseException | None = refused.value
    while seen is not None:
        assert not isinstance(seen, UnicodeError)
        assert "SECRET" not in repr(seen)
        seen = seen.__cause__ or seen.__context__
