"""Voucherify over real HTTP, against a server that answers with the bodies of its API reference."""

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from socket import socket
from typing import Any, cast

import pytest

from partner_vouchers.errors import (
    InvalidInput,
    LinkedContentError,
    LinkedContentFailed,
    MessageError,
    NoLinkedContent,
    ParameterMissing,
    VoucherifyCredentialsRefused,
    VoucherifyError,
    VoucherifyNotFound,
    VoucherifyNothingToPublish,
    VoucherifyOutcomeUnknown,
    VoucherifyRateLimited,
    VoucherifyUnreachable,
)
from partner_vouchers.http import HttpClient
from partner_vouchers.linked.publications import JsonLinesLog, Publication
from partner_vouchers.linked.rate_limit import RateLimit
from partner_vouchers.linked.voucherify import Voucherify, VoucherifyContent
from partner_vouchers.messages import MessageTemplate
from tests.support.ids import shown
from tests.support.loopback import Answering, Loopback, Received, answer, free_port, loopback, raw, reset

APP_ID = "5df4a0c6-app-id"
APP_TOKEN = "9a1b-app-token"
CODE = "LOY-aX92kd01"
CAMPAIGN = "camp_f0bKCWIYyTfOept56g2UMLY7"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAME = "Customer Referral Code"
LOOK = f'{{{{ Linked["{NAME}"].code }}}}'


def publication(code: str, customer: str, voucher: dict[str, object]) -> dict[str, object]:
    """Return the answer to a publication."""
    return {
        "id": "pub_Lz0yqTZ4qhTfWQWkTPFp3iqsxEDYZqfR",
        "object": "publication",
        "created_at": "2024-01-25T11:03:11.174Z",
        "customer_id": "cust_eWgXlBBiY6THFRJwX45Iakv4",
        "tracking_id": f"track_{customer}",
        "metadata": {},
        "channel": "API",
        "source_id": None,
        "result": "SUCCESS",
        "customer": {"id": "cust_eWgXlBBiY6THFRJwX45Iakv4", "source_id": customer, "object": "customer"},
        "vouchers_id": ["v_mkZN9v7vjYUadXnHrMza8W5c34fE5KiV"],
        "voucher": {"id": "v_mkZN9v7vjYUadXnHrMza8W5c34fE5KiV", "code": code, "object": "voucher", **voucher},
    }


COUPON: dict[str, object] = {
    "type": "DISCOUNT_VOUCHER",
    "campaign": "Customer Reactivation",
    "discount": {"type": "PERCENT", "percent_off": 20.0, "amount_limit": 10000},
    "is_referral_code": False,
}
REFERRAL: dict[str, object] = {**COUPON, "campaign": "Referral program", "is_referral_code": True}
LOYALTY: dict[str, object] = {
    "type": "LOYALTY_CARD",
    "campaign": "Loyalty program",
    "loyalty_card": {"points": 110, "balance": 110},
    "is_referral_code": False,
}


def refusal(status: int, **said: object) -> dict[str, object]:
    """Return the error object."""
    return {"code": status, "request_id": "v-0f4ee1", "resource_id": "x", "resource_type": "campaign", **said}


class Campaigns:
    """The service itself: campaigns, and who has joined them."""

    def __init__(self, *, join_once: bool = True, voucher: dict[str, object] = COUPON) -> None:
        self.join_once = join_once
        self.joined: dict[str, str] = {}
        self.published = 0
        self.voucher = voucher

    def __call__(self, connection: socket, request: Received) -> None:
        if (request.headers.get("x-app-id"), request.headers.get("x-app-token")) != (APP_ID, APP_TOKEN):
            return answer(refusal(401, key="unauthorized", message="Unauthorized"), 401)(connection, request)
        asked = {name: values[0] for name, values in request.query.items()}
        if asked.get("campaign") not in (CAMPAIGN, None):
            said = refusal(
                404, key="not_found", message="Resource not found", details=f"no {asked['campaign']}"
            )
            return answer(said, 404)(connection, request)
        customer = asked["customer"]
        once = asked.get("join_once", str(self.join_once).lower()) == "true"
        if "voucher" in asked:
            code = asked["voucher"]
        elif once and customer in self.joined:
            code = self.joined[customer]
        else:
            self.published += 1
            code = self.joined[customer] = f"CODE-{self.published:04}-{customer}"
        return answer(publication(code, customer, self.voucher))(connection, request)


