"""Reconciliation: a partner's own record of redemptions against ours."""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.responses import Response

from partner_vouchers.domain.reconciliation import ERROR_KINDS, ROW_KINDS
from partner_vouchers.errors import PartnerVouchersError
from partner_vouchers.page.permissions import Permission
from partner_vouchers.page.uploads import csv_download
from partner_vouchers.page.visit import View, Visit, change
from partner_vouchers.page.wording import explain, status_code_of

_SHOWN_ROWS = 20


def form(visit: Visit) -> Response:
    """Show the form."""
    return _form(visit, None, 200)


def reconcile(visit: Visit) -> Response:
    """Reconcile a file."""
    upload = visit.form.get("file")
    if not isinstance(upload, UploadFile) or not upload.filename:
        return _form(visit, "Choose a file with a column of codes.", 422)
    try:
        report = visit.vouchers.redemptions.upload(
            upload.file,
            partner=visit.field("partner"),
            filename=upload.filename,
            uploaded_by=visit.actor,
            zone=visit.zone,
        )
    except PartnerVouchersError as error:
        return _form(visit, explain(error), status_code_of(error))
    return visit.redirect("report", report_id=report.id)


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
    partners = [found.name for found in visit.vouchers.partners.all()]
    return visit.page(
        "reconcile.html", status_code, partners=partners, fault=fault, chosen=visit.field("partner")
    )


VIEWS = (
    ("/reconcile", View("reconcile", form)),
    ("/reconcile", change("start_reconciliation", reconcile)),
    ("/reconcile/{report_id}", View("report", report)),
    ("/reconcile/{report_id}/errors", change("report_errors", error_file, Permission.REVEAL)),
)
