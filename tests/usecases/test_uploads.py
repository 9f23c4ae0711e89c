"""What an upload does with a file; `test_uploads_running.py` has what happens while one runs.

What a row or a file is refused for is in `tests/csvfile` and, file by file, in `test_upload_cases.py`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from partner_vouchers import (
    CodeFormat,
    FileFaultKind,
    PartnerVouchers,
    RowFaultKind,
    Status,
    Upload,
    UploadStatus,
)
from partner_vouchers.domain.codes import CodeFault
from partner_vouchers.domain.events import UploadCompleted, UploadFailed, UploadWithdrawn
from partner_vouchers.domain.titles import COLUMN_TITLES
from partner_vouchers.domain.uploads import MAX_ROWS, Validation, WarningKind
from partner_vouchers.errors import (
    ActionNotAllowed,
    FileAlreadyUploaded,
    InvalidInput,
    OriginalNotKept,
    SourceUnreadable,
    UnknownUpload,
)
from partner_vouchers.ports import Storage
from partner_vouchers.usecases.importing import UploadProgress
from tests.support.host import START, FixedClock, Host, a_file, rows_of, some_codes
from tests.support.storages import CountingStorage

HELD, ARTEFACT, MARKUP = WarningKind.HELD_BEFORE, WarningKind.SPREADSHEET_ARTEFACT, WarningKind.MARKUP
EMPTY, INVALID, IN_FILE, IN_LIST = (
    RowFaultKind.EMPTY, RowFaultKind.INVALID_CHARACTER, RowFaultKind.DUPLICATE_IN_FILE, RowFaultKind.DUPLICATE_IN_LIST
)  # fmt: skip
FULL, TITLE = RowFaultKind.LIST_FULL, RowFaultKind.COLUMN_TITLE


def check(host: Host, list_id: str, source: Any, **options: Any) -> Validation:
    """Validate a file; nothing is stored."""
    with host.nothing_changes():
        return host.vouchers.uploads.validate(list_id, source, **{"filename": "codes.csv", **options})


def add_as_validated(host: Host, list_id: str, content: bytes, **options: Any) -> Upload:
    """Upload a file, which gives what its validation said."""
    checked = check(host, list_id, content, **options)
    upload = host.upload_file(list_id, content, **options)
    assert (checked.total, checked.errors, checked.failure) == (upload.total, upload.errors, upload.failure)
    assert (checked.acceptable, checked.error_count) == (upload.accepted, upload.error_count)
    assert (checked.header_skipped, checked.first_row) == (upload.header_skipped, upload.first_row)
    assert list(checked.sample) == host.vouchers.uploads.errors(upload.id, limit=1000)
    assert host.vouchers.uploads.get(upload.id) == upload
    return upload


def faults_of(host: Host, upload: Upload) -> list[tuple[int, str, RowFaultKind]]:
    faults = host.vouchers.uploads.errors(upload.id, limit=1000)
    return [(fault.line, fault.raw, fault.kind) for fault in faults]


def both(host: Host, list_id: str, source: Any, **options: Any) -> list[Callable[[], object]]:
    """Return calls of `add` and `validate` with the same arguments."""
    uploads = host.vouchers.uploads
    return [
        lambda: uploads.add(list_id, source, uploaded_by="ops", **options),
        lambda: uploads.validate(list_id, source, **options),
    ]


# --- the entry ---------------------------------------------------------------------------------------


def test_an_upload_is_an_entry_of_the_log_and_an_event(host: Host) -> None:
    found = host.a_list()
    upload = add_as_validated(host, found.id, b"code\nA\nB\n\nA\nC C\n", filename="winter.csv")
    assert (upload.status, upload.started_at, upload.finished_at) == (UploadStatus.COMPLETED, START, START)
    assert (upload.list_id, upload.uploaded_by, upload.filename) == (
        found.id,
        "ops@example.com",
        "winter.csv",
    )
    assert (upload.accepted, upload.total, upload.errors) == (2, 5, {EMPTY: 1, IN_FILE: 1, INVALID: 1})
    assert (upload.failure, upload.size, upload.header_skipped) == (None, 16, True)
    assert list(host.vouchers.uploads.find(list_id=found.id)) == [upload]
    assert host.left(found.id) == ["A", "B"]
    (event,) = host.events(UploadCompleted)
    assert (event.list_id, event.occurred_at) == (found.id, START)
    assert {change.field: change.after for change in event.changes} == {"upload": upload.id, "accepted": 2}


def test_an_unknown_upload_is_named(host: Host) -> None:
    (known,) = host.vouchers.uploads.find(list_id=host.a_list("A").id)
    uploads = host.vouchers.uploads
    for upload_id in ("", "0", "999", "x", "-1", f"0{known.id}", "9" * 40):
        calls: list[Callable[[str], object]] = [
            uploads.get,
            uploads.original_file,
            uploads.error_file,
            uploads.errors,
            uploads.withdraw,
        ]
        for call in calls:
            with pytest.raises(UnknownUpload) as unknown:
                call(upload_id)
            assert (unknown.value.code, unknown.value.upload_id) == ("unknown_upload", upload_id)


# --- the file as it is given -------------------------------------------------------------------------


class Unseekable(io.RawIOBase):
    """A stream as a web framework hands it over: a few bytes at a time, and only once."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(min(size, 3))


