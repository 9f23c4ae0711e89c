"""Delivery of events: what each sink still has to receive, and its dead letters."""

from __future__ import annotations

from starlette.responses import Response

from partner_vouchers.page.visit import View, Visit, change


def sinks(visit: Visit) -> Response:
    """Show the backlog of each sink."""
    events = visit.vouchers.events
    names = events.sinks()
    return visit.page(
        "delivery.html",
        backlogs=[(name, events.backlog(name)) for name in names],
        letters=events.dead_letters(after=visit.asked("after"), limit=50),
        after=visit.asked("after"),
    )


def retry(visit: Visit) -> Response:
    """Deliver one dead letter, or all of a sink, again."""
    letter = visit.field("id")
    visit.vouchers.events.retry_dead_letters(visit.field("sink"), ids=[letter] if letter else None)
    return visit.redirect("delivery", "retried")


VIEWS = (("/delivery", View("delivery", sinks)), ("/delivery/retry", change("retry", retry)))
