"""Commands for redemptions."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from partner_vouchers.cli.context import Exit, Terminal, command
from partner_vouchers.cli.files import File, open_source, require_new, show_progress, write_error_file
from partner_vouchers.cli.lists import Zone, parse_instant, parse_zone
from partner_vouchers.cli.output import print_json, print_table, warn
from partner_vouchers.cli.root import app
from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.reconciliation import ROW_KINDS
from partner_vouchers.errors import InvalidInput

_PANEL = "Codes"


@command(app, _PANEL, "json")
def redeem(
    at: Terminal,
    code: Annotated[str, typer.Argument(metavar="CODE", help="The whole code.")],
    order: Annotated[str, typer.Option(help="The id of the order.")],
    user_id: Annotated[
        str | None, typer.Option("--user", help="The user who has the code, to check it.")
    ] = None,
    partner: Annotated[str | None, typer.Option(help="The partner, where several have the code.")] = None,
    list_id: Annotated[
        str | None, typer.Option("--list", help="The list, where several have the code.")
    ] = None,
    when: Annotated[
        str | None,
        typer.Option(
            "--at", help="When it was used: a date (its first moment), or a date and time. Now by default."
        ),
    ] = None,
    zone: Zone = "UTC",
    amount: Annotated[str | None, typer.Option(help="The amount, such as 9.90.")] = None,
    revert: Annotated[bool, typer.Option("--revert", help="Undo the redemption of this order.")] = False,
) -> None:
    """Record that a code was used, or undo it.

    Example: `partner-vouchers redeem PM500FF --order 4711`
    """
    if revert:
        if user_id or when or amount:
            raise InvalidInput(field="--revert", reason="does not take --user, --at or --amount")
        undone = at.vouchers.redemptions.revert(code, order_id=order, partner=partner, list_id=list_id)
        at.answer(undone, "The redemption was reverted.")
        return
    try:
        value = None if amount is None else Decimal(amount)
    except InvalidOperation:
        raise InvalidInput(field="--amount", reason="must be a number such as 9.90") from None
    made = at.vouchers.redemptions.add(
        code,
        order_id=order,
        user_id=user_id,
        partner=partner,
        list_id=list_id,
        amount=value,
        redeemed_at=None if when is None else parse_instant("--at", when, zone, end_of_day=False),
    )
    late = ", after it had expired" if made.late else ""
    at.answer(made, f"Recorded: {made.user_id} used {mask(code)} of list {made.list_id}{late}.")


@command(app, _PANEL, "json actor")
def reconcile(
    at: Terminal,
    file: File,
    partner: Annotated[str | None, typer.Option(help="The partner whose record it is.")] = None,
    list_id: Annotated[str | None, typer.Option("--list", help="The list, instead of a partner.")] = None,
    error_file: Annotated[
        Path | None,
        typer.Option(help="Where to write the rows that were not recorded; FILE-errors.csv by default."),
    ] = None,
    zone: Zone = "UTC",
) -> int:
    """Compare a partner's own record of redemptions with ours.

    Example: `partner-vouchers reconcile redeemed.csv --partner Puma`
    """
    place = parse_zone(zone)
    require_new("--error-file", error_file)
    with open_source(file) as (source, name), show_progress() as progress:
        report = at.vouchers.redemptions.upload(
            source,
            partner=partner,
            list_id=list_id,
            filename=name,
            uploaded_by=at.actor,
            zone=place,
            progress=progress,
        )
    if at.json:
        print_json(report)
    else:
        rows = [
            (kind.value.replace("_", " "), count, ROW_KINDS[kind]) for kind, count in report.counts.items()
        ]
        print_table(["What", "#Rows", "What it means"], rows, empty="The file has no row.")
    if not report.error_count:
        return Exit.OK
    written = write_error_file(
        at.vouchers.redemptions.error_file(report.id, actor=at.actor),
        error_file,
        name,
        "reconcile the file again with another --error-file to get the rows that were not recorded",
    )
    if written is None:
        return Exit.STORAGE
    warn(f"The rows that were not recorded are in {written}. Correct them there, and reconcile that file.")
    return Exit.FAULTS
