"""The work of an operations person, in Chromium.

The browser is Debian's package `chromium`. With PARTNER_VOUCHERS_REQUIRE_BROWSER set, a missing one is a failure. With
PARTNER_VOUCHERS_PICTURES set, the pictures of the docs are made again.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from attrs import field, frozen
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from starlette.requests import Request

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.codes import CodeFault, CodeFormat
from partner_vouchers.page import Permission, create_app
from tests.support.sinks import ScriptedSink, reject

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURES = Path(__file__).parents[2] / "docs" / "images"
FAULTY = b"code\nPM500AA\nnot good\nPM500BB\nPM500AA\n"
SLOW_CODE = "SLOW-1"
NOW = datetime.now(UTC)  # noqa: TID251 - the browser and the server have the machine's clock
VIEWS = [
    "/",
    "/?text=nothing",
    "/lists/new",
    "/lists/1",
    "/lists/1/uploads",
    "/uploads/1",
    "/lists/1/campaigns",
    "/lists/1/codes",
    "/lists/1/audit",
    "/lists/1/confirm/archive",
    "/lists/999",
    "/campaign",
    "/campaign?id=CMP1",
    "/user",
    "/user?user=user-1",
    "/reconcile",
    "/reconcile/1",
    "/delivery",
    "/template",
]


@frozen
class PatientFormat(CodeFormat):
    """A format that looks at one code for as long as a test wants."""

    gate: threading.Event = field(factory=threading.Event)

    @property
    def plain(self) -> str:
        return ""

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


def authorize(request: Request, permission: Permission) -> str | None:
    return request.headers.get("x-person", "asha@example.com")


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


Opener = Callable[..., Page]


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


@pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without"])
def test_from_a_new_list_to_a_corrected_file(
    open_page: Opener, vouchers: PartnerVouchers, javascript: bool
) -> None:
    page = open_page(java_script_enabled=javascript)
    fill_new_list(page)
    choose(page, FAULTY)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("The list was created.")
    expect(page.get_by_role("heading", name="2 errors")).to_be_visible()

    errors = downloaded(page, "Download error file")
    assert b"not good" in errors

    page.get_by_role("navigation", name="This list").get_by_role("link", name="Uploads").click()
    choose(page, errors.replace(b"not good", b"PM500CC"), "corrected.csv")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="corrected.csv")).to_be_visible()
    assert vouchers.lists.get("2").available == 3


def test_an_upload_is_watched_until_it_is_complete(
    page: Page, vouchers: PartnerVouchers, gate: threading.Event
) -> None:
    page.goto("/lists/1/uploads")
    choose(page, f"A-1\n{SLOW_CODE}\nA-2\n".encode())
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="Upload in progress")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Upload")).to_be_visible()
    gate.set()
    expect(page.get_by_role("cell", name="3 / 3")).to_be_visible()
    assert vouchers.lists.get("1").uploaded == 6


def test_a_second_upload_waits_for_the_first(
    page: Page, open_page: Opener, vouchers: PartnerVouchers, gate: threading.Event
) -> None:
    other = open_page("ravi@example.com")
    other.goto("/lists/1/uploads")
    page.goto("/lists/1/uploads")
    choose(page, f"{SLOW_CODE}\n".encode())
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="Upload in progress")).to_be_visible()

    choose(other, b"B-1\n")
    other.get_by_role("button", name="Upload", exact=True).click()
    expect(other.get_by_role("alert")).to_contain_text("Another upload to this list is in progress")
    gate.set()
    expect(page.get_by_role("cell", name="1 / 1")).to_be_visible()


def test_a_lost_connection_is_said_and_nothing_is_stored(page: Page, vouchers: PartnerVouchers) -> None:
    page.goto("/lists/1/uploads")
    choose(page, b"A-1\n")
    page.context.set_offline(True)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The connection was lost")

    page.context.set_offline(False)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("1 of 1 accepted")).to_be_visible()
    assert vouchers.lists.get("1").uploaded == 4


def test_a_refused_file_shows_why_and_the_form_again(page: Page) -> None:
    page.goto("/lists/1/uploads")
    choose(page, b"code\nWINTER-SECRET-1\nWINTER-SECRET-2\nWINTER-SECRET-3\nbad code\n")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("already uploaded")
    expect(page.get_by_label("Upload this file again")).to_be_visible()

    choose(page, b"", "empty.csv")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("No code of this file was stored.")).to_be_visible()


def test_a_list_is_linked_paused_activated_extended_and_archived(
    page: Page, vouchers: PartnerVouchers, clock: Clock
) -> None:
    page.goto("/")
    page.get_by_label("Actions for list 1").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("heading", name="Winter Sale Paused")).to_be_visible()
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_role("status")).to_have_text("The list is active.")

    page.get_by_role("navigation", name="This list").get_by_role("link", name="Campaigns").click()
    page.get_by_label("Campaign ID").fill("CMP2")
    page.get_by_label("Users who ask again get").select_option("new code")
    page.get_by_role("button", name="Link", exact=True).click()
    expect(page.get_by_role("link", name="CMP2")).to_be_visible()
    assert {link.campaign_id for link in vouchers.campaigns.of_list("1")} == {"CMP1", "CMP2"}

    clock.ahead = timedelta(days=100)
    page.get_by_role("navigation", name="This list").get_by_role("link", name="Details").click()
    expect(page.get_by_role("heading", name="Winter Sale Expired")).to_be_visible()
    page.get_by_label("List expiry").fill((NOW + timedelta(days=300)).strftime("%Y-%m-%dT%H:%M:%S"))
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("heading", name="Winter Sale Active")).to_be_visible()

    page.get_by_role("link", name="Archive…").click()
    expect(page.get_by_text("Archiving is permanent.")).to_be_visible()
    page.get_by_role("button", name="Archive the list").click()
    expect(page.get_by_role("heading", name="Winter Sale Archived")).to_be_visible()
    assert vouchers.lists.get("1").status == "Archived"


def test_a_campaign_is_unlinked_after_a_question(page: Page, vouchers: PartnerVouchers) -> None:
    page.goto("/lists/1/campaigns")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Unlink").click()
    assert len(vouchers.campaigns.of_list("1")) == 1

    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Unlink").click()
    expect(page.get_by_role("status")).to_have_text("The campaign is unlinked.")
    assert vouchers.campaigns.of_list("1") == []


def test_a_user_is_looked_up_and_a_code_revealed(page: Page, vouchers: PartnerVouchers) -> None:
    page.goto("/user")
    page.get_by_label("Code").fill("WINTER-SECRET-1")
    page.get_by_role("button", name="Who holds it?").click()
    page.get_by_role("link", name="user-1").click()
    expect(page.get_by_role("heading", name="Vouchers of user-1")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("WINTER-SECRET-1")

    page.get_by_label("Actions for this code").click()
    page.get_by_role("button", name="Reveal the code").click()
    expect(page.get_by_role("status")).to_contain_text("WINTER-SECRET-1")
    assert any(entry.actor == "asha@example.com" for entry in vouchers.audit.entries())


def test_a_code_is_revoked(page: Page, vouchers: PartnerVouchers) -> None:
    page.goto("/user?user=user-1")
    page.get_by_label("Actions for this code").click()
    page.get_by_label("Reason").fill("order cancelled")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("status")).to_have_text("The code was revoked.")
    expect(page.get_by_role("cell", name="revoked 20")).to_be_visible()
    assert vouchers.lists.get("1").retired == 1


def test_a_partners_file_is_reconciled(page: Page, vouchers: PartnerVouchers) -> None:
    page.goto("/reconcile")
    page.get_by_label("Partner").select_option("Puma")
    choose(page, b"code,order_id\nWINTER-SECRET-1,991\nWINTER-SECRET-2,992\n", "used.csv")
    page.get_by_role("button", name="Reconcile").click()
    expect(page.get_by_role("rowheader", name="never distributed")).to_be_visible()
    assert b"WINTER-SECRET-2" in downloaded(page, "Download error file")
    assert vouchers.lists.get("1").retired == 1


def test_a_dead_letter_is_sent_again(page: Page, vouchers: PartnerVouchers) -> None:
    sink = ScriptedSink()
    sink.always = reject("user-1", final=True, reason="the profile is not known")
    vouchers.codes.assign(campaign_id="CMP1", user_id="user-2")
    while not vouchers.events.dead_letters().items:
        vouchers.events.deliver(sink)

    page.goto("/delivery")
    expect(page.get_by_role("cell", name="the profile is not known")).to_be_visible()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("The events will be delivered again.")
    assert vouchers.events.dead_letters().items == ()


def test_a_template_is_tried(page: Page) -> None:
    page.goto("/template")
    page.get_by_label("Template (Liquid)").fill("Hi {{ Profile.name }}: {{ Event.voucherCode }}")
    page.get_by_label("Name of the sample user").fill("Ravi")
    page.get_by_role("button", name="Check and show").click()
    expect(page.get_by_text("Hi Ravi: SAMPLE-CODE")).to_be_visible()


def test_the_second_of_two_people_sees_that_the_list_changed(
    page: Page, open_page: Opener, vouchers: PartnerVouchers
) -> None:
    other = open_page("ravi@example.com")
    page.goto("/lists/1")
    other.goto("/lists/1")
    page.get_by_label("List name").fill("Asha's name")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("status")).to_have_text("The changes were saved.")

    other.get_by_label("List description").fill("Ravi's text")
    other.get_by_role("button", name="Save changes").click()
    expect(other.get_by_role("alert")).to_contain_text("Somebody else changed this list")
    expect(other.get_by_role("alert")).to_contain_text("List name is now: Asha's name")
    expect(other.get_by_label("List description")).to_have_value("Ravi's text")
    assert vouchers.lists.get("1").name == "Asha's name"


def test_a_double_click_creates_one_list(page: Page, vouchers: PartnerVouchers) -> None:
    fill_new_list(page)
    page.get_by_role("button", name="Save").dblclick()
    expect(page.get_by_role("status")).to_have_text("The list was created.")
    assert len(vouchers.lists.find().items) == 2


def test_lists_are_filtered_sorted_and_paged(page: Page, vouchers: PartnerVouchers) -> None:
    for number in range(60):
        vouchers.lists.create(
            partner="Puma", tag=f"t{number}", name=f"List {number}", expires_at=NOW + timedelta(days=90)
        )
    page.goto("/")
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("tbody tr")).to_have_count(11)

    page.get_by_label("Search").fill("Winter")
    page.get_by_label("Status").select_option("Active")
    page.get_by_label("Sort by").select_option("partner")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_it_is_used_by_keyboard(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()

    menu = page.get_by_label("Actions for list 1")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    expect(menu).to_be_focused()


def test_markup_that_people_typed_is_text(page: Page, vouchers: PartnerVouchers) -> None:
    markup = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    vouchers.lists.edit("1", name=markup, description=markup)
    vouchers.campaigns.link("1", markup)
    vouchers.codes.assign(list_id="1", user_id=markup)
    for path in VIEWS:
        page.goto(path)
        assert "taken" not in page.title().replace(markup, "")
        assert page.locator("img, script:not([src])").count() == 0
    page.goto("/lists/1")
    expect(page.get_by_role("heading", level=1)).to_contain_text(markup)


def test_no_view_is_wider_than_a_phone(open_page: Opener, vouchers: PartnerVouchers) -> None:
    long = "x" * 200
    vouchers.lists.edit("1", name=long, description=long)
    vouchers.campaigns.link("1", long)
    vouchers.codes.assign(list_id="1", user_id=long)
    page = open_page(width=360)
    wide = {}
    for path in VIEWS:
        page.goto(path)
        over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if over > 0:
            wide[path] = over
    assert wide == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(open_page: Opener, vouchers: PartnerVouchers, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    sink = ScriptedSink()
    sink.always = reject("user-1", final=True)
    vouchers.codes.assign(campaign_id="CMP1", user_id="user-2")
    while not vouchers.events.dead_letters().items:
        vouchers.events.deliver(sink)
    page = open_page(width=width, color_scheme=scheme)
    found = {}
    for path in VIEWS:
        page.goto(path)
        for menu in page.locator("details.menu > summary").all()[:1]:
            menu.click()
        results = Axe().run(page)
        if results.violations_count:
            found[path] = results.generate_report()
    assert found == {}, "\n".join(found.values())


def test_axe_finds_nothing_in_a_form_with_faults(page: Page) -> None:
    from axe_playwright_python.sync_playwright import Axe

    fill_new_list(page)
    page.get_by_label("List tag").fill("two words")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.skipif("PARTNER_VOUCHERS_PICTURES" not in os.environ, reason="pictures are made when asked for")
def test_pictures_for_the_docs(open_page: Opener, vouchers: PartnerVouchers, clock: Clock) -> None:
    fill_with_samples(vouchers, clock)
    PICTURES.mkdir(exist_ok=True)
    shots = [
        ("page-lists", "/", 1100, 640, "light"),
        ("page-list", "/lists/4", 1100, 800, "light"),
        ("page-upload", "/uploads/4", 1100, 960, "light"),
        ("page-phone", "/lists/4", 390, 800, "dark"),
    ]
    for name, path, width, height, scheme in shots:
        page = open_page(width=width, color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": height})
        page.goto(path)
        picture = PICTURES / f"{name}.png"
        page.screenshot(path=picture)
        assert picture.stat().st_size < 150_000


def fill_with_samples(vouchers: PartnerVouchers, clock: Clock) -> None:
    """Make lists as a shop has them, used over a month."""
    clock.ahead = -timedelta(days=35)
    samples = [
        ("Amazon", "festive_250", "Festive 250", "₹250 off on orders above ₹999", 2_000, 9),
        ("Nykaa", "birthday_gift", "Birthday Gift", "A gift with every order in the birthday month", 800, 0),
        ("Puma", "winter_sale_500", "Winter Sale 500", "₹500 off on orders above ₹2000", 1_500, 14),
        ("Zomato", "welcome_100", "Welcome 100", "₹100 off on the first order", 900, 5),
    ]
    for partner, tag, name, description, codes, a_day in samples:
        vouchers.partners.ensure(partner)
        made = vouchers.lists.create(
            partner=partner,
            tag=tag,
            name=name,
            description=description,
            expires_at=NOW + timedelta(days=60 + codes // 40),
        )
        rows = [f"{tag[:4].upper()}{number:06}" for number in range(codes)]
        rows[40:40] = ["two words", rows[3]] if a_day == 14 else []
        content = "\n".join(["code", *rows]).encode()
        vouchers.uploads.add(made.id, content, filename=f"{tag}.csv", uploaded_by="ops@example.com")
        vouchers.campaigns.link(made.id, f"CMP{len(name) * 7919}")
        if a_day == 0:
            vouchers.lists.pause(made.id)
    for day in range(-27, 1):
        clock.ahead = timedelta(days=day)
        for list_id, (*_, a_day) in zip("2345", samples, strict=True):
            users = [f"user-{day}-{number}" for number in range(a_day + day * day % (a_day + 1))]
            if users:
                vouchers.codes.assign_many(users, list_id=list_id)
    clock.ahead = timedelta()
    vouchers.lists.archive("1")


def test_the_pictures_of_the_docs_are_small_and_shown() -> None:
    shown = "".join(
        (PICTURES.parents[1] / path).read_text("utf-8") for path in ("README.md", "docs/how-to/page.md")
    )
    for picture in PICTURES.glob("page-*.png"):
        assert picture.stat().st_size < 150_000
        assert re.search(rf"images/{picture.name}\b", shown)
