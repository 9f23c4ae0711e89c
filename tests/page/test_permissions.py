"""`authorize` decides each view, change and reveal; without it everything is refused."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.errors import InvalidInput
from partner_vouchers.page import Permission, basic_authentication, create_app
from tests.support.ids import shown
from tests.support.page import Person, Visitor
from tests.support.sinks import ScriptedSink, reject

VIEW, CHANGE, REVEAL = Permission.VIEW, Permission.CHANGE, Permission.REVEAL

NEEDS = {
    ("GET", "/"): VIEW,
    ("GET", "/lists/new"): CHANGE,
    ("POST", "/lists/new"): CHANGE,
    ("GET", "/lists/{list_id}"): VIEW,
    ("POST", "/lists/{list_id}/edit"): CHANGE,
    ("GET", "/lists/{list_id}/confirm/{action}"): CHANGE,
    ("POST", "/lists/{list_id}/do/{action}"): CHANGE,
    ("GET", "/lists/{list_id}/uploads"): VIEW,
    ("POST", "/lists/{list_id}/uploads"): CHANGE,
    ("GET", "/lists/{list_id}/uploads/progress"): VIEW,
    ("POST", "/lists/{list_id}/uploads/recover"): CHANGE,
    ("GET", "/uploads/{upload_id}"): VIEW,
    ("POST", "/uploads/{upload_id}/original"): REVEAL,
    ("POST", "/uploads/{upload_id}/errors"): REVEAL,
    ("POST", "/uploads/{upload_id}/withdraw"): CHANGE,
    ("GET", "/lists/{list_id}/campaigns"): VIEW,
    ("POST", "/lists/{list_id}/campaigns"): CHANGE,
    ("POST", "/lists/{list_id}/campaigns/unlink"): CHANGE,
    ("GET", "/campaign"): VIEW,
    ("GET", "/campaign/limits"): VIEW,
    ("POST", "/campaign/limits"): CHANGE,
    ("GET", "/campaign/refusals"): VIEW,
    ("GET", "/lists/{list_id}/codes"): VIEW,
    ("POST", "/lists/{list_id}/codes/export"): REVEAL,
    ("GET", "/lists/{list_id}/reservations"): VIEW,
    ("GET", "/lists/{list_id}/audit"): VIEW,
    ("GET", "/user"): VIEW,
    ("POST", "/user"): VIEW,
    ("POST", "/assignments/{assignment_id}/reveal"): REVEAL,
    ("POST", "/assignments/{assignment_id}/revoke"): CHANGE,
    ("POST", "/reservations/{reservation_id}/confirm"): CHANGE,
    ("POST", "/reservations/{reservation_id}/release"): CHANGE,
    ("GET", "/reconcile"): VIEW,
    ("POST", "/reconcile"): CHANGE,
    ("GET", "/reconcile/progress"): VIEW,
    ("GET", "/reconcile/{report_id}"): VIEW,
    ("POST", "/reconcile/{report_id}/errors"): REVEAL,
    ("GET", "/delivery"): VIEW,
    ("POST", "/delivery/retry"): CHANGE,
    ("GET", "/template"): VIEW,
    ("POST", "/template"): VIEW,
}

PLACES = {
    "report_id": "1",
    "reservation_id": "1",
    "list_id": "1",
    "upload_id": "1",
    "assignment_id": "1",
    "action": "archive",
}


def routes(app: Starlette) -> Iterator[tuple[str, str]]:
    for route in app.routes:
        if isinstance(route, Route):
            for method in (route.methods or set()) - {"HEAD"}:
                yield method, route.path


def test_the_table_names_every_view(vouchers: PartnerVouchers) -> None:
    assert set(routes(create_app(vouchers))) == set(NEEDS)


def test_nothing_is_open_by_default(vouchers: PartnerVouchers) -> None:
    client = Visitor(create_app(vouchers)).client
    answers = {view: client.request(view[0], view[1].format(**PLACES)) for view in NEEDS}

    assert {view for view, answer in answers.items() if answer.status_code != 403} == set()
    assert not any("Winter" in answer.text for answer in answers.values())


def test_each_view_asks_for_its_own_permission_before_it_does_anything(vouchers: PartnerVouchers) -> None:
    before = vouchers.audit.entries().items
    asked = {}
    for (method, path), needed in NEEDS.items():
        person = Person(*(set(Permission) - {needed}))
        answer = Visitor(create_app(vouchers, authorize=person)).client.request(method, path.format(**PLACES))
        asked[method, path] = (answer.status_code, person.asked)

    assert asked == {view: (403, [needed]) for view, needed in NEEDS.items()}
    assert vouchers.audit.entries().items == before


def offered(visitor: Visitor) -> set[tuple[str, str]]:
    """Return the views to which links and forms of the pages lead."""
    found = set()
    for method, path in NEEDS:
        if method == "GET" and "confirm" not in path and path != "/reconcile/progress":
            answer = visitor.get(path.format(**PLACES), params={"id": "CMP1", "user": "user-1"})
            if answer.status_code == 200:
                found |= set(targets(answer.text))
    return found


def targets(page: str) -> Iterator[tuple[str, str]]:
    for tag in re.findall(r"<(?:a|form) [^>]*>", page):
        method = "POST" if 'method="post"' in tag else "GET"
        for path in re.findall(r'(?:href|action)="(/[^"?#]*)', tag):
            for needed, template in NEEDS:
                if needed == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
                    yield method, template
                    break
            else:
                raise AssertionError(tag)


@pytest.mark.parametrize("may", [{VIEW}, {VIEW, CHANGE}, {VIEW, REVEAL}, {VIEW, CHANGE, REVEAL}])
def test_a_page_offers_what_the_person_may_do_and_nothing_else(
    vouchers: PartnerVouchers, may: set[Permission]
) -> None:
    vouchers.codes.reserve(user_id="user-1", list_id="1", ttl=timedelta(minutes=15))
    vouchers.redemptions.upload(b"code\nUNKNOWN\n", partner="Puma", filename="used.csv", uploaded_by="setup")
    sink = ScriptedSink()
    sink.always = reject("user-1", final=True)
    vouchers.codes.assign(campaign_id="CMP1", user_id="user-2")
    while not vouchers.events.dead_letters().items:
        vouchers.events.deliver(sink)

    found = offered(Visitor(create_app(vouchers, authorize=Person(*may))))

    # Nothing was interrupted, so there is nothing to recover.
    unseen = {("POST", "/lists/{list_id}/uploads/recover"), ("GET", "/lists/{list_id}/uploads/progress")}
    unseen |= {("GET", "/reconcile/progress"), ("GET", "/reconcile/{report_id}")}
    assert found == {view for view, needed in NEEDS.items() if needed in may} - unseen


@pytest.mark.parametrize("refusal", [None, "", False, 0, True, b"asha"])
def test_only_a_name_lets_a_person_in(vouchers: PartnerVouchers, refusal: object) -> None:
    visitor = Visitor(create_app(vouchers, authorize=lambda request, permission: refusal))  # type: ignore[arg-type,return-value]

    assert visitor.get("/").status_code == 403


def test_a_coroutine_function_may_decide(vouchers: PartnerVouchers) -> None:
    async def authorize(request: Request, permission: Permission) -> str | None:
        return request.headers.get("x-user")

    visitor = Visitor(create_app(vouchers, authorize=authorize))

    assert visitor.get("/").status_code == 403
    assert visitor.get("/", headers={"x-user": "asha"}).status_code == 200


def test_a_host_may_ask_for_a_password(vouchers: PartnerVouchers) -> None:
    def authorize(request: Request, permission: Permission) -> str | None:
        raise HTTPException(401, "Sign in.", headers={"WWW-Authenticate": "Basic"})

    answer = Visitor(create_app(vouchers, authorize=authorize)).get("/")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Basic"


def test_an_authorize_that_fails_lets_nobody_in(vouchers: PartnerVouchers) -> None:
    def authorize(request: Request, permission: Permission) -> str | None:
        raise RuntimeError("the user directory is at ldap://internal")

    answer = Visitor(create_app(vouchers, authorize=authorize)).get("/")

    assert answer.status_code == 500
    assert "ldap" not in answer.text


def test_an_authorize_that_fails_for_another_permission_leaves_the_page(vouchers: PartnerVouchers) -> None:
    def authorize(request: Request, permission: Permission) -> str | None:
        if permission is REVEAL:
            raise RuntimeError
        return "asha"

    visitor = Visitor(create_app(vouchers, authorize=authorize))

    page = visitor.text("/lists/1/codes")
    assert "Pause" in page
    assert "Download distributed codes" not in page


def test_a_list_of_permissions_is_what_hosts_decide_about() -> None:
    assert set(NEEDS.values()) == set(Permission)


@pytest.mark.parametrize(
    "header, status",
    [
        (None, 401),
        ("Basic " + base64.b64encode(b"asha:right").decode(), 200),
        ("basic " + base64.b64encode(b"asha:right").decode(), 200),
        ("Basic " + base64.b64encode(b"asha:wrong").decode(), 401),
        ("Basic " + base64.b64encode(b"asha:").decode(), 401),
        ("Basic " + base64.b64encode(b"ravi:").decode(), 401),
        ("Basic " + base64.b64encode(b"nobody:right").decode(), 401),
        ("Basic " + base64.b64encode("asha:é".encode("latin-1")).decode(), 401),
        ("Basic %%%", 401),
        ("Bearer right", 401),
    ],
)
def test_basic_authentication_asks_for_a_password(
    vouchers: PartnerVouchers, header: str | None, status: int
) -> None:
    authorize = basic_authentication({"asha": "right", "ravi": ""})
    visitor = Visitor(create_app(vouchers, authorize=authorize))

    answer = visitor.get("/", headers={} if header is None else {"authorization": header})

    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    "field, wrong",
    [
        ("vouchers", None),
        ("vouchers", AsyncPartnerVouchers(MemoryStorage())),
        ("authorize", "asha"),
        ("zone", "Asia/Kolkata"),
        ("title", 5),
        ("title", ""),
    ],
    ids=shown,
)
def test_a_wrong_argument_is_refused_before_anything_is_served(
    vouchers: PartnerVouchers, field: str, wrong: object
) -> None:
    arguments: dict[str, Any] = {"vouchers": vouchers, field: wrong}
    with pytest.raises(InvalidInput) as refused:
        create_app(**arguments)
    assert refused.value.field == field


@pytest.mark.parametrize("passwords", [None, "asha", ["asha"], {"asha": None}, {5: "right"}], ids=shown)
def test_passwords_are_strings(passwords: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        basic_authentication(passwords)
    assert refused.value.field == "passwords"
    assert "right" not in str(refused.value)
