"""Commands for message templates."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import Annotated, Any

import typer

from partner_vouchers.cli import root
from partner_vouchers.cli.context import AsJson, Exit
from partner_vouchers.cli.output import print_json, print_table, say, warn
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import InvalidInput, SourceUnreadable
from partner_vouchers.wire.promo_events import EVENTS_BY_NAME

Template = Annotated[Path, typer.Argument(metavar="FILE", help="The file of the template.")]


@root.templates.command()
def check(
    file: Template,
    event: Annotated[
        str, typer.Option(help="The event whose properties the template uses, such as 'CT Coupon Rewarded'.")
    ] = VoucherRewarded.event_name,
    json: AsJson = False,
) -> int:
    """Find what is wrong with a template before a campaign uses it.

    Example: `partner-vouchers template check welcome.liquid`
    """
    from partner_vouchers.messages import MessageTemplate

    if event not in EVENTS_BY_NAME:
        raise InvalidInput(field="--event", reason=f"must be one of {', '.join(EVENTS_BY_NAME)}")
    findings = MessageTemplate.check_source(_read(file), event=EVENTS_BY_NAME[event])
    if json:
        print_json(findings)
    else:
        print_table(
            ["#Line", "What", "Instead"],
            [(each.line, each.message, each.suggestion) for each in findings],
            empty="No mistakes were found.",
        )
    return Exit.FINDINGS if findings else Exit.OK


@root.templates.command()
def render(
    file: Template,
    event: Annotated[
        Path | None,
        typer.Option(help="A JSON file with the properties of the event; by default a sample of a voucher."),
    ] = None,
    profile: Annotated[Path | None, typer.Option(help="A JSON file with the properties of the user.")] = None,
    json: AsJson = False,
) -> None:
    """Show the message that a template makes.

    Example: `partner-vouchers template render welcome.liquid --profile asha.json`
    """
    from partner_vouchers.messages import MessageTemplate
    from partner_vouchers.messages.sample import SAMPLE_EVENT

    properties = SAMPLE_EVENT if event is None else _object(event)
    message = MessageTemplate(_read(file)).render(
        event=properties, profile={} if profile is None else _object(profile)
    )
    if json:
        print_json({"message": message})
    elif message is None:
        warn("The template skips this message.")
    else:
        say(message)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(field=str(path), reason="is not UTF-8; save it in that encoding") from None
    except OSError as error:
        raise SourceUnreadable(filename=str(path), reason=error.strerror or str(error)) from None


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json_.loads(_read(path))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidInput(field=str(path), reason='must be a JSON object, such as {"name": "Asha"}')
    return value