Account = Callable[..., Voucherify]


@pytest.fixture(scope="module")
def http() -> Iterator[HttpClient]:
    client = HttpClient(connect_timeout=5, read_timeout=5, deadline=5)
    yield client
    client.close()


@pytest.fixture
def account(http: HttpClient) -> Account:
    def make(server: Loopback | str, **settings: object) -> Voucherify:
        url = server if isinstance(server, str) else server.url
        arguments: dict[str, object] = {
            "api_url": url, "app_id": APP_ID, "app_token": APP_TOKEN, "http": http, "clock": lambda: NOW,
            "sleep": lambda seconds: None, **settings,
        }  # fmt: skip
        return Voucherify(**arguments)  # type: ignore[arg-type]

    return make


def render(content: VoucherifyContent, customer: str = "user-42", source: str | None = None) -> str | None:
    template = MessageTemplate(source or f'{{{{ Linked["{NAME}"].code | default: "contact us" }}}}')
    return template.render(event={}, linked={NAME: content}, parameters={"customersourceid": customer})


def failing(content: VoucherifyContent) -> LinkedContentError:
    """Render a message, and return what Voucherify's part in its failure was."""
    with pytest.raises(LinkedContentFailed) as caught:
        render(content)
    assert isinstance(caught.value.cause, LinkedContentError)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.cause)
    for secret in (APP_ID, APP_TOKEN, CODE):
        assert secret not in told
    return caught.value.cause


def test_request_is_the_documented_one(account: Account) -> None:
    with loopback(Campaigns()) as server:
        for path in ("", "/", "/v1", "/v1/"):
            assert (
                render(account(server.url + path).campaign(CAMPAIGN), "user 42/ü&x=1")
                == "CODE-0001-user 42/ü&x=1"
            )
        assert render(account(server).voucher(CODE)) == CODE
        assert isinstance(
            failing(account(server, app_token="another").campaign(CAMPAIGN)), VoucherifyCredentialsRefused
        )
    request, *_, of_voucher, _ = server.requests
    assert {each.path for each in server.requests} == {"/v1/publications/create"}
    assert (request.method, request.body) == ("GET", b"")
    assert request.query == {"campaign": [CAMPAIGN], "customer": ["user 42/ü&x=1"]}
    assert (request.headers["x-app-id"], request.headers["x-app-token"]) == (APP_ID, APP_TOKEN)
    assert request.headers["content-type"] == "application/json"
    assert of_voucher.query == {"voucher": [CODE], "customer": ["user-42"]}


def test_joining_once_gives_a_customer_the_same_code_and_often_a_new_one(account: Account) -> None:
    with loopback(Campaigns(join_once=True)) as server:
        content = account(server).campaign(CAMPAIGN)
        codes = [render(content, customer) for customer in ("u1", "u2", "u1")]
    assert codes == ["CODE-0001-u1", "CODE-0002-u2", "CODE-0001-u1"]
    with loopback(Campaigns(join_once=False)) as server:
        voucherify = account(server)
        contents = [voucherify.campaign(CAMPAIGN, join_once=once) for once in (None, None, True, True)]
        codes = [render(content, "u1") for content in contents]
    assert codes == ["CODE-0001-u1", "CODE-0002-u1", "CODE-0002-u1", "CODE-0002-u1"]
    assert [request.query.get("join_once") for request in server.requests] == [None, None, ["true"], ["true"]]


