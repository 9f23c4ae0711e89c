"""Commands that take codes back and erase users."""

from __future__ import annotations

from typing import Annotated

import typer

from partner_vouchers.cli.context import (
    DEFAULT_ACTOR,
    DEFAULT_DATABASE,
    Actor,
    AsJson,
    Database,
    Yes,
    confirm,
    opened,
)
from partner_vouchers.cli.output import print_json, say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("revoke", revoke), ("forget-user", forget_user)):
        app.command(name, rich_help_panel="Codes")(command)


def revoke(
    assignment_id: Annotated[str, typer.Argument(metavar="ASSIGNMENT")],
    reason: Annotated[str | None, typer.Option(help="Why; put no user ids here.")] = None,
    restock: Annotated[bool, typer.Option("--restock", help="Return the code to the pool.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Restock although the user may know the code.")
    ] = False,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    yes: Yes = False,
    actor: Actor = DEFAULT_ACTOR,
) -> None:
    """Take a code back from a user.

    Example: `partner-vouchers revoke 4294967297 --reason refunded --yes`
    """
    with opened(db) as vouchers:
        confirm(f"Take the code of assignment {assignment_id} back?", yes=yes)
        made = vouchers.codes.revoke(assignment_id, reason=reason, restock=restock, force=force, actor=actor)
        print_json(made) if json else say(
            f"Revoked; the code is {'back in the pool' if made.restocked else 'retired'}."
        )


def forget_user(
    user_id: Annotated[str, typer.Argument(metavar="USER")],
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    yes: Yes = False,
) -> None:
    """Replace the id of a user everywhere by a random pseudonym.

    Example: `partner-vouchers forget-user user-42 --yes`
    """
    with opened(db) as vouchers:
        confirm(f"Erase the user {user_id!r} for good?", yes=yes)
        report = vouchers.codes.forget_user(user_id)
        print_json(report) if json else say(str(report))
