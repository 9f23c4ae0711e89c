"""Uploads of code files: the log entry of a list, and what can be wrong with a file or a row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from attrs import evolve, field, frozen

from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.events import Event, FieldChange, UploadCompleted, UploadFailed, UploadWithdrawn
from partner_vouchers.domain.stock import CAPACITY
from partner_vouchers.domain.text import MAX_NAME, has_control_character, require_text
from partner_vouchers.errors import InvalidInput

MAX_FILE_BYTES = 50 * 1024 * 1024
"""The size of the largest file that is accepted, in bytes."""

MAX_KEPT_FAULTS = 1_000_000
"""How many faulty rows of one upload are kept one by one; all are counted."""

MAX_ROWS = 2_000_000
"""How many rows a file may have, blank ones and the header counted."""

ERROR_FILE_FACTOR = 4
"""How many times larger than other files a corrected error file may be."""

MAX_LISTED_WARNINGS = 1000
"""How many warnings of each kind a validation lists; all are counted."""


class UploadStatus(StrEnum):
    """How far an upload is."""

    IN_PROGRESS = "In Progress"
    COMPLETED = "Completed"
    FAILED = "Failed"


class FileFaultKind(StrEnum):
    """Why a file was refused as a whole."""

    NOT_CSV = "not_csv"
    TOO_LARGE = "too_large"
    BAD_ENCODING = "bad_encoding"
    MULTIPLE_COLUMNS = "multiple_columns"
    BROKEN_QUOTING = "broken_quoting"
    EMPTY_FILE = "empty_file"
    NO_VALID_CODE = "no_valid_code"
    TOO_MANY_ROWS = "too_many_rows"
    NO_CODE_COLUMN = "no_code_column"
    LIST_FULL = "list_full"
    INTERRUPTED = "interrupted"


@frozen
class FileFault:
    """Why a file was refused as a whole.

    Attributes:
        kind: the reason, for programs.
        message: what is wrong and what to do, for people.
        line: the line of the file, from 1, or None where it concerns the whole file.
    """

    kind: FileFaultKind
    message: str
    line: int | None = None

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line:,}: {self.message}"


class RowFaultKind(StrEnum):
    """Why a row was refused."""

    EMPTY = "empty"
    INVALID_CHARACTER = "invalid_character"
    TOO_LONG = "too_long"
    BAD_FORMAT = "bad_format"
    COLUMN_TITLE = "column_title"
    DUPLICATE_IN_FILE = "duplicate_in_file"
    DUPLICATE_IN_LIST = "duplicate_in_list"
    DUPLICATE_IN_OTHER_LIST = "duplicate_in_other_list"
    LIST_FULL = "list_full"


class RowFault(NamedTuple):
    """A refused row. A plain tuple, because a file can have very many.

    Attributes:
        line: the line of the file on which the row begins, from 1.
        raw: the text of the row, shortened where it is too long; masked in the repr.
        kind: the reason, for programs.
        message: what is wrong and what to do, for people; it does not repeat the code.
    """

    line: int
    raw: str
    kind: RowFaultKind
    message: str

    def __repr__(self) -> str:
        # A row is any text: outer space would pass for a longer code, and a line break would forge a log line.
        raw = mask(self.raw.strip())
        return f"RowFault(line={self.line}, raw={raw!r}, kind={self.kind.value!r}, message={self.message!r})"


class WarningKind(StrEnum):
    """Why an accepted code is suspicious."""

    SPREADSHEET_ARTEFACT = "spreadsheet_artefact"
    ODD_FIRST_ROW = "odd_first_row"
    MARKUP = "markup"
    HELD_BEFORE = "held_before"
    CASE_TWIN = "case_twin"
    NORMALISATION_TWIN = "normalisation_twin"


class RowWarning(NamedTuple):
    """A suspicious code. A plain tuple, because a file can have very many.

    Attributes:
        line: the line of the file on which the row begins, from 1.
        code: the code; masked in the repr.
        kind: the reason, for programs.
    """

    line: int
    code: str
    kind: WarningKind

    def __repr__(self) -> str:
        return f"RowWarning(line={self.line}, code={mask(self.code)!r}, kind={self.kind.value!r})"


@frozen
class ListedWarnings:
    """The warnings of one kind in a file.

    Attributes:
        count: how many codes of the file are suspicious for this reason.
        first: the first of them in the order of their lines, at most a thousand.
    """

    count: int
    first: tuple[RowWarning, ...]


def _masked(text: str | None) -> str:
    return "None" if text is None else repr(mask(text.strip()))


class _Counted:
    """Has refused rows, counted by reason."""

    __slots__ = ()

    errors: Mapping[RowFaultKind, int]

    @property
    def error_count(self) -> int:
        """How many rows were refused, or would be."""
        return sum(self.errors.values())


@frozen(kw_only=True)
class Upload(_Counted):
    """An entry of a list's upload log.

    Attributes:
        id: given by the storage, never used again.
        list_id: the list that the codes are for.
        uploaded_by: who uploads.
        filename: the name of the file.
        started_at: when the upload began, in UTC.
        status: In Progress, Completed or Failed.
        finished_at: when it ended, in UTC; None while it is in progress.
        size: bytes of the file; None until it was read whole.
        sha256: hexadecimal SHA-256 of the file; None until it was read whole.
        encoding: the encoding that the caller named.
        header: whether the caller said that the first row is a header; None for not said.
        header_skipped: whether the first row was skipped as a header.
        first_row: the text of the first row that is neither blank nor `sep=`, skipped or not, shortened to 200
            characters, and one that the file is refused for as well; None where the file has none or was not read.
            Masked in the repr.
        total: rows with a code, valid or not; neither the header nor blank lines at the end.
        accepted: codes that became available.
        errors: how many rows were refused, by reason.
        warnings: how many codes are suspicious, by reason; none of them was refused for it.
        withdrawn: how many of the accepted codes were taken back.
        failure: why the file was refused as a whole, or None.
    """

    id: str
    list_id: str
    uploaded_by: str
    filename: str
    started_at: datetime
    status: UploadStatus = UploadStatus.IN_PROGRESS
    finished_at: datetime | None = None
    size: int | None = None
    sha256: str | None = None
    encoding: str = "utf-8"
    header: bool | None = None
    header_skipped: bool = False
    first_row: str | None = field(default=None, repr=_masked)
    total: int = 0
    accepted: int = 0
    errors: Mapping[RowFaultKind, int] = field(factory=dict)
    warnings: Mapping[WarningKind, int] = field(factory=dict)
    withdrawn: int = 0
    failure: FileFault | None = None

    @property
    def is_running(self) -> bool:
        """Whether the upload has not ended."""
        return self.status is UploadStatus.IN_PROGRESS

    def completed(self, accepted: int, now: datetime) -> tuple[Upload, tuple[Event, ...]]:
        """Return the upload as it ends well, and its event."""
        ended = evolve(self, status=UploadStatus.COMPLETED, finished_at=now, accepted=accepted)
        changes = (FieldChange("upload", None, self.id), FieldChange("accepted", None, accepted))
        return ended, (UploadCompleted(occurred_at=now, list_id=self.list_id, changes=changes),)

    def failed(self, failure: FileFault, now: datetime) -> tuple[Upload, tuple[Event, ...]]:
        """Return the upload as it is refused as a whole, and its event."""
        ended = evolve(self, status=UploadStatus.FAILED, finished_at=now, failure=failure)
        changes = (FieldChange("upload", None, self.id), FieldChange("failure", None, failure.kind.value))
        return ended, (UploadFailed(occurred_at=now, list_id=self.list_id, changes=changes),)

    def taken_back(self, codes: int, now: datetime) -> tuple[Upload, tuple[Event, ...]]:
        """Return the upload after `codes` of its codes were withdrawn, and its event."""
        changes = (
            FieldChange("upload", self.id, self.id),
            FieldChange("withdrawn", self.withdrawn, self.withdrawn + codes),
        )
        event = UploadWithdrawn(occurred_at=now, list_id=self.list_id, changes=changes)
        return evolve(self, withdrawn=self.withdrawn + codes), (event,)


@frozen(kw_only=True)
class Validation(_Counted):
    """The result of a check: what an upload would do with a file.

    Attributes:
        filename: the name of the file.
        total: rows with a code, valid or not.
        acceptable: codes that would become available.
        errors: how many rows would be refused, by reason.
        header_skipped: whether the first row would be skipped as a header.
        first_row: see `Upload`. Masked in the repr.
        warnings: the suspicious codes, by reason; none of them would be refused for it. Besides those of an upload
            there are codes that differ from another one in the file only by case or by Unicode normalisation.
        failure: why the file would be refused as a whole, or None.
        sample: the first refused rows, at most a thousand.
    """

    filename: str
    total: int = 0
    acceptable: int = 0
    errors: Mapping[RowFaultKind, int] = field(factory=dict)
    header_skipped: bool = False
    first_row: str | None = field(default=None, repr=_masked)
    warnings: Mapping[WarningKind, ListedWarnings] = field(factory=dict)
    failure: FileFault | None = None
    sample: tuple[RowFault, ...] = ()


def require_filename(value: object) -> str:
    """Return the name of a file.

    Raises:
        InvalidInput: it is longer than 255 characters, or has control characters or bytes that are no characters.
    """
    if isinstance(value, str) and has_control_character(value):
        # Python makes lone surrogates of bytes in a path that are not in the encoding of the file system.
        raise InvalidInput(
            field="filename",
            reason="has control characters or bytes that are no characters; pass another name",
        )
    return require_text("filename", value, most=MAX_NAME)


def require_header(value: object) -> bool | None:
    """Return whether the caller says that the first row of a file is a header; None for not said.

    Raises:
        InvalidInput: it is neither a bool nor None.
    """
    if value is None or isinstance(value, bool):
        return value
    raise InvalidInput(field="header", reason="must be True, False or None")


def check_filename(filename: str) -> FileFault | None:
    """Return why a file is refused for its name, or None."""
    if filename.lower().endswith(".csv"):
        return None
    return FileFault(
        FileFaultKind.NOT_CSV, "the file name does not end in .csv; save the codes as a CSV file"
    )


def size_limit(is_error_file: bool) -> int:
    """Return the size of the largest file that is accepted, in bytes.

    Args:
        is_error_file: whether it is a corrected error file, whose rows are longer.
    """
    return MAX_FILE_BYTES * ERROR_FILE_FACTOR if is_error_file else MAX_FILE_BYTES


def too_large(limit: int) -> FileFault:
    """Return the fault of a file over the size limit."""
    return FileFault(
        FileFaultKind.TOO_LARGE,
        f"the file is larger than {limit // 1024**2} MB; split it and upload the parts one after the other",
    )


def interrupted(reason: str) -> FileFault:
    """Return the fault of an upload that did not reach its end."""
    return FileFault(FileFaultKind.INTERRUPTED, f"{reason}; upload the file again")


def nothing_to_upload(total: int, separator: str | None = None) -> FileFault:
    """Return the fault of a file in which no code is left to accept.

    Args:
        total: how many rows have a code, valid or not.
        separator: the name of the character at which its rows split into columns, if they do.
    """
    if total == 0:
        return FileFault(FileFaultKind.EMPTY_FILE, "the file has no codes")
    if separator is not None:
        message = f"the rows split into columns at {separator}s; save only the column of codes"
        return FileFault(FileFaultKind.NO_VALID_CODE, message)
    return FileFault(
        FileFaultKind.NO_VALID_CODE, "no row of the file can be accepted; see the errors of its rows"
    )


def no_room() -> FileFault:
    """Return the fault of a file for a list that has no room left."""
    return FileFault(
        FileFaultKind.LIST_FULL,
        f"the list has {CAPACITY} codes and no room left; upload the file to another list, or withdraw an upload",
    )


def list_is_full() -> tuple[RowFaultKind, str]:
    """Return why a code does not fit into its list any more."""
    return RowFaultKind.LIST_FULL, f"the list has {CAPACITY} codes; upload the code to another list"
