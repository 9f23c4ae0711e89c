"""Commands for the delivery of events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from partner_vouchers.cli.context import DEFAULT_DATABASE, AsJson, Database, opened
from partner_vouchers.cli.output import print_facts, print_json, print_table, say
from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports import EventSink

Sink = Annotated[str | None, typer.Argument(metavar="SINK", help="The name of the sink.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Deliver events, and see what waits.")
    for command in (deliver, backlog, dead, retry):
        group.command()(command)
    app.add_typer(group, name="events", rich_help_panel="Events and messages")


def deliver(
    jsonl: Annotated[
        Path | None, typer.Option(help="Append the events to this file, one JSON object a line.")
    ] = None,
    webhook: Annotated[str | None, typer.Option(help="Post the events to this URL.")] = None,
    secret: Annotated[
        str, typer.Option(envvar="PARTNER_VOUCHERS_WEBHOOK_SECRET", help="The signing secret of the webhook.")
    ] = "",
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
) -> None:
    """Deliver all events that are due now.

    Example: `partner-vouchers events deliver --jsonl events.jsonl`
    """
    with opened(db) as vouchers:
        report = vouchers.events.deliver(_sink(jsonl, webhook, secret))
        print_json(report) if json else print_facts(
            {"Delivered": report.delivered, "Failure": report.failure}
        )


def backlog(sink: Sink = None, db: Database = DEFAULT_DATABASE, json: AsJson = False) -> None:
    """Show what each sink, or one, still has to receive.

    Example: `partner-vouchers events backlog`
    """
    with opened(db) as vouchers:
        found = {
            name: vouchers.events.backlog(name) for name in ([sink] if sink else vouchers.events.sinks())
        }
        if json:
            print_json(found)
            return
        print_table(
            ["Sink", "#Undelivered", "#Deferred", "#Dead letters", "Oldest waits for", "Held back since"],
            [
                (
                    name,
                    f"{'≥ ' if each.at_least else ''}{each.undelivered:,}",
                    each.deferred,
                    each.dead_letters,
                    each.age,
                    each.held_back_since,
                )
                for name, each in found.items()
            ],
            empty="No sink has received an event yet.",
        )


def dead(
    sink: Sink = None,
    after: Annotated[str | None, typer.Option(help="The cursor of the next page.")] = None,
    limit: Annotated[int, typer.Option()] = 50,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
) -> None:
    """Show the dead letters.

    Example: `partner-vouchers events dead webhook`
    """
    with opened(db) as vouchers:
        page = vouchers.events.dead_letters(sink, after=after, limit=limit)
        if json:
            print_json(page)
            return
        print_table(
            ["Id", "Sink", "Event", "#Attempts", "Reason"],
            [(each.id, each.sink, each.event.event_name, each.attempts, each.reason) for each in page],
            empty="There is no dead letter.",
        )
        if page.next:
            say(f"There are more: --after {page.next}")


def retry(
    sink: Annotated[str, typer.Argument(metavar="SINK")],
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Only these dead letters.")
    ] = None,
    db: Database = DEFAULT_DATABASE,
) -> None:
    """Let dead letters be delivered again.

    Example: `partner-vouchers events retry webhook`
    """
    with opened(db) as vouchers:
        count = vouchers.events.retry_dead_letters(sink, ids=ids or None)
        say(f"{count:,} events will be delivered again.")


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
