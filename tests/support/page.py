"""People who use the page in tests: what they may do, and a client that fills in forms as a browser does."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

from httpx2 import Response
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from partner_vouchers.page import Permission

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Person:
    """Somebody who signed in, and what they may do. Remembers what was asked."""

    def __init__(self, *may: Permission, name: str = "asha@example.com") -> None:
        self.may: Iterable[Permission] = may or tuple(Permission)
        self.name = name
        self.asked: list[Permission] = []

    def __call__(self, request: Request, permission: Permission) -> str | None:
        self.asked.append(permission)
        return self.name if permission in self.may else None


class Visitor:
    """A browser without JavaScript.

    Attributes:
        client: sends requests; it keeps cookies and follows no redirect.
    """

    def __init__(self, app: ASGIApp, base: str = "", **options: Any) -> None:
        self.client = TestClient(app, follow_redirects=False, raise_server_exceptions=False, **options)
        self.base = base

    def get(self, path: str, **options: Any) -> Response:
        return self.client.get(self.base + path, **options)

    def text(self, path: str) -> str:
        """Return what a page shows; it must be there."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def token(self) -> str:
        found = TOKEN.search(self.text("/template"))
        assert found is not None
        return found[1]

    def post(self, path: str, fields: dict[str, str] | None = None, **options: Any) -> Response:
        """Send a form with the token of a page."""
        return self.client.post(
            self.base + path, data={"csrf_token": self.token(), **(fields or {})}, **options
        )

    def upload(self, path: str, content: bytes, filename: str = "codes.csv", **fields: str) -> Response:
        return self.post(path, fields, files={"file": (filename, content, "text/csv")})

    def follow(self, answer: Response) -> str:
        """Return the page that an answer redirects to."""
        assert answer.status_code == 303, (answer.status_code, alerts(answer.text))
        again = self.client.get(answer.headers["location"])
        assert again.status_code == 200, again.text
        return again.text


def alerts(page: str) -> list[str]:
    """Return the alerts of a page, as text."""
    found = re.findall(r'role="alert">(.*?)</div>', page, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", " ", each)).strip() for each in found]
