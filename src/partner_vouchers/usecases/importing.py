"""Bring the codes of a file into a list: the run behind `uploads.add`, `uploads.recover` and `uploads.validate`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import BinaryIO

from attrs import evolve, frozen

from partner_vouchers.csvfile.reader import CodeFile, FileRefused
from partner_vouchers.csvfile.streams import pieces_of
from partner_vouchers.domain.duplicates import counts_for_duplicates, refusal
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import (
    FileFault,
    Tally,
    Upload,
    Validation,
    interrupted,
    list_is_full,
    nothing_to_upload,
)
from partner_vouchers.errors import SourceUnreadable, StorageError, UnknownList
from partner_vouchers.ports import CodeImport, Transaction
from partner_vouchers.usecases.attempts import transact
from partner_vouchers.usecases.stock import notify_stock_level
from partner_vouchers.usecases.upload_lease import UploadLease
from partner_vouchers.usecases.wiring import Wiring, record, require_list

_SAMPLE = 1000


@frozen
class Progress:
    """How far the reading of a file is.

    Attributes:
        rows: rows that were read.
        bytes_read: bytes that were read.
        bytes_total: bytes of the file.
    """

    rows: int
    bytes_read: int
    bytes_total: int


OnProgress = Callable[[Progress], None]


@frozen
class ImportRun:
    """One pass of a file into a list.

    Attributes:
        wiring: the collaborators.
        upload: the entry of the upload log.
        scope: where the codes must be unique.
        on_progress: told how far the reading is, or None.
    """

    wiring: Wiring
    upload: Upload
    scope: str
    on_progress: OnProgress | None = None

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
        with self._open() as importing:
            tally, failure = self._read(stream, importing, lease.beat)
            if failure is None:
                lease.wait_for_scope(self.scope)
                importing.claim(partial(refusal, self.upload.list_id), list_is_full, keep)
                tally, failure = self._settle(tally, importing)
            importing.save_faults(keep)
            ended = self._end(importing, tally, failure, lease)
        if ended.failure is not None:
            self.clear_away()
        return ended

    def clear_away(self) -> None:
        """Free the space of a failed upload. The upload has ended: where this fails, nothing but space is lost."""
        with suppress(StorageError):
            self.wiring.storage.abandon(self.upload.id)

    def check(self, stream: BinaryIO) -> Validation:
        """Find out what `run` would do, without storing anything."""
        with self._open() as importing:
            tally, failure = self._read(stream, importing, lambda: None)
            if failure is None:
                importing.check(partial(refusal, self.upload.list_id), list_is_full)
                tally, failure = self._settle(tally, importing)
            return Validation(
                filename=self.upload.filename,
                total=tally.total,
                acceptable=0 if failure else tally.total - tally.error_count,
                errors=tally.errors,
                header_skipped=tally.header_skipped,
                failure=failure,
                sample=tuple(importing.sample(_SAMPLE)),
            )

    def fail(self, failure: FileFault, lease: UploadLease) -> Upload:
        """End the upload as refused, without a look into the file."""
        with self._open() as importing:
            return self._end(importing, Tally(), failure, lease)

    def _open(self) -> AbstractContextManager[CodeImport]:
        return self.wiring.storage.import_codes(self.upload, self.scope, counts_for_duplicates)

    def _read(
        self, stream: BinaryIO, importing: CodeImport, beat: Callable[[], None]
    ) -> tuple[Tally, FileFault | None]:
        upload = self.upload
        codes = CodeFile(stream, self.wiring.code_format, encoding=upload.encoding, header=upload.header)
        failure: FileFault | None = None
        try:
            for batch in codes:
                importing.add(batch.lines, batch.codes)
                importing.refuse(batch.faults)
                beat()
                if self.on_progress is not None:
                    self.on_progress(Progress(codes.rows, batch.bytes_read, upload.size or 0))
        except FileRefused as refused:
            failure = refused.fault
        return Tally(codes.rows, importing.refused, codes.header_skipped), failure

    def _settle(self, tally: Tally, importing: CodeImport) -> tuple[Tally, FileFault | None]:
        settled = evolve(tally, errors=importing.refused)
        if settled.error_count < settled.total:
            return settled, None
        return settled, nothing_to_upload(settled.total)

    def _end(
        self, importing: CodeImport, tally: Tally, failure: FileFault | None, lease: UploadLease
    ) -> Upload:
        return transact(self.wiring, self._end_in, importing, tally, failure, lease)

    def _end_in(
        self,
        tx: Transaction,
        importing: CodeImport,
        tally: Tally,
        failure: FileFault | None,
        lease: UploadLease,
    ) -> Upload:
        now = self.wiring.now()
        lease.keep(tx)
        voucher_list = tx.lists.get(self.upload.list_id)
        if voucher_list is None:
            # Uploads to other lists of the scope must not wait until the leases end by themselves.
            lease.release(tx)
            tx.commit()
            raise UnknownList(list_id=self.upload.list_id)
        if failure is None and voucher_list.state is State.ARCHIVED:
            failure = interrupted("the list was archived while the upload ran")
        if failure is None:
            ended, events = self.upload.completed(tally, importing.publish(tx), now)
            used_before = tx.codes.counts(voucher_list.id).used
            tx.lists.touch(voucher_list.id, now, used_before=used_before)
            # As it is now: until the codes were published, others may have told another level.
            voucher_list = require_list(tx, voucher_list.id)
            counts = tx.codes.counts(voucher_list.id)
            notify_stock_level(tx, voucher_list, voucher_list.notified, counts, now)
        else:
            ended, events = self.upload.failed(tally, failure, now)
        tx.uploads.save(ended)
        record(tx, events, self.upload.uploaded_by)
        lease.release(tx)
        tx.commit()
        return ended


def keep_original(
    wiring: Wiring, upload: Upload, stream: BinaryIO, sha256: str, lease: UploadLease
) -> Upload:
    """Store a file byte for byte, so that it can be had again, and so that a killed upload can be resumed.

    Returns:
        the upload with size and hash, which say that the file is there whole.

    Raises:
        UnknownList: the list was deleted meanwhile.
        UploadInterrupted: another process took the upload over.
        SourceUnreadable: the file is not what it was when its hash was taken.
    """
    size, digest = 0, hashlib.sha256()
    for index, piece in enumerate(pieces_of(stream)):
        transact(wiring, _add_piece, upload, lease, index, piece)
        size += len(piece)
        digest.update(piece)
    if digest.hexdigest() != sha256:
        raise SourceUnreadable(filename=upload.filename, reason="it was changed while it was read")
    kept = evolve(upload, size=size, sha256=sha256)
    transact(wiring, _save, kept, lease)
    return kept


def _add_piece(tx: Transaction, upload: Upload, lease: UploadLease, index: int, piece: bytes) -> None:
    _require_wanted(upload, lease, tx)
    tx.uploads.add_piece(upload.id, index, piece)
    tx.commit()


def _save(tx: Transaction, upload: Upload, lease: UploadLease) -> None:
    _require_wanted(upload, lease, tx)
    tx.uploads.save(upload)
    tx.commit()


def _require_wanted(upload: Upload, lease: UploadLease, tx: Transaction) -> None:
    """Check that the upload is still ours and its list still there: what came in later would stay for ever."""
    lease.keep(tx)
    require_list(tx, upload.list_id)
