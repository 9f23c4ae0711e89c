"""Commands for campaigns: their lists and limits."""

from __future__ import annotations

from typing import Annotated

import typer

from partner_vouchers.cli.context import (
    DEFAULT_ACTOR,
    DEFAULT_DATABASE,
    Actor,
    AsJson,
    Database,
    opened,
)
from partner_vouchers.cli.lists import ListId
from partner_vouchers.cli.output import print_json, print_table, say
from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.domain.limits import Limit
from partner_vouchers.errors import InvalidInput

CampaignId = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The id of the campaign.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (link, unlink, limits):
        app.command(rich_help_panel="Campaigns")(command)


def link(
    list_id: ListId,
    campaign_id: CampaignId,
    repeat: Annotated[
        RepeatPolicy, typer.Option(help="What a user gets who asks again.")
    ] = RepeatPolicy.SAME_CODE,
    priority: Annotated[int, typer.Option(help="Lists with a lower number give their codes first.")] = 0,
    eligibility: Annotated[str | None, typer.Option(help="The name of a rule of your backend.")] = None,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    actor: Actor = DEFAULT_ACTOR,
) -> None:
    """Link a list to a campaign, or change the link.

    Example: `partner-vouchers link 1 CMP123456`
    """
    with opened(db) as vouchers:
        made = vouchers.campaigns.link(
            list_id, campaign_id, repeat=repeat, priority=priority, eligibility=eligibility, actor=actor
        )
        print_json(made) if json else say(f"List {list_id} gives its codes to campaign {campaign_id}.")


def unlink(
    list_id: ListId, campaign_id: CampaignId, db: Database = DEFAULT_DATABASE, actor: Actor = DEFAULT_ACTOR
) -> None:
    """Unlink a list from a campaign.

    Example: `partner-vouchers unlink 1 CMP123456`
    """
    with opened(db) as vouchers:
        vouchers.campaigns.unlink(list_id, campaign_id, actor=actor)
        say(f"Campaign {campaign_id} gets no more codes from list {list_id}.")


def limits(
    campaign_id: CampaignId,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="LIMIT",
            help="Replace the limits, such as 1/user or 1000/campaign/month/Asia/Kolkata. Repeat it for several.",
        ),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all limits.")] = False,
    user_id: Annotated[str | None, typer.Option("--user", help="Also show what this user has used.")] = None,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    actor: Actor = DEFAULT_ACTOR,
) -> None:
    """Show or replace the limits of a campaign.

    Example: `partner-vouchers limits CMP123456 --set 1/user --set 5000/campaign`
    """
    with opened(db) as vouchers:
        if set_ or clear:
            vouchers.campaigns.set_limits(
                campaign_id, [parse_limit(text) for text in set_ or ()], actor=actor
            )
        usages = vouchers.campaigns.limits(campaign_id, user_id=user_id)
        if json:
            print_json(usages)
            return
        print_table(
            ["#Limit", "Per", "Period", "Zone", "#Used", "#Left", "Frees at"],
            [
                (
                    each.limit.count,
                    each.limit.per,
                    each.limit.period,
                    each.limit.zone,
                    each.used,
                    each.left,
                    each.frees_at,
                )
                for each in usages
            ],
            empty="The campaign has no limits.",
        )


def parse_limit(text: str) -> Limit:
    """Return a limit written as `COUNT/PER` or `COUNT/PER/PERIOD/ZONE`.

    Raises:
        InvalidInput: it is written in another way, or breaks a rule of limits.
    """
    count, _, rest = text.partition("/")
    per, _, rest = rest.partition("/")
    period, _, zone = rest.partition("/")
    if not (count.isascii() and count.isdigit()):
        raise InvalidInput(
            field="--set", reason=f"{text!r} is no limit; write 1/user or 1000/campaign/month/Asia/Kolkata"
        )
    return Limit(int(count), per=per, period=period or None, zone=zone or None)
