"""Commands for partners and voucher lists."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated

import typer

from partner_vouchers.cli.context import After, Limit, ListId, OfList, Terminal, command
from partner_vouchers.cli.output import say
from partner_vouchers.cli.root import app
from partner_vouchers.domain.arguments import named_zone
from partner_vouchers.domain.events import FieldChange
from partner_vouchers.domain.expiry import expiry_instant
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.domain.stock import LowStock, PercentUsed
from partner_vouchers.errors import InvalidInput

_PANEL = "Lists"
Zone = Annotated[
    str, typer.Option("--zone", help="The time zone of a date without one, such as Asia/Kolkata.")
]


@command(app, _PANEL, "json actor", create="add")
def partners(
    at: Terminal, add: Annotated[str | None, typer.Option(help="Add this partner first.")] = None
) -> None:
    """Show the partners, or add one.

    Example: `partner-vouchers partners --add Puma`
    """
    if add is not None:
        at.vouchers.partners.add(add, actor=at.actor)
    at.table(
        at.vouchers.partners.all(),
        {"Partner": "name", "Added on": "created_at"},
        empty="There is no partner yet; add one with --add NAME.",
    )


@command(app, _PANEL, "json")
def lists(
    at: Terminal,
    partner: Annotated[str | None, typer.Option(help="Only lists of this partner.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only lists with this tag.")] = None,
    status: Annotated[
        Status | None, typer.Option(case_sensitive=False, help="Only lists with this status.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Only lists with this in name, tag, partner or description.")
    ] = None,
    sort: Annotated[
        str,
        typer.Option(help="A column, such as partner or -uploaded; with a - before it the greatest first."),
    ] = "-updated_at",
    limit: Limit = 50,
    after: After = None,
) -> None:
    """Show the voucher lists.

    Example: `partner-vouchers lists --partner Puma --status Active`
    """
    at.table(
        at.vouchers.lists.find(
            partner=partner,
            tag=tag,
            status=status,
            text=text,
            sort=sort,
            after=after,
            limit=limit,
        ),
        {
            "List ID": "id",
            "Partner": "partner",
            "List tag": "tag",
            "Updated on": "updated_at",
            "Status": "status",
            "#Campaigns": "campaigns",
            "#Uploaded": "uploaded",
            "#Distributed": "distributed",
        },
        empty="No list fits."
        if partner or tag or status or text or after
        else "There is no list yet; create one with `partner-vouchers create`.",
    )


@command(app, _PANEL, "json")
def show(at: Terminal, list_id: ListId) -> None:
    """Show a list.

    Example: `partner-vouchers show 1`
    """
    links = at.vouchers.campaigns.of_list(list_id)
    at.facts(
        at.vouchers.lists.get(list_id),
        {
            "List": "id",
            "Partner": "partner",
            "Tag": "tag",
            "Name": "name",
            "Description": "description",
            "Status": "status",
            "Allowed": lambda found: ", ".join(found.allowed) or "nothing",
            "Expires": "expires_at",
            "Low stock at": "low_stock_at",
            "Expiring soon": lambda found: found.expiring_soon and _in_days(found.expiring_soon),
            "Campaigns": lambda _: ", ".join(link.campaign_id for link in links),
            "Uploaded": "uploaded",
            "Available": "available",
            "Reserved": "reserved",
            "Distributed": "distributed",
            "Withdrawn": "withdrawn",
            "Retired": "retired",
            "Updated": "updated_at",
        },
    )


@command(app, _PANEL, "json actor", create=True)
def create(
    at: Terminal,
    partner: Annotated[str, typer.Option(help="The partner; it is added if it is new.")],
    tag: Annotated[str, typer.Option(help="Unique within the partner, without spaces.")],
    expires: Annotated[str, typer.Option(help="A date (the end of that day), or a date and time.")],
    name: Annotated[str | None, typer.Option(help="The name used in messages; the tag by default.")] = None,
    description: Annotated[str, typer.Option(help="The usage conditions.")] = "",
    low_stock: Annotated[
        str | None,
        typer.Option(help="Warn at this number of codes left, or at a percentage used, such as 80%."),
    ] = None,
    expiring_soon: Annotated[
        str | None, typer.Option(metavar="DAYS", help="Warn this many days before the expiry.")
    ] = None,
    zone: Zone = "UTC",
) -> None:
    """Create a voucher list.

    Example: `partner-vouchers create --partner Puma --tag winter --expires 2027-03-31 --zone Asia/Kolkata`
    """
    expires_at, low_stock_at = parse_instant("--expires", expires, zone), parse_low_stock(low_stock)
    made = at.vouchers.lists.create(
        partner=partner,
        tag=tag,
        name=name or tag,
        description=description,
        expires_at=expires_at,
        low_stock_at=low_stock_at,
        expiring_soon=parse_days(expiring_soon),
        add_partner=True,
        actor=at.actor,
    )
    expiry = f"{made.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    at.answer(made, f"Created list {made.id}: {made.partner}, {made.tag}, expires {expiry}.")


@command(app, _PANEL, "json actor")
def edit(
    at: Terminal,
    list_id: ListId,
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
    description: Annotated[str | None, typer.Option(help="The new description.")] = None,
    expires: Annotated[str | None, typer.Option(help="The new expiry: a date, or a date and time.")] = None,
    low_stock: Annotated[
        str | None, typer.Option(help="The new warning: codes left, a percentage used, or none.")
    ] = None,
    expiring_soon: Annotated[
        str | None,
        typer.Option(metavar="DAYS", help="The new warning: this many days before the expiry, or none."),
    ] = None,
    zone: Zone = "UTC",
) -> None:
    """Change the name, description, expiry or warnings of a list.

    Example: `partner-vouchers edit 1 --expires 2027-06-30`
    """
    expires_at = None if expires is None else parse_instant("--expires", expires, zone)
    given = {"name": name, "description": description, "expires_at": expires_at}
    changes: dict[str, object] = {field: value for field, value in given.items() if value is not None}
    if low_stock is not None:
        changes["low_stock_at"] = parse_low_stock(low_stock)
    if expiring_soon is not None:
        changes["expiring_soon"] = parse_days(expiring_soon)
    if not changes:
        raise InvalidInput(
            field="edit",
            reason="name what to change: --name, --description, --expires, --low-stock or --expiring-soon",
        )
    changed = at.vouchers.lists.edit(list_id, actor=at.actor, **changes)  # type: ignore[arg-type]
    at.answer(changed, f"List {list_id} is changed; it is {changed.status.value}.")


@command(app, _PANEL, "json actor")
def pause(at: Terminal, list_id: ListId) -> None:
    """Pause a list, so that campaigns get no codes from it.

    Example: `partner-vouchers pause 1`
    """
    at.answer(at.vouchers.lists.pause(list_id, actor=at.actor), f"List {list_id} is paused.")


@command(app, _PANEL, "json actor")
def activate(at: Terminal, list_id: ListId) -> None:
    """Activate a paused list.

    Example: `partner-vouchers activate 1`
    """
    at.answer(at.vouchers.lists.activate(list_id, actor=at.actor), f"List {list_id} is active.")


@command(app, _PANEL, "json yes actor")
def archive(at: Terminal, list_id: ListId) -> None:
    """Archive a list for good. Its tag and codes are free to be used again.

    Example: `partner-vouchers archive 1 --yes`
    """
    found = at.vouchers.lists.get(list_id)
    at.confirm(f"Archive list {list_id} ({found.name}) for good, with {found.available:,} of its codes left?")
    changed = at.vouchers.lists.archive(list_id, actor=at.actor)
    at.answer(changed, f"List {list_id} is archived.")
    if changed.campaign_ids and not at.json:
        say(f"These campaigns get no more codes from it: {', '.join(changed.campaign_ids)}.")


@command(app, _PANEL, "json yes actor")
def delete(at: Terminal, list_id: ListId) -> None:
    """Delete a list of which no code was given out.

    Example: `partner-vouchers delete 1 --yes`
    """
    found = at.vouchers.lists.get(list_id)
    at.confirm(f"Delete list {list_id} ({found.name}) with its {found.uploaded:,} codes?")
    at.vouchers.lists.delete(list_id, actor=at.actor)
    at.answer({"deleted": list_id}, f"List {list_id} is deleted.")


@command(app, _PANEL, "json")
def stock(at: Terminal, list_id: ListId) -> None:
    """Show how fast a list is used, and when it will have no code left.

    Example: `partner-vouchers stock 1`
    """
    at.facts(
        at.vouchers.lists.stock(list_id),
        {
            "Available": "counts.available",
            "Per day, last 7 days": lambda found: f"{found.per_day_7:,.2f}",
            "Per day, last 28 days": lambda found: f"{found.per_day_28:,.2f}",
            "Runs dry on": "runs_dry_on",
            "Earliest": "earliest",
            "Latest": "latest",
            "Outlasts its expiry": "outlasts_expiry",
        },
    )


@command(app, _PANEL, "json")
def audit(
    at: Terminal,
    list_id: OfList = None,
    by: Annotated[str | None, typer.Option("--actor", help="Only changes by this person.")] = None,
    limit: Limit = 50,
    after: After = None,
) -> None:
    """Show who changed what, from what to what, the latest change first.

    Example: `partner-vouchers audit --list 1`
    """
    at.table(
        at.vouchers.audit.entries(list_id=list_id, actor=by, after=after, limit=limit, newest_first=True),
        {
            "When": "event.occurred_at",
            "Who": "actor",
            "What": "event.event_name",
            "Values": lambda entry: "; ".join(map(_shown, entry.event.changes)),
        },
        empty="Nothing was changed.",
    )


def parse_zone(zone: str) -> tzinfo:
    """Return the time zone of the option `--zone`.

    Raises:
        InvalidInput: see `domain.arguments.named_zone`.
    """
    return UTC if zone == "UTC" else named_zone(zone, "--zone")


def parse_instant(option: str, text: str, zone: str, *, end_of_day: bool = True) -> datetime:
    """Return a date or a date and time, in a zone where the text names none.

    Args:
        option: the option that has it.
        text: the date, or the date and time.
        zone: the name of the zone.
        end_of_day: whether a date means its last second, as for an expiry, or else its first moment.

    Raises:
        InvalidInput: it is neither, or there is no such zone.
    """
    place = parse_zone(zone)
    try:
        if end_of_day and len(text.strip()) <= 10:
            return expiry_instant(date.fromisoformat(text.strip()), place)
        value = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(
            field=option, reason=f"{text!r} is not a date; write 2027-03-31 or 2027-03-31T18:00"
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


def parse_days(text: str | None) -> timedelta | None:
    """Return a number of days, or None.

    Raises:
        InvalidInput: it is neither.
    """
    if text is None or text.strip().lower() in ("", "none"):
        return None
    try:
        return timedelta(days=float(text))
    except (ValueError, OverflowError):
        raise InvalidInput(
            field="--expiring-soon", reason="must be a number of days, such as 7, or none"
        ) from None


def _shown(change: FieldChange) -> str:
    values = [change.after] if change.before is None else [change.before, change.after]
    return f"{change.field}: {' → '.join(_value(change.field, each) for each in values)}"


def _value(field: str, value: object) -> str:
    if field == "expiring_soon" and isinstance(value, int | float):
        return _in_days(timedelta(seconds=value))
    return "–" if value in (None, "") else str(value)


def _in_days(notice: timedelta) -> str:
    return f"{notice / timedelta(days=1):g} days"
