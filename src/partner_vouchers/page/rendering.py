"""Templates, and how values are shown."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.lifecycle import STATUS_TABLE
from partner_vouchers.page.security import TOKEN_FIELD, form_token, keep_token
from partner_vouchers.page.wording import in_days, sentence

NOTES = {
    "created": "The list was created.",
    "saved": "The changes were saved.",
    "unchanged": "Nothing was changed.",
    "pause": "The list is paused. Campaigns get no codes from it.",
    "activate": "The list is active.",
    "archive": "The list is archived.",
    "deleted": "The list was deleted.",
    "linked": "The campaign is linked.",
    "unlinked": "The campaign is unlinked.",
    "uploaded": "The accepted codes are available.",
    "uploading": "The upload is running. You can leave this page.",
    "withdrawn": "The codes of the upload that no user had were withdrawn.",
    "limited": "The limits were saved.",
    "confirmed": "The reserved code was given to its user.",
    "released": "The reserved code was given back to its list.",
    "revoked": "The code was revoked.",
    "reconciling": "The file is compared with the record. You can leave this page.",
    "retried": "The events will be delivered again.",
    "recovered": "Interrupted uploads were completed or rolled back.",
}
"""What a page says after a change; the address names only the key."""

_COLOURS = {rule.status: rule.colour for rule in STATUS_TABLE}


class Renderer:
    """Renders templates.

    Args:
        zone: the time zone in which instants are shown.
        title: the name of the application, shown at the top of each page.
    """

    def __init__(self, zone: tzinfo, title: str) -> None:
        self._zone = zone
        self._environment = Environment(
            loader=PackageLoader("partner_vouchers.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            number=_number,
            instant=self._instant,
            field=self._field,
            sentence=sentence,
            masked=mask,
            colour=_COLOURS.__getitem__,
            percent=lambda part, whole: round(100 * part / whole) if whole else 0,
            size=_size,
            duration=_duration,
        )
        self._environment.globals.update(url=_url, query=_query, title=title, zone=str(zone))

    def page(self, request: Request, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Return a page as an answer to a request."""
        note = NOTES.get(request.query_params.get("done", ""))
        token = form_token(request)
        text = self._environment.get_template(template).render(
            request=request, csrf_field=TOKEN_FIELD, csrf_token=token, note=note, **values
        )
        response = HTMLResponse(text, status_code)
        keep_token(request, response, token)
        return response

    def _instant(self, value: datetime | None) -> str:
        if value is None:
            return "–"
        shown = value.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S")
        return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), shown)

    def _field(self, value: object, name: str) -> str:
        """Return the value of a field in the audit log, where instants are strings and times seconds."""
        if name.endswith("_at") and isinstance(value, str):
            with suppress(ValueError):
                return self._instant(datetime.fromisoformat(value))
        if name == "expiring_soon" and isinstance(value, int | float):
            return f"{in_days(timedelta(seconds=value))} days"
        return "–" if value in (None, "") else str(value)


def path_for(request: Request, name: str, **parameters: Any) -> str:
    """Return the path of a view, below whatever path the application is mounted at."""
    return request.url_for(name, **parameters).path


@pass_context
def _url(context: Context, name: str, /, **parameters: Any) -> str:
    return path_for(context["request"], name, **parameters)


@pass_context
def _query(context: Context, /, **changes: Any) -> str:
    """Return the query of the present page with some parameters changed; None removes one."""
    parameters = {**context["request"].query_params, "done": None, **changes}
    return "?" + urlencode({name: value for name, value in parameters.items() if value not in (None, "")})


def _number(value: float | date | None) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


def _size(value: int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,} bytes" if value < 1024**2 else f"{value / 1024**2:.1f} MB"


def _duration(value: timedelta) -> str:
    minutes = int(value.total_seconds()) // 60
    if not value:
        return "–"
    if minutes < 60:
        return f"{minutes} min" if minutes else "under 1 min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"
