"""Uploads."""

from datetime import datetime
from typing import ClassVar

from partner_vouchers.errors.base import PartnerVouchersError, structured


@structured
class UploadRunning(PartnerVouchersError):
    """Another upload to the same list is running.

    Attributes:
        list_id: the list.
        upload_id: the upload that runs, or None where it has no entry yet.
    """

    code: ClassVar[str] = "upload_running"
    list_id: str
    upload_id: str | None

    def __str__(self) -> str:
        upload = "another upload" if self.upload_id is None else f"upload {self.upload_id}"
        return (
            f"{upload} to list {self.list_id} is running; wait for it, "
            f"or call uploads.recover() if its process was killed"
        )


@structured
class FileAlreadyUploaded(PartnerVouchersError):
    """The same bytes were completely uploaded to the same list before.

    Attributes:
        list_id: the list.
        upload_id: the earlier upload.
        filename: its file name.
        uploaded_at: when it was started, in UTC.
    """

    code: ClassVar[str] = "file_already_uploaded"
    list_id: str
    upload_id: str
    filename: str
    uploaded_at: datetime

    def __str__(self) -> str:
        return (
            f"this file was uploaded to list {self.list_id} before, as {self.filename!r} "
            f"at {self.uploaded_at.isoformat()} (upload {self.upload_id}); pass force=True to upload it again"
        )


@structured
class UploadInterrupted(PartnerVouchersError):
    """An upload lost its lease: another process took it for dead and finished or rolled it back."""

    code: ClassVar[str] = "upload_interrupted"
    upload_id: str

    def __str__(self) -> str:
        return (
            f"upload {self.upload_id} was taken over by another process, because this one was silent for too long; "
            f"look at uploads.get({self.upload_id!r}) for its outcome"
        )
