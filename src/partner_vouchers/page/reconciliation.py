"""Reconciliation: a partner's own record of redemptions against ours."""

from __future__ import annotations

from typing import BinaryIO

from starlette.responses import Response

from partner_vouchers.domain.reconciliation import ERROR_KINDS, ROW_KINDS, ReconciliationReport
from partner_vouchers.page.jobs import Job
from partner_vouchers.page.permissions import Permission
from partner_vouchers.page.uploads import csv_download, progress_of
from partner_vouchers.page.visit import View, Visit, change
from partner_vouchers.page.wording import status_code_of

_KIND = "reconciliation"
_SHOWN_ROWS = 20


def form(visit: Visit) -> Response:
    """Show the form, and the files that this process works on."""
    return _form(visit, None, 200)


def reconcile(visit: Visit) -> Response:
    """Reconcile a file in the background, and show how it ended, or after a second how far it is."""
    upload, partner = visit.file("file"), visit.field("partner")
    if upload is None:
        return _form(visit, "Choose a file with a column of codes.", 422)
    if not partner:
        return _form(visit, "Choose the partner whose file it is.", 422)

    def work(source: BinaryIO, job: Job) -> ReconciliationReport:
        return visit.vouchers.redemptions.upload(
            source,
            partner=job.subject,
            filename=job.filename,
            uploaded_by=job.actor,
            zone=visit.zone,
            progress=job.on_progress,
        )

    job = visit.jobs.start(_KIND, partner, upload, visit.actor, work)
    if job is None:
        # A double click, or another person.
        return _form(visit, f"Another file of {partner} is being reconciled. Wait until it is complete.", 409)
    if job.is_running:
        return visit.redirect("reconcile", "reconciling")
    visit.jobs.forget(_KIND, job)
    if job.result is None:
        return _form(visit, job.fault, 500 if job.error is None else status_code_of(job.error))
    return visit.redirect("report", report_id=job.result.id)


def progress(visit: Visit) -> Response:
    """Say how far a file of a partner is, for the script of the page."""
    return progress_of(visit.jobs.get(_KIND, visit.asked("partner") or ""))


def report(visit: Visit) -> Response:
    """Show how many rows of a file there were of each kind, and the first that were not recorded."""
    found = visit.vouchers.redemptions.report(
        visit.request.path_params["report_id"], kinds=ERROR_KINDS, limit=_SHOWN_ROWS
    )
    return visit.page("report.html", report=found, kinds=ROW_KINDS)


def error_file(visit: Visit) -> Response:
    """Download the rows that were not recorded, with the reasons."""
    found = visit.vouchers.redemptions.report(visit.request.path_params["report_id"])
    stream = visit.vouchers.redemptions.error_file(found.id, actor=visit.actor)
    return csv_download(stream, f"reconciliation-errors-{found.id}.csv")


def _form(visit: Visit, fault: str | None, status_code: int) -> Response:
    jobs = list(visit.jobs.of(_KIND))
    return visit.page(
        "reconcile.html",
        status_code,
        partners=[found.name for found in visit.vouchers.partners.all()],
        fault=fault,
        chosen=visit.field("partner"),
        running=[job for job in jobs if job.is_running],
        ended=[job for job in jobs if not job.is_running],
    )


VIEWS = (
    ("/reconcile", View("reconcile", form)),
    ("/reconcile", change("start_reconciliation", reconcile)),
    ("/reconcile/progress", View("reconciliation_progress", progress)),
    ("/reconcile/{report_id}", View("report", report)),
    ("/reconcile/{report_id}/errors", change("report_errors", error_file, Permission.REVEAL)),
)
