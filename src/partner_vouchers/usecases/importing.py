"""Bring the codes of a file into a list: the run behind `uploads.add`, `uploads.recover` and `uploads.validate`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from itertools import islice
from typing import BinaryIO

from attrs import evolve, field, frozen

from partner_vouchers.csvfile.reader import CodeFile, FileRefused
from partner_vouchers.csvfile.streams import OpenSource, pieces_of
from partner_vouchers.csvfile.twins import TwinSearch
from partner_vouchers.domain.duplicates import counts_for_duplicates, refusal
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.text import MAX_NAME
from partner_vouchers.domain.uploads import (
    MAX_LISTED_WARNINGS,
    FileFault,
    ListedWarnings,
    RowWarning,
    Upload,
    Validation,
    WarningKind,
    interrupted,
    list_is_full,
    nothing_to_upload,
)
from partner_vouchers.errors import StorageError
from partner_vouchers.ports import CodeImport, Transaction
from partner_vouchers.usecases.stock import counts_at, notify_stock_level
from partner_vouchers.usecases.upload_lease import UploadLease
from partner_vouchers.usecases.wiring import Wiring, record, require_list

_LOG = logging.getLogger("partner_vouchers.uploads")
_SAMPLE = 1000
_COMPARED_WARNINGS = 10_000


@frozen
class UploadProgress:
    """How far the reading of a file is.

    Attributes:
        rows: rows that were read.
        bytes_read: bytes that were read.
        bytes_total: bytes of the file.
    """

    rows: int
    bytes_read: int
    bytes_total: int


OnProgress = Callable[[UploadProgress], None]


class WarningCounter:
    """Counts warnings by kind, and keeps the first of each kind."""

    def __init__(self) -> None:
        self._listed: dict[WarningKind, list[RowWarning]] = {}
        self._compared: set[tuple[WarningKind, str]] = set()
        self.counts: dict[WarningKind, int] = {}

    def add(self, warnings: Iterable[RowWarning]) -> None:
        """Add warnings in the order of their lines. Further rows of a code are refused, and so not counted."""
        for warning in warnings:
            known = (warning.kind, warning.code)
            if known not in self._compared:
                if len(self._compared) < _COMPARED_WARNINGS:
                    self._compared.add(known)
                self.count(warning.kind, 1, [warning])

    def count(self, kind: WarningKind, count: int, first: Iterable[RowWarning]) -> None:
        """Add a number of warnings of one kind, and the first of them."""
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count
            listed = self._listed.setdefault(kind, [])
            listed.extend(islice(first, MAX_LISTED_WARNINGS - len(listed)))

    @property
    def listed(self) -> dict[WarningKind, ListedWarnings]:
        """The warnings by kind."""
        return {kind: ListedWarnings(count, tuple(self._listed[kind])) for kind, count in self.counts.items()}


@frozen
class ImportRun:
    """One reading of a file into a list.

    Attributes:
        wiring: the collaborators.
        upload: the entry of the upload log.
        scope: where the codes must be unique.
        on_progress: called with how far the reading is, or None.
        warnings: the suspicious codes so far.
    """

    wiring: Wiring
    upload: Upload
    scope: str
    on_progress: OnProgress | None = None
    warnings: WarningCounter = field(factory=WarningCounter)

    def run(self, stream: BinaryIO, lease: UploadLease) -> Upload:
        """Import the file and end the upload.

        Args:
            stream: the file, at its start.
            lease: with the lease on the list taken; it is given back.

        Returns:
            the upload, Completed or Failed.

        Raises:
            UploadInterrupted: another process took the upload over.
            UnknownList: the list was deleted meanwhile.
        """
        keep = partial(_require_wanted, self.upload, lease)
        codes = self._file(stream)
        with self._open() as importing:
            failure = self._read(codes, importing, lease.beat)
            if failure is None:
                lease.wait_for_scope(self.scope)
                importing.claim(partial(refusal, self.upload.list_id), list_is_full, keep)
                failure = self._failure(codes, importing)
                self._count_held_before(importing, 0)
            importing.save_faults(keep)
            ended = self._end(importing, self._counted(codes, importing), failure, lease)
        if ended.failure is not None:
            self.clear_away()
        return ended

    def clear_away(self) -> None:
        """Free the space of a failed upload. The upload has ended: where this fails, nothing but space is lost."""
        with suppress(StorageError):
            self.wiring.storage.abandon(self.upload.id)

    def check(self, stream: BinaryIO) -> Validation:
        """Find out what `run` would do, without storing anything."""
        codes, twins = self._file(stream), TwinSearch()
        with self._open() as importing:
            failure = self._read(codes, importing, lambda: None, twins)
            if failure is None:
                importing.check(partial(refusal, self.upload.list_id), list_is_full)
                failure = self._failure(codes, importing)
                self._count_held_before(importing, MAX_LISTED_WARNINGS)
                self._count_twins(twins, stream)
            counted = self._counted(codes, importing)
            return Validation(
                filename=counted.filename,
                total=counted.total,
                acceptable=0 if failure else counted.total - counted.error_count,
                errors=counted.errors,
                header_skipped=counted.header_skipped,
                first_row=counted.first_row,
                warnings=self.warnings.listed,
                failure=failure,
                sample=tuple(importing.sample(_SAMPLE)),
            )

    def fail(self, failure: FileFault, lease: UploadLease) -> Upload:
        """End the upload as refused, without a look into the file."""
        with self._open() as importing:
            return self._end(importing, self.upload, failure, lease)

    def _open(self) -> AbstractContextManager[CodeImport]:
        return self.wiring.storage.import_codes(self.upload, self.scope, counts_for_duplicates)

    def _file(self, stream: BinaryIO) -> CodeFile:
        upload = self.upload
        return CodeFile(stream, self.wiring.code_format, encoding=upload.encoding, header=upload.header)

    def _read(
        self,
        codes: CodeFile,
        importing: CodeImport,
        beat: Callable[[], None],
        twins: TwinSearch | None = None,
    ) -> FileFault | None:
        try:
            for batch in codes:
                importing.add(batch.lines, batch.codes)
                importing.refuse(batch.faults)
                self.warnings.add(batch.warnings)
                if twins is not None:
                    twins.add(batch.codes)
                beat()
                if self.on_progress is not None:
                    self.on_progress(UploadProgress(codes.rows, codes.bytes_read, self.upload.size or 0))
        except FileRefused as refused:
            return refused.fault
        return None

    def _counted(self, codes: CodeFile, importing: CodeImport) -> Upload:
        """Return the upload with what was found in its file."""
        return evolve(
            self.upload,
            header_skipped=codes.header_skipped,
            first_row=codes.first_row,
            total=codes.rows,
            errors=dict(importing.refused),
            warnings=dict(self.warnings.counts),
        )

    def _failure(self, codes: CodeFile, importing: CodeImport) -> FileFault | None:
        """Return why the file is refused as a whole although it could be read: no code of it is left."""
        if sum(importing.refused.values()) < codes.rows:
            return None
        return nothing_to_upload(codes.rows, codes.separator)

    def _count_held_before(self, importing: CodeImport, limit: int) -> None:
        kind = WarningKind.HELD_BEFORE
        count, first = importing.held_before(limit)
        self.warnings.count(kind, count, (RowWarning(line, code, kind) for line, code in first))

    def _count_twins(self, twins: TwinSearch, stream: BinaryIO) -> None:
        def read() -> Iterator[tuple[Sequence[int], Sequence[str]]]:
            stream.seek(0)
            return ((batch.lines, batch.codes) for batch in self._file(stream) if batch.codes)

        found: dict[WarningKind, list[RowWarning]] = {}
        for warning in twins.warnings(read):
            found.setdefault(warning.kind, []).append(warning)
        for kind, warnings in found.items():
            self.warnings.count(kind, len(warnings), sorted(warnings))

    def _end(
        self, importing: CodeImport, counted: Upload, failure: FileFault | None, lease: UploadLease
    ) -> Upload:
        ended = self.wiring.write_alone(self._end_in, importing, counted, failure, lease)
        _log_end(ended)
        return ended

    def _end_in(
        self,
        tx: Transaction,
        importing: CodeImport,
        counted: Upload,
        failure: FileFault | None,
        lease: UploadLease,
    ) -> Upload:
        now = self.wiring.now()
        lease.keep(tx)
        voucher_list = require_list(tx, self.upload.list_id)
        if failure is None and voucher_list.state is State.ARCHIVED:
            failure = interrupted("the list was archived while the upload ran")
        if failure is None:
            ended, events = counted.completed(importing.publish(tx), now)
            used_before = counts_at(tx, voucher_list.id, now).used
            tx.lists.touch(voucher_list.id, now, used_before=used_before)
            # Read it again: before the codes were published, another transaction may have notified another level.
            voucher_list = require_list(tx, voucher_list.id)
            counts = counts_at(tx, voucher_list.id, now)
            notify_stock_level(tx, voucher_list, voucher_list.notified, counts, now)
        else:
            ended, events = counted.failed(failure, now)
        tx.uploads.save(ended)
        # Earlier versions took names of any length, which an index cannot hold.
        record(tx, events, self.upload.uploaded_by[:MAX_NAME])
        lease.release(tx)
        return ended


def keep_original(wiring: Wiring, upload: Upload, opened: OpenSource, lease: UploadLease) -> Upload:
    """Store a file byte for byte, so that you can download it again, and so that a killed upload can be resumed.

    Returns:
        the upload with size and hash, which say that the file is there whole.

    Raises:
        UnknownList: the list was deleted meanwhile.
        UploadInterrupted: another process took the upload over.
    """
    for index, piece in enumerate(pieces_of(opened.stream)):
        wiring.write_alone(_add_piece, upload, lease, index, piece)
    kept = evolve(upload, size=opened.size, sha256=opened.sha256)
    wiring.write_alone(_save, kept, lease)
    return kept


def _add_piece(tx: Transaction, upload: Upload, lease: UploadLease, index: int, piece: bytes) -> None:
    _require_wanted(upload, lease, tx)
    tx.uploads.add_piece(upload.id, index, piece)


def _save(tx: Transaction, upload: Upload, lease: UploadLease) -> None:
    _require_wanted(upload, lease, tx)
    tx.uploads.save(upload)


def _require_wanted(upload: Upload, lease: UploadLease, tx: Transaction) -> None:
    """Check that the upload is still ours and its list still there: what came in later would stay for ever."""
    lease.keep(tx)
    require_list(tx, upload.list_id)


def _log_end(upload: Upload) -> None:
    """Log the end of an upload, with its counts."""
    if upload.failure is None:
        told = "upload %s to list %s is Completed: %d of %d codes accepted, %d errors"
        _LOG.info(told, upload.id, upload.list_id, upload.accepted, upload.total, upload.error_count)
        return
    told = "upload %s to list %s is Failed: %s, after %d rows with %d errors"
    kind = upload.failure.kind.value
    _LOG.warning(told, upload.id, upload.list_id, kind, upload.total, upload.error_count)
