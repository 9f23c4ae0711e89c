"""Commands for the codes that users have, or have reserved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

import typer

from partner_vouchers.cli.context import Exit, Terminal, command
from partner_vouchers.cli.output import say
from partner_vouchers.cli.root import app
from partner_vouchers.cli.wording import exit_code_of, message_of
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.reservation import Preview
from partner_vouchers.errors import InvalidInput

_PANEL = "Codes"

UserId = Annotated[str, typer.Option("--user", help="The id of the user.")]
FromCampaign = Annotated[str | None, typer.Option("--campaign", help="The campaign; either this or --list.")]
FromList = Annotated[str | None, typer.Option("--list", help="The list; either this or --campaign.")]
Key = Annotated[
    str | None, typer.Option("--key", help="An idempotency key: the same key returns the same code.")
]
User = Annotated[str, typer.Argument(metavar="USER", help="The id of the user.")]
ReservationId = Annotated[str, typer.Argument(metavar="RESERVATION", help="The id of the reservation.")]


@command(app, _PANEL, "json reveal actor")
def assign(
    at: Terminal,
    user_id: UserId,
    campaign: FromCampaign = None,
    list_id: FromList = None,
    key: Key = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Say what would be given, and change nothing.")
    ] = False,
) -> int:
    """Give a user a code, exactly once.

    Example: `partner-vouchers assign --user user-42 --campaign CMP123456 --key order-991`
    """
    if preview:
        found = at.vouchers.codes.preview(
            user_id=user_id, campaign_id=campaign, list_id=list_id, idempotency_key=key
        )
        at.answer(found, _preview_of(user_id, found))
        return Exit.OK if found.refusal is None else exit_code_of(found.refusal)
    reward = at.vouchers.codes.assign(
        user_id=user_id, campaign_id=campaign, list_id=list_id, idempotency_key=key
    )
    at.reveal_code(reward.id)
    verb = "has" if reward.replayed else "gets"
    at.answer(
        reward, f"{user_id} {verb} {at.code(reward.code)} of list {reward.list_id} (assignment {reward.id})."
    )
    return Exit.OK


@command(app, _PANEL, "json reveal actor")
def user(
    at: Terminal,
    user_id: User,
    valid: Annotated[bool, typer.Option("--valid", help="Leave out codes of expired lists.")] = False,
) -> None:
    """Show the vouchers of a user.

    Example: `partner-vouchers user user-42`
    """
    found = at.vouchers.codes.of_user(user_id, expired=not valid, revoked=True)
    for each in found:
        at.reveal_code(each.id)
    _show_assignments(at, found)


@command(app, _PANEL, "json")
def holders(
    at: Terminal, code: Annotated[str, typer.Argument(metavar="CODE", help="The whole code.")]
) -> None:
    """Show who holds a code.

    Example: `partner-vouchers holders PM500FF`
    """
    _show_assignments(at, at.vouchers.codes.holders(code))


@command(app, _PANEL, "json reveal")
def reserve(
    at: Terminal,
    user_id: UserId,
    minutes: Annotated[float, typer.Option(help="For how long, in minutes.")],
    campaign: FromCampaign = None,
    list_id: FromList = None,
    key: Key = None,
) -> None:
    """Set a code aside for a user.

    Example: `partner-vouchers reserve --user user-42 --campaign CMP123456 --minutes 15`
    """
    try:
        ttl = timedelta(minutes=minutes)
    except (OverflowError, ValueError):
        raise InvalidInput(field="--minutes", reason="must be more than zero and at most 30 days") from None
    made = at.vouchers.codes.reserve(
        user_id=user_id, campaign_id=campaign, list_id=list_id, ttl=ttl, idempotency_key=key
    )
    at.facts(
        made,
        {
            "Reservation": "id",
            "Code": lambda each: at.code(each.code),
            "List": "list_id",
            "Expires": "expires_at",
        },
    )


@command(app, _PANEL, "json reveal actor")
def confirm(at: Terminal, reservation_id: ReservationId) -> None:
    """Give out a reserved code.

    Example: `partner-vouchers confirm RESERVATION`
    """
    reward = at.vouchers.codes.confirm(reservation_id)
    at.reveal_code(reward.id)
    at.answer(reward, f"{reward.user_id} has {at.code(reward.code)} (assignment {reward.id}).")


@command(app, _PANEL, "json")
def release(at: Terminal, reservation_id: ReservationId) -> None:
    """Give a reserved code back.

    Example: `partner-vouchers release RESERVATION`
    """
    ended = at.vouchers.codes.release(reservation_id)
    at.answer(ended, f"Reservation {reservation_id} is released.")


@command(app, _PANEL, "json yes actor")
def revoke(
    at: Terminal,
    assignment_id: Annotated[
        str, typer.Argument(metavar="ASSIGNMENT", help="The id of the assignment; `user` shows it.")
    ],
    reason: Annotated[str | None, typer.Option(help="Why; put no user ids here.")] = None,
    restock: Annotated[bool, typer.Option("--restock", help="Return the code to the pool.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Restock although the user may know the code.")
    ] = False,
) -> None:
    """Take a code back from a user.

    Example: `partner-vouchers revoke 4294967297 --reason refunded --yes`
    """
    at.confirm(f"Take the code of assignment {assignment_id} back?")
    made = at.vouchers.codes.revoke(
        assignment_id, reason=reason, restock=restock, force=force, actor=at.actor
    )
    at.answer(made, f"Revoked; the code is {'back in the pool' if made.restocked else 'retired'}.")


@command(app, _PANEL, "json yes", name="forget-user")
def forget_user(at: Terminal, user_id: User) -> None:
    """Replace the id of a user everywhere by a random pseudonym.

    Example: `partner-vouchers forget-user user-42 --yes`
    """
    at.confirm(f"Erase the user {user_id!r} for good?")
    report = at.vouchers.codes.forget_user(user_id)
    at.facts(
        report,
        {
            "Assignments": "assignments",
            "Reservations": "reservations",
            "Redemptions": "redemptions",
            "Events cancelled": lambda each: _by_sink(each.cancelled),
            "Events that sinks have": lambda each: _by_sink(each.delivered),
        },
    )
    if report.delivered and not at.json:
        say("Erase the user at these sinks, too.")


def _by_sink(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{sink}: {count:,}" for sink, count in counts.items())


def _preview_of(user_id: str, found: Preview) -> str:
    if found.refusal is not None:
        return f"{user_id} would get nothing: {message_of(found.refusal)}"
    if found.replay is not None:
        return f"{user_id} has a code of list {found.list_id} (assignment {found.replay.id}) and would get no other."
    if found.reservation is not None:
        return f"{user_id} would get the reserved code of list {found.list_id} (reservation {found.reservation.id})."
    return f"{user_id} would get a code of list {found.list_id}."


def _show_assignments(at: Terminal, found: list[Assignment]) -> None:
    at.table(
        found,
        {
            "Assignment": "id",
            "Code": lambda each: at.code(each.code),
            "User": "user_id",
            "List": "list_id",
            "Campaign": "campaign_id",
            "Given on": "assigned_at",
            "Revoked": "revoked_at",
            "Redeemed": "redeemed_at",
        },
        empty="No voucher was found.",
    )