@pytest.mark.parametrize(
    "voucher,source,message",
    [
        (COUPON, f"{LOOK} {LOOK}", "CODE-0001-user-42 CODE-0001-user-42"),
        (COUPON, f"{{% if false %}}{LOOK}{{% endif %}}", ""),
        (REFERRAL, LOOK, "CODE-0001-user-42"),
        (LOYALTY, LOOK.replace("code", "loyalty_card.points") + " points", "110 points"),
    ],
    ids=["one message, one publication", "not needed", "referral code", "loyalty card"],
)
def test_a_message_takes_what_it_needs(account: Account, voucher: Any, source: str, message: str) -> None:
    with loopback(Campaigns(join_once=False, voucher=voucher)) as server:
        assert render(account(server).campaign(CAMPAIGN), source=source) == message
    assert len(server.requests) == bool(message)


def test_customer_is_mandatory_and_checked_before_the_call(account: Account) -> None:
    with loopback(Campaigns()) as server:
        content = account(server).campaign(CAMPAIGN, customer_parameter="customer")
        template = MessageTemplate(f'{{{{ Linked["{NAME}"].code | default: "contact us" }}}}')
        for parameters in ({}, {"customersourceid": "u1"}, {"customer": ""}):
            with pytest.raises(LinkedContentFailed) as caught:
                template.render(event={}, linked={NAME: content}, parameters=parameters)
            assert isinstance(caught.value.cause, ParameterMissing)
            assert caught.value.cause.parameter == "customer"
        assert server.requests == []
        linked = {NAME: content}
        assert template.render(event={}, linked=linked, parameters={"customer": "u1"}) == "CODE-0001-u1"


def test_nothing_left_to_publish_lets_the_default_stand_in(account: Account) -> None:
    said = refusal(
        400,
        key="no_voucher_suitable_for_publication",
        message="Couldn't find any voucher suitable for publication.",
        details="Use auto-update campaigns if you want Voucherify to generate vouchers automatically.",
    )
    with loopback(answer(said, 400)) as server:
        content = account(server).campaign(CAMPAIGN)
        assert render(content) == "contact us"
        with pytest.raises(VoucherifyNothingToPublish) as caught:
            content.fetch({"customersourceid": "u1"})
        with pytest.raises(MessageError, match="has nothing for this user"):
            render(content, source=LOOK)

    assert isinstance(caught.value, NoLinkedContent)
    assert isinstance(caught.value, VoucherifyError)
    assert (caught.value.status, caught.value.key) == (400, "no_voucher_suitable_for_publication")


@pytest.mark.parametrize(
    "status,key,error",
    [
        (400, "invalid_payload", VoucherifyError),
        (401, "unauthorized", VoucherifyCredentialsRefused),
        (403, "forbidden", VoucherifyCredentialsRefused),
        (402, "payment_required", VoucherifyError),
        (404, "not_found", VoucherifyNotFound),
        (405, None, VoucherifyError),
        (500, "internal_error", VoucherifyOutcomeUnknown),
        (502, None, VoucherifyOutcomeUnknown),
        (503, None, VoucherifyOutcomeUnknown),
    ],
)
def test_refusal_is_a_typed_error(
    account: Account, status: int, key: str | None, error: type[VoucherifyError]
) -> None:
    said = refusal(status, key=key, message=f"Cannot publish {CODE}", details=f"{CODE} of {APP_TOKEN}")
    with loopback(answer(said, status)) as server:
        found = failing(account(server).campaign(CAMPAIGN))
    assert type(found) is error
    assert (found.status, found.key, found.request_id) == (status, key, "v-0f4ee1")
    assert (found.message, found.details) == (f"Cannot publish {CODE}", f"{CODE} of {APP_TOKEN}")
    # Nothing but 429 is asked again.
    assert len(server.requests) == 1


