from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers.domain.uploads import (
    MAX_FILE_BYTES,
    MAX_ROWS,
    FileFaultKind,
    RowFault,
    RowFaultKind,
    RowWarning,
    Upload,
    Validation,
    WarningKind,
    check_filename,
    nothing_to_upload,
    size_limit,
    too_large,
)
from tests.domain.examples import NOW

LATER = NOW + timedelta(seconds=3)


def an_upload(**changed: Any) -> Upload:
    fields: dict[str, Any] = {
        "id": "u1",
        "list_id": "1837",
        "uploaded_by": "ops@example.com",
        "filename": "codes.csv",
        "started_at": NOW,
    }
    return Upload(**{**fields, **changed})


def test_no_row_is_shown_whole() -> None:
    completed, _ = an_upload(first_row="SECRET-2024").completed(1, LATER)

    shown = (completed, Validation(filename="x.csv", first_row="SECRET-2024"))
    shown += (RowWarning(1, "SECRET-2024", WarningKind.MARKUP),)  # type: ignore[assignment]
    for each in shown:
        assert "SECRET" not in repr(each)
        assert "SE…" in repr(each)


# --- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "filename", ["codes.csv", "CODES.CSV", "codes.Csv", "codes.xlsx.csv", "ಕೋಡ್.csv", ".csv"]
)
def test_a_file_name_ends_in_csv_in_any_case(filename: str) -> None:
    assert check_filename(filename) is None


@pytest.mark.parametrize("filename", ["codes.txt", "codes", "codes.csv.gz", "codes.csv ", "codescsv", ""])
def test_another_file_name_is_refused(filename: str) -> None:
    fault = check_filename(filename)

    assert fault is not None
    assert fault.kind is FileFaultKind.NOT_CSV
    assert fault.line is None


def test_a_file_has_up_to_50_mb_and_a_corrected_error_file_four_times_as_much() -> None:
    assert size_limit(is_error_file=False) == MAX_FILE_BYTES == 50 * 1024**2
    assert size_limit(is_error_file=True) == 200 * 1024**2
    for limit, says in ((MAX_FILE_BYTES, "50 MB"), (4 * MAX_FILE_BYTES, "200 MB")):
        assert too_large(limit).kind is FileFaultKind.TOO_LARGE
        assert says in too_large(limit).message


def test_a_file_has_up_to_two_million_rows() -> None:
    assert MAX_ROWS == 2_000_000


@pytest.mark.parametrize(
    "total,kind",
    [(0, FileFaultKind.EMPTY_FILE), (1, FileFaultKind.NO_VALID_CODE), (10, FileFaultKind.NO_VALID_CODE)],
)
def test_a_file_without_a_valid_code_is_refused(total: int, kind: FileFaultKind) -> None:
    assert nothing_to_upload(total).kind is kind


def test_the_reason_names_the_separator_at_which_rows_split() -> None:
    assert "semicolon" in nothing_to_upload(7, "semicolon").message


def test_the_reasons_that_programs_rely_on_never_change() -> None:
    assert {kind.value for kind in RowFaultKind} == {
        "empty",
        "invalid_character",
        "too_long",
        "bad_format",
        "column_title",
        "duplicate_in_file",
        "duplicate_in_list",
        "duplicate_in_other_list",
        "list_full",
    }
    assert {kind.value for kind in FileFaultKind} == {
        "not_csv",
        "too_large",
        "bad_encoding",
        "multiple_columns",
        "broken_quoting",
        "empty_file",
        "no_valid_code",
        "too_many_rows",
        "no_code_column",
        "list_full",
        "interrupted",
    }
    assert {kind.value for kind in WarningKind} == {
        "spreadsheet_artefact",
        "odd_first_row",
        "markup",
        "held_before",
        "case_twin",
        "normalisation_twin",
    }


# --- refused rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw,shown",
    [
        pytest.param("PM500FF-2024", "'PM…'", id="long"),
        pytest.param("PM5", "'…'", id="short"),
        pytest.param("   PM500FF-2024", "'PM…'", id="outer space"),
        pytest.param("PM            ", "'…'", id="a short code is not long for its space"),
        pytest.param("P\nlevel=ERROR", r"'P\n…'", id="a line break forges no log line"),
        pytest.param("\x1b[31m500FF", r"'\x1b[…'", id="an escape sequence does nothing"),
        pytest.param("\ud800\udc00500FF1", r"'\ud800\udc00…'", id="what cannot be printed is escaped"),
    ],
)
def test_a_refused_row_is_shown_masked_and_on_one_line(raw: str, shown: str) -> None:
    fault = RowFault(7, raw, RowFaultKind.EMPTY, "the row is empty")

    assert repr(fault) == f"RowFault(line=7, raw={shown}, kind='empty', message='the row is empty')"
    assert str(fault) == f"{fault}" == repr(fault)
