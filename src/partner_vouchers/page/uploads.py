"""The Uploads tab: start an upload, watch it, and download its files."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import BinaryIO

from attrs import define, field
from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response, StreamingResponse

from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import FileAlreadyUploaded, PartnerVouchersError, UploadRunning
from partner_vouchers.page.permissions import Permission
from partner_vouchers.page.visit import View, Visit, change
from partner_vouchers.page.wording import explain
from partner_vouchers.usecases.importing import UploadProgress

_LOG = logging.getLogger("partner_vouchers.page")
_SHOWN_ERRORS = 20
_WAIT = 1.0
_CHUNK = 64 * 1024


@define
class RunningUpload:
    """An upload that this process is working on.

    Attributes:
        filename: the name of the file.
        size: bytes of the file.
        rows: rows read so far.
        bytes_read: bytes read so far.
        result: the entry of the log, once it is complete.
        fault: why it was not begun, in the words of the page; None where it was.
        repeated: whether it was not begun because the same file was uploaded before.
        ended: whether it is over.
    """

    filename: str
    size: int
    rows: int = 0
    bytes_read: int = 0
    result: Upload | None = None
    fault: str | None = None
    repeated: bool = False
    ended: threading.Event = field(factory=threading.Event)

    def on_progress(self, progress: UploadProgress) -> None:
        """Remember how far the upload is."""
        self.rows, self.bytes_read = progress.rows, progress.bytes_read

    @property
    def faults(self) -> dict[str, str]:
        """Why it was not begun, by the field of the form."""
        return {} if self.fault is None else {"force" if self.repeated else "file": self.fault}


def start_upload(visit: Visit, list_id: str, then: str = "uploaded") -> Response:
    """Upload the file of a form in a worker thread, and show how it ended, or after a second how far it is."""
    upload = visit.form.get("file")
    if not isinstance(upload, UploadFile) or not upload.filename:
        return _uploads(visit, list_id, {"file": "Choose a file with one code in each row."}, 422)
    progress = RunningUpload(upload.filename, upload.size or 0)
    other = visit.running.setdefault(list_id, progress)
    if other is not progress and not other.ended.is_set():
        # A double click, or another person.
        return _uploads(
            visit, list_id, {"file": explain(UploadRunning(list_id=list_id, upload_id=None))}, 409
        )
    visit.running[list_id] = progress
    # The form closes its file when the answer is made, so the worker needs a file of its own.
    source, force = visit.keep_file(upload), visit.field("force") == "yes"

    def work() -> None:
        try:
            progress.result = visit.vouchers.uploads.add(
                list_id,
                source,
                filename=progress.filename,
                uploaded_by=visit.actor,
                force=force,
                progress=progress.on_progress,
            )
        except PartnerVouchersError as error:
            progress.fault, progress.repeated = explain(error), isinstance(error, FileAlreadyUploaded)
        except Exception as error:  # noqa: BLE001 - a thread has no caller
            _LOG.error("an upload through the page failed: %s", type(error).__name__)
            progress.fault = "The upload failed. Look at the uploads below, and try again."
        finally:
            source.close()
            progress.ended.set()

    threading.Thread(target=work, name="partner_vouchers upload").start()
    if not progress.ended.wait(_WAIT):
        return visit.redirect("uploads", "uploading", list_id=list_id)
    visit.running.pop(list_id, None)
    if progress.result is None:
        return _uploads(visit, list_id, progress.faults, 409)
    return visit.redirect("show_upload", then, upload_id=progress.result.id)


def tab(visit: Visit) -> Response:
    """Show the uploads of a list."""
    return _uploads(visit, visit.request.path_params["list_id"], {}, 200)


def add(visit: Visit) -> Response:
    """Upload a file to a list."""
    return start_upload(visit, visit.request.path_params["list_id"])


def progress(visit: Visit) -> Response:
    """Say how far the running upload of a list is, for the script of the page."""
    running = visit.running.get(visit.request.path_params["list_id"])
    if running is None or running.ended.is_set():
        return JSONResponse({"running": False})
    return JSONResponse(
        {"running": True, "rows": running.rows, "bytes": running.bytes_read, "size": running.size}
    )


def show(visit: Visit) -> Response:
    """Show an upload with its first errors."""
    upload = visit.vouchers.uploads.get(visit.request.path_params["upload_id"])
    found = visit.vouchers.lists.get(upload.list_id)
    errors = visit.vouchers.uploads.errors(upload.id, limit=_SHOWN_ERRORS)
    return visit.page(
        "upload.html", found=found, tab="uploads", upload=upload, errors=errors, shown=_SHOWN_ERRORS
    )


def original(visit: Visit) -> Response:
    """Download the original file, byte for byte."""
    upload = visit.vouchers.uploads.get(visit.request.path_params["upload_id"])
    stream = visit.vouchers.uploads.original_file(upload.id, actor=visit.actor)
    return csv_download(stream, f"upload-{upload.id}.csv")


def error_file(visit: Visit) -> Response:
    """Download the refused rows with the reasons."""
    upload = visit.vouchers.uploads.get(visit.request.path_params["upload_id"])
    stream = visit.vouchers.uploads.error_file(upload.id, actor=visit.actor)
    return csv_download(stream, f"errors-{upload.id}.csv")


def withdraw(visit: Visit) -> Response:
    """Take back the codes of an upload that nobody has."""
    upload = visit.vouchers.uploads.withdraw(visit.request.path_params["upload_id"], actor=visit.actor)
    return visit.redirect("uploads", "withdrawn", list_id=upload.list_id)


def recover(visit: Visit) -> Response:
    """Complete or roll back what a killed process left in progress."""
    visit.vouchers.uploads.recover()
    return visit.redirect("uploads", "recovered", list_id=visit.request.path_params["list_id"])


def csv_download(stream: BinaryIO, filename: str) -> StreamingResponse:
    """Return a stream as a file to download; its name is made here, so nothing of a user's is in the header."""
    return StreamingResponse(
        _chunks(stream),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{filename}"'},
    )


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _uploads(visit: Visit, list_id: str, faults: dict[str, str], status_code: int) -> Response:
    found = visit.vouchers.lists.get(list_id)
    page = visit.vouchers.uploads.find(list_id=list_id, after=visit.asked("after"), limit=25)
    running = visit.running.get(list_id)
    if running is not None and running.ended.is_set():
        visit.running.pop(list_id, None)
        faults = {**running.faults, **faults}
        running = None
    return visit.page(
        "uploads.html", status_code, found=found, tab="uploads", uploads=page, running=running, faults=faults
    )


VIEWS = (
    ("/lists/{list_id}/uploads", View("uploads", tab)),
    ("/lists/{list_id}/uploads", change("upload", add)),
    ("/lists/{list_id}/uploads/progress", View("progress", progress)),
    ("/lists/{list_id}/uploads/recover", change("recover", recover)),
    ("/uploads/{upload_id}", View("show_upload", show)),
    ("/uploads/{upload_id}/original", change("original", original, Permission.REVEAL)),
    ("/uploads/{upload_id}/errors", change("errors", error_file, Permission.REVEAL)),
    ("/uploads/{upload_id}/withdraw", change("withdraw", withdraw)),
)
