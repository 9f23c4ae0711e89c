"""Commands for campaigns: their lists and limits."""

from __future__ import annotations

from typing import Annotated

import typer

from partner_vouchers.cli.context import CampaignId, ListId, Terminal, command
from partner_vouchers.cli.root import app
from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.domain.limits import Limit
from partner_vouchers.errors import InvalidInput

_PANEL = "Campaigns"


@command(app, _PANEL, "json actor")
def link(
    at: Terminal,
    list_id: ListId,
    campaign_id: CampaignId,
    repeat: Annotated[
        RepeatPolicy, typer.Option(help="What a user gets who asks again.")
    ] = RepeatPolicy.SAME_CODE,
    priority: Annotated[int, typer.Option(help="Lists with a lower number give their codes first.")] = 0,
    eligibility: Annotated[str | None, typer.Option(help="The name of a rule of your backend.")] = None,
) -> None:
    """Link a list to a campaign, or change the link.

    Example: `partner-vouchers link 1 CMP123456`
    """
    made = at.vouchers.campaigns.link(
        list_id, campaign_id, repeat=repeat, priority=priority, eligibility=eligibility, actor=at.actor
    )
    at.answer(made, f"List {list_id} gives its codes to campaign {campaign_id}.")


@command(app, _PANEL, "json actor")
def unlink(at: Terminal, list_id: ListId, campaign_id: CampaignId) -> None:
    """Unlink a list from a campaign.

    Example: `partner-vouchers unlink 1 CMP123456`
    """
    at.vouchers.campaigns.unlink(list_id, campaign_id, actor=at.actor)
    at.answer(
        {"list_id": list_id, "campaign_id": campaign_id},
        f"Campaign {campaign_id} gets no more codes from list {list_id}.",
    )


@command(app, _PANEL, "json actor")
def limits(
    at: Terminal,
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
) -> None:
    """Show or replace the limits of a campaign.

    Example: `partner-vouchers limits CMP123456 --set 1/user --set 5000/campaign`
    """
    if set_ and clear:
        raise InvalidInput(field="--clear", reason="does not go with --set")
    if set_ or clear:
        wanted = [parse_limit(text) for text in set_ or ()]
        at.vouchers.campaigns.set_limits(campaign_id, wanted, actor=at.actor)
    at.table(
        at.vouchers.campaigns.limits(campaign_id, user_id=user_id),
        {
            "#Limit": "limit.count",
            "Per": "limit.per",
            "Period": "limit.period",
            "Zone": "limit.zone",
            "#Used": "used",
            "#Left": "left",
            "Frees at": "frees_at",
        },
        empty="The campaign has no limits.",
    )


def parse_limit(text: str) -> Limit:
    """Return a limit written as `COUNT/PER` or `COUNT/PER/PERIOD/ZONE`.

    Raises:
        InvalidInput: it is written in another way, or breaks a rule of limits.
    """
    # A zone may have slashes itself.
    count, per, period, zone = [*text.split("/", 3), "", "", ""][:4]
    example = "write 1/user or 1000/campaign/month/Asia/Kolkata"
    if not (count.isascii() and count.isdigit()):
        raise InvalidInput(field="--set", reason=f"{text!r} is not a limit; {example}")
    try:
        return Limit(int(count), per=per, period=period or None, zone=zone or None)
    except InvalidInput as error:
        raise InvalidInput(
            field="--set", reason=f"{text!r}: {error.field} {error.reason}; {example}"
        ) from None
