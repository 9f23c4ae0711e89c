"""The work of an operations person."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from partner_vouchers import Limit, PartnerVouchers
from partner_vouchers.errors import LimitReached
from tests.support.browser import NOW, SLOW_CODE, Clock, Opener, choose, downloaded, fill_new_list
from tests.support.sinks import ScriptedSink, reject

with_and_without_javascript = pytest.mark.parametrize(
    "javascript", [True, pytest.param(False, marks=pytest.mark.deep)], ids=["with-javascript", "without"]
)
FAULTY = b"code\nPM500AA\nnot good\nPM500BB\nPM500AA\n"


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


USED = b"code,order_id\nWINTER-SECRET-1,991\nWINTER-SECRET-2,992\n"


def reconcile(page: Page, content: bytes, name: str = "used.csv") -> None:
    page.goto("/reconcile")
    page.get_by_label("Partner").select_option("Puma")
    choose(page, content, name)
    page.get_by_role("button", name="Reconcile").click()


def test_a_partners_file_is_reconciled(page: Page, vouchers: PartnerVouchers) -> None:
    reconcile(page, USED)
    expect(page.get_by_role("rowheader", name="never distributed")).to_be_visible()
    assert b"WINTER-SECRET-2" in downloaded(page, "Download error file")
    assert vouchers.lists.get("1").retired == 1


@with_and_without_javascript
def test_a_reconciliation_goes_on_when_the_page_is_left(
    open_page: Opener, vouchers: PartnerVouchers, gate: threading.Event, javascript: bool
) -> None:
    page = open_page(java_script_enabled=javascript)
    reconcile(page, USED + f"{SLOW_CODE},993\n".encode())
    expect(page.get_by_role("heading", name="Reconciliation in progress")).to_be_visible()
    page.context.close()

    other = open_page("ravi@example.com", java_script_enabled=javascript)
    reconcile(other, b"code\nB-1\n", "other.csv")
    expect(other.get_by_role("alert")).to_contain_text("Another file of Puma is being reconciled")
    expect(other.get_by_text("sent by asha@example.com")).to_be_visible()

    other.goto("/reconcile")
    gate.set()
    # The page looks again by itself.
    other.get_by_role("link", name="Report on used.csv").click()
    expect(other.get_by_role("rowheader", name="unknown code")).to_be_visible()
    assert SLOW_CODE.encode() in downloaded(other, "Download error file")
    assert vouchers.lists.get("1").retired == 1


def test_a_file_that_is_chosen_meanwhile_is_not_lost(page: Page, gate: threading.Event) -> None:
    reconcile(page, f"code\n{SLOW_CODE}\n".encode())
    expect(page.get_by_role("heading", name="Reconciliation in progress")).to_be_visible()
    choose(page, USED)
    gate.set()
    expect(page.get_by_text("It is complete.")).to_be_visible()
    page.get_by_role("button", name="Reconcile").click()
    expect(page.get_by_role("rowheader", name="recorded", exact=True)).to_be_visible()


def test_a_partners_file_whose_connection_was_lost_is_sent_again(
    page: Page, vouchers: PartnerVouchers
) -> None:
    page.goto("/reconcile")
    page.get_by_label("Partner").select_option("Puma")
    choose(page, USED)
    page.context.set_offline(True)
    page.get_by_role("button", name="Reconcile").click()
    expect(page.get_by_role("alert")).to_contain_text("The connection was lost")
    page.context.set_offline(False)
    page.get_by_role("button", name="Reconcile").click()
    expect(page.get_by_role("rowheader", name="recorded", exact=True)).to_be_visible()


@with_and_without_javascript
def test_the_limits_of_a_campaign_are_set_and_its_refusals_read(
    open_page: Opener, vouchers: PartnerVouchers, javascript: bool
) -> None:
    page = open_page(java_script_enabled=javascript)
    page.goto("/campaign")
    page.get_by_role("link", name="CMP1").click()
    tabs = page.get_by_role("navigation", name="This campaign")
    tabs.get_by_role("link", name="Limits").click()
    expect(page.get_by_role("heading", name="This campaign has no limits")).to_be_visible()

    first, second = page.get_by_role("group", name="Limit 1"), page.get_by_role("group", name="Limit 2")
    first.get_by_label("Codes").fill("1")
    second.get_by_label("Codes").fill("1")
    second.get_by_label("Per", exact=True).select_option("campaign")
    second.get_by_label("Period").select_option("each month")
    second.get_by_label("Time zone").fill("Asia/Kolkata")
    page.get_by_role("button", name="Save the limits").click()
    expect(page.get_by_role("status")).to_have_text("The limits were saved.")
    assert [usage.limit for usage in vouchers.campaigns.limits("CMP1")] == [
        Limit(1, per="user"),
        Limit(1, per="campaign", period="month", zone="Asia/Kolkata"),
    ]
    page.get_by_label("User ID").fill("user-1")
    page.get_by_role("button", name="Show what this user has used").click()
    expect(page.get_by_role("row", name="1 per user for ever 1")).to_be_visible()

    with pytest.raises(LimitReached):
        vouchers.codes.assign(campaign_id="CMP1", user_id="user-2")
    tabs.get_by_role("link", name="Refusals").click()
    expect(page.get_by_role("row", name="Campaign limit 1")).to_be_visible()


@with_and_without_javascript
def test_reserved_codes_are_confirmed_and_released(
    open_page: Opener, vouchers: PartnerVouchers, javascript: bool
) -> None:
    for user_id in ("user-2", "user-3"):
        vouchers.codes.reserve(user_id=user_id, list_id="1", ttl=timedelta(minutes=15))
    page = open_page(java_script_enabled=javascript)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/lists/1")
    page.get_by_role("link", name="Reservations").click()
    page.get_by_role("row", name="user-2").get_by_role("button", name="Release").click()
    expect(page.get_by_role("status")).to_have_text("The reserved code was given back to its list.")
    expect(page.locator("tbody tr")).to_have_count(1)

    page.get_by_role("link", name="user-3").click()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Vouchers of user-3")).to_be_visible()
    assert (vouchers.lists.get("1").available, vouchers.lists.get("1").distributed) == (1, 2)


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


def test_a_double_click_creates_one_list(page: Page, vouchers: PartnerVouchers) -> None:
    fill_new_list(page)
    page.get_by_role("button", name="Save").dblclick()
    expect(page.get_by_role("status")).to_have_text("The list was created.")
    assert len(vouchers.lists.find().items) == 2
