"""What a person does in a browser, and what the page is served with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from attrs import field, frozen
from playwright.sync_api import Page
from starlette.requests import Request

from partner_vouchers.domain.codes import CodeFault, CodeFormat
from partner_vouchers.page import Permission

Opener = Callable[..., Page]

SLOW_CODE = "SLOW-1"
NOW = datetime.now(UTC)  # noqa: TID251 - the browser and the server have the machine's clock


@frozen
class PatientFormat(CodeFormat):
    """A format that looks at one code for as long as a test wants."""

    gate: threading.Event = field(factory=threading.Event)

    @property
    def plain(self) -> str:
        return ""

    def trim(self, raw: str) -> str:
        if SLOW_CODE in raw:
            self.gate.wait()
        return super().trim(raw)

    def fault(self, code: str) -> tuple[CodeFault, str] | None:
        if code == SLOW_CODE:
            self.gate.wait()
        return super().fault(code)


class Clock:
    """The machine's clock, set forward or back by a test."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead  # noqa: TID251


def authorize(request: Request, permission: Permission) -> str:
    """Let everybody do everything, under the name that a test gives the browser."""
    return request.headers.get("x-person", "asha@example.com")


def choose(page: Page, content: bytes, name: str = "codes.csv") -> None:
    page.get_by_label("File", exact=True).set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": content}
    )


def fill_new_list(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="New voucher list").click()
    page.get_by_label("or add a new partner").fill("Nykaa")
    page.get_by_label("List tag").fill("Summer_Sale")
    page.get_by_label("List name").fill("Summer Sale")
    page.get_by_label("List description").fill("₹300 off")
    page.get_by_label("List expiry").fill((NOW + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M"))


def downloaded(page: Page, button: str) -> bytes:
    with page.expect_download() as started:
        page.get_by_role("button", name=button).click()
    return started.value.path().read_bytes()
