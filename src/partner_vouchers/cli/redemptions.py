"""Commands for redemptions."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from partner_vouchers.cli.context import (
    DEFAULT_ACTOR,
    DEFAULT_DATABASE,
    Actor,
    AsJson,
    Database,
    Exit,
    opened,
)
from partner_vouchers.cli.lists import parse_instant
from partner_vouchers.cli.output import print_json, print_table, say
from partner_vouchers.cli.uploads import File, given, open_source, require_new, show_progress, write_file
from partner_vouchers.domain.codes import mask
from partner_vouchers.errors import InvalidInput


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (redeem, reconcile):
        app.command(rich_help_panel="Codes")(command)


def redeem(
    code: Annotated[str, typer.Argument(metavar="CODE")],
    order: Annotated[str, typer.Option(help="The id of the order.")],
    user_id: Annotated[str | None, typer.Option("--user", help="Who used it.")] = None,
    partner: Annotated[str | None, typer.Option(help="The partner, where several have the code.")] = None,
    list_id: Annotated[
        str | None, typer.Option("--list", help="The list, where several have the code.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="When it was used; now by default.")] = None,
    amount: Annotated[str | None, typer.Option(help="The amount, such as 9.90.")] = None,
    revert: Annotated[bool, typer.Option("--revert", help="Undo the redemption of this order.")] = False,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
) -> None:
    """Record that a code was used, or undo it.

    Example: `partner-vouchers redeem PM500FF --order 4711`
    """
    with opened(db) as vouchers:
        if revert:
            undone = vouchers.redemptions.revert(code, order_id=order, partner=partner, list_id=list_id)
            print_json(undone) if json else say("The redemption was reverted.")
            return
        try:
            value = None if amount is None else Decimal(amount)
        except InvalidOperation:
            raise InvalidInput(field="--amount", reason="must be a number such as 9.90") from None
        made = vouchers.redemptions.add(
            code,
            order_id=order,
            user_id=user_id,
            partner=partner,
            list_id=list_id,
            amount=value,
            redeemed_at=None if at is None else parse_instant(at, "UTC"),
        )
        late = ", after it had expired" if made.late else ""
        print_json(made) if json else say(
            f"Recorded: {made.user_id} used {mask(code)} of list {made.list_id}{late}."
        )


def reconcile(
    file: File,
    partner: Annotated[str | None, typer.Option(help="The partner whose record it is.")] = None,
    list_id: Annotated[str | None, typer.Option("--list", help="The list, instead of a partner.")] = None,
    error_file: Annotated[
        Path | None, typer.Option(help="Where to write the rows that were not recorded.")
    ] = None,
    zone: Annotated[str, typer.Option(help="The time zone of times without one.")] = "UTC",
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    actor: Actor = DEFAULT_ACTOR,
) -> int:
    """Compare a partner's own record of redemptions with ours.

    Example: `partner-vouchers reconcile redeemed.csv --partner Puma`
    """
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(field="--zone", reason=f"there is no time zone {zone!r}") from None
    require_new(error_file)
    with opened(db) as vouchers, open_source(file) as (source, name), show_progress() as progress:
        report = vouchers.redemptions.upload(
            source,
            filename=name,
            uploaded_by=actor,
            zone=place,
            progress=progress,
            **given(partner=partner, list_id=list_id),
        )
        if error_file:
            with vouchers.redemptions.error_file(report.id, actor=actor) as stream:
                write_file(stream, error_file)
    if json:
        print_json(report)
    else:
        print_table(["Rows", "#Number"], report.counts.items(), empty="The file has no row.")
    return Exit.FAULTS if report.error_count else Exit.OK
