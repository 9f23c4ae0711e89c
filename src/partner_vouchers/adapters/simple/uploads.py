"""The upload log, worked out from all entries."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import dropwhile, islice

from partner_vouchers.adapters.simple.part import Part, Tx
from partner_vouchers.domain.uploads import RowFault, Upload, UploadStatus
from partner_vouchers.errors import StorageError, UnknownList, UnknownUpload
from partner_vouchers.ports.uploads import Uploads


class SimpleUploads(Part[Tx], Uploads):
    """`Uploads` for a storage that can return all entries.

    Of the protocol the subclass writes `new_id`, `get` and `piece`. It keeps refused rows where its import
    (`SimpleImport.store_faults`) stores them.

    Attributes:
        tx: the transaction of which this is a part. The subclass sets it.
    """

    def all_stored(self) -> Iterable[Upload]:
        """Return all entries, in any order."""
        raise NotImplementedError

    def insert(self, upload: Upload) -> None:
        """Store a new entry.

        Raises:
            StorageError: the id was given to an upload before.
        """
        raise NotImplementedError

    def replace(self, upload: Upload) -> None:
        """Store an entry in place of the one with its id, which is there."""
        raise NotImplementedError

    def insert_piece(self, upload_id: str, index: int, data: bytes) -> None:
        """Store a piece of which `piece` has returned None, of an upload that is there."""
        raise NotImplementedError

    def all_faults(self, upload_id: str) -> Iterable[RowFault]:
        """Return all refused rows of an upload, in any order; nothing for an unknown id."""
        raise NotImplementedError

    def add(self, upload: Upload) -> None:
        if self.tx.lists.get(upload.list_id) is None:
            raise UnknownList(list_id=upload.list_id)
        self.insert(upload)

    def save(self, upload: Upload) -> None:
        self._require(upload.id)
        self.replace(upload)

    def find(
        self, list_id: str | None, status: UploadStatus | None, before: str | None, limit: int
    ) -> list[Upload]:
        older = self._by_age()[::-1]
        if before is not None:
            older = list(islice(dropwhile(lambda each: each.id != before, older), 1, None))
        found = (each for each in older if list_id in (None, each.list_id) and status in (None, each.status))
        return list(islice(found, limit))

    def running(self) -> list[Upload]:
        return [each for each in self._by_age() if each.is_running]

    def add_piece(self, upload_id: str, index: int, data: bytes) -> None:
        self._require(upload_id)
        if self.piece(upload_id, index) is not None:
            raise StorageError(reason=f"piece {index} of upload {upload_id} is stored already")
        self.insert_piece(upload_id, index, data)

    def faults(self, upload_id: str, after_line: int, limit: int) -> list[RowFault]:
        return sorted(each for each in self.all_faults(upload_id) if each.line > after_line)[:limit]

    def _require(self, upload_id: str) -> None:
        if self.get(upload_id) is None:
            raise UnknownUpload(upload_id=upload_id)

    def _by_age(self) -> list[Upload]:
        return sorted(self.all_stored(), key=lambda each: int(each.id))
