"""How the views look, and who can use them."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from partner_vouchers import Limit, PartnerVouchers
from partner_vouchers.errors import LimitReached
from tests.support.browser import NOW, SLOW_CODE, Clock, Opener, choose, fill_new_list
from tests.support.sinks import ScriptedSink, reject

PICTURES = Path(__file__).parents[3] / "docs" / "images"
VIEWS = [
    "/",
    "/?text=nothing",
    "/lists/new",
    "/lists/1",
    "/lists/1/uploads",
    "/uploads/1",
    "/lists/1/campaigns",
    "/lists/1/codes",
    "/lists/1/reservations",
    "/lists/1/audit",
    "/lists/1/confirm/archive",
    "/lists/999",
    "/campaign",
    "/campaign?id=CMP1",
    "/campaign?id=CMP9",
    "/campaign/limits?id=CMP1",
    "/campaign/limits?id=CMP9",
    "/campaign/refusals?id=CMP1",
    "/campaign/refusals?id=CMP9",
    "/user",
    "/user?user=user-1",
    "/reconcile",
    "/reconcile/1",
    "/delivery",
    "/template",
]


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


def use_everything(vouchers: PartnerVouchers, word: str) -> None:
    """Make each view show something that a person, or a host, named."""
    vouchers.lists.edit("1", name=word, description=word)
    vouchers.campaigns.link("1", word)
    vouchers.campaigns.set_limits(word, [Limit(2, per="user"), Limit(1, per="campaign")], actor=word)
    vouchers.codes.reserve(campaign_id=word, user_id=word, ttl=timedelta(minutes=15))
    with pytest.raises(LimitReached):
        vouchers.codes.assign(campaign_id=word, user_id="user-9")
    vouchers.uploads.add("1", b"MORE-1\n", filename=f"{word}.csv"[-250:], uploaded_by=word)
    vouchers.codes.assign(list_id="1", user_id=word)
    sink = ScriptedSink()
    sink.always = reject(word, final=True, reason=word)
    vouchers.codes.assign(list_id="1", user_id="user-2")
    while not vouchers.events.dead_letters().items:
        vouchers.events.deliver(sink)


def views_of(word: str) -> list[str]:
    id_, user = urlencode({"id": word}), urlencode({"user": word})
    of_word = [f"/campaign?{id_}", f"/campaign/limits?{id_}", f"/campaign/refusals?{id_}", f"/user?{user}"]
    return VIEWS + of_word


@pytest.mark.deep
def test_markup_that_people_typed_is_text(page: Page, vouchers: PartnerVouchers) -> None:
    markup = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    use_everything(vouchers, markup)
    for path in views_of(markup):
        page.goto(path)
        assert "taken" not in page.title().replace(markup, "")
        assert page.locator("img, script:not([src])").count() == 0
    page.goto("/lists/1")
    expect(page.get_by_role("heading", level=1)).to_contain_text(markup)


@pytest.mark.deep
def test_no_view_is_wider_than_a_phone(open_page: Opener, vouchers: PartnerVouchers) -> None:
    use_everything(vouchers, "x" * 200)
    page = open_page(width=360)
    wide = {}
    for path in views_of("x" * 200):
        page.goto(path)
        over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if over > 0:
            wide[path] = over
    assert wide == {}


@pytest.mark.deep
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(open_page: Opener, vouchers: PartnerVouchers, width: int, scheme: str) -> None:
    use_everything(vouchers, "CMP2")
    page = open_page(width=width, color_scheme=scheme)
    found = {}
    for path in views_of("CMP2"):
        page.goto(path)
        for menu in page.locator("details.menu > summary").all()[:1]:
            menu.click()
        found[path] = axe(page)
    assert [report for report in found.values() if report] == []


def test_axe_finds_nothing_in_forms_with_faults_and_while_a_file_is_read(
    page: Page, vouchers: PartnerVouchers
) -> None:
    fill_new_list(page)
    page.get_by_label("List tag").fill("two words")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert axe(page) is None

    page.goto("/campaign/limits?id=CMP1")
    page.get_by_label("Codes").first.fill("many")
    page.get_by_role("button", name="Save the limits").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert axe(page) is None

    for path, button in (("/lists/1/uploads", "Upload"), ("/reconcile", "Reconcile")):
        page.goto(path)
        if button == "Reconcile":
            page.get_by_label("Partner").select_option("Puma")
        choose(page, f"code\n{SLOW_CODE}\n".encode())
        page.get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_role("heading", name="in progress")).to_be_visible()
        assert axe(page) is None


def axe(page: Page) -> str | None:
    """Return what axe-core finds on a page; None where it finds nothing."""
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(page)
    return f"{page.url}: {results.generate_report()}" if results.violations_count else None


@pytest.mark.skipif("PARTNER_VOUCHERS_PICTURES" not in os.environ, reason="pictures are made when asked for")
def test_pictures_for_the_docs(open_page: Opener, vouchers: PartnerVouchers, clock: Clock) -> None:
    fill_with_samples(vouchers, clock)
    PICTURES.mkdir(exist_ok=True)
    shots = [
        ("page-lists", "/", 1100, 640, "light"),
        ("page-list", "/lists/4", 1100, 800, "light"),
        ("page-upload", "/uploads/4", 1100, 960, "light"),
        ("page-phone", "/lists/4", 390, 800, "dark"),
        ("page-limits", "/campaign/limits?id=CMP118785", 1100, 780, "light"),
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
        for _, _, name, *_, a_day in samples:
            users = [f"user-{day}-{number}" for number in range(a_day + day * day % (a_day + 1))]
            if users:
                vouchers.codes.assign_many(users, campaign_id=f"CMP{len(name) * 7919}")
    clock.ahead = timedelta()
    limits = [Limit(1, per="user"), Limit(600, per="campaign", period="month", zone="Asia/Kolkata")]
    vouchers.campaigns.set_limits("CMP118785", limits)
    vouchers.lists.archive("1")


def test_the_pictures_of_the_docs_are_small_and_shown() -> None:
    shown = "".join(
        (PICTURES.parents[1] / path).read_text("utf-8") for path in ("README.md", "docs/how-to/page.md")
    )
    for picture in PICTURES.glob("page-*.png"):
        assert picture.stat().st_size < 150_000
        assert re.search(rf"images/{picture.name}\b", shown)
