"""Commands for campaigns, and for the codes that users have."""

from __future__ import annotations

from typing import Annotated

import typer

from partner_vouchers.cli.context import (
    DEFAULT_ACTOR,
    DEFAULT_DATABASE,
    Actor,
    AsJson,
    Database,
    Exit,
    Reveal,
    opened,
)
from partner_vouchers.cli.output import print_json, print_table, say
from partner_vouchers.cli.wording import exit_code_of, message_of
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.reservation import Preview

UserId = Annotated[str, typer.Option("--user", help="The id of the user.")]
FromCampaign = Annotated[str | None, typer.Option("--campaign", help="The campaign; either this or --list.")]
FromList = Annotated[str | None, typer.Option("--list", help="The list; either this or --campaign.")]
Key = Annotated[
    str | None, typer.Option("--key", help="An idempotency key: the same key returns the same code.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (assign, user, holders):
        app.command(rich_help_panel="Codes")(command)


def assign(
    user_id: UserId,
    campaign: FromCampaign = None,
    list_id: FromList = None,
    key: Key = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Say what would be given, and change nothing.")
    ] = False,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    reveal: Reveal = False,
) -> int:
    """Give a user a code, exactly once.

    Example: `partner-vouchers assign --user user-42 --campaign CMP123456 --key order-991`
    """
    with opened(db) as vouchers:
        if preview:
            found = vouchers.codes.preview(
                user_id=user_id, campaign_id=campaign, list_id=list_id, idempotency_key=key
            )
            print_json(found, reveal=reveal) if json else say(_preview_of(user_id, found))
            return Exit.OK if found.refusal is None else exit_code_of(found.refusal)
        reward = vouchers.codes.assign(
            user_id=user_id, campaign_id=campaign, list_id=list_id, idempotency_key=key
        )
        if json:
            print_json(reward, reveal=reveal)
        else:
            verb = "has" if reward.replayed else "gets"
            shown = reward.code if reveal else mask(reward.code)
            say(f"{user_id} {verb} {shown} of list {reward.list_id} (assignment {reward.id}).")
    return Exit.OK


def user(
    user_id: Annotated[str, typer.Argument(metavar="USER")],
    valid: Annotated[bool, typer.Option("--valid", help="Leave out codes of expired lists.")] = False,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    reveal: Reveal = False,
    actor: Actor = DEFAULT_ACTOR,
) -> None:
    """Show the vouchers of a user.

    Example: `partner-vouchers user user-42`
    """
    with opened(db) as vouchers:
        found = vouchers.codes.of_user(user_id, expired=not valid, revoked=True)
        if reveal:
            for each in found:
                vouchers.codes.reveal(each.id, actor=actor)
        _print_assignments(found, json, reveal)


def holders(
    code: Annotated[str, typer.Argument(metavar="CODE")],
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
) -> None:
    """Show who holds a code.

    Example: `partner-vouchers holders PM500FF`
    """
    with opened(db) as vouchers:
        _print_assignments(vouchers.codes.holders(code), json, False)


def _preview_of(user_id: str, found: Preview) -> str:
    if found.refusal is not None:
        return f"{user_id} would get nothing: {message_of(found.refusal)}"
    if found.replay is not None:
        return f"{user_id} has a code of list {found.list_id} (assignment {found.replay.id}) and would get no other."
    if found.reservation is not None:
        return f"{user_id} would get the reserved code of list {found.list_id} (reservation {found.reservation.id})."
    return f"{user_id} would get a code of list {found.list_id}."


def _print_assignments(found: list[Assignment], json: bool, reveal: bool) -> None:
    if json:
        print_json(found, reveal=reveal)
        return
    print_table(
        ["Assignment", "Code", "User", "List", "Campaign", "Given on", "Revoked", "Redeemed"],
        [
            (
                each.id,
                each.code if reveal else mask(each.code),
                each.user_id,
                each.list_id,
                each.campaign_id,
                each.assigned_at,
                each.revoked_at,
                each.redeemed_at,
            )
            for each in found
        ],
        empty="Nothing was found.",
    )