def test_what_is_no_name_is_not_told(account: Account) -> None:
    said = refusal(400, key=f"the code {CODE}", message=42, details=None, request_id=f"{CODE} " * 100)
    with loopback(answer(said, 400)) as server:
        found = failing(account(server).campaign(CAMPAIGN))
    assert isinstance(found, VoucherifyError)
    assert (found.key, found.message, found.details, found.request_id) == (None, None, None, None)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>Bad Gateway</html>", b"[1, 2]", b"null", b"{", b"\xff\xfe", b"[" * 100_000),
        {"voucher": None},
        {"voucher": {}},
        {"voucher": CODE},
        *({"voucher": {"code": code}} for code in (None, "", 42)),
        {"code": {}},
        {"vouchers": [CODE], "result": "SUCCESS"},
        {"result": "FAILURE", "failure_code": CODE},
    ],
    ids=shown,
)
def test_response_without_a_code(account: Account, body: object) -> None:
    with loopback(answer(body)) as server:
        found = failing(account(server).campaign(CAMPAIGN))
    assert isinstance(found, VoucherifyOutcomeUnknown)
    assert (found.status, found.key, found.message) == (200, None, None)
    assert found.reason == "the response has no voucher code; a code may have been published"


def test_redirects_are_not_followed(account: Account) -> None:
    with (
        loopback(Campaigns()) as elsewhere,
        loopback(answer(b"", 302, {"Location": elsewhere.url})) as server,
    ):
        found = failing(account(server).campaign(CAMPAIGN))
    assert isinstance(found, VoucherifyError)
    assert (found.status, found.reason) == (302, "redirects are not followed; check api_url")
    assert elsewhere.requests == []


def one_after_the_other(*answers: Answering) -> Answering:
    left = iter(answers)
    return lambda connection, request: next(left)(connection, request)


def test_too_many_calls_are_waited_for(account: Account) -> None:
    campaigns, slept, log = Campaigns(), list[float](), list[Publication]()
    limited = answer(refusal(429, key="too_many_requests"), 429, {"Retry-After": "7"})
    with loopback(one_after_the_other(limited, limited, campaigns)) as server:
        content = account(server, sleep=slept.append, log=log.append).campaign(CAMPAIGN)
        assert render(content) == "CODE-0001-user-42"
    assert slept == [7, 7]
    assert [(each.status, each.published) for each in log] == [(429, False), (429, False), (200, True)]
    assert campaigns.published == 1


def at(seconds: float) -> str:
    return f"{NOW.timestamp() + seconds:.0f}"


@pytest.mark.parametrize(
    "headers,wait,slept",
    [
        ({}, None, [2, 4]),
        ({"Retry-After": "0"}, 0, [0, 0]),
        ({"Retry-After": "3600"}, 3600, []),
        ({"Retry-After": "Sat, 21 Nov 2026 12:00:09 GMT"}, 9, [9, 9]),
        ({"X-Rate-Limit-Retry": at(9)}, 9, [9, 9]),
        ({"X-Rate-Limit-Reset": at(9)}, 9, [9, 9]),
        ({"X-Rate-Limit-Retry": at(-9)}, 0, [0, 0]),
        ({"X-Rate-Limit-Reset": at(3600)}, 3600, []),
        ({"X-Rate-Limit-Reset": "soon"}, None, [2, 4]),
        ({"X-Rate-Limit-Retry": at(9), "X-Rate-Limit-Reset": at(20)}, 9, [9, 9]),
        ({"Retry-After": "5", "X-Rate-Limit-Retry": at(9)}, 5, [5, 5]),
    ],
    ids=str,
)
def test_too_many_calls_for_too_long(
    account: Account, headers: dict[str, str], wait: float | None, slept: list[float]
) -> None:
    sleeps = list[float]()
    with loopback(answer(refusal(429, key="too_many_requests"), 429, headers)) as server:
        found = failing(account(server, sleep=sleeps.append).campaign(CAMPAIGN))
    assert isinstance(found, VoucherifyRateLimited)
    assert (found.retry_after, sleeps) == (wait, slept)
    assert len(server.requests) == len(slept) + 1


