"""The storage of uploads."""

from __future__ import annotations

from typing import Protocol

from partner_vouchers.domain.uploads import RowFault, Upload, UploadStatus


class Uploads(Protocol):
    """The upload log, with the original files and the refused rows."""

    def new_id(self) -> str:
        """Return a new id: a growing number in decimal digits that no upload ever had."""

    def add(self, upload: Upload) -> None:
        """Store a new entry.

        Raises:
            UnknownList: there is no such list.
            StorageError: an upload with this id exists. A storage may have forgotten those of deleted lists whose space
                it has freed.
        """

    def save(self, upload: Upload) -> None:
        """Replace an entry.

        Raises:
            UnknownUpload: there is no such entry.
        """

    def get(self, upload_id: str) -> Upload | None:
        """Return an entry."""

    def find(
        self, list_id: str | None, status: UploadStatus | None, before: str | None, limit: int
    ) -> list[Upload]:
        """Return a page of entries, the newest first, of a list and with a status."""

    def running(self) -> list[Upload]:
        """Return all entries that are in progress, the oldest first."""

    def completed_with(self, list_id: str, sha256: str) -> Upload | None:
        """Return the latest completed upload of a file to a list. It has a body."""
        uploads = self.find(list_id, UploadStatus.COMPLETED, None, 2**31)
        return next((each for each in uploads if each.sha256 == sha256), None)

    def add_piece(self, upload_id: str, index: int, data: bytes) -> None:
        """Store a piece of the original file. The first piece has index 0.

        Raises:
            UnknownUpload: there is no such entry.
            StorageError: the piece is stored already.
        """

    def piece(self, upload_id: str, index: int) -> bytes | None:
        """Return a piece of the original file, or None after the last piece."""

    def faults(self, upload_id: str, after_line: int, limit: int) -> list[RowFault]:
        """Return a page of the refused rows, in the order of their lines, after a line."""
