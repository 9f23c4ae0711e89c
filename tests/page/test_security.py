"""What other sites, tampered addresses, markup and failures can do to the page: nothing."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.page import create_app
from tests.support.page import TOKEN, Person, Visitor

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"
SECRET = "PM500-SECRET"


def test_every_answer_has_the_headers(visitor: Visitor, vouchers: PartnerVouchers, monkeypatch: Any) -> None:
    answers = [
        visitor.get("/"),
        visitor.get("/nowhere"),
        visitor.get("/lists/999"),
        visitor.get("/static/page.css"),
        visitor.post("/lists/1/codes/export", {"what": "remaining"}),
        Visitor(create_app(vouchers)).get("/"),
    ]
    monkeypatch.setattr(type(vouchers.lists), "find", lambda *_, **__: 1 / 0)
    answers.append(visitor.get("/"))

    assert [answer.status_code for answer in answers] == [200, 404, 404, 200, 200, 403, 500]
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"


def test_only_files_of_the_page_itself_may_be_kept_by_a_browser(visitor: Visitor) -> None:
    assert visitor.get("/static/page.css").headers["cache-control"] == "no-cache"
    assert visitor.get("/").headers["cache-control"] == "no-store"
    assert visitor.post("/uploads/1/original").headers["cache-control"] == "no-store"


def test_no_page_needs_an_exception_of_the_policy(visitor: Visitor) -> None:
    for path in (
        "/",
        "/lists/1",
        "/lists/1/uploads",
        "/uploads/1",
        "/lists/1/codes",
        "/template",
        "/delivery",
    ):
        page = visitor.text(path)
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|javascript:", page), path


OF_THE_PAGE = "the token of the page"


@pytest.mark.parametrize(
    "token, cookie, headers",
    [
        pytest.param(None, True, {}, id="no token"),
        pytest.param("", True, {}, id="an empty token"),
        pytest.param("wrong", True, {}, id="a wrong token"),
        pytest.param("é", True, {}, id="a token that is not ASCII"),
        pytest.param(OF_THE_PAGE, False, {}, id="no cookie"),
        pytest.param("", False, {"cookie": "pv_csrf="}, id="an empty cookie and an empty token"),
        pytest.param(OF_THE_PAGE, True, {"sec-fetch-site": "cross-site"}, id="another site"),
        pytest.param(OF_THE_PAGE, True, {"sec-fetch-site": "same-site"}, id="another host of the site"),
    ],
)
def test_a_forged_form_changes_nothing(
    visitor: Visitor, vouchers: PartnerVouchers, token: str | None, cookie: bool, headers: dict[str, str]
) -> None:
    right = visitor.token()
    fields = {} if token is None else {"csrf_token": right if token is OF_THE_PAGE else token}
    if not cookie:
        visitor.client.cookies.clear()

    assert visitor.client.post("/lists/1/do/pause", data=fields, headers=headers).status_code == 403
    assert vouchers.lists.get("1").status == "Active"


def test_nothing_changes_by_following_a_link(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    before = vouchers.audit.entries().items

    for path in ("/lists/1/do/pause", "/lists/1/do/delete", "/uploads/1/withdraw", "/delivery/retry"):
        assert visitor.get(path).status_code == 405

    assert vouchers.audit.entries().items == before


def test_the_cookie_is_kept_from_scripts_and_other_sites(visitor: Visitor) -> None:
    cookie = visitor.get("/").headers["set-cookie"].lower()

    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie


def test_over_https_the_cookie_is_sent_over_https_only(vouchers: PartnerVouchers) -> None:
    visitor = Visitor(create_app(vouchers, authorize=Person()), base_url="https://ops.example.com")

    assert "secure" in visitor.get("/").headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "path", ["//evil.example", "//evil.example/", "/lists/", "/\\evil.example", "/lists//evil"]
)
def test_no_address_redirects_elsewhere(visitor: Visitor, path: str) -> None:
    answer = visitor.client.get("http://testserver" + path)

    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_a_redirect_names_a_path_and_no_host(visitor: Visitor) -> None:
    answer = visitor.post(
        "/lists/1/do/pause", headers={"host": "evil.example", "referer": "https://evil.example/"}
    )

    assert answer.headers["location"] == "/lists/1?done=pause"


def test_what_is_said_after_a_change_is_not_taken_from_the_address(visitor: Visitor) -> None:
    assert "Call+this+number" not in visitor.text("/?done=Call+this+number")
    assert "The list was deleted." in visitor.text("/?done=deleted")


def test_a_cursor_that_was_tampered_with_leads_to_the_first_page(visitor: Visitor) -> None:
    cursors = ["x", "1", "..", "eyJhIjoxfQ==", "<script>", "é", "\x00", "a" * 5_000]
    for path in ("/", "/lists/1/uploads", "/lists/1/audit", "/delivery", "/campaign"):
        for cursor in cursors:
            answer = visitor.get(path, params={"after": cursor})
            assert (answer.status_code, answer.headers.get("location")) == (303, path), (path, cursor)


def test_an_address_of_nothing_is_answered_in_words(visitor: Visitor) -> None:
    tabs = ("", "/uploads", "/codes", "/reservations", "/confirm/archive")
    for path in (*(f"/lists/{{}}{tab}" for tab in tabs), "/uploads/{}", "/reconcile/{}"):
        for place in ("999", "x", "-1", "%00", "%ff", "1%0a", "9" * 300, "<script>"):
            answer = visitor.get(path.format(place))
            assert answer.status_code in {404, 422}, (path, place)
            assert "<script>alert" not in answer.text
            assert "<h1>" in answer.text


def test_markup_is_never_executed(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    made = visitor.post(
        "/lists/new",
        {
            "new_partner": MARKUP,
            "tag": MARKUP.replace(" ", "_"),
            "name": MARKUP,
            "description": MARKUP,
            "expires_at": "2027-03-31T23:59:59",
        },
    )
    list_id = made.headers["location"].split("/")[2].split("?")[0]
    visitor.post(f"/lists/{list_id}/campaigns", {"campaign_id": MARKUP})
    visitor.upload(
        f"/lists/{list_id}/uploads", f"{MARKUP}\nAAA-1\n".encode(), filename=MARKUP.replace('"', "") + ".csv"
    )
    vouchers.codes.assign(list_id=list_id, user_id=MARKUP)
    paths = [
        "/",
        *(
            f"/lists/{list_id}{tab}"
            for tab in ("", "/uploads", "/campaigns", "/codes", "/audit", "/confirm/archive")
        ),
        "/uploads/2",
        "/campaign",
        "/lists/new",
    ]
    pages = [visitor.text(path) for path in paths]
    pages += [
        visitor.get("/user", params={"user": MARKUP}).text,
        visitor.get("/", params={"text": MARKUP}).text,
    ]
    pages += [visitor.get("/campaign", params={"id": MARKUP}).text]
    pages += [visitor.post("/template", {"source": MARKUP, "name": MARKUP}).text]
    pages += [visitor.post("/lists/new", {"tag": MARKUP, "name": MARKUP, "new_partner": MARKUP}).text]

    for page in pages:
        assert "alert(1)" in page
        for opening in ("<script>alert", "<img src=x"):
            assert opening not in page
        assert "\"'><img" not in page


def test_an_error_page_shows_nothing_of_the_inside(
    visitor: Visitor, vouchers: PartnerVouchers, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def find(*_: object, **__: object) -> object:
        raise ZeroDivisionError(f"{SECRET}-AA in /srv/app/lists.py")

    monkeypatch.setattr(type(vouchers.lists), "find", find)

    with caplog.at_level(logging.INFO, "partner_vouchers"):
        answer = visitor.get("/")

    assert answer.status_code == 500
    for inside in (SECRET, "ZeroDivision", "/srv/app", "Traceback"):
        assert inside not in answer.text
    assert SECRET not in caplog.text


def test_a_storage_that_fails_is_answered_in_words(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "vouchers.db"
    path.write_bytes(b"no database" * 1000)
    visitor = Visitor(create_app(PartnerVouchers(SQLiteStorage(path)), authorize=Person()))

    answer = visitor.get("/")

    assert answer.status_code == 503
    assert "Nothing was changed" in answer.text
    assert str(tmp_path) not in answer.text


def test_it_works_below_a_path_of_a_host(vouchers: PartnerVouchers) -> None:
    host = Starlette(routes=[Mount("/ops/vouchers", create_app(vouchers, authorize=Person()))])
    visitor = Visitor(host, "/ops/vouchers")

    answer = visitor.get("/")
    changed = visitor.post("/lists/1/do/pause")

    links = re.findall(r'(?:href|src|action)="([^"#]+)"', answer.text)
    assert links
    assert all(link.startswith("/ops/vouchers/") for link in links)
    assert changed.headers["location"] == "/ops/vouchers/lists/1?done=pause"
    assert "path=/ops/vouchers" in answer.headers["set-cookie"].lower()


def test_it_works_behind_a_proxy_with_a_path(vouchers: PartnerVouchers) -> None:
    app = create_app(vouchers, authorize=Person())
    visitor = Visitor(app, "/vouchers", root_path="/vouchers", base_url="https://ops.example.com")

    page = visitor.text("/")

    assert 'href="/vouchers/static/page.css"' in page
    assert visitor.post("/lists/1/do/pause").headers["location"] == "/vouchers/lists/1?done=pause"


def test_two_tabs_share_a_token(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    first = TOKEN.search(visitor.text("/lists/1"))
    second = TOKEN.search(visitor.text("/lists/1/uploads"))

    assert first is not None
    assert second is not None
    assert first[1] == second[1]


def test_fastapi_mounts_it(vouchers: PartnerVouchers) -> None:
    host = FastAPI()
    host.mount("/ops/vouchers", create_app(vouchers, authorize=Person()))
    visitor = Visitor(host, "/ops/vouchers")

    assert visitor.client.get("/ops/vouchers").headers["location"].endswith("/ops/vouchers/")
    assert "Winter Sale" in visitor.follow(visitor.post("/lists/1/do/pause"))
    assert "<h1>Not found</h1>" in visitor.get("/lists/9").text
