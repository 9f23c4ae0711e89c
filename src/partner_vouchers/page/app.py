"""The ASGI application: routes, and what happens around each view."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, tzinfo
from functools import partial

from attrs import field, frozen
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message

from partner_vouchers.domain.arguments import require_callable, require_instance, require_zone
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidCursor, PartnerVouchersError, StorageError
from partner_vouchers.page import (
    campaigns,
    delivery,
    limits,
    lists,
    messages_tab,
    reconciliation,
    reservations,
    uploads,
    users,
)
from partner_vouchers.page.jobs import Jobs
from partner_vouchers.page.permissions import Authorize, authorized_actor, deny_all, permissions_of
from partner_vouchers.page.rendering import Renderer, path_for
from partner_vouchers.page.security import (
    HEADERS,
    TOKEN_FIELD,
    SecurityHeaders,
    require_same_site,
    require_token,
)
from partner_vouchers.page.visit import MAX_FORM, View, Visit
from partner_vouchers.page.wording import explain, status_code_of
from partner_vouchers.vouchers import PartnerVouchers

_LOG = logging.getLogger("partner_vouchers.page")
_MAX_FIELDS = 100
_MAX_FIELDS_SIZE = 1024**2
_ROOMS = (lists, uploads, campaigns, limits, users, reservations, reconciliation, delivery, messages_tab)


def create_app(
    vouchers: PartnerVouchers,
    authorize: Authorize | None = None,
    *,
    zone: tzinfo = UTC,
    title: str = "Partner vouchers",
) -> Starlette:
    """Return the page as an ASGI application, which a host mounts where it likes.

    Args:
        vouchers: the library.
        authorize: decides about each view, change and reveal; see `Authorize`. Without it everything is refused.
        zone: the time zone in which dates are shown and read.
        title: what is shown at the top of each page.

    Returns:
        a Starlette application; it needs no session and no middleware of the host.

    Raises:
        InvalidInput: an argument has the wrong type.

    Example:
        >>> from partner_vouchers.page import create_app
        >>> app = create_app(vouchers, authorize=lambda request, permission: "ops@example.com")
    """
    # An asynchronous host passes one on the same storage: views run in worker threads.
    require_instance("vouchers", vouchers, PartnerVouchers, "PartnerVouchers(storage)")
    require_zone(zone)
    allow = deny_all if authorize is None else require_callable("authorize", authorize)
    site = _Site(vouchers, allow, Renderer(zone, require_name("title", title)), zone)
    routes: list[BaseRoute] = [
        Route(path, site.endpoint(view), methods=view.methods, name=view.name)
        for room in _ROOMS
        for path, view in room.VIEWS
    ]
    routes.append(
        Mount("/static", StaticFiles(packages=[("partner_vouchers.page", "static")]), name="static")
    )
    app = Starlette(
        routes=routes,
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: site.refused, Exception: site.failed},
    )
    # A redirect of the router would name the host that the request names.
    app.router.redirect_slashes = False
    return app


@frozen
class _Site:
    vouchers: PartnerVouchers
    authorize: Authorize
    renderer: Renderer
    zone: tzinfo
    jobs: Jobs = field(factory=Jobs)

    def endpoint(self, view: View) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            changes = request.method == "POST"
            if changes:
                require_same_site(request)
            actor = await authorized_actor(self.authorize, request, view.permission)
            form = FormData()
            try:
                if changes:
                    form = await _read_form(request)
                    require_token(request, form.get(TOKEN_FIELD))
                permissions = partial(permissions_of, self.authorize, request)
                visit = Visit(
                    request, self.vouchers, actor, self.renderer, self.zone, form, self.jobs, permissions
                )
                return await run_in_threadpool(_answer, view, visit)
            finally:
                await form.close()

        return answer

    def refused(self, request: Request, error: Exception) -> Response:
        """Answer a request that cannot be served."""
        assert isinstance(error, HTTPException)
        heading = _HEADINGS.get(error.status_code, "Not possible")
        answer = self.renderer.page(
            request, "error.html", error.status_code, heading=heading, reason=error.detail
        )
        answer.headers.update(error.headers or {})
        return answer

    def failed(self, request: Request, error: Exception) -> Response:
        """Answer a request that failed: nothing of the error is shown."""
        _LOG.error("a view failed: %s", type(error).__name__)
        reason = "The page failed. Nothing is known to be lost. Try again."
        answer = self.renderer.page(request, "error.html", 500, heading="Something went wrong", reason=reason)
        # This answer does not pass the middleware.
        answer.headers.update(HEADERS)
        return answer


_HEADINGS = {
    401: "Please sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    413: "Too large",
    503: "Not available now",
}


def _answer(view: View, visit: Visit) -> Response:
    try:
        return view.handler(visit)
    except InvalidCursor:
        # The address was changed by hand: begin with the first page.
        return RedirectResponse(path_for(visit.request, view.name, **visit.request.path_params), 303)
    except PartnerVouchersError as error:
        if isinstance(error, StorageError):
            _LOG.warning("the storage failed in a view: %s", error)
        raise HTTPException(status_code_of(error), explain(error)) from None


async def _read_form(request: Request) -> FormData:
    is_multipart = request.headers.get("content-type", "").startswith("multipart/form-data")
    limit = left = MAX_FORM if is_multipart else _MAX_FIELDS_SIZE

    async def receive() -> Message:
        nonlocal left
        message = await request.receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _too_large()
        return message

    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large()
    try:
        # A file is written to disk as it arrives: memory does not grow with it.
        return await Request(request.scope, receive).form(max_files=1, max_fields=_MAX_FIELDS)
    except ClientDisconnect:
        raise HTTPException(
            400, "The connection was lost before the form was complete. Nothing was changed."
        ) from None


def _too_large() -> HTTPException:
    return HTTPException(413, "This is too large. A file of codes has at most 50 MB.")
