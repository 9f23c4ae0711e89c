"""The lists page, the form for a new list, and what can be done to a list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from starlette.exceptions import HTTPException
from starlette.responses import Response

from partner_vouchers.domain.lifecycle import STATUS_TABLE
from partner_vouchers.domain.stock import LowStock, PercentUsed
from partner_vouchers.domain.voucher_list import UNCHANGED
from partner_vouchers.errors import ActionNotAllowed, InvalidInput, PartnerVouchersError, StaleVersion
from partner_vouchers.page.permissions import Permission
from partner_vouchers.page.uploads import start_upload
from partner_vouchers.page.visit import View, Visit, change
from partner_vouchers.page.wording import faults_of, in_days, status_code_of
from partner_vouchers.vouchers import utc_now

PAGE_SIZE = 50
_CHART_DAYS = 28

_SORTS = {
    "updated_at": "Updated on",
    "created_at": "Created on",
    "expires_at": "Expiry",
    "partner": "Partner",
    "tag": "List tag",
    "name": "Name",
    "uploaded": "Codes uploaded",
    "distributed": "Codes distributed",
}

_EDITABLE = {
    "name": "List name",
    "description": "List description",
    "expires_at": "List expiry",
    "low_stock": "Warn when running low",
    "low_stock_unit": "Unit of the warning",
    "expiring_soon": "Warn before the expiry",
}
_STATUS_AFTER = {"pause": "Paused", "activate": "Active", "archive": "Archived", "delete": None}
"""What can be done to a list, and the status that it has then."""
_STALE = (
    "Another person changed this list since you opened it, so nothing was saved. "
    "What you entered is still in the form. Save again to replace what is stored now."
)


def index(visit: Visit) -> Response:
    """Show the lists that fit the filters."""
    sort = visit.asked("sort") or "-updated_at"
    if sort.removeprefix("-") not in _SORTS:
        sort = "-updated_at"
    status = visit.asked("status")
    if status not in {rule.status.value for rule in STATUS_TABLE}:
        status = None
    partner, text, after = visit.asked("partner"), visit.asked("text"), visit.asked("after")
    partners = [found.name for found in visit.vouchers.partners.all()]
    found = visit.vouchers.lists.find(
        partner=partner if partner in partners else None,
        status=status,
        text=text,
        sort=sort,
        after=after,
        limit=PAGE_SIZE,
    )
    return visit.page(
        "lists.html",
        found=found,
        partners=partners,
        statuses=[rule.status.value for rule in STATUS_TABLE],
        sorts=_SORTS,
        sort=sort,
        filtered=bool(partner or status or text),
        after=after,
    )


def new(visit: Visit) -> Response:
    """Show the form for a new list."""
    return _form(visit, {}, {}, 200)


def create(visit: Visit) -> Response:
    """Create a list, and upload its file where one was chosen."""
    faults: dict[str, str] = {}
    values = {name: visit.field(name) for name in ("partner", "new_partner", "tag", *_EDITABLE)}
    expires_at = _instant(visit, faults)
    low_stock_at = _low_stock(visit, faults)
    expiring_soon = _expiring_soon(visit, faults)
    partner = values["new_partner"] or values["partner"]
    if not partner:
        faults["partner"] = "choose a partner, or add a new one"
    if faults or expires_at is None:
        return _form(visit, values, faults, 422)
    try:
        created = visit.vouchers.lists.create(
            partner=partner,
            tag=values["tag"],
            name=values["name"],
            description=values["description"].replace("\r\n", "\n"),
            expires_at=expires_at,
            low_stock_at=low_stock_at,
            expiring_soon=expiring_soon,
            add_partner=bool(values["new_partner"]),
            actor=visit.actor,
        )
    except PartnerVouchersError as error:
        faults = faults_of(error)
        if values["new_partner"] and "partner" in faults:
            faults["new_partner"] = faults.pop("partner")
        return _form(visit, values, faults, status_code_of(error))
    if visit.file("file") is not None:
        return start_upload(visit, created.id, then="created")
    return visit.redirect("list", "created", list_id=created.id)


def show(visit: Visit) -> Response:
    """Show a list."""
    return _details(visit, visit.request.path_params["list_id"], {}, {}, 200)


def edit(visit: Visit) -> Response:
    """Change what may be changed of a list."""
    list_id = visit.request.path_params["list_id"]
    faults: dict[str, str] = {}
    values = {name: visit.field(name) for name in _EDITABLE}
    expires_at = _instant(visit, faults)
    low_stock_at = _low_stock(visit, faults)
    before = visit.vouchers.lists.get(list_id)
    # The form shows days, whole or not.
    is_same = values["expiring_soon"] == in_days(before.expiring_soon)
    expiring_soon = before.expiring_soon if is_same else _expiring_soon(visit, faults)
    if faults:
        return _details(visit, list_id, values, faults, 422)
    if expires_at == before.expires_at.replace(microsecond=0):
        # The form shows whole seconds.
        expires_at = None
    try:
        after = visit.vouchers.lists.edit(
            list_id,
            name=values["name"],
            description=values["description"].replace("\r\n", "\n"),
            expires_at=UNCHANGED if expires_at is None else expires_at,
            low_stock_at=low_stock_at,
            expiring_soon=expiring_soon,
            version=visit.number("version") or 0,
            actor=visit.actor,
        )
    except StaleVersion:
        return _details(visit, list_id, values, {"": _STALE}, 409)
    except PartnerVouchersError as error:
        return _details(visit, list_id, values, faults_of(error), status_code_of(error))
    return visit.redirect(
        "list", "saved" if after.version != before.version else "unchanged", list_id=list_id
    )


def act(visit: Visit) -> Response:
    """Pause, activate, archive or delete a list."""
    list_id, action = visit.request.path_params["list_id"], visit.request.path_params["action"]
    if action not in _STATUS_AFTER:
        raise HTTPException(404, "There is no such action.")
    try:
        getattr(visit.vouchers.lists, action)(list_id, actor=visit.actor)
    except ActionNotAllowed as error:
        # A double click, or two people with the same wish.
        if error.status != _STATUS_AFTER[action]:
            raise
    if action == "delete":
        return visit.redirect("lists", "deleted")
    return visit.redirect("list", action, list_id=list_id)


def confirm(visit: Visit) -> Response:
    """Ask before what cannot be undone."""
    if visit.request.path_params["action"] not in ("archive", "delete"):
        raise HTTPException(404, "There is no such action.")
    found = visit.vouchers.lists.get(visit.request.path_params["list_id"])
    return visit.page(
        "confirm.html",
        found=found,
        action=visit.request.path_params["action"],
        links=visit.vouchers.campaigns.of_list(found.id),
    )


def _form(visit: Visit, values: Mapping[str, str], faults: Mapping[str, str], status_code: int) -> Response:
    partners = [found.name for found in visit.vouchers.partners.all()]
    return visit.page("new_list.html", status_code, values=values, faults=faults, partners=partners)


def _details(
    visit: Visit, list_id: str, values: Mapping[str, str], faults: Mapping[str, str], status_code: int
) -> Response:
    found = visit.vouchers.lists.get(list_id)
    low_stock = found.low_stock_at
    stored = {
        "name": found.name,
        "description": found.description,
        "expires_at": found.expires_at.astimezone(visit.zone).strftime("%Y-%m-%dT%H:%M:%S"),
        "low_stock": "" if low_stock is None else str(getattr(low_stock, "percent", low_stock)),
        "low_stock_unit": "percent" if isinstance(low_stock, PercentUsed) else "codes",
        "expiring_soon": in_days(found.expiring_soon),
    }
    shown = {**stored, **values}
    differs = {label: stored[name] for name, label in _EDITABLE.items() if shown[name] != stored[name]}
    return visit.page(
        "list.html",
        status_code,
        found=found,
        tab="details",
        values=shown,
        faults=faults,
        differs=differs if faults.get("") == _STALE else {},
        stock=visit.vouchers.lists.stock(list_id),
        days=_given_per_day(visit, list_id),
    )


def _given_per_day(visit: Visit, list_id: str) -> dict[date, int]:
    today = utc_now().date()
    since = today - timedelta(days=_CHART_DAYS - 1)
    given = visit.vouchers.lists.distribution(list_id, since=since, until=today)
    days = (since + timedelta(days=each) for each in range(_CHART_DAYS))
    return {day: given.get(day, 0) for day in days}


def _instant(visit: Visit, faults: dict[str, str]) -> datetime | None:
    try:
        found = visit.instant("expires_at")
    except (ValueError, OverflowError):
        faults["expires_at"] = "is not a date and time; write it like 2027-03-31 23:59:59"
        return None
    if found is None:
        faults["expires_at"] = "choose until when codes of this list are given out"
    return found


def _low_stock(visit: Visit, faults: dict[str, str]) -> LowStock | None:
    if not visit.field("low_stock"):
        return None
    number = visit.number("low_stock")
    if number is None:
        faults["low_stock"] = "must be a whole number"
        return None
    try:
        return PercentUsed(number) if visit.field("low_stock_unit") == "percent" else number
    except InvalidInput as error:
        faults["low_stock"] = error.reason
        return None


def _expiring_soon(visit: Visit, faults: dict[str, str]) -> timedelta | None:
    if not visit.field("expiring_soon"):
        return None
    days = visit.number("expiring_soon")
    if days is None:
        faults["expiring_soon"] = "must be a whole number of days"
        return None
    return timedelta(days=days)


VIEWS = (
    ("/", View("lists", index)),
    ("/lists/new", View("new_list", new, Permission.CHANGE)),
    ("/lists/new", change("create_list", create)),
    ("/lists/{list_id}", View("list", show)),
    ("/lists/{list_id}/edit", change("edit_list", edit)),
    ("/lists/{list_id}/confirm/{action}", View("confirm", confirm, Permission.CHANGE)),
    ("/lists/{list_id}/do/{action}", change("act", act)),
)
