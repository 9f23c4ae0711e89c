"""Where uploads are kept."""

from __future__ import annotations

from typing import Protocol

from partner_vouchers.domain.uploads import RowFault, Upload, UploadStatus


class Uploads(Protocol):
    """The upload log, with the files and the refused rows."""

    def new_id(self) -> str:
        """Return an id that no upload ever had: the decimal form of a number that only grows."""
        ...

    def add(self, upload: Upload) -> None:
        """Store a new entry.

        Raises:
            UnknownList: there is no such list.
            StorageError: the id was given to an upload before. Once `Storage.reclaim` has freed what a removed
                list left, a storage need not know that any more.
        """
        ...

    def save(self, upload: Upload) -> None:
        """Replace an entry.

        Raises:
            UnknownUpload: there is no such entry.
        """
        ...

    def get(self, upload_id: str) -> Upload | None:
        """Return an entry."""
        ...

    def of_list(self, list_id: str, before: str | None, limit: int) -> list[Upload]:
        """Return entries of a list, the newest first, older than the one with an id."""
        ...

    def running(self) -> list[Upload]:
        """Return all entries that are in progress, the oldest first."""
        ...

    def completed_with(self, list_id: str, sha256: str) -> Upload | None:
        """Return the latest completed upload of a file to a list. It has a body."""
        uploads = self.of_list(list_id, None, 2**31)
        found = (each for each in uploads if each.status is UploadStatus.COMPLETED and each.sha256 == sha256)
        return next(found, None)

    def add_piece(self, upload_id: str, index: int, data: bytes) -> None:
        """Store one piece of the original file, the first with index 0.

        Raises:
            UnknownUpload: there is no such entry.
            StorageError: the piece is stored already.
        """
        ...

    def piece(self, upload_id: str, index: int) -> bytes | None:
        """Return a piece of the original file, or None after the last."""
        ...

    def faults(self, upload_id: str, after_line: int, limit: int) -> list[RowFault]:
        """Return refused rows in the order of their lines, after a line."""
        ...
