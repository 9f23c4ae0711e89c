"""A place to try a message template before a campaign uses it."""

from __future__ import annotations

from starlette.responses import Response

from partner_vouchers.errors import MessageError
from partner_vouchers.messages import FindingKind, MessageTemplate
from partner_vouchers.messages.sample import SAMPLE_EVENT
from partner_vouchers.page.permissions import Permission
from partner_vouchers.page.visit import View, Visit, change

SAMPLE = "Hi {{ Profile.name | default: 'there' }}, {{ Event.partner }} gives you {{ Event.voucherCode }}"


def show(visit: Visit) -> Response:
    """Show the form with a sample."""
    return visit.page("template.html", source=SAMPLE, name="Asha", event=SAMPLE_EVENT, tried=False)


def render(visit: Visit) -> Response:
    """Check a template and show the message that it makes of the sample event."""
    source = visit.form.get("source", "")
    source = source.replace("\r\n", "\n") if isinstance(source, str) else ""
    name = visit.field("name")
    message = fault = None
    findings = MessageTemplate.check_source(source, event=SAMPLE_EVENT, profile={"name"})
    try:
        if not any(finding.kind is FindingKind.SYNTAX for finding in findings):
            message = MessageTemplate(source, zone=visit.zone).render(
                event=SAMPLE_EVENT, profile={"name": name} if name else {}
            )
    except MessageError as error:
        fault = error
    return visit.page(
        "template.html",
        source=source,
        name=name,
        event=SAMPLE_EVENT,
        tried=True,
        findings=findings,
        message=message,
        fault=fault,
    )


VIEWS = (
    ("/template", View("template", show)),
    ("/template", change("try_template", render, Permission.VIEW)),
)
