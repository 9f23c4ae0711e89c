"""Commands for partners and voucher lists."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
from partner_vouchers.cli.output import print_facts, print_json, print_table, say
from partner_vouchers.domain.events import FieldChange
from partner_vouchers.domain.stock import LowStock, PercentUsed
from partner_vouchers.errors import InvalidInput

ListId = Annotated[str, typer.Argument(metavar="LIST", help="The id of the list.")]
Zone = Annotated[
    str, typer.Option("--zone", help="The time zone of a date without one, such as Asia/Kolkata.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (partners, lists, show, create, edit, pause, activate, archive, delete, stock, audit):
        app.command(rich_help_panel="Lists")(command)


def partners(
    add: Annotated[str | None, typer.Option(help="Add this partner first.")] = None,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    actor: Actor = DEFAULT_ACTOR,
) -> None:
    """Show the partners, or add one.

    Example: `partner-vouchers partners --add Puma`
    """
    with opened(db, create=add is not None) as vouchers:
        if add is not None:
            vouchers.partners.add(add, actor=actor)
        found = vouchers.partners.all()
        if json:
            print_json(found)
        else:
            print_table(
                ["Partner", "Added on"],
                [(each.name, each.created_at) for each in found],
                empty="There is no partner yet; add one with --add NAME.",
            )


def lists(
    partner: Annotated[str | None, typer.Option(help="Only lists of this partner.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only lists with this tag.")] = None,
    status: Annotated[str | None, typer.Option(help="Active, Paused, Expired or Archived.")] = None,
    text: Annotated[
        str | None, typer.Option(help="Only lists with this in name, tag, partner or description.")
    ] = None,
    sort: Annotated[
        str,
        typer.Option(help="A column, such as partner or -uploaded; with a - before it the greatest first."),
    ] = "-updated_at",
    limit: Annotated[int, typer.Option(help="How many lists at the most.")] = 50,
    after: Annotated[str | None, typer.Option(help="The cursor of the next page.")] = None,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
) -> None:
    """Show the voucher lists.

    Example: `partner-vouchers lists --partner Puma --status Active`
    """
    with opened(db) as vouchers:
        page = vouchers.lists.find(
            partner=partner,
            tag=tag,
            status=status and status.capitalize(),
            text=text,
            sort=sort,
            after=after,
            limit=limit,
        )
        if json:
            print_json(page)
            return
        print_table(
            [
                "List ID",
                "Partner",
                "List tag",
                "Updated on",
                "Status",
                "#Campaigns",
                "#Uploaded",
                "#Distributed",
            ],
            [
                (
                    each.id,
                    each.partner,
                    each.tag,
                    each.updated_at,
                    each.status,
                    each.campaigns,
                    each.uploaded,
                    each.distributed,
                )
                for each in page
            ],
            empty="No list fits.",
        )
        if page.next:
            say(f"There are more: --after {page.next}")


def show(list_id: ListId, db: Database = DEFAULT_DATABASE, json: AsJson = False) -> None:
    """Show a list.

    Example: `partner-vouchers show 1`
    """
    with opened(db) as vouchers:
        found = vouchers.lists.get(list_id)
        if json:
            print_json(found)
            return
        print_facts(
            {
                "List": found.id,
                "Partner": found.partner,
                "Tag": found.tag,
                "Name": found.name,
                "Description": found.description,
                "Status": found.status,
                "Allowed": ", ".join(found.allowed) or "nothing",
                "Expires": found.expires_at,
                "Campaigns": ", ".join(link.campaign_id for link in vouchers.campaigns.of_list(list_id)),
                "Uploaded": found.uploaded,
                "Available": found.available,
                "Reserved": found.reserved,
                "Distributed": found.distributed,
                "Withdrawn": found.withdrawn,
                "Retired": found.retired,
                "Updated": found.updated_at,
            }
        )


def create(
    partner: Annotated[str, typer.Option(help="The partner; it is added if it is new.")],
    tag: Annotated[str, typer.Option(help="Unique within the partner, without spaces.")],
    expires: Annotated[str, typer.Option(help="A date (the end of that day), or a date and time.")],
    name: Annotated[str | None, typer.Option(help="The name used in messages; the tag by default.")] = None,
    description: Annotated[str, typer.Option(help="The usage conditions.")] = "",
    low_stock: Annotated[
        str | None,
        typer.Option(help="Warn at this number of codes left, or at a percentage used, such as 80%."),
    ] = None,
    zone: Zone = "UTC",
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    actor: Actor = DEFAULT_ACTOR,
) -> None:
    """Create a voucher list.

    Example: `partner-vouchers create --partner Puma --tag winter --expires 2027-03-31 --zone Asia/Kolkata`
    """
    with opened(db, create=True) as vouchers:
        vouchers.partners.ensure(partner, actor=actor)
        created = vouchers.lists.create(
            partner=partner,
            tag=tag,
            name=name or tag,
            description=description,
            expires_at=parse_instant(expires, zone),
            low_stock_at=parse_low_stock(low_stock),
            actor=actor,
        )
        if json:
            print_json(created)
        else:
            say(
                f"Created list {created.id}: {created.partner}, {created.tag}, "
                f"expires {created.expires_at:%Y-%m-%d %H:%M:%S} UTC."
            )


def edit(
    list_id: ListId,
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
    description: Annotated[str | None, typer.Option(help="The new description.")] = None,
    expires: Annotated[str | None, typer.Option(help="The new expiry: a date, or a date and time.")] = None,
    low_stock: Annotated[
        str | None, typer.Option(help="The new warning: codes left, a percentage used, or none.")
    ] = None,
    zone: Zone = "UTC",
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    actor: Actor = DEFAULT_ACTOR,
) -> None:
    """Change the name, description, expiry or stock warning of a list.

    Example: `partner-vouchers edit 1 --expires 2027-06-30`
    """
    changes: dict[str, object] = {}
    if name is not None:
        changes["name"] = name
    if description is not None:
        changes["description"] = description
    if expires is not None:
        changes["expires_at"] = parse_instant(expires, zone)
    if low_stock is not None:
        changes["low_stock_at"] = parse_low_stock(low_stock)
    if not changes:
        raise InvalidInput(
            field="edit", reason="name what to change: --name, --description, --expires or --low-stock"
        )
    with opened(db) as vouchers:
        changed = vouchers.lists.edit(list_id, actor=actor, **changes)  # type: ignore[arg-type]
        print_json(changed) if json else say(f"List {list_id} is {changed.status.value}.")


def pause(
    list_id: ListId, db: Database = DEFAULT_DATABASE, json: AsJson = False, actor: Actor = DEFAULT_ACTOR
) -> None:
    """Pause a list, so that campaigns get no codes from it.

    Example: `partner-vouchers pause 1`
    """
    with opened(db) as vouchers:
        changed = vouchers.lists.pause(list_id, actor=actor)
        print_json(changed) if json else say(f"List {list_id} is paused.")


def activate(
    list_id: ListId, db: Database = DEFAULT_DATABASE, json: AsJson = False, actor: Actor = DEFAULT_ACTOR
) -> None:
    """Activate a paused list.

    Example: `partner-vouchers activate 1`
    """
    with opened(db) as vouchers:
        changed = vouchers.lists.activate(list_id, actor=actor)
        print_json(changed) if json else say(f"List {list_id} is active.")


def archive(
    list_id: ListId,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
    yes: Yes = False,
    actor: Actor = DEFAULT_ACTOR,
) -> None:
    """Archive a list for good. Its tag and codes are free to be used again.

    Example: `partner-vouchers archive 1 --yes`
    """
    with opened(db) as vouchers:
        found = vouchers.lists.get(list_id)
        confirm(
            f"Archive list {list_id} ({found.name}) for good, with {found.available:,} codes left?", yes=yes
        )
        changed = vouchers.lists.archive(list_id, actor=actor)
        if json:
            print_json(changed)
            return
        say(f"List {list_id} is archived.")
        if changed.campaign_ids:
            say(f"These campaigns get no more codes from it: {', '.join(changed.campaign_ids)}.")


def delete(
    list_id: ListId, db: Database = DEFAULT_DATABASE, yes: Yes = False, actor: Actor = DEFAULT_ACTOR
) -> None:
    """Delete a list of which no code was given out.

    Example: `partner-vouchers delete 1 --yes`
    """
    with opened(db) as vouchers:
        found = vouchers.lists.get(list_id)
        confirm(f"Delete list {list_id} ({found.name}) with its {found.uploaded:,} codes?", yes=yes)
        vouchers.lists.delete(list_id, actor=actor)
        say(f"List {list_id} is deleted.")


def stock(list_id: ListId, db: Database = DEFAULT_DATABASE, json: AsJson = False) -> None:
    """Show how fast a list is used, and when it will have no code left.

    Example: `partner-vouchers stock 1`
    """
    with opened(db) as vouchers:
        found = vouchers.lists.stock(list_id)
        if json:
            print_json(found)
            return
        print_facts(
            {
                "Available": found.counts.available,
                "Per day, last 7 days": found.per_day_7,
                "Per day, last 28 days": found.per_day_28,
                "Runs dry on": found.runs_dry_on,
                "Earliest": found.earliest,
                "Latest": found.latest,
                "Outlasts its expiry": found.outlasts_expiry,
            }
        )


def audit(
    list_id: Annotated[str | None, typer.Option("--list", help="Only changes of this list.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only changes by this person.")] = None,
    limit: Annotated[int, typer.Option(help="How many entries at the most.")] = 50,
    after: Annotated[str | None, typer.Option(help="The cursor of the next page.")] = None,
    db: Database = DEFAULT_DATABASE,
    json: AsJson = False,
) -> None:
    """Show who changed what, from what to what.

    Example: `partner-vouchers audit --list 1`
    """
    with opened(db) as vouchers:
        page = vouchers.audit.entries(list_id=list_id, actor=actor, after=after, limit=limit)
        if json:
            print_json(page)
            return
        print_table(
            ["When", "Who", "What", "From → to"],
            [
                (
                    each.event.occurred_at,
                    each.actor,
                    each.event.event_name,
                    "; ".join(map(_shown, each.event.changes)),
                )
                for each in page
            ],
            empty="Nothing was changed.",
        )
        if page.next:
            say(f"There are more: --after {page.next}")


def parse_instant(text: str, zone: str) -> datetime:
    """Return a date, which means the end of that day, or a date and time, in a zone where the text names none.

    Raises:
        InvalidInput: it is neither, or there is no such zone.
    """
    try:
        place = UTC if zone == "UTC" else ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(
            field="--zone", reason=f"there is no time zone {zone!r}; name one such as Asia/Kolkata"
        ) from None
    try:
        if len(text.strip()) <= 10:
            return datetime.combine(date.fromisoformat(text.strip()), time(23, 59, 59, fold=1), place)
        value = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(
            field="--expires", reason=f"{text!r} is no date; write 2027-03-31 or 2027-03-31T18:00"
        ) from None
    return value if value.tzinfo is not None else value.replace(tzinfo=place)


def parse_low_stock(text: str | None) -> LowStock | None:
    """Return a stock threshold: a number of codes left, a percentage used, or None.

    Raises:
        InvalidInput: it is none of these.
    """
    if text is None or text.strip().lower() in ("", "none"):
        return None
    number = text.strip().removesuffix("%")
    if not (number.isascii() and number.isdigit()):
        raise InvalidInput(
            field="--low-stock", reason="must be a number of codes left, or a percentage used such as 80%"
        )
    return PercentUsed(int(number)) if text.strip().endswith("%") else int(number)


def _shown(change: FieldChange) -> str:
    before, after = ("–" if value in (None, "") else value for value in (change.before, change.after))
    return f"{change.field}: {before} → {after}"
