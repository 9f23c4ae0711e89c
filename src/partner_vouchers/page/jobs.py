"""Work on a file that goes on after its form was answered, in a worker thread of this process."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from attrs import define, field, frozen
from starlette.datastructures import UploadFile

from partner_vouchers.errors import PartnerVouchersError
from partner_vouchers.page.wording import explain
from partner_vouchers.usecases.importing import UploadProgress

_LOG = logging.getLogger("partner_vouchers.page")
_WAIT = 1.0


@define
class Job:
    """A file that this process works on, or has worked on.

    Attributes:
        filename: the name of the file.
        size: bytes of the file.
        actor: who sent it.
        subject: what the file is about, such as the partner.
        rows: rows read so far.
        bytes_read: bytes read so far.
        result: what the library returned, once it is complete.
        error: why the library refused it; None where it did not.
        fault: why it failed, in the words of the page; None where it did not.
        thread: does the work.
    """

    filename: str
    size: int
    actor: str
    subject: str
    rows: int = 0
    bytes_read: int = 0
    result: Any = None
    error: PartnerVouchersError | None = None
    fault: str | None = None
    thread: threading.Thread = field(init=False)

    def on_progress(self, progress: UploadProgress) -> None:
        """Remember how far it is."""
        self.rows, self.bytes_read = progress.rows, progress.bytes_read

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self.thread.is_alive()


Work = Callable[[BinaryIO, Job], Any]
"""Reads a file, reports how far it is, and returns the result."""


@frozen
class Jobs:
    """The jobs of this process: one at a time for each key, and the latest that ended."""

    _known: dict[tuple[str, str], Job] = field(factory=dict)
    _lock: threading.Lock = field(factory=threading.Lock)

    def start(self, kind: str, subject: str, upload: UploadFile, actor: str, work: Work) -> Job | None:
        """Begin a job, and wait a second for its end.

        Args:
            kind: what is done, such as `"upload"`.
            subject: what it is done to, such as the id of a list.
            upload: the file of a form.
            actor: who sent it.
            work: does it, in a thread of its own.

        Returns:
            the job; None where one of this kind and subject is running.
        """
        job = Job(upload.filename or "", upload.size or 0, actor, subject)
        with self._lock:
            other = self._known.get((kind, subject))
            if other is not None and other.is_running:
                return None
            job.thread = threading.Thread(
                target=_run, args=(job, _kept(upload), work), name=f"partner_vouchers {kind}"
            )
            job.thread.start()
            self._known[kind, subject] = job
        job.thread.join(_WAIT)
        return job

    def get(self, kind: str, subject: str) -> Job | None:
        """Return the job that is running, or ran last."""
        return self._known.get((kind, subject))

    def forget(self, kind: str, job: Job) -> None:
        """Forget a job that ended, once its end was shown."""
        with self._lock:
            if self._known.get((kind, job.subject)) is job:
                del self._known[kind, job.subject]

    def of(self, kind: str) -> Iterator[Job]:
        """Yield the jobs of a kind."""
        yield from (job for (each, _), job in list(self._known.items()) if each == kind)


def _run(job: Job, source: BinaryIO, work: Work) -> None:
    try:
        with source:
            job.result = work(source, job)
    except PartnerVouchersError as error:
        job.error, job.fault = error, explain(error)
    except Exception as error:  # noqa: BLE001 - a thread has no caller
        _LOG.error("work on a file of the page failed: %s", type(error).__name__)
        job.fault = "The page failed while it read this file. Send the file again: nothing is counted twice."


def _kept(upload: UploadFile) -> BinaryIO:
    """Return the file of a form as one that stays open after the form is closed."""
    # `fileno` moves a small file from memory to disk first.
    kept = os.fdopen(os.dup(upload.file.fileno()), "rb")
    kept.seek(0)
    return kept
