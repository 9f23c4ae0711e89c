"""The Uploads tab: start an upload, watch it, and download its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from starlette.responses import JSONResponse, Response, StreamingResponse

from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import FileAlreadyUploaded, UploadRunning
from partner_vouchers.page.jobs import Job
from partner_vouchers.page.permissions import Permission
from partner_vouchers.page.visit import View, Visit, change
from partner_vouchers.page.wording import explain

_KIND = "upload"
_SHOWN_ERRORS = 20
_CHUNK = 64 * 1024


def start_upload(visit: Visit, list_id: str, then: str = "uploaded") -> Response:
    """Upload the file of a form in the background, and show how it ended, or after a second how far it is."""
    upload = visit.file("file")
    if upload is None:
        return _uploads(visit, list_id, {"file": "Choose a file with one code in each row."}, 422)
    force = visit.field("force") == "yes"

    def work(source: BinaryIO, job: Job) -> Upload:
        return visit.vouchers.uploads.add(
            list_id,
            source,
            filename=job.filename,
            uploaded_by=job.actor,
            force=force,
            progress=job.on_progress,
        )

    job = visit.jobs.start(_KIND, list_id, upload, visit.actor, work)
    if job is None:
        # A double click, or another person.
        running = UploadRunning(list_id=list_id, upload_id=None)
        return _uploads(visit, list_id, {"file": explain(running)}, 409)
    if job.is_running:
        return visit.redirect("uploads", "uploading", list_id=list_id)
    if job.result is None:
        return _uploads(visit, list_id, {}, 409)
    visit.jobs.forget(_KIND, job)
    if then == "uploaded" and job.result.failure:
        # The upload says so itself, in red.
        then = ""
    return visit.redirect("show_upload", then, upload_id=job.result.id)


def tab(visit: Visit) -> Response:
    """Show the uploads of a list."""
    return _uploads(visit, visit.request.path_params["list_id"], {}, 200)


def add(visit: Visit) -> Response:
    """Upload a file to a list."""
    return start_upload(visit, visit.request.path_params["list_id"])


def progress(visit: Visit) -> Response:
    """Say how far the running upload of a list is, for the script of the page."""
    return progress_of(visit.jobs.get(_KIND, visit.request.path_params["list_id"]))


def progress_of(job: Job | None) -> JSONResponse:
    """Return how far a job is, for the script of the page."""
    if job is None or not job.is_running:
        return JSONResponse({"running": False})
    return JSONResponse({"running": True, "rows": job.rows, "bytes": job.bytes_read, "size": job.size})


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
    """Withdraw the codes of an upload that no user has."""
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
    running = visit.jobs.get(_KIND, list_id)
    if running is not None and not running.is_running:
        visit.jobs.forget(_KIND, running)
        if running.fault is not None:
            field = "force" if isinstance(running.error, FileAlreadyUploaded) else "file"
            faults = {field: running.fault, **faults}
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
