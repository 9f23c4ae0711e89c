"""A place to try a message template before a campaign uses it."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import Response

from partner_vouchers.errors import MessageError
from partner_vouchers.messages import FindingKind, MessageTemplate
from partner_vouchers.page.permissions import Permission
from partner_vouchers.page.visit import View, Visit, change

SAMPLE = "Hi {{ Profile.name | default: 'there' }}, {{ Event.partner }} gives you {{ Event.voucherCode }}"

EVENT: dict[str, str | int] = {
    "CT Source": "Promo Module",
    "campaignId": "CMP123456",
    "eventTimestamp": 1708351200,
    "listDescription": "Winter Sale - ₹500 off on orders above ₹2000",
    "listExpiry": datetime(2027, 3, 31, 23, 59, 59, tzinfo=UTC).isoformat().replace("+00:00", "Z"),
    "listTag": "winter_sale_500",
    "partner": "Puma",
    "source": "Campaign",
    "voucherCode": "SAMPLE-CODE",
    "voucherListId": "1837",
}
"""The event of the page; no list contains its code."""


def show(visit: Visit) -> Response:
    """Show the form with a sample."""
    return visit.page("template.html", source=SAMPLE, name="Asha", event=EVENT, tried=False)


def render(visit: Visit) -> Response:
    """Check a template and show the message that it makes of the sample event."""
    source = visit.form.get("source", "")
    source = source.replace("\r\n", "\n") if isinstance(source, str) else ""
    name = visit.field("name")
    message = fault = None
    findings = MessageTemplate.check_source(source, event=EVENT, profile={"name"})
    try:
        if not any(finding.kind is FindingKind.SYNTAX for finding in findings):
            message = MessageTemplate(source, zone=visit.zone).render(
                event=EVENT, profile={"name": name} if name else {}
            )
    except MessageError as error:
        fault = error
    return visit.page(
        "template.html",
        source=source,
        name=name,
        event=EVENT,
        tried=True,
        findings=findings,
        message=message,
        fault=fault,
    )


VIEWS = (
    ("/template", View("template", show)),
    ("/template", change("try_template", render, Permission.VIEW)),
)