def test_campaigns_share_the_rate_limit_which_too_many_calls_pause(account: Account) -> None:
    slept = list[float]()
    rate = RateLimit(calls=5, seconds=60, clock=lambda: 1000.0, sleep=slept.append)
    limited, campaigns = answer(refusal(429), 429, {"Retry-After": "9"}), Campaigns()
    with loopback(one_after_the_other(*[campaigns] * 3, limited, *[campaigns] * 2)) as server:
        voucherify = account(server, rate=rate)
        for content in (voucherify.campaign(CAMPAIGN), voucherify.voucher(CODE)):
            for customer in ("u1", "u2"):
                render(content, customer)
        assert slept == [9]
        render(voucherify.campaign(CAMPAIGN))
    assert slept == [9, 60]


@pytest.mark.parametrize(
    "answering", [reset, raw(b""), raw(b"HTTP/1.1 103 Early Hints\r\n\r\n"), raw(b"HTTP/1.1 200 OK\r\nCont")]
)
def test_no_response_is_not_asked_again(account: Account, answering: Answering) -> None:
    log: list[Publication] = []
    with loopback(answering) as server:
        found = failing(account(server, log=log.append).campaign(CAMPAIGN))
    assert isinstance(found, VoucherifyUnreachable)
    assert found.sent is True
    assert "a code may have been published" in str(found)
    assert [(each.published, each.status) for each in log] == [(None, None)]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "status,error",
    [
        (200, VoucherifyOutcomeUnknown),
        (201, VoucherifyOutcomeUnknown),
        (500, VoucherifyOutcomeUnknown),
        (401, VoucherifyCredentialsRefused),
        (404, VoucherifyNotFound),
        (400, VoucherifyError),
    ],
)
@pytest.mark.parametrize(
    "rest",
    [
        b'Content-Length: 500\r\n\r\n{"voucher": {"code": "LOY-aX92kd01"',
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf",
    ],
)
def test_status_counts_where_the_body_cannot_be_read(
    account: Account, status: int, error: type[VoucherifyError], rest: bytes
) -> None:
    log: list[Publication] = []
    with loopback(raw(b"HTTP/1.1 %d So\r\n" % status + rest)) as server:
        found = failing(account(server, log=log.append).campaign(CAMPAIGN))
    assert type(found) is error
    assert found.status == status
    unknown = error is VoucherifyOutcomeUnknown
    assert ("a code may have been published" in str(found)) is unknown
    assert [each.published for each in log] == [None if unknown else False]
    assert len(server.requests) == 1


def test_nobody_there(account: Account) -> None:
    log: list[Publication] = []
    found = failing(account(f"http://127.0.0.1:{free_port()}", log=log.append).campaign(CAMPAIGN))
    assert isinstance(found, VoucherifyUnreachable)
    assert found.sent is False
    assert [(each.published, each.status) for each in log] == [(False, None)]


def test_each_call_is_in_the_publication_log(account: Account) -> None:
    log: list[Publication] = []
    with loopback(Campaigns()) as server:
        voucherify = account(server, log=log.append)
        render(voucherify.campaign(CAMPAIGN), "u1")
        failing(voucherify.campaign("camp_unknown"))
    published, failed = log
    pub = "pub_Lz0yqTZ4qhTfWQWkTPFp3iqsxEDYZqfR"
    assert published == Publication(
        at=NOW, campaign=CAMPAIGN, customer="u1", published=True, code="CO…", status=200, publication_id=pub
    )
    assert (failed.campaign, failed.customer, failed.published) == ("camp_unknown", "user-42", False)
    assert (failed.status, failed.key, failed.request_id) == (404, "not_found", "v-0f4ee1")