SOURCES: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "path": (lambda path: path, True),
    "path as a string": (str, True),
    "open file": (lambda path: path.open("rb"), True),
    "bytes": (lambda path: path.read_bytes(), False),
    "stream": (lambda path: Unseekable(path.read_bytes()), False),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_comes_in_many_forms(host: Host, tmp_path: Path, source: str) -> None:
    path = tmp_path / "winter.csv"
    path.write_bytes(b"A\nB\n")
    found, (make, has_name) = host.a_list(), SOURCES[source]
    given, name = make(path), None if has_name else "winter.csv"
    upload = host.vouchers.uploads.add(found.id, given, uploaded_by="ops", filename=name)
    assert (upload.accepted, upload.size, upload.filename) == (2, 4, "winter.csv")
    assert host.left(found.id) == ["A", "B"]
    assert host.vouchers.uploads.original_file(upload.id).read() == b"A\nB\n"
    if isinstance(given, io.BufferedReader):
        assert not given.closed
        given.close()


def test_bytes_need_a_file_name(host: Host) -> None:
    for call in both(host, host.a_list().id, b"A\n"):
        with host.nothing_changes(), pytest.raises(InvalidInput) as refused:
            call()
        assert refused.value.field == "filename"


def test_a_stream_is_read_from_where_it_is_and_validation_leaves_it_there(host: Host) -> None:
    found, stream = host.a_list(), io.BytesIO(b"A\nB\nC\n")
    stream.seek(2)
    assert check(host, found.id, stream).acceptable == 2
    assert stream.tell() == 2
    host.vouchers.uploads.add(found.id, stream, filename="x.csv", uploaded_by="ops")
    assert host.left(found.id) == ["B", "C"]
    stream.seek(2)
    with pytest.raises(FileAlreadyUploaded):
        check(host, found.id, stream)
    assert stream.tell() == 2


class Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError(5, "Input/output error")


def closed(_: Path) -> io.BytesIO:
    stream = io.BytesIO(b"A\n")
    stream.close()
    return stream


UNREADABLE: dict[str, Callable[[Path], Any]] = {
    "no such file": lambda path: path / "no.csv",
    "directory": lambda path: path,
    "no such directory": lambda path: str(path / "no" / "way.csv"),
    "no path of any system": lambda path: f"{path}\0b",
    "stream that fails": lambda _: Broken(),
    "stream that was closed": closed,
}


