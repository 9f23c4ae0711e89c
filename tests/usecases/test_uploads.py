"""What an upload does with a file; `test_uploads_running.py` has what happens while one runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from partner_vouchers import (
    CodeFormat,
    FileFaultKind,
    PartnerVouchers,
    PerPartner,
    RowFaultKind,
    Status,
    UploadStatus,
)
from partner_vouchers.domain.codes import CodeFault
from partner_vouchers.domain.events import UploadCompleted, UploadFailed, UploadWithdrawn
from partner_vouchers.domain.titles import COLUMN_TITLES
from partner_vouchers.domain.uploads import MAX_FILE_BYTES
from partner_vouchers.errors import (
    ActionNotAllowed,
    FileAlreadyUploaded,
    InvalidCursor,
    InvalidInput,
    OriginalNotKept,
    PartnerVouchersError,
    SourceUnreadable,
    UnknownUpload,
)
from partner_vouchers.ports import Storage
from partner_vouchers.usecases.importing import UploadProgress
from tests.support.host import START, FixedClock, Host, a_file, some_codes
from tests.support.storages import CountingStorage

FULL_ROW = b"PM%06d" + b" " * 65_000 + b"\n"
"""A row that is almost nothing but outer white space, which makes a large file of few codes."""


def faults_of(host: Host, upload_id: str) -> list[tuple[int, str, RowFaultKind]]:
    return [
        (fault.line, fault.raw, fault.kind) for fault in host.vouchers.uploads.errors(upload_id, limit=1000)
    ]


# --- the entry ---------------------------------------------------------------------------------------


def test_an_upload_is_an_entry_of_the_log_of_its_list(host: Host) -> None:
    found = host.a_list()
    upload = host.vouchers.uploads.add(
        found.id, b"A\nB\n\nA\nC C\n", filename="winter.csv", uploaded_by="ops@example.com"
    )
    assert (upload.status, upload.started_at, upload.finished_at) == (UploadStatus.COMPLETED, START, START)
    assert (upload.list_id, upload.uploaded_by, upload.filename) == (
        found.id,
        "ops@example.com",
        "winter.csv",
    )
    assert (upload.accepted, upload.total, upload.error_count) == (2, 5, 3)
    assert upload.errors == {
        RowFaultKind.EMPTY: 1,
        RowFaultKind.DUPLICATE_IN_FILE: 1,
        RowFaultKind.INVALID_CHARACTER: 1,
    }
    assert (upload.failure, upload.size, upload.header_skipped) == (None, 11, False)
    assert host.vouchers.uploads.get(upload.id) == upload
    assert list(host.vouchers.uploads.find(list_id=found.id)) == [upload]
    assert host.left(found.id) == ["A", "B"]


def test_an_unknown_upload_is_named(host: Host) -> None:
    found = host.a_list("A")
    (known,) = host.vouchers.uploads.find(list_id=found.id)
    uploads = host.vouchers.uploads
    for upload_id in ("", "0", "999", "x", "-1", f"0{known.id}", "9" * 40):
        for look_up in (uploads.get, uploads.original_file, uploads.error_file, uploads.errors):
            with host.nothing_changes(), pytest.raises(UnknownUpload) as unknown:
                look_up(upload_id)
            assert (unknown.value.code, unknown.value.upload_id) == ("unknown_upload", upload_id)
        with host.nothing_changes(), pytest.raises(UnknownUpload):
            uploads.withdraw(upload_id)


def test_a_completed_upload_is_an_event(host: Host) -> None:
    found = host.a_list()
    upload = host.upload(found.id, "A", "B")
    (event,) = host.events(UploadCompleted)
    assert event.list_id == found.id
    assert {change.field: change.after for change in event.changes} == {"upload": upload.id, "accepted": 2}


# --- the file as it is given -------------------------------------------------------------------------


class Unseekable(io.RawIOBase):
    """A stream as a web framework hands it over: a few bytes at a time, and only once."""

    def __init__(self, content: bytes, name: str | None = None) -> None:
        super().__init__()
        self._content = io.BytesIO(content)
        if name is not None:
            self.name = name

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(min(size, 3))


SOURCES: dict[str, Callable[[Path], Any]] = {
    "path": lambda path: path,
    "path as text": str,
    "bytes": lambda path: path.read_bytes(),
    "open file": lambda path: io.BytesIO(path.read_bytes()),
    "stream": lambda path: Unseekable(path.read_bytes()),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_comes_in_many_forms(host: Host, tmp_path: Path, source: str) -> None:
    path = tmp_path / "winter.csv"
    path.write_bytes(b"A\nB\n")
    found = host.a_list()
    given = SOURCES[source](path)
    upload = host.vouchers.uploads.add(found.id, given, filename="winter.csv", uploaded_by="ops")
    assert (upload.accepted, upload.size, upload.filename) == (2, 4, "winter.csv")
    assert host.left(found.id) == ["A", "B"]
    assert host.vouchers.uploads.original_file(upload.id).read() == b"A\nB\n"


def test_a_path_and_an_open_file_bring_their_name(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "winter.csv"
    path.write_bytes(b"A\n")
    found = host.a_list()
    assert host.vouchers.uploads.add(found.id, path, uploaded_by="ops").filename == "winter.csv"
    path.write_bytes(b"B\n")
    assert host.vouchers.uploads.add(found.id, str(path), uploaded_by="ops").filename == "winter.csv"
    path.write_bytes(b"C\n")
    with path.open("rb") as stream:
        assert host.vouchers.uploads.add(found.id, stream, uploaded_by="ops").filename == "winter.csv"


def test_a_stream_is_read_from_where_it_stands(host: Host) -> None:
    found = host.a_list()
    stream = io.BytesIO(b"A\nB\n")
    stream.seek(2)
    host.vouchers.uploads.add(found.id, stream, filename="x.csv", uploaded_by="ops")
    assert host.left(found.id) == ["B"]
    assert not stream.closed


class Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(lambda directory: directory / "missing.csv", id="no such file"),
        pytest.param(lambda directory: directory, id="directory"),
        pytest.param(lambda directory: str(directory / "no" / "way.csv"), id="no such directory"),
        pytest.param(lambda directory: Broken(), id="stream that fails"),
    ],
)
def test_a_file_that_cannot_be_read_is_the_callers_mistake(
    host: Host, tmp_path: Path, source: Callable[[Path], Any]
) -> None:
    found = host.a_list()
    for call in (host.vouchers.uploads.add, host.vouchers.uploads.validate):
        more = {"uploaded_by": "ops"} if call == host.vouchers.uploads.add else {}
        with host.nothing_changes(), pytest.raises(SourceUnreadable) as unreadable:
            cast(Any, call)(found.id, source(tmp_path), filename="codes.csv", **more)
        assert unreadable.value.code == "source_unreadable"
        named = source(tmp_path)
        assert unreadable.value.filename == ("codes.csv" if isinstance(named, Broken) else str(named)), (
            "the whole path"
        )
        assert ("pass bytes for the content" in str(unreadable.value)) == isinstance(named, str)


def test_content_that_was_passed_as_a_string_is_not_shown(host: Host) -> None:
    found = host.a_list()
    with pytest.raises(SourceUnreadable, match="pass bytes for the content") as unreadable:
        host.vouchers.uploads.add(found.id, "SECRET2024", filename="codes.csv", uploaded_by="ops")
    assert "SECRET" not in str(unreadable.value)
    assert unreadable.value.__context__ is None, "the system's error quotes the string"
    for content in ("SECRET2024\nSECRET2025\n", "SECRET2024\rSECRET2025", "code\n"):
        with pytest.raises(InvalidInput, match="pass bytes for the content") as refused:
            host.vouchers.uploads.validate(found.id, content)
        assert refused.value.field == "source"
        assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    "source,reason",
    [
        ("", "pass bytes for the content"),
        ("CODE1;" * 100, "pass bytes for the content"),
        ("CODE1\0CODE2", "pass bytes for the content"),
        ("CODE\ud800", "pass bytes for the content"),
        (io.StringIO("CODE1\n"), "open the file with mode 'rb'"),
        (["CODE1"], "must be a path, bytes, or a binary stream, not list"),
        (None, "must be a path, bytes, or a binary stream, not NoneType"),
        (5, "must be a path, bytes, or a binary stream, not int"),
        (io.BytesIO, "must be a path, bytes, or a binary stream, not type"),
    ],
)
def test_what_is_no_file_is_refused_as_such_and_not_for_its_name(
    host: Host, source: Any, reason: str
) -> None:
    found = host.a_list()
    for call, more in (
        (host.vouchers.uploads.add, {"uploaded_by": "ops"}),
        (host.vouchers.uploads.validate, {}),
    ):
        with host.nothing_changes(), pytest.raises(InvalidInput) as refused:
            cast(Any, call)(found.id, source, **more)
        assert refused.value.field == "source"
        assert reason in str(refused.value)
        assert "CODE1" not in str(refused.value)


def test_a_validated_stream_is_left_where_it_was_found(host: Host) -> None:
    found = host.a_list()
    stream = io.BytesIO(b"A\nB\nC\n")
    stream.seek(2)
    checked = host.vouchers.uploads.validate(found.id, stream, filename="x.csv")
    assert (stream.tell(), checked.acceptable) == (2, 2)
    upload = host.vouchers.uploads.add(found.id, stream, filename="x.csv", uploaded_by="ops")
    assert host.left(found.id) == ["B", "C"]
    # Also after an error.
    stream.seek(2)
    with pytest.raises(FileAlreadyUploaded):
        host.vouchers.uploads.validate(found.id, stream, filename="x.csv")
    assert (stream.tell(), upload.accepted) == (2, 2)


@pytest.mark.parametrize(
    "changed, field",
    [
        ({"source": 5}, "source"),
        ({"source": ["A"]}, "source"),
        ({"source": io.StringIO("A\n")}, "source"),
        ({"filename": None}, "filename"),
        ({"filename": 5}, "filename"),
        ({"filename": "é" * 252 + ".csv"}, "filename"),
        ({"uploaded_by": "é" * 256}, "uploaded_by"),
        ({"uploaded_by": ""}, "uploaded_by"),
        ({"uploaded_by": "a\nb"}, "uploaded_by"),
        ({"uploaded_by": None}, "uploaded_by"),
        ({"encoding": "klingon"}, "encoding"),
        ({"encoding": "base64"}, "encoding"),
        ({"encoding": None}, "encoding"),
    ],
)
def test_arguments_that_break_their_rule_are_refused(host: Host, changed: dict[str, Any], field: str) -> None:
    found = host.a_list()
    arguments = {"source": b"A\n", "filename": "codes.csv", "uploaded_by": "ops", **changed}
    with host.nothing_changes(), pytest.raises(InvalidInput) as refused:
        host.vouchers.uploads.add(found.id, arguments.pop("source"), **arguments)
    assert refused.value.field == field


# --- files that are refused as a whole -----------------------------------------------------------------

FILE_FAULTS: dict[str, tuple[bytes, dict[str, Any], FileFaultKind, int | None]] = {
    "not .csv": (b"A\n", {"filename": "codes.txt"}, FileFaultKind.NOT_CSV, None),
    "no extension": (b"A\n", {"filename": "csv"}, FileFaultKind.NOT_CSV, None),
    "another one after it": (b"A\n", {"filename": "codes.csv.gz"}, FileFaultKind.NOT_CSV, None),
    "not UTF-8": (b"A\nB\xff\n", {}, FileFaultKind.BAD_ENCODING, 2),
    "Latin-1": ("A\nGRÜN\n".encode("latin-1"), {}, FileFaultKind.BAD_ENCODING, 2),
    "UTF-16 without a BOM": ("A\nB\n".encode("utf-16-le"), {}, FileFaultKind.BAD_ENCODING, 1),
    "not the encoding that was named": (
        b"\x81\n",
        {"encoding": "cp1252"},
        FileFaultKind.BAD_ENCODING,
        1,
    ),
    "several columns": (b"A\nB,5\n", {}, FileFaultKind.MULTIPLE_COLUMNS, 2),
    "several columns in the first row": (b"code,value\nA,5\n", {}, FileFaultKind.MULTIPLE_COLUMNS, 1),
    "a comma at the end": (b"A,\n", {}, FileFaultKind.MULTIPLE_COLUMNS, 1),
    "rows that split at semicolons": (b"code;value\nA;5\nB;7\n", {}, FileFaultKind.MULTIPLE_COLUMNS, 1),
    "rows that split at tabs below a header": (b"code\nA\t5\nB\t7\n", {}, FileFaultKind.MULTIPLE_COLUMNS, 2),
    "a quote that is not closed": (b'A\n"B\nC\n', {}, FileFaultKind.BROKEN_QUOTING, 2),
    "text after a quote": (b'"A"B\n', {}, FileFaultKind.BROKEN_QUOTING, 1),
    "nothing": (b"", {}, FileFaultKind.EMPTY_FILE, None),
    "nothing but a BOM": (b"\xef\xbb\xbf", {}, FileFaultKind.EMPTY_FILE, None),
    "nothing but blank lines": (b"\n\r\n \n", {}, FileFaultKind.EMPTY_FILE, None),
    "nothing but a header": (b"code\n", {}, FileFaultKind.EMPTY_FILE, None),
    "no valid code": (b"A A\nB B\n", {}, FileFaultKind.NO_VALID_CODE, None),
}


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_a_file_is_refused_as_a_whole(host: Host, fault: str) -> None:
    content, options, kind, line = FILE_FAULTS[fault]
    found = host.a_list("OLD", campaign="CMP")
    checked = host.vouchers.uploads.validate(found.id, content, **{"filename": "codes.csv", **options})
    upload = host.upload_file(found.id, content, **options)
    assert upload.status is UploadStatus.FAILED
    assert upload.failure is not None
    assert (upload.failure.kind, upload.failure.line) == (kind, line)
    assert checked.failure == upload.failure
    assert (checked.total, checked.errors, checked.acceptable) == (upload.total, upload.errors, 0)
    assert (upload.accepted, upload.finished_at) == (0, START)
    assert host.vouchers.uploads.get(upload.id) == upload
    assert host.left(found.id) == ["OLD"]
    assert host.vouchers.lists.get(found.id).uploaded == 1
    (event,) = host.events(UploadFailed)
    assert {change.field: change.after for change in event.changes} == {
        "upload": upload.id,
        "failure": kind.value,
    }
    assert host.vouchers.uploads.original_file(upload.id).read() == content
    # It left no trace that a corrected file would meet.
    assert host.upload(found.id, "A", "B").accepted == 2


@pytest.mark.parametrize(
    "content, says",
    [
        ("A\nB\n".encode("utf-16-le"), "the encoding utf-16-le"),
        ("GRÜN\n".encode("latin-1"), "for example cp1252"),
    ],
)
def test_the_message_about_an_encoding_says_what_to_do(host: Host, content: bytes, says: str) -> None:
    failure = host.upload_file(host.a_list().id, content).failure
    assert failure is not None
    assert says in failure.message


def test_the_row_errors_found_before_a_file_was_refused_are_kept(host: Host) -> None:
    found = host.a_list()
    upload = host.upload_file(found.id, b"A A\nB\n\nC\nD,D\n")
    assert upload.status is UploadStatus.FAILED
    assert upload.errors == {RowFaultKind.INVALID_CHARACTER: 1, RowFaultKind.EMPTY: 1}
    assert faults_of(host, upload.id) == [
        (1, "A A", RowFaultKind.INVALID_CHARACTER),
        (3, "", RowFaultKind.EMPTY),
    ]


@pytest.mark.parametrize("filename", ["codes.csv", "CODES.CSV", "a.b.Csv", ".csv"])
def test_a_file_name_ends_in_csv_in_any_case(host: Host, filename: str) -> None:
    assert host.upload(host.a_list().id, "A", filename=filename).accepted == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig", "cp1252", "latin-1"])
def test_other_encodings_are_read_when_they_are_named(host: Host, encoding: str) -> None:
    found = host.a_list()
    upload = host.upload_file(found.id, "GRÜN\nROT\n".encode(encoding), encoding=encoding)
    assert upload.status is UploadStatus.COMPLETED
    assert host.left(found.id) == ["GRÜN", "ROT"]


def a_large_file(size: int) -> bytes:
    rows = b"".join(FULL_ROW % number for number in range(size // 65_009))
    return rows + b"X" + b" " * (size - len(rows) - 1)


def test_a_file_of_exactly_50_mb_is_accepted(host: Host) -> None:
    content = a_large_file(MAX_FILE_BYTES)
    assert len(content) == 50 * 1024**2
    found = host.a_list()
    upload = host.upload_file(found.id, content)
    assert (upload.failure, upload.size, upload.accepted) == (None, len(content), upload.total)
    assert host.vouchers.uploads.original_file(upload.id).read() == content


@pytest.mark.parametrize("as_stream", [False, True], ids=["bytes", "stream"])
def test_a_file_of_one_byte_more_is_refused(host: Host, as_stream: bool) -> None:
    content = b"A\n" * (MAX_FILE_BYTES // 2) + b"B"
    found = host.a_list("OLD")
    source: Any = io.BytesIO(content) if as_stream else content
    checked = host.vouchers.uploads.validate(found.id, source, filename="codes.csv")
    source = io.BytesIO(content) if as_stream else content
    upload = host.upload_file(found.id, source)
    assert upload.failure is not None
    assert (upload.status, upload.failure.kind) == (UploadStatus.FAILED, FileFaultKind.TOO_LARGE)
    assert checked.failure == upload.failure
    assert host.left(found.id) == ["OLD"]
    with pytest.raises(OriginalNotKept) as not_kept:
        host.vouchers.uploads.original_file(upload.id)
    assert (not_kept.value.code, not_kept.value.upload_id) == ("original_not_kept", upload.id)


def test_a_stream_that_never_ends_is_refused(host: Host) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return b"A" * size

    upload = host.vouchers.uploads.add(
        host.a_list().id, cast(BinaryIO, Endless()), filename="codes.csv", uploaded_by="ops"
    )
    assert upload.failure is not None
    assert upload.failure.kind is FileFaultKind.TOO_LARGE


# --- rows that are refused -----------------------------------------------------------------------------

LONG = "L" * 129

ROW_FAULTS: dict[str, tuple[list[str], tuple[int, str, RowFaultKind]]] = {
    "empty": (["A", "", "B"], (2, "", RowFaultKind.EMPTY)),
    "white space": (["A", " \t\u3000", "B"], (2, "", RowFaultKind.EMPTY)),
    "empty in quotes": (["A", '""', "B"], (2, "", RowFaultKind.EMPTY)),
    "in the file": (["A", "B", "A"], (3, "A", RowFaultKind.DUPLICATE_IN_FILE)),
    "in the file, but for the space around it": (["A", "B", " A "], (3, "A", RowFaultKind.DUPLICATE_IN_FILE)),
    "in the list": (["A", "HERE", "B"], (2, "HERE", RowFaultKind.DUPLICATE_IN_LIST)),
    "space within": (["A", "P M", "B"], (2, "P M", RowFaultKind.INVALID_CHARACTER)),
    "invisible": (["A", "P\u200bM", "B"], (2, "P\u200bM", RowFaultKind.INVALID_CHARACTER)),
    "line separator": (["A", "P\u2028M", "B"], (2, "P\u2028M", RowFaultKind.INVALID_CHARACTER)),
    "NUL": (["A", "P\0M", "B"], (2, "P\0M", RowFaultKind.INVALID_CHARACTER)),
    "semicolon": (["A", "P;M", "B"], (2, "P;M", RowFaultKind.INVALID_CHARACTER)),
    "apostrophe": (["A", "P'M", "B"], (2, "P'M", RowFaultKind.INVALID_CHARACTER)),
    "quote": (["A", '"P""M"', "B"], (2, 'P"M', RowFaultKind.INVALID_CHARACTER)),
    "comma": (["A", '"P,M"', "B"], (2, "P,M", RowFaultKind.INVALID_CHARACTER)),
    "line break": (["A", '"P\nM"', "B"], (2, "P\nM", RowFaultKind.INVALID_CHARACTER)),
    "too long": (["A", LONG, "B"], (2, LONG, RowFaultKind.TOO_LONG)),
}


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_a_row_is_refused_and_the_rest_goes_on(host: Host, fault: str) -> None:
    rows, (line, raw, kind) = ROW_FAULTS[fault]
    found = host.a_list("HERE")
    content = a_file(*rows)
    checked = host.vouchers.uploads.validate(found.id, content, filename="codes.csv")
    upload = host.upload_file(found.id, content)
    assert (upload.status, upload.accepted, upload.total) == (UploadStatus.COMPLETED, 2, 3)
    assert upload.errors == checked.errors == {kind: 1}
    assert faults_of(host, upload.id) == [(line, raw, kind)]
    assert list(checked.sample) == host.vouchers.uploads.errors(upload.id)
    assert host.left(found.id) == ["HERE", "A", "B"]


def test_a_duplicate_in_another_list_names_that_list(storage: Storage, clock: FixedClock) -> None:
    host = Host(storage, clock, duplicates=PerPartner())
    first, second = host.a_list("A", "B"), host.a_list()
    upload = host.upload(second.id, "B", "C")
    assert faults_of(host, upload.id) == [(1, "B", RowFaultKind.DUPLICATE_IN_OTHER_LIST)]
    (fault,) = host.vouchers.uploads.errors(upload.id)
    assert fault.message == f"the code is already in list {first.id}"


def test_the_first_of_two_equal_rows_wins(host: Host) -> None:
    found = host.a_list()
    upload = host.upload(found.id, "B", "A", "B", "A", "B")
    assert host.left(found.id) == ["B", "A"]
    assert [(fault.line, fault.message) for fault in host.vouchers.uploads.errors(upload.id)] == [
        (3, "duplicate of line 1"),
        (4, "duplicate of line 2"),
        (5, "duplicate of line 1"),
    ]


def test_codes_that_are_few_and_far_between_keep_their_lines(host: Host) -> None:
    found = host.a_list()
    rows = [f"A{number}" if number % 10 == 0 else "B B" for number in range(1, 41)]
    upload = host.upload(found.id, *rows, "A20")
    assert host.left(found.id) == ["A10", "A20", "A30", "A40"]
    (duplicate,) = [
        f for f in host.vouchers.uploads.errors(upload.id) if f.kind is RowFaultKind.DUPLICATE_IN_FILE
    ]
    assert (duplicate.line, duplicate.message) == (41, "duplicate of line 20")


def test_what_is_wrong_with_a_character_is_said_without_the_code(host: Host) -> None:
    upload = host.upload(host.a_list().id, "SECRET\u200b99", "A")
    (fault,) = host.vouchers.uploads.errors(upload.id)
    assert fault.message == "character 7 is U+200B ZERO WIDTH SPACE"
    assert "SECRET" not in repr(fault)


def test_codes_are_case_sensitive_and_not_normalised(host: Host) -> None:
    found = host.a_list()
    assert host.upload(found.id, "pm", "PM", "É", "E\u0301", "ﬁ", "fi").accepted == 6
    assert host.left(found.id) == ["pm", "PM", "É", "E\u0301", "ﬁ", "fi"]


def test_outer_white_space_is_trimmed(host: Host) -> None:
    found = host.a_list()
    host.upload(found.id, " A", "B\t", "\u00a0C\u3000", '" D "')
    assert host.left(found.id) == ["A", "B", "C", "D"]


@pytest.mark.parametrize("code", ["=1+1", "-5", "@x", "+9", "\\", "😀", "ПМ", "%_", "null", "0", "L" * 128])
def test_unusual_codes_are_codes_too(host: Host, code: str) -> None:
    found = host.a_list()
    assert host.upload(found.id, code).accepted == 1
    assert host.give(found.id, "ann") == [code]


def test_codes_over_the_capacity_of_a_list_are_refused_from_the_end(host: Host, capacity: int) -> None:
    found = host.a_list("A", "B")
    content = a_file("C", "D", "A", "D", "E", "F", "G", "F")
    checked = host.vouchers.uploads.validate(found.id, content, filename="codes.csv")
    upload = host.upload_file(found.id, content)
    assert host.left(found.id) == ["A", "B", "C", "D", "E"]
    assert host.vouchers.lists.get(found.id).uploaded == capacity
    assert faults_of(host, upload.id) == [
        (3, "A", RowFaultKind.DUPLICATE_IN_LIST),
        (4, "D", RowFaultKind.DUPLICATE_IN_FILE),
        (6, "F", RowFaultKind.LIST_FULL),
        (7, "G", RowFaultKind.LIST_FULL),
        (8, "F", RowFaultKind.DUPLICATE_IN_FILE),
    ]
    assert checked.errors == upload.errors
    assert list(checked.sample) == host.vouchers.uploads.errors(upload.id)


def test_what_did_not_fit_can_go_to_another_list(host: Host, capacity: int) -> None:
    first = host.a_list("A", "B", "C", "D", partner="Puma", tag="winter")
    upload = host.upload(first.id, "E", "F")
    assert upload.errors == {RowFaultKind.LIST_FULL: 1}
    assert host.vouchers.uploads.explain_duplicate(first.id, "F") is None
    host.vouchers.lists.archive(first.id)
    second = host.a_list("F", "G", tag="winter")
    assert host.left(second.id) == ["F", "G"]


def test_a_full_list_refuses_a_file_before_any_work(host: Host, capacity: int) -> None:
    found = host.a_list(*some_codes(capacity))
    host.give(found.id, "ann")
    checked = host.vouchers.uploads.validate(found.id, b"NEW\n,\n", filename="codes.csv")
    upload = host.upload_file(found.id, b"NEW\n,\n")
    assert upload.failure is not None
    assert upload.failure.kind is FileFaultKind.LIST_FULL
    assert checked.failure == upload.failure
    assert (upload.total, upload.errors, upload.first_row) == (0, {}, None)
    with pytest.raises(OriginalNotKept):
        host.vouchers.uploads.original_file(upload.id)


def test_withdrawn_codes_do_not_use_up_the_room_of_a_list(host: Host, capacity: int) -> None:
    found = host.a_list()
    first = host.upload(found.id, *some_codes(capacity))
    host.give(found.id, "ann")
    host.vouchers.uploads.withdraw(first.id)
    upload = host.upload(found.id, "A", "B", "C", "D", "E")
    assert (upload.accepted, upload.errors) == (capacity - 1, {RowFaultKind.LIST_FULL: 1})
    assert host.left(found.id) == ["A", "B", "C", "D"]


class Digits:
    """The code format of a host that knows its partner better."""

    max_length = 4
    plain = "0123456789"

    def trim(self, raw: str) -> str:
        return raw.strip(" #")

    def fault(self, code: str) -> tuple[CodeFault, str] | None:
        if not code:
            return CodeFault.EMPTY, "nothing there"
        if len(code) > self.max_length:
            return CodeFault.TOO_LONG, "four digits"
        return None if code.isdigit() else (CodeFault.INVALID_CHARACTER, "digits only")


def test_a_host_can_replace_the_code_format(storage: Storage, clock: FixedClock) -> None:
    host = Host(storage, clock, code_format=Digits())
    found = host.a_list()
    upload = host.upload(found.id, "1234", "#5 ", "A", "12345")
    assert host.left(found.id) == ["1234", "5"]
    assert [fault.message for fault in host.vouchers.uploads.errors(upload.id)] == [
        "digits only",
        "four digits",
    ]


def test_the_longest_code_can_be_set(storage: Storage, clock: FixedClock) -> None:
    host = Host(storage, clock, code_format=CodeFormat(max_length=3))
    assert host.upload(host.a_list().id, "ABC", "ABCD").errors == {RowFaultKind.TOO_LONG: 1}


# --- headers, line ends, quotes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", ["code", "CODES", "Voucher_Code", "voucher code", "Coupon Code", '"code"', " code "]
)
def test_a_known_header_is_skipped_and_the_upload_says_so(host: Host, header: str) -> None:
    found = host.a_list()
    upload = host.upload(found.id, header, "A", "B B")
    assert (upload.header_skipped, upload.total, upload.accepted) == (True, 2, 1)
    assert faults_of(host, upload.id) == [(3, "B B", RowFaultKind.INVALID_CHARACTER)]
    assert host.vouchers.uploads.get(upload.id).header_skipped


@pytest.mark.parametrize("row", ["codes2", "vouchercode1", "CODE1"])
def test_any_other_first_row_is_a_code(host: Host, row: str) -> None:
    found = host.a_list()
    upload = host.upload(found.id, row, "A")
    assert (upload.header_skipped, upload.accepted) == (False, 2)


def test_the_caller_can_say_whether_there_is_a_header(host: Host) -> None:
    found = host.a_list()
    upload = host.upload(found.id, "gutschein nr", "A", "code", header=True)
    assert (upload.header_skipped, upload.header, host.left(found.id)) == (True, True, ["A"])
    assert faults_of(host, upload.id) == [(3, "code", RowFaultKind.COLUMN_TITLE)]
    upload = host.upload(found.id, "code", "B", header=False)
    assert (upload.header_skipped, upload.header) == (False, False)
    assert host.left(found.id) == ["A", "code", "B"]


def test_a_host_adds_column_titles_of_its_own(storage: Storage, clock: FixedClock) -> None:
    host = Host(storage, clock, code_format=CodeFormat(titles=COLUMN_TITLES | {"Los-Nr. 1"}))
    found = host.a_list()
    upload = host.upload(found.id, "LOS_NR.1", "A", "code", "losnr.1")
    assert host.left(found.id) == ["A"]
    assert [(line, kind) for line, _, kind in faults_of(host, upload.id)] == [
        (3, RowFaultKind.COLUMN_TITLE),
        (4, RowFaultKind.COLUMN_TITLE),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"A\nB\n",
        b"A\r\nB\r\n",
        b"A\rB\r",
        b"A\nB",
        b"A\r\nB\n\n \n",
        b'"A"\n"B"',
        b"\xef\xbb\xbfA\nB\n",
        b'A\r\n"B"\r',
    ],
)
def test_line_ends_quotes_and_blank_lines_at_the_end_make_no_difference(host: Host, content: bytes) -> None:
    found = host.a_list()
    upload = host.upload_file(found.id, content)
    assert (upload.total, upload.error_count, host.left(found.id)) == (2, 0, ["A", "B"])


# --- progress ----------------------------------------------------------------------------------------------


def test_progress_is_told_in_rows_and_bytes(host: Host) -> None:
    codes = some_codes(50_000)
    content = a_file(*codes)
    seen: list[UploadProgress] = []
    upload = host.upload_file(host.a_list().id, content, progress=seen.append)
    assert upload.accepted == 50_000
    assert len(seen) > 1
    assert [step.rows for step in seen] == sorted(step.rows for step in seen)
    assert [step.bytes_read for step in seen] == sorted(step.bytes_read for step in seen)
    assert {step.bytes_total for step in seen} == {len(content)}
    assert (seen[-1].rows, seen[-1].bytes_read) == (50_000, len(content))


@pytest.mark.parametrize("error", [ValueError("enough"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_a_progress_callback_that_raises_ends_the_upload(host: Host, error: BaseException) -> None:
    found = host.a_list("OLD")

    def give_up(_progress: UploadProgress) -> None:
        raise error

    with pytest.raises(type(error)):
        host.upload(found.id, "A", "B", progress=give_up)
    broken = next(iter(host.vouchers.uploads.find(list_id=found.id)))
    assert (broken.status, broken.accepted) == (UploadStatus.FAILED, 0)
    assert broken.failure is not None
    assert broken.failure.kind is FileFaultKind.INTERRUPTED
    assert f"the upload was broken off ({type(error).__name__})" in broken.failure.message
    assert host.left(found.id) == ["OLD"]
    assert host.vouchers.uploads.recover() == []
    again = host.upload(found.id, "A", "B")
    assert (again.status, again.accepted) == (UploadStatus.COMPLETED, 2)


# --- status of the list --------------------------------------------------------------------------------


def test_a_paused_list_can_be_uploaded_to(host: Host) -> None:
    found = host.a_list(status=Status.PAUSED)
    assert host.upload(found.id, "A").status is UploadStatus.COMPLETED
    assert host.vouchers.lists.get(found.id).available == 1


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.ARCHIVED])
def test_an_expired_or_archived_list_cannot(host: Host, status: Status) -> None:
    found = host.a_list(status=status)
    with host.nothing_changes():
        with pytest.raises(ActionNotAllowed) as refused:
            host.upload(found.id, "A")
        assert (refused.value.status, refused.value.action) == (status, "upload codes")
        with pytest.raises(ActionNotAllowed):
            host.vouchers.uploads.validate(found.id, b"A\n", filename="codes.csv")


# --- the same file again -------------------------------------------------------------------------------


def test_a_file_that_was_uploaded_to_the_list_before_is_refused(host: Host) -> None:
    found = host.a_list()
    first = host.upload(found.id, "A", "B", filename="first.csv")
    host.clock.advance(days=1)
    with host.nothing_changes():
        for call in (
            lambda: host.upload(found.id, "A", "B", filename="other.csv"),
            lambda: host.vouchers.uploads.validate(found.id, a_file("A", "B"), filename="other.csv"),
        ):
            with pytest.raises(FileAlreadyUploaded) as refused:
                call()
            error = refused.value
            assert (error.code, error.list_id, error.upload_id) == (
                "file_already_uploaded",
                found.id,
                first.id,
            )
            assert (error.filename, error.uploaded_at) == ("first.csv", START)


def test_force_uploads_it_again(host: Host) -> None:
    found = host.a_list("A", "B")
    content = a_file("A", "B")
    upload = host.upload_file(found.id, content, force=True)
    assert upload.errors == {RowFaultKind.DUPLICATE_IN_LIST: 2}
    assert host.vouchers.uploads.validate(found.id, content, filename="x.csv", force=True).acceptable == 0


def test_the_same_file_may_go_to_another_list(host: Host) -> None:
    host.a_list("A", "B")
    assert host.a_list("A", "B").available == 2


def test_a_file_that_failed_may_come_again(host: Host) -> None:
    found = host.a_list()
    assert host.upload(found.id, "A", filename="codes.txt").status is UploadStatus.FAILED
    assert host.upload(found.id, "A").status is UploadStatus.COMPLETED


# --- files to download ---------------------------------------------------------------------------------


def test_the_original_file_is_kept_byte_for_byte(host: Host) -> None:
    content = b"\xef\xbb\xbfcode\r\n" + a_file(*some_codes(150_000)) + b'"Q"\r\r\n  \n\xc3\x89'
    upload = host.upload_file(host.a_list().id, content)
    stream = host.vouchers.uploads.original_file(upload.id)
    assert stream.read(5) == content[:5]
    assert stream.read() == content[5:]
    assert stream.read() == b""


def rows_of(stream: BinaryIO) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(stream.read().decode(), newline=""))


def test_the_error_file_tells_line_code_error_and_message(host: Host) -> None:
    found = host.a_list("OLD")
    upload = host.upload(found.id, "A", "B B", "OLD", "A", '"C,C"')
    assert list(rows_of(host.vouchers.uploads.error_file(upload.id))) == [
        ["line", "code", "error", "message"],
        ["2", "B B", "invalid_character", "character 2 is U+0020 SPACE"],
        ["3", "OLD", "duplicate_in_list", "the code is already in this list"],
        ["4", "A", "duplicate_in_file", "duplicate of line 1"],
        ["5", "C,C", "invalid_character", "character 2 is U+002C COMMA"],
    ]


def test_the_error_file_of_a_clean_upload_is_empty_but_for_its_header(host: Host) -> None:
    upload = host.upload(host.a_list().id, "A")
    assert len(list(rows_of(host.vouchers.uploads.error_file(upload.id)))) == 1


def test_the_error_file_is_safe_to_open_in_a_spreadsheet_and_a_raw_one_exists(host: Host) -> None:
    formulas = ["=1+1 x", "@SUM x", "+1 x", "-1 x"]
    upload = host.upload(host.a_list().id, "A", *formulas)
    safe = [row[1] for row in rows_of(host.vouchers.uploads.error_file(upload.id))]
    assert safe[1:] == [f"'{formula}" for formula in formulas]
    raw = [row[1] for row in rows_of(host.vouchers.uploads.error_file(upload.id, raw=True))]
    assert raw[1:] == formulas


def test_an_error_file_over_many_pages_is_complete(host: Host) -> None:
    upload = host.upload(host.a_list().id, "A", *(f"B {number}" for number in range(12_000)))
    rows = list(rows_of(host.vouchers.uploads.error_file(upload.id)))
    assert [row[0] for row in rows[1:]] == [str(line) for line in range(2, 12_002)]


def test_a_corrected_error_file_can_be_uploaded_as_it_is(host: Host) -> None:
    found = host.a_list()
    upload = host.upload(found.id, "A", "=B C", "-D;E", "F")
    corrected = host.vouchers.uploads.error_file(upload.id).read()
    corrected = corrected.replace(b"B C", b"BC").replace(b"D;E", b"DE")
    again = host.upload_file(found.id, corrected, filename="errors.csv")
    assert (again.status, again.accepted, again.header_skipped) == (UploadStatus.COMPLETED, 2, True)
    assert host.left(found.id) == ["A", "F", "=BC", "-DE"]


def test_the_errors_of_an_upload_come_in_pages(host: Host) -> None:
    upload = host.upload(host.a_list().id, "A", "B B", "C C", "D D")
    uploads = host.vouchers.uploads
    assert [fault.line for fault in uploads.errors(upload.id, limit=2)] == [2, 3]
    assert [fault.line for fault in uploads.errors(upload.id, after_line=3, limit=2)] == [4]
    for limit in (0, 1001, True, "5"):
        with pytest.raises(InvalidInput, match="limit"):
            uploads.errors(upload.id, limit=cast(Any, limit))


# --- validate --------------------------------------------------------------------------------------------


def test_validating_stores_nothing_and_says_what_add_would_do(host: Host) -> None:
    found = host.a_list("OLD")
    content = a_file("code", "A", "B B", "OLD", "A", "", "C", LONG)
    with host.nothing_changes():
        checked = host.vouchers.uploads.validate(found.id, content, filename="codes.csv")
    upload = host.upload_file(found.id, content)
    assert (checked.filename, checked.failure) == ("codes.csv", None)
    assert (checked.total, checked.acceptable, checked.errors) == (
        upload.total,
        upload.accepted,
        upload.errors,
    )
    assert (checked.error_count, checked.header_skipped) == (upload.error_count, upload.header_skipped)
    assert list(checked.sample) == host.vouchers.uploads.errors(upload.id)


def test_a_file_is_validated_under_its_own_name(host: Host, tmp_path: Path) -> None:
    found = host.a_list()
    source = tmp_path / "gutscheine.csv"
    source.write_text("A\n")
    storage = CountingStorage(host.storage)
    uploads = PartnerVouchers(storage, clock=host.clock).uploads
    checked = uploads.validate(found.id, source)
    assert uploads.recover() == []
    assert (checked.filename, checked.acceptable) == ("gutscheine.csv", 1)
    assert storage.writes == 0, "nobody who writes has to wait"


def test_validating_tells_how_far_it_is(host: Host) -> None:
    seen, content = list[UploadProgress](), a_file("A", "B")
    host.vouchers.uploads.validate(host.a_list().id, content, filename="codes.csv", progress=seen.append)
    assert seen[-1] == UploadProgress(2, len(content), len(content))


def test_validating_shows_the_first_thousand_errors(host: Host) -> None:
    checked = host.vouchers.uploads.validate(
        host.a_list().id, a_file("A", *["B B"] * 1500), filename="codes.csv"
    )
    assert (checked.error_count, len(checked.sample), checked.sample[0].line) == (1500, 1000, 2)


# --- withdraw ------------------------------------------------------------------------------------------


def test_withdrawing_takes_back_what_nobody_has(host: Host) -> None:
    found = host.a_list("X")
    wrong = host.upload(found.id, "A", "B", "C")
    host.upload(found.id, "Y")
    host.give(found.id, "ann", "ben")
    host.clock.advance(hours=1)
    withdrawn = host.vouchers.uploads.withdraw(wrong.id, actor="ops")
    assert (withdrawn.withdrawn, withdrawn.accepted, withdrawn.status) == (2, 3, UploadStatus.COMPLETED)
    assert host.vouchers.uploads.get(wrong.id) == withdrawn
    seen = host.vouchers.lists.get(found.id)
    assert (seen.uploaded, seen.distributed, seen.withdrawn, seen.available) == (5, 2, 2, 1)
    assert seen.updated_at == host.clock.now
    assert host.left(found.id) == ["Y"]
    assert host.give(found.id, "cleo") == ["Y"]
    assert [held.code for held in host.vouchers.codes.assignments(found.id)] == ["X", "A", "Y"]
    (event,) = host.events(UploadWithdrawn)
    assert event.changes[1].after == 2


def test_withdrawing_twice_or_nothing_changes_nothing(host: Host) -> None:
    found = host.a_list()
    upload = host.upload(found.id, "A")
    failed = host.upload(found.id, "B B")
    used_up = host.upload(found.id, "C")
    host.vouchers.uploads.withdraw(upload.id)
    host.give(found.id, "ann")
    with host.nothing_changes():
        for upload_id in (upload.id, failed.id, used_up.id):
            host.vouchers.uploads.withdraw(upload_id)


def test_codes_of_a_paused_or_expired_list_can_be_withdrawn(host: Host) -> None:
    for status in (Status.PAUSED, Status.EXPIRED):
        found = host.a_list("A", status=status)
        (upload,) = host.vouchers.uploads.find(list_id=found.id)
        assert host.vouchers.uploads.withdraw(upload.id).withdrawn == 1


def test_codes_of_an_archived_list_cannot(host: Host) -> None:
    found = host.a_list("A", status=Status.ARCHIVED)
    (upload,) = host.vouchers.uploads.find(list_id=found.id)
    with host.nothing_changes(), pytest.raises(ActionNotAllowed) as refused:
        host.vouchers.uploads.withdraw(upload.id)
    assert (refused.value.action, refused.value.status) == ("withdraw", "Archived")


# --- the log ---------------------------------------------------------------------------------------------


def test_the_log_of_a_list_comes_in_pages_the_newest_first(host: Host, vouchers: PartnerVouchers) -> None:
    found = host.a_list()
    other = host.a_list("OTHER")
    ids = [host.upload(found.id, f"A{number}").id for number in range(5)]
    seen: list[str] = []
    after: str | None = None
    while True:
        page = vouchers.uploads.find(list_id=found.id, after=after, limit=2)
        seen += [upload.id for upload in page]
        if page.next is None:
            break
        after = page.next
        # What comes meanwhile stands before the pages that are still to be read.
        host.upload(found.id, f"B{len(seen)}")
    assert seen == ids[::-1]
    assert len(vouchers.uploads.find(list_id=other.id)) == 1


def test_a_page_of_the_log_ends_where_the_next_begins(host: Host, vouchers: PartnerVouchers) -> None:
    found = host.a_list()
    ids = [host.upload(found.id, f"A{number}").id for number in range(4)]
    page = vouchers.uploads.find(list_id=found.id, limit=3)
    rest = vouchers.uploads.find(list_id=found.id, after=page.next, limit=3)
    assert [upload.id for upload in [*page, *rest]] == ids[::-1]


@pytest.mark.parametrize(
    "arguments, error, code",
    [
        ({"after": "x"}, InvalidCursor, "invalid_cursor"),
        ({"after": ""}, InvalidCursor, "invalid_cursor"),
        ({"after": "9" * 40}, InvalidCursor, "invalid_cursor"),
        ({"limit": 0}, InvalidInput, "invalid_input"),
        ({"limit": 1001}, InvalidInput, "invalid_input"),
        ({"limit": True}, InvalidInput, "invalid_input"),
    ],
)
def test_a_page_that_does_not_exist_is_refused(
    host: Host, arguments: dict[str, Any], error: type[PartnerVouchersError], code: str
) -> None:
    found = host.a_list()
    with pytest.raises(error) as refused:
        host.vouchers.uploads.find(list_id=found.id, **arguments)
    assert refused.value.code == code