@pytest.mark.parametrize("whole", [False, True])
def test_publication_log_in_a_file_is_for_its_owner_and_takes_any_answer(
    account: Account, tmp_path: Path, whole: bool
) -> None:
    path, kept = tmp_path / "publications.jsonl", list[Publication]()
    codes = ["CODE-0001", "\ud800\u20b9"]
    for code in codes:
        with loopback(answer({"id": "pub\ud800", "voucher": {"code": code}})) as server:
            for log in (JsonLinesLog(path), kept.append):
                content = account(server, log=log, log_whole_codes=whole).campaign(CAMPAIGN)
                content.fetch({"customersourceid": "ü1"})
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["code"] for line in lines] == [each.code for each in kept]
    assert ([line["code"] for line in lines] == codes) is whole
    assert {(line["customer"], line["at"]) for line in lines} == {("ü1", "2026-11-21T12:00:00+00:00")}
    assert (path.stat().st_mode & 0o077) == 0
    assert "CODE-0001" not in repr(kept)


@pytest.mark.parametrize("customer", ["", "\ud800", "a\x00b", 5, None], ids=repr)
def test_customer_that_cannot_be_one_is_not_asked_for(account: Account, customer: Any) -> None:
    with loopback(Campaigns()) as server:
        with pytest.raises(InvalidInput, match="customer: "):
            account(server).publish({"campaign": CAMPAIGN}, customer)
        for name in ("", None):
            with pytest.raises(InvalidInput):
                account(server).campaign(cast(Any, name))
            with pytest.raises(InvalidInput):
                account(server).voucher(cast(Any, name))
            with pytest.raises(InvalidInput, match="customer_parameter"):
                account(server).voucher(CODE, customer_parameter=cast(Any, name))
        with pytest.raises(InvalidInput, match="join_once"):
            account(server).campaign(CAMPAIGN, join_once=cast(Any, "no"))
    assert server.requests == []


def test_log_that_fails_fails_the_message(account: Account) -> None:
    def full(publication: Publication) -> None:
        raise OSError("no space left")

    with loopback(Campaigns()) as server, pytest.raises(LinkedContentFailed) as caught:
        render(account(server, log=full).campaign(CAMPAIGN))
    assert caught.value.cause is None


def test_secrets_are_in_no_repr_and_no_log(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), loopback(Campaigns()) as server:
        voucherify = account(server)
        content = voucherify.campaign(CAMPAIGN)
        code = render(content)
        assert render(voucherify.voucher(CODE)) == CODE
    assert code
    shown = caplog.text + repr(voucherify) + repr(content)
    for secret in (APP_ID, APP_TOKEN, code, CODE):
        assert secret not in shown


@pytest.mark.parametrize(
    "settings,field",
    [
        ({"api_url": "http://api.voucherify.io"}, "api_url"),
        ({"api_url": "api.voucherify.io"}, "api_url"),
        ({"api_url": "https://user:secret@api.voucherify.io"}, "api_url"),
        ({"api_url": "https://api.voucherify.io?x=1"}, "api_url"),
        ({"api_url": "https://api.voucherify.io#x"}, "api_url"),
        ({"api_url": None}, "api_url"),
        ({"app_token": f"{APP_TOKEN}\r\nX: y"}, "app_token"),
        ({"app_token": None}, "app_token"),
        ({"app_id": ""}, "app_id"),
        ({"attempts": 0}, "attempts"),
        ({"attempts": "3"}, "attempts"),
        ({"max_wait": -1}, "max_wait"),
        ({"max_wait": float("nan")}, "max_wait"),
        ({"app_id": "₹"}, "app_id and app_token"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Voucherify(
            **{"api_url": "https://api.voucherify.io", "app_id": APP_ID, "app_token": APP_TOKEN, **settings}
        )
    assert caught.value.field == field
    assert APP_TOKEN not in str(caught.value)
