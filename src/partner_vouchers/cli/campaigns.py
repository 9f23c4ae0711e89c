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
from partner_vouchers.cli.output import print_json, say
from partner_vouchers.domain.campaigns import RepeatPolicy

CampaignId = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The id of the campaign.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (link, unlink):
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
