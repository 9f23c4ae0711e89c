"""Headers for each answer, and the protection of forms against cross-site requests."""

from __future__ import annotations

import secrets
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_FIELD = "csrf_token"
"""The form field that repeats the cookie."""

_COOKIE = "pv_csrf"
_TOKEN_BYTES = 32

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""The headers of each answer."""


class SecurityHeaders:
    """Adds the security headers to each answer. Pages are never stored, since they may show codes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                # Only files of the page itself have a tag; they are asked for again after an upgrade.
                headers.setdefault("cache-control", "no-cache" if "etag" in headers else "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def form_token(request: Request) -> str:
    """Return the token that the forms of a page carry: that of the cookie, or a new one."""
    known = request.cookies.get(_COOKIE, "")
    return known if 0 < len(known) <= 128 else secrets.token_urlsafe(_TOKEN_BYTES)


def keep_token(request: Request, response: Response, token: str) -> None:
    """Set the cookie that the forms of a page repeat."""
    if request.cookies.get(_COOKIE) != token:
        response.set_cookie(
            _COOKIE,
            token,
            path=request.scope.get("root_path") or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )


def require_same_site(request: Request) -> None:
    """Refuse a request that another site makes, as far as the browser says so.

    Raises:
        HTTPException: 403.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "This request came from another site. Open the page and try again.")


def require_token(request: Request, given: object) -> None:
    """Refuse a form that does not come from a page of ours.

    Raises:
        HTTPException: 403.
    """
    expected = request.cookies.get(_COOKIE, "")
    if (
        not expected
        or not isinstance(given, str)
        or not secrets.compare_digest(given.encode(), expected.encode())
    ):
        raise HTTPException(
            403, "This form is too old, or cookies are off. Go back, reload the page and try again."
        )
