"""Commands for reservations."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from partner_vouchers.cli.codes import FromCampaign, FromList, Key, UserId
from partner_vouchers.cli.context import (
    DEFAULT_DATABASE,
    AsJson,
    Database,
    Reveal,
    opened,
)
from partner_vouchers.cli.output import print_facts, print_json, say
from partner_vouchers.domain.codes import mask
from partner_vouchers.errors import InvalidInput


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("reserve", reserve), ("confirm", confirm_), ("release", release)):
        app.command(name, rich_help_panel="Codes")(command)


def reserve(
    user_id: UserId,
    minutes: Annotated[float, typer.Option(help="For how long, in minutes.")],
    campaign: FromCampaign = None,
    list_id: FromList = None,
    key: Key = None,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Set a code aside for a user.

    Example: `partner-vouchers reserve --user user-42 --campaign CMP123456 --minutes 15`
    """
    try:
        ttl = timedelta(minutes=minutes)
    except (OverflowError, ValueError):
        raise InvalidInput(field="--minutes", reason="must be more than zero and at most 30 days") from None
    with opened(db) as vouchers:
        made = vouchers.codes.reserve(
            user_id=user_id, campaign_id=campaign, list_id=list_id, ttl=ttl, idempotency_key=key
        )
        if json:
            print_json(made, reveal=reveal)
        else:
            print_facts(
                {
                    "Reservation": made.id,
                    "Code": made.code if reveal else mask(made.code),
                    "List": made.list_id,
                    "Expires": made.expires_at,
                }
            )


def confirm_(
    reservation_id: Annotated[str, typer.Argument(metavar="RESERVATION")],
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Give out a reserved code.

    Example: `partner-vouchers confirm RESERVATION`
    """
    with opened(db) as vouchers:
        reward = vouchers.codes.confirm(reservation_id)
        print_json(reward, reveal=reveal) if json else say(
            f"{reward.user_id} has {reward.code if reveal else mask(reward.code)} (assignment {reward.id})."
        )


def release(
    reservation_id: Annotated[str, typer.Argument(metavar="RESERVATION")],
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
) -> None:
    """Give a reserved code back.

    Example: `partner-vouchers release RESERVATION`
    """
    with opened(db) as vouchers:
        ended = vouchers.codes.release(reservation_id)
        print_json(ended) if json else say(f"Reservation {reservation_id} is released.")
