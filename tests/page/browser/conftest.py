"""The page in Chromium.

The browser is Debian's package `chromium`. With PARTNER_VOUCHERS_REQUIRE_BROWSER set, a missing one is a failure. With
PARTNER_VOUCHERS_PICTURES set, the pictures of the docs are made again.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.page import create_app
from tests.support.browser import NOW, Clock, Opener, PatientFormat, authorize

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Playwright runs an event loop in this thread until it ends.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("PARTNER_VOUCHERS_REQUIRE_BROWSER"):
            pytest.fail("there is no chromium: apt-get install chromium")
        pytest.skip("there is no chromium on this machine")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


@pytest.fixture
def vouchers(tmp_path: Path, clock: Clock, gate: threading.Event) -> Iterator[PartnerVouchers]:
    storage = SQLiteStorage(tmp_path / "vouchers.db")
    library = PartnerVouchers(storage, clock=clock, code_format=PatientFormat(gate=gate))
    library.partners.add("Puma")
    winter = library.lists.create(
        partner="Puma",
        tag="winter_sale",
        name="Winter Sale",
        description="₹500 off on orders above ₹2000",
        expires_at=NOW + timedelta(days=90),
        actor="setup@example.com",
    )
    codes = b"code\nWINTER-SECRET-1\nWINTER-SECRET-2\nWINTER-SECRET-3\nbad code\n"
    library.uploads.add(winter.id, codes, filename="winter.csv", uploaded_by="setup@example.com")
    library.campaigns.link(winter.id, "CMP1", actor="setup@example.com")
    library.codes.assign(campaign_id="CMP1", user_id="user-1")
    library.redemptions.upload(b"code\nOTHER\n", partner="Puma", filename="used.csv", uploaded_by="setup")
    yield library
    storage.close()


@pytest.fixture
def address(vouchers: PartnerVouchers) -> Iterator[str]:
    """Serve the page on the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            create_app(vouchers, authorize=authorize), log_level="critical", lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Opener]:
    """Open a browser of a person; what the page reports to its console is a failure, and so is a request elsewhere."""
    contexts: list[BrowserContext] = []
    said: list[str] = []
    requested: list[str] = []

    def open_page(person: str = "asha@example.com", width: int = 1280, **options: object) -> Page:
        context = browser.new_context(
            base_url=address,
            viewport={"width": width, "height": 800},
            extra_http_headers={"x-person": person},
            **options,  # type: ignore[arg-type]
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [url for url in requested if not url.startswith(address)] == []
    # Chromium reports each answer of 4xx, and each lost connection, that a test asks for.
    assert [text for text in said if not text.startswith("Failed to load resource")] == []


@pytest.fixture
def page(open_page: Opener) -> Page:
    return open_page()
