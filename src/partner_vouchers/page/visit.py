"""One request to a view, with what the view needs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, tzinfo
from typing import Any, TypeVar
from urllib.parse import urlencode

from anyio.from_thread import run as run_on_event_loop
from attrs import frozen
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from partner_vouchers.errors import Unsupported
from partner_vouchers.page.jobs import Jobs
from partner_vouchers.page.permissions import Permission
from partner_vouchers.page.rendering import Renderer, path_for
from partner_vouchers.vouchers import PartnerVouchers

T = TypeVar("T")

MAX_FORM = 4 * 50 * 1024**2 + 64 * 1024
"""The largest form in bytes: an error file of four times the usual size, and the other fields."""


@frozen
class Visit:
    """One request.

    Attributes:
        request: the request.
        vouchers: the library.
        actor: the name of the person, for the audit log.
        renderer: renders pages.
        zone: the time zone in which dates are shown and read.
        form: the fields of a form; empty for a page.
        jobs: the files that this process works on.
        permissions: asks what the person may do, on the event loop.
    """

    request: Request
    vouchers: PartnerVouchers
    actor: str
    renderer: Renderer
    zone: tzinfo
    form: FormData
    jobs: Jobs
    permissions: Callable[[], Coroutine[Any, Any, frozenset[Permission]]]

    def page(self, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Return a page. It offers only what the person may do."""
        may = run_on_event_loop(self.permissions)
        return self.renderer.page(self.request, template, status_code, actor=self.actor, may=may, **values)

    def redirect(self, name: str, done: str = "", **places: str) -> RedirectResponse:
        """Send the browser to a view after a change, so that a reload does not repeat it.

        Args:
            name: the view.
            done: what was changed, a key of `NOTES`.
            places: the parameters of its path; `user` and `id` are those of its query.
        """
        asked = {key: places.pop(key) for key in ("user", "id") if key in places}
        query = urlencode(asked | ({"done": done} if done else {}))
        path = path_for(self.request, name, **places)
        return RedirectResponse(f"{path}?{query}" if query else path, 303)

    def supported(self, read: Callable[[], T]) -> T | None:
        """Return what the library returns; None where a host's own storage does not keep it."""
        try:
            return read()
        except Unsupported:
            return None

    def field(self, name: str) -> str:
        """Return a field of the form without outer white space; empty where it is missing."""
        value = self.form.get(name, "")
        return value.strip() if isinstance(value, str) else ""

    def file(self, name: str) -> UploadFile | None:
        """Return the file that was chosen in a field of the form; None where none was."""
        value = self.form.get(name)
        return value if isinstance(value, UploadFile) and value.filename else None

    def number(self, name: str) -> int | None:
        """Return a field as a whole number; None where it is empty or no number."""
        text = self.field(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

    def asked(self, name: str) -> str | None:
        """Return a parameter of the address; None where it is missing or empty."""
        return self.request.query_params.get(name, "").strip() or None

    def instant(self, name: str) -> datetime | None:
        """Return a field of a date and time in the page's zone; None where it is empty.

        Raises:
            ValueError: it is no date and time.
        """
        text = self.field(name)
        if not text:
            return None
        value = datetime.fromisoformat(text)
        if value.tzinfo is not None:
            return value
        # A zone of pytz is applied by a method of its own.
        localize = getattr(self.zone, "localize", None)
        return localize(value) if localize else value.replace(tzinfo=self.zone)


@frozen
class View:
    """What answers at a path.

    Attributes:
        name: the name of the view, by which addresses are made.
        handler: returns the answer; it runs in a worker thread.
        permission: what a request needs.
        methods: the HTTP methods.
    """

    name: str
    handler: Callable[[Visit], Response]
    permission: Permission = Permission.VIEW
    methods: Sequence[str] = ("GET",)


def change(
    name: str, handler: Callable[[Visit], Response], permission: Permission = Permission.CHANGE
) -> View:
    """Return a view that changes something."""
    return View(name, handler, permission, ("POST",))