@pytest.mark.parametrize("source", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_is_the_callers_mistake(
    host: Host, tmp_path: Path, source: Callable[[Path], Any]
) -> None:
    named = source(tmp_path)
    for call in both(host, host.a_list().id, named, filename="codes.csv"):
        with host.nothing_changes(), pytest.raises(SourceUnreadable) as unreadable:
            call()
        assert unreadable.value.code == "source_unreadable"
        # The whole path.
        assert unreadable.value.filename == (str(named) if isinstance(named, str | Path) else "codes.csv")
        assert ("pass bytes for the content" in str(unreadable.value)) == isinstance(named, str)


@pytest.mark.parametrize(
    "source,reason",
    [
        *[
            (each, "pass bytes for the content")
            for each in ("", "CODE1;" * 100, "CODE1\0CODE2", "CODE1\ud800")
        ],
        *[(each, "pass bytes for the content") for each in ("CODE1\nCODE2\n", "CODE1\rCODE2", "code\n")],
        (io.StringIO("CODE1\n"), "open the file with mode 'rb'"),
        (["CODE1"], "must be a path, bytes, or a binary stream, not list"),
        (None, "must be a path, bytes, or a binary stream, not NoneType"),
        (5, "must be a path, bytes, or a binary stream, not int"),
        (io.BytesIO, "must be a path, bytes, or a binary stream, not type"),
    ],
)
def test_what_is_no_file_is_refused_as_such_and_not_shown(host: Host, source: Any, reason: str) -> None:
    for call in both(host, host.a_list().id, source):
        with host.nothing_changes(), pytest.raises(InvalidInput) as refused:
            call()
        assert refused.value.field == "source"
        assert reason in str(refused.value)
        assert "CODE1" not in str(refused.value)


def test_a_code_that_was_passed_as_a_path_is_not_shown(host: Host) -> None:
    for call in both(host, host.a_list().id, "SECRET2024", filename="codes.csv"):
        with pytest.raises(SourceUnreadable, match="pass bytes for the content") as unreadable:
            call()
        assert "SECRET" not in str(unreadable.value)
        assert unreadable.value.__context__ is None, "the system's error quotes the string"


# --- files that are refused as a whole -----------------------------------------------------------------


@pytest.mark.parametrize(
    "content,options,kind,line",
    [
        (b"A\n", {"filename": "codes.csv.gz"}, FileFaultKind.NOT_CSV, None),
        (b"A\nB\xff\n", {}, FileFaultKind.BAD_ENCODING, 2),
        (b"\x81\n", {"encoding": "cp1252"}, FileFaultKind.BAD_ENCODING, 1),
        (b"A\nB,5\n", {}, FileFaultKind.MULTIPLE_COLUMNS, 2),
        (b'A\n"B\nC\n', {}, FileFaultKind.BROKEN_QUOTING, 2),
        (b"", {}, FileFaultKind.EMPTY_FILE, None),
        (b"code\n\n", {}, FileFaultKind.EMPTY_FILE, None),
        (b"A A\nB B\n", {}, FileFaultKind.NO_VALID_CODE, None),
        (b"A\n" + b"\n" * (MAX_ROWS + 1), {}, FileFaultKind.TOO_MANY_ROWS, None),
    ],
    ids=lambda value: value.value if isinstance(value, FileFaultKind) else "",
)
def test_a_file_is_refused_as_a_whole(
    host: Host, content: bytes, options: dict[str, Any], kind: FileFaultKind, line: int | None
) -> None:
    found = host.a_list("OLD")
    upload = add_as_validated(host, found.id, content, **options)
    assert upload.failure is not None
    assert (upload.status, upload.failure.kind, upload.failure.line) == (UploadStatus.FAILED, kind, line)
    assert (upload.accepted, upload.finished_at) == (0, START)
    assert host.left(found.id) == ["OLD"]
    (event,) = host.events(UploadFailed)
    assert (event.list_id, event.occurred_at) == (found.id, START)
    changes = {change.field: change.after for change in event.changes}
    assert changes == {"upload": upload.id, "failure": kind.value}
    assert host.vouchers.uploads.original_file(upload.id).read() == content
    # It left no trace that a corrected file would meet.
    assert host.upload(found.id, "A", "B").accepted == 2


def test_the_row_errors_found_before_a_file_was_refused_are_kept(host: Host) -> None:
    upload = host.upload_file(host.a_list().id, b"A A\nB\n\nC\nD,D\n")
    assert upload.errors == {INVALID: 1, EMPTY: 1}
    assert faults_of(host, upload) == [(1, "A A", INVALID), (3, "", EMPTY)]


class Endless(io.RawIOBase):
    def __init__(self, start: bytes) -> None:
        super().__init__()
        self._start = start

    def read(self, size: int = -1) -> bytes:
        start, self._start = self._start, b""
        return start or b"A" * size


ERROR_HEAD = b"line,code,error,message\r\n2,PM1,empty,"


@pytest.mark.parametrize("head,limit", [(b"PM1", 1000), (ERROR_HEAD, 4000)], ids=["codes", "errors"])
def test_a_file_has_a_largest_size_which_is_four_times_as_much_for_a_corrected_error_file(
    host: Host, monkeypatch: pytest.MonkeyPatch, head: bytes, limit: int
) -> None:
    # The true limits are in `tests/domain/test_uploads.py`.
    monkeypatch.setattr("partner_vouchers.domain.uploads.MAX_FILE_BYTES", 1000)
    found = host.a_list()
    content = head + b" " * (limit - len(head))
    upload = add_as_validated(host, found.id, content)
    assert (upload.failure, upload.size, upload.accepted) == (None, limit, 1)
    for larger in (content + b" ", io.BytesIO(content + b" "), Endless(head)):
        upload = host.upload_file(found.id, cast(bytes, larger))
        assert upload.failure is not None
        assert (upload.status, upload.failure.kind) == (UploadStatus.FAILED, FileFaultKind.TOO_LARGE)
        with pytest.raises(OriginalNotKept) as not_kept:
            host.vouchers.uploads.original_file(upload.id)
        assert (not_kept.value.code, not_kept.value.upload_id) == ("original_not_kept", upload.id)
    assert check(host, found.id, content + b" ").failure == upload.failure
    if limit > 1000:
        failure = host.upload_file(found.id, content, header=False, force=True).failure
        assert failure is not None
        assert failure.kind is FileFaultKind.TOO_LARGE
    assert host.left(found.id) == ["PM1"]


# --- rows that are refused -----------------------------------------------------------------------------


def test_codes_that_are_few_and_far_between_keep_their_lines(host: Host) -> None:
    found = host.a_list()
    rows = [f"A{number}" if number % 10 == 0 else "B B" for number in range(1, 41)]
    upload = host.upload(found.id, *rows, "A20")
    assert host.left(found.id) == ["A10", "A20", "A30", "A40"]
    last = host.vouchers.uploads.errors(upload.id)[-1]
    assert (last.line, last.message) == (41, "duplicate of line 20")


def test_codes_over_the_capacity_of_a_list_are_refused_from_the_end(host: Host, capacity: int) -> None:
    found = host.a_list("A", "B")
    rows = ["C", "D", "A", "D", "E", "F", "G", "F", *(f"X{number}" for number in range(900))]
    upload = add_as_validated(host, found.id, a_file(*rows))
    assert host.left(found.id) == ["A", "B", "C", "D", "E"]
    assert host.vouchers.lists.get(found.id).uploaded == capacity
    assert faults_of(host, upload)[:6] == [
        (3, "A", IN_LIST), (4, "D", IN_FILE), (6, "F", FULL), (7, "G", FULL), (8, "F", IN_FILE), (9, "X0", FULL),
    ]  # fmt: skip
    assert upload.errors == {IN_LIST: 1, IN_FILE: 2, FULL: 902}
    # What did not fit is nobody's, and can go to another list.
    assert host.vouchers.uploads.explain_duplicate(found.id, "F") is None


def test_codes_that_others_hold_take_no_room(host: Host, capacity: int) -> None:
    found = host.a_list("A", "B")
    upload = add_as_validated(host, found.id, a_file("A", "C", "C", "D", "E"))
    assert host.left(found.id) == ["A", "B", "C", "D", "E"]
    assert (upload.accepted, upload.errors) == (capacity - 2, {IN_LIST: 1, IN_FILE: 1})


def test_a_full_list_refuses_a_file_before_any_work(host: Host, capacity: int) -> None:
    found = host.a_list(*some_codes(capacity))
    host.give(found.id, "ann")
    upload = add_as_validated(host, found.id, b"NEW\n,\n")
    assert upload.failure is not None
    assert upload.failure.kind is FileFaultKind.LIST_FULL
    assert (upload.total, upload.errors, upload.first_row) == (0, {}, None)
    with pytest.raises(OriginalNotKept):
        host.vouchers.uploads.original_file(upload.id)


def test_withdrawn_codes_do_not_use_up_the_room_of_a_list(host: Host, capacity: int) -> None:
    found = host.a_list()
    first = host.upload(found.id, *some_codes(capacity))
    host.give(found.id, "ann")
    host.vouchers.uploads.withdraw(first.id)
    upload = host.upload(found.id, "A", "B", "C", "D", "E")
    assert (upload.accepted, upload.errors) == (capacity - 1, {FULL: 1})
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


@pytest.mark.parametrize(
    "code_format,rows,left,messages",
    [
        (Digits(), ["1234", "#5 ", "A", "12345"], ["1234", "5"], ["digits only", "four digits"]),
        (CodeFormat(max_length=3), ["ABC", "ABCD"], ["ABC"], ["the code is longer than 3 characters"]),
        (
            CodeFormat(titles=COLUMN_TITLES | {"Los-Nr. 1"}),
            ["LOS_NR.1", "A", "code", "losnr.1"],
            ["A"],
            ["this is the title of a column, not a code; delete the row"] * 2,
        ),
    ],
    ids=["own format", "length", "titles"],
)
def test_a_host_can_replace_the_code_format(
    storage: Storage,
    clock: FixedClock,
    code_format: Any,
    rows: list[str],
    left: list[str],
    messages: list[str],
) -> None:
    host = Host(storage, clock, code_format=code_format)
    found = host.a_list()
    upload = host.upload(found.id, *rows)
    assert host.left(found.id) == left
    assert [fault.message.partition(":")[0] for fault in host.vouchers.uploads.errors(upload.id)] == messages


# --- warnings --------------------------------------------------------------------------------------------


def test_warnings_are_counted_by_kind_and_listed_with_their_lines(host: Host) -> None:
    for codes, tag in (["A", "B", "C"], "winter"), (["E", "F"], "spring"):
        old = host.a_list(*codes, tag=tag)
        host.give(old.id, "ann", "ben")
        host.vouchers.lists.archive(old.id)
    found = host.a_list(tag="winter")
    content = a_file("PM1", "#N/A", "<html>", "NULL", "#N/A", "P M", "C", "B", "A", "E", "B", "b")
    checked = check(host, found.id, content)
    upload = host.upload_file(found.id, content)
    assert (upload.accepted, upload.warnings) == (9, {ARTEFACT: 2, MARKUP: 1, HELD: 2})
    listed = {
        kind.value: [(each.line, each.code) for each in found.first]
        for kind, found in checked.warnings.items()
    }
    assert listed == {
        "spreadsheet_artefact": [(2, "#N/A"), (4, "NULL")],
        "markup": [(3, "<html>")],
        "held_before": [(8, "B"), (9, "A")],
        "case_twin": [(8, "B"), (12, "b")],
    }
    assert host.vouchers.uploads.get(upload.id) == upload
    assert "html" not in repr(checked)


def test_a_validation_lists_the_first_thousand_of_a_kind(host: Host) -> None:
    checked = check(
        host, host.a_list().id, a_file("PM1", *(f"<b{number}>" for number in range(1500)), *["B B"] * 1500)
    )
    (listed,) = checked.warnings.values()
    assert (listed.count, len(listed.first), listed.first[-1].line) == (1500, 1000, 1001)
    assert (checked.error_count, len(checked.sample), checked.sample[0].line) == (1500, 1000, 1502)


# --- progress ----------------------------------------------------------------------------------------------


def test_progress_is_told_in_rows_and_bytes(host: Host) -> None:
    content, found = a_file(*some_codes(30_000)), host.a_list()
    checked, added = list[UploadProgress](), list[UploadProgress]()
    check(host, found.id, content, progress=checked.append)
    host.upload_file(found.id, content, progress=added.append)
    assert checked == added
    assert added == sorted(added, key=lambda step: (step.rows, step.bytes_read))
    assert len(added) > 1
    assert added[-1] == UploadProgress(30_000, len(content), len(content))


@pytest.mark.parametrize("error", [ValueError("enough"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_a_progress_callback_that_raises_ends_the_upload(host: Host, error: BaseException) -> None:
    found = host.a_list("OLD")

    def give_up(_progress: UploadProgress) -> None:
        raise error

    with pytest.raises(type(error)):
        host.upload(found.id, "A", "B", progress=give_up)
    broken = host.vouchers.uploads.find(list_id=found.id).items[0]
    assert (broken.status, broken.accepted) == (UploadStatus.FAILED, 0)
    assert broken.failure is not None
    assert broken.failure.kind is FileFaultKind.INTERRUPTED
    assert "the upload was stopped" in broken.failure.message
    assert host.left(found.id) == ["OLD"]
    assert host.vouchers.uploads.recover() == []
    assert host.upload(found.id, "A", "B").accepted == 2


# --- the status of the list, and the same file again ------------------------------------------------------


def test_a_paused_list_can_be_uploaded_to_but_no_expired_or_archived_one(host: Host) -> None:
    assert host.a_list("A", status=Status.PAUSED).available == 1
    for status in (Status.EXPIRED, Status.ARCHIVED):
        for call in both(host, host.a_list(status=status).id, b"A\n", filename="codes.csv"):
            with host.nothing_changes(), pytest.raises(ActionNotAllowed) as refused:
                call()
            assert (refused.value.status, refused.value.action) == (status, "upload codes")


def test_a_file_that_was_uploaded_to_the_list_before_is_refused(host: Host) -> None:
    found, content = host.a_list(), a_file("A", "B")
    first = host.upload_file(found.id, content, filename="first.csv")
    host.clock.advance(days=1)
    for call in both(host, found.id, content, filename="other.csv"):
        with host.nothing_changes(), pytest.raises(FileAlreadyUploaded) as refused:
            call()
        error = refused.value
        assert (error.code, error.list_id, error.upload_id) == ("file_already_uploaded", found.id, first.id)
        assert (error.filename, error.uploaded_at) == ("first.csv", START)
    assert add_as_validated(host, found.id, content, force=True).errors == {IN_LIST: 2}
    assert host.a_list("A", "B").available == 2, "it may go to another list"
    other = host.a_list()
    host.upload_file(other.id, content, filename="codes.txt")
    assert host.upload_file(other.id, content).accepted == 2, "the first try failed"


# --- files to download ---------------------------------------------------------------------------------


def test_the_original_file_is_kept_byte_for_byte(host: Host) -> None:
    content = b"\xef\xbb\xbfcode\r\n" + a_file(*some_codes(100_000)) + b'"Q"\r\r\n  \n\xc3\x89'
    upload = host.upload_file(host.a_list().id, content)
    stream = host.vouchers.uploads.original_file(upload.id)
    assert stream.read(5) == content[:5]
    assert stream.read() == content[5:]
    assert stream.read() == b""


def test_the_error_file_tells_line_code_error_and_message_and_can_be_corrected(host: Host) -> None:
    found = host.a_list("OLD")
    upload = host.upload(found.id, "A", "=B B", "OLD", "A", '"C,C"')
    safe = host.vouchers.uploads.error_file(upload.id).read()
    assert rows_of(io.BytesIO(safe)) == [
        ["line", "code", "error", "message"],
        ["2", "'=B B", "invalid_character", "character 3 is U+0020 SPACE"],
        ["3", "OLD", "duplicate_in_list", "the code is already in this list"],
        ["4", "A", "duplicate_in_file", "duplicate of line 1"],
        ["5", "C,C", "invalid_character", "character 2 is U+002C COMMA"],
    ]
    raw = rows_of(host.vouchers.uploads.error_file(upload.id, raw=True))
    assert [row[1] for row in raw] == ["code", "=B B", "OLD", "A", "C,C"]
    again = host.upload_file(found.id, safe.replace(b"B B", b"BB").replace(b'"C,C"', b"CC"))
    assert (again.accepted, again.errors, again.header_skipped) == (2, {IN_LIST: 2}, True)
    assert host.left(found.id) == ["OLD", "A", "=BB", "CC"]


def test_the_errors_of_an_upload_come_in_pages_and_their_file_is_whole(host: Host) -> None:
    uploads = host.vouchers.uploads
    upload = host.upload(host.a_list().id, "A", *(f"B {number}" for number in range(5_100)))
    assert [row[0] for row in rows_of(uploads.error_file(upload.id))[1:]] == [
        str(line) for line in range(2, 5_102)
    ]
    assert [fault.line for fault in uploads.errors(upload.id, limit=2)] == [2, 3]
    assert [fault.line for fault in uploads.errors(upload.id, after_line=5_099, limit=3)] == [5_100, 5_101]
    for limit in (0, 1001, True, "5"):
        with pytest.raises(InvalidInput, match="limit"):
            uploads.errors(upload.id, limit=cast(Any, limit))


def test_validating_and_recovering_nothing_keep_nobody_from_writing(host: Host, tmp_path: Path) -> None:
    found, source = host.a_list(), tmp_path / "gutscheine.csv"
    source.write_text("A\n")
    storage = CountingStorage(host.storage)
    uploads = PartnerVouchers(storage, clock=host.clock).uploads
    checked = uploads.validate(found.id, source)
    assert uploads.recover() == []
    assert (checked.filename, checked.acceptable, storage.writes) == ("gutscheine.csv", 1, 0)


# --- withdraw ------------------------------------------------------------------------------------------


def test_withdrawing_takes_back_what_no_user_has(host: Host) -> None:
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
    assert host.give(found.id, "cleo") == ["Y"]
    assert [held.code for held in host.vouchers.codes.assignments(found.id)] == ["X", "A", "Y"]
    (event,) = host.events(UploadWithdrawn)
    assert (event.list_id, event.occurred_at) == (found.id, host.clock.now)
    assert event.changes[1].after == 2
    failed, used_up = host.upload(found.id, "B B"), host.upload(found.id, "Z")
    host.give(found.id, "dora")
    with host.nothing_changes():
        for upload in (wrong, failed, used_up):
            host.vouchers.uploads.withdraw(upload.id)


@pytest.mark.parametrize("status", [Status.PAUSED, Status.EXPIRED, Status.ARCHIVED])
def test_codes_of_a_list_that_is_not_archived_can_be_withdrawn(host: Host, status: Status) -> None:
    (upload,) = host.vouchers.uploads.find(list_id=host.a_list("A", status=status).id)
    if status is not Status.ARCHIVED:
        assert host.vouchers.uploads.withdraw(upload.id).withdrawn == 1
        return
    with host.nothing_changes(), pytest.raises(ActionNotAllowed) as refused:
        host.vouchers.uploads.withdraw(upload.id)
    assert (refused.value.action, refused.value.status) == ("withdraw", "Archived")
