"""What is suspicious in a file, and files of unusual size."""

from __future__ import annotations

import io
from typing import Any

import pytest

from partner_vouchers import FileFaultKind, RowFaultKind, UploadStatus
from partner_vouchers.domain.uploads import MAX_FILE_BYTES, WarningKind
from tests.support.host import Host, a_file

HELD, ARTEFACT, MARKUP = WarningKind.HELD_BEFORE, WarningKind.SPREADSHEET_ARTEFACT, WarningKind.MARKUP


def test_warnings_are_counted_by_kind_and_listed_with_their_lines(host: Host) -> None:
    found = host.a_list()
    content = a_file("PM1", "#N/A", "<html>", "NULL", "#N/A", "P M")
    checked = host.vouchers.uploads.validate(found.id, content, filename="x.csv")
    upload = host.upload_file(found.id, content)
    assert upload.warnings == {ARTEFACT: 2, MARKUP: 1}
    assert upload.accepted == 4
    listed = {
        kind: [(each.line, each.code) for each in found.first] for kind, found in checked.warnings.items()
    }
    assert listed == {ARTEFACT: [(2, "#N/A"), (4, "NULL")], MARKUP: [(3, "<html>")]}
    assert host.vouchers.uploads.get(upload.id) == upload


def test_a_validation_lists_the_first_thousand_warnings_of_a_kind(host: Host) -> None:
    content = a_file("PM1", *(f"<b{number}>" for number in range(1500)))
    (listed,) = host.vouchers.uploads.validate(host.a_list().id, content, filename="x.csv").warnings.values()
    assert (listed.count, len(listed.first), listed.first[-1].line) == (1500, 1000, 1001)


def test_codes_that_users_hold_in_an_archived_list_are_told(host: Host) -> None:
    old = host.a_list("A", "B", "C", tag="winter")
    host.give(old.id, "ann", "ben")
    host.vouchers.lists.archive(old.id)
    elsewhere = host.a_list("E", tag="spring")
    host.give(elsewhere.id, "ann")
    host.vouchers.lists.archive(elsewhere.id)
    new = host.a_list(tag="winter")
    content = a_file("D", "C", "B", "A", "E", "B")
    checked = host.vouchers.uploads.validate(new.id, content, filename="x.csv")
    upload = host.upload_file(new.id, content)
    assert (upload.accepted, upload.warnings) == (5, {HELD: 2})
    assert [(each.line, each.code) for each in checked.warnings[HELD].first] == [(3, "B"), (4, "A")]


def test_validating_finds_twins(host: Host) -> None:
    content = a_file("aB", "AB", "É", "E\u0301", "X")
    checked = host.vouchers.uploads.validate(host.a_list().id, content, filename="x.csv")
    listed = {kind.value: [each.line for each in found.first] for kind, found in checked.warnings.items()}
    assert listed == {"case_twin": [1, 2], "normalisation_twin": [3, 4]}
    assert checked.acceptable == 5


def test_no_warning_shows_a_code_in_its_repr(host: Host) -> None:
    checked = host.vouchers.uploads.validate(
        host.a_list().id, a_file("secretPM500", "SECRETPM500", "<secret>"), filename="x.csv"
    )
    assert checked.warnings
    assert "secret" not in repr(checked).lower()


# --- sizes ---------------------------------------------------------------------------------------------------


def an_error_file(size: int) -> bytes:
    row = b"2,PM%06d,invalid_character," + b"x" * 60_000 + b"\r\n"
    rows = b"".join(row % number for number in range(size // (len(row) + 2)))
    content = b"line,code,error,message\r\n" + rows
    return content + b"9,LAST,empty," + b"x" * (size - len(content) - 13)


@pytest.mark.parametrize("as_stream", [False, True], ids=["bytes", "stream"])
def test_a_corrected_error_file_may_be_four_times_as_large(host: Host, as_stream: bool) -> None:
    content = an_error_file(MAX_FILE_BYTES + 1)
    source: Any = io.BytesIO(content) if as_stream else content
    found = host.a_list()
    upload = host.upload_file(found.id, source)
    assert (upload.status, upload.size, upload.failure) == (UploadStatus.COMPLETED, MAX_FILE_BYTES + 1, None)
    refused = host.upload_file(found.id, content, header=False, force=True).failure
    assert refused is not None
    assert refused.kind is FileFaultKind.TOO_LARGE


def test_but_no_larger(host: Host) -> None:
    class Endless(io.RawIOBase):
        begun = False

        def read(self, size: int = -1) -> bytes:
            begun, self.begun = self.begun, True
            return b"x" * size if begun else b"line,code\n1,"

    failure = host.upload_file(host.a_list().id, Endless()).failure  # type: ignore[arg-type]
    assert failure is not None
    assert (failure.kind, "200 MB" in failure.message) == (FileFaultKind.TOO_LARGE, True)


def test_two_million_rows_are_the_most(host: Host) -> None:
    found = host.a_list()
    upload = host.upload_file(found.id, b"A\n" + b"\n" * 5_000_000)
    assert upload.failure is not None
    assert (upload.failure.kind, upload.errors) == (FileFaultKind.TOO_MANY_ROWS, {})
    assert host.left(found.id) == []


def test_codes_without_room_are_refused_before_any_is_claimed(host: Host, capacity: int) -> None:
    found = host.a_list("A", "B")
    upload = host.upload(found.id, "A", "C", *(f"X{number}" for number in range(1000)), "C")
    assert (upload.accepted, upload.errors) == (
        capacity - 2,
        {
            RowFaultKind.DUPLICATE_IN_LIST: 1,
            RowFaultKind.DUPLICATE_IN_FILE: 1,
            RowFaultKind.LIST_FULL: 1001 - (capacity - 2),
        },
    )
    assert host.left(found.id) == ["A", "B", "C", "X0", "X1"]
    assert host.vouchers.uploads.explain_duplicate(found.id, "X2") is None
