"""Begin an upload, and end those that killed processes left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import BinaryIO

from attrs import evolve, frozen

from partner_vouchers.csvfile.streams import OpenSource, as_binary_stream
from partner_vouchers.domain.lifecycle import Action
from partner_vouchers.domain.uploads import FileFault, Upload, check_filename, interrupted, no_room
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import (
    FileAlreadyUploaded,
    StorageError,
    UnknownList,
    UploadInterrupted,
    UploadRunning,
)
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.importing import ImportRun
from partner_vouchers.usecases.upload_lease import UploadLease
from partner_vouchers.usecases.wiring import Group, require_list


@frozen
class BegunUpload:
    """An upload of which this process has the lease.

    Attributes:
        upload: the entry of the upload log.
        scope: where the codes must be unique.
        lease: with the lease on the list taken.
        is_full: whether the list has no room for a single code.
    """

    upload: Upload
    scope: str
    lease: UploadLease
    is_full: bool


class UploadEntries(Group):
    """The entries of uploads that have not ended."""

    def enter(self, draft: Upload, opened: OpenSource, *, force: bool) -> BegunUpload:
        """Take the list's lease and make the entry, after ending an upload that a killed process left behind."""
        list_id = draft.list_id

        def make(tx: Transaction) -> BegunUpload | Upload:
            now = self._wiring.now()
            voucher_list = require_list(tx, list_id)
            voucher_list.require_allowed(Action.UPLOAD, now)
            upload_id = tx.uploads.new_id()
            lease = UploadLease(self._wiring, upload_id)
            is_free = lease.take_list(tx, list_id)
            # Before, others could still enter an upload, or end one.
            stale = next((u for u in tx.uploads.running() if u.list_id == list_id), None)
            if not is_free:
                raise UploadRunning(list_id=list_id, upload_id=None if stale is None else stale.id)
            if stale is not None:
                lease.release(tx)
                return stale
            require_new_file(tx, list_id, opened.sha256, force)
            upload = evolve(draft, id=upload_id, started_at=now)
            tx.uploads.add(upload)
            return _begun(upload, voucher_list, lease)

        while isinstance(made := self._wiring.write_alone(make), Upload):
            self.settle(made.id)
        return made

    def settle(self, upload_id: str) -> Upload | None:
        """Finish or fail an upload whose process was killed.

        Returns:
            the upload, or None where it has ended or still runs.

        Raises:
            StorageError: the storage failed; the upload is still In Progress.
        """
        taken = self._wiring.write_alone(self._take_over, upload_id)
        if taken is None:
            return None
        lease = taken.lease
        run = ImportRun(self._wiring, taken.upload, taken.scope)
        refused = _reason_not_to_resume(taken)
        try:
            if refused is None:
                return run.run(self.original(upload_id), lease)
            ended = run.fail(refused, lease)
        except (UnknownList, UploadInterrupted):
            # Deleted with its list, or settled by another process, meanwhile.
            lease.give_back()
            return None
        except StorageError:
            with suppress(StorageError):
                lease.give_back()
            raise
        except Exception as error:  # noqa: BLE001 - a host's own rules raise anything
            # An upload that is resumed again and again would block its list for ever.
            ended = run.fail(interrupted(f"it could not be resumed ({type(error).__name__})"), lease)
        run.clear_away()
        return ended

    def _take_over(self, tx: Transaction, upload_id: str) -> BegunUpload | None:
        upload = tx.uploads.get(upload_id)
        if upload is None or not upload.is_running:
            return None
        lease = UploadLease(self._wiring, upload_id)
        if not lease.take_list(tx, upload.list_id):
            return None
        # Whoever had the lease may have ended the upload just before it was free.
        upload = tx.uploads.get(upload_id)
        if upload is None or not upload.is_running:
            lease.release(tx)
            return None
        return _begun(upload, require_list(tx, upload.list_id), lease)

    def original(self, upload_id: str) -> BinaryIO:
        """Return the stored file of an upload as a stream, which reads the storage piece by piece."""
        return as_binary_stream(self._pieces(upload_id))

    def _pieces(self, upload_id: str) -> Iterator[bytes]:
        for index in count():
            piece = self._wiring.read(lambda tx, index: tx.uploads.piece(upload_id, index), index)
            if piece is None:
                return
            yield piece


def _begun(upload: Upload, voucher_list: VoucherList, lease: UploadLease) -> BegunUpload:
    return BegunUpload(upload, voucher_list.scope, lease, is_full(voucher_list))


def is_full(voucher_list: VoucherList) -> bool:
    """Return whether a list has no room for a single code."""
    return voucher_list.counts.capacity_left <= 0


def _reason_not_to_resume(begun: BegunUpload) -> FileFault | None:
    if begun.is_full:
        return no_room()
    if begun.upload.sha256 is None:
        return interrupted("the process was killed before the file was read whole")
    return check_filename(begun.upload.filename)


def require_new_file(tx: Transaction, list_id: str, sha256: str, force: bool) -> None:
    """Check that the same bytes were not uploaded to a list before.

    Raises:
        FileAlreadyUploaded: they were, completely, and are not withdrawn, and `force` is False.
    """
    earlier = None if force else tx.uploads.completed_with(list_id, sha256)
    if earlier is not None and not earlier.withdrawn:
        raise FileAlreadyUploaded(
            list_id=list_id, upload_id=earlier.id, filename=earlier.filename, uploaded_at=earlier.started_at
        )
