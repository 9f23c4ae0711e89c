"""One request to a view, with what the view needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlencode

from attrs import frozen
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from partner_vouchers.page.permissions import Permission
from partner_vouchers.page.rendering import Renderer, path_for
from partner_vouchers.vouchers import PartnerVouchers

if TYPE_CHECKING:
    from partner_vouchers.page.uploads import RunningUpload

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
        running: the uploads that this process works on, by list.
    """

    request: Request
    vouchers: PartnerVouchers
    actor: str
    renderer: Renderer
    zone: tzinfo
    form: FormData
    running: dict[str, RunningUpload]

    def page(self, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Return a page."""
        return self.renderer.page(self.request, template, status_code, actor=self.actor, **values)

    def redirect(self, name: str, done: str = "", **parameters: Any) -> RedirectResponse:
        """Send the browser to a view after a change, so that a reload does not repeat it."""
        path = path_for(self.request, name, **parameters)
        return RedirectResponse(f"{path}?done={done}" if done else path, 303)

    def redirect_to_user(self, user_id: str, done: str) -> RedirectResponse:
        """Send the browser to the vouchers of a user after a change."""
        query = urlencode({"user": user_id, "done": done})
        return RedirectResponse(f"{path_for(self.request, 'user')}?{query}", 303)

    def keep_file(self, upload: UploadFile) -> BinaryIO:
        """Return a file of a form that stays open after the answer is made. The caller closes it."""
        # `fileno` moves a small file from memory to disk first.
        kept = os.fdopen(os.dup(upload.file.fileno()), "rb")
        kept.seek(0)
        return kept

    def field(self, name: str) -> str:
        """Return a field of the form without outer white space; empty where it is missing."""
        value = self.form.get(name, "")
        return value.strip() if isinstance(value, str) else ""

    def has_file(self, name: str) -> bool:
        """Return whether a file was chosen in a field of the form."""
        value = self.form.get(name)
        return isinstance(value, UploadFile) and bool(value.filename)

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
