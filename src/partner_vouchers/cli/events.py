"""Commands for the delivery of events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from partner_vouchers.cli import root
from partner_vouchers.cli.context import After, Exit, Limit, Terminal, command
from partner_vouchers.cli.output import print_json
from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports import EventSink

_PANEL = "Commands"
Sink = Annotated[str | None, typer.Argument(metavar="SINK", help="The name of the sink.")]


@command(root.events, _PANEL, "json")
def deliver(
    at: Terminal,
    jsonl: Annotated[
        Path | None, typer.Option(help="Append the events to this file, one JSON object a line.")
    ] = None,
    webhook: Annotated[str | None, typer.Option(help="Post the events to this URL.")] = None,
    secret: Annotated[
        str, typer.Option(envvar="PARTNER_VOUCHERS_WEBHOOK_SECRET", help="The signing secret of the webhook.")
    ] = "",
) -> int:
    """Deliver all events that are due now.

    Example: `partner-vouchers events deliver --jsonl events.jsonl`
    """
    report = at.vouchers.events.deliver(_sink(jsonl, webhook, secret))
    at.facts(report, {"Delivered": "delivered", "Failure": "failure"})
    return Exit.STORAGE if report.failure else Exit.OK


@command(root.events, _PANEL, "json")
def backlog(at: Terminal, sink: Sink = None) -> None:
    """Show what each sink, or one, still has to receive.

    Example: `partner-vouchers events backlog`
    """
    events = at.vouchers.events
    found = {name: events.backlog(name) for name in ([sink] if sink else events.sinks())}
    if at.json:
        print_json(found)
        return
    at.table(
        list(found.items()),
        {
            "Sink": lambda pair: pair[0],
            "#Undelivered": lambda pair: f"{'≥ ' if pair[1].at_least else ''}{pair[1].undelivered:,}",
            "#Deferred": lambda pair: pair[1].deferred,
            "#Dead letters": lambda pair: pair[1].dead_letters,
            "Oldest waits for": lambda pair: pair[1].age,
            "Held back since": lambda pair: pair[1].held_back_since,
            "Paused until": lambda pair: pair[1].paused_until,
        },
        empty="No sink has received an event yet.",
    )


@command(root.events, _PANEL, "json")
def dead(at: Terminal, sink: Sink = None, after: After = None, limit: Limit = 50) -> None:
    """Show the dead letters.

    Example: `partner-vouchers events dead webhook`
    """
    at.table(
        at.vouchers.events.dead_letters(sink, after=after, limit=limit),
        {
            "Id": "id",
            "Sink": "sink",
            "Event": "event.event_name",
            "#Attempts": "attempts",
            "Reason": "reason",
        },
        empty="There is no dead letter.",
    )


@command(root.events, _PANEL, "json")
def retry(
    at: Terminal,
    sink: Annotated[str, typer.Argument(metavar="SINK", help="The name of the sink.")],
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Only these dead letters; all by default.")
    ] = None,
) -> None:
    """Let dead letters be delivered again.

    Example: `partner-vouchers events retry webhook`
    """
    count = at.vouchers.events.retry_dead_letters(sink, ids=ids or None)
    at.answer({"retried": count}, f"{count:,} events will be delivered again.")


def _sink(jsonl: Path | None, webhook: str | None, secret: str) -> EventSink:
    if (jsonl is None) == (webhook is None):
        raise InvalidInput(field="events deliver", reason="name one receiver: --jsonl FILE or --webhook URL")
    if jsonl is not None:
        from partner_vouchers.sinks.jsonl import JsonLinesSink

        return JsonLinesSink(jsonl)
    from partner_vouchers.sinks.webhook import WebhookSink

    if not secret:
        raise InvalidInput(field="--secret", reason="a webhook needs a signing secret (whsec_…)")
    return WebhookSink(str(webhook), secrets=secret)
