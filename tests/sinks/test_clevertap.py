"""Uploads to a CleverTap on this machine, over real HTTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.promo_events import CouponRedeemed, PointsCredited, PromoEvent
from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.http import HttpClient, NoResponse, Response
from partner_vouchers.ports import EventSink, Rejection
from partner_vouchers.sinks.clevertap import FINAL_CODES, REGIONS, CleverTapSink
from tests.sinks.entries import LOW, NOW, entry, rewards
from tests.support.clevertap import ACCOUNT, PASSCODE, CleverTap, Record, judge
from tests.support.loopback import Answering, Loopback, answer, loopback, raw, reset
from tests.support.promo import AT, an_event

NAMES = {"CT Partner Voucher Rewarded": "Voucher Rewarded", "CT Coupon Redeemed": "Coupon Redeemed"}


@pytest.fixture
def client() -> Iterator[HttpClient]:
    with closing(HttpClient(connect_timeout=2, read_timeout=0.5, deadline=2)) as client:
        yield client


@pytest.fixture
def sink_for(client: HttpClient) -> Callable[..., CleverTapSink]:
    def build(server: Loopback, **changed: Any) -> CleverTapSink:
        arguments = {
            "account_id": ACCOUNT,
            "passcode": PASSCODE,
            "base_url": server.url,
            "names": NAMES,
            "client": client,
            "clock": lambda: NOW,
        }
        return CleverTapSink(**{**arguments, **changed})

    return build


Sinks = Callable[..., CleverTapSink]


def final(number: int, code: int) -> Rejection:
    return Rejection(f"s-{number}", f"CleverTap's code {code}: {FINAL_CODES[code]}", final=True)


# --- what is sent ------------------------------------------------------------------------------------------


def record(event: PromoEvent, name: str, **identity: str) -> dict[str, Any]:
    properties = event.properties()
    return {**identity, "ts": 1708351200, "type": "event", "evtName": name, "evtData": properties}


def test_events_arrive_as_what_the_users_did(sink_for: Sinks) -> None:
    voucher, coupon = an_event(), an_event(CouponRedeemed, user_id="user-43")
    with loopback(CleverTap()) as server:
        sink: EventSink = sink_for(server)
        assert sink.send([entry(voucher), entry(coupon, 2)]) == []
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/1/upload")
    assert request.headers["x-clevertap-account-id"] == ACCOUNT
    assert request.headers["x-clevertap-passcode"] == PASSCODE
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body)["d"] == [
        record(voucher, "Voucher Rewarded", identity="user-42"),
        record(coupon, "Coupon Redeemed", identity="user-43"),
    ]


@pytest.mark.parametrize("kind", ["objectId", "FBID", "GPID"])
def test_the_kind_of_id_and_the_wire_form_can_be_chosen(sink_for: Sinks, kind: str) -> None:
    service = CleverTap()
    forms = {"CT Partner Voucher Rewarded": "legacy", "CT Points Credited": "camel case"}
    names = {**NAMES, "CT Points Credited": "Points"}
    points = an_event(PointsCredited, user_id="user-43")
    with loopback(service) as server:
        sink = sink_for(server, identity=kind, forms=forms, names=names)
        assert sink.send([entry(an_event()), entry(points, 2)]) == []
    assert service.taken == [
        {
            **record(an_event(), "Voucher Rewarded", **{kind: "user-42"}),
            "evtData": an_event().properties("legacy"),
        },
        {**record(points, "Points", **{kind: "user-43"}), "evtData": points.properties("camel case")},
    ]


def test_only_events_of_users_are_wanted(sink_for: Sinks) -> None:
    with loopback(CleverTap()) as server:
        sink = sink_for(server)
    assert sink.wants(an_event())
    assert not sink.wants(LOW)


def test_a_thousand_events_are_one_call(sink_for: Sinks) -> None:
    service = CleverTap()
    with loopback(service) as server:
        sink = sink_for(server)
        assert sink.batch_size == 1000
        assert sink.send(rewards(1000)) == []
    assert service.sizes == [1000]


def test_calls_run_side_by_side(sink_for: Sinks) -> None:
    together = Barrier(15)

    def wait_for_all(record: Record) -> int | None:
        together.wait(10)
        return judge(record)

    service = CleverTap(wait_for_all)
    with loopback(service) as server, closing(HttpClient()) as patient:
        sink = sink_for(server, client=patient)
        with ThreadPoolExecutor(sink.concurrency) as pool:
            assert list(pool.map(lambda each: sink.send([each]), rewards(sink.concurrency))) == [[]] * 15

    assert service.most_at_once == 15


def test_events_that_come_too_late_for_live_campaigns_are_warned_of(
    sink_for: Sinks, caplog: pytest.LogCaptureFixture
) -> None:
    two_hours = timedelta(hours=2)
    with loopback(CleverTap()) as server:
        sink = sink_for(server, clock=lambda: (AT + two_hours).timestamp())
        sink.send(rewards(3))
        assert caplog.records == []
        old = rewards(2, occurred_at=AT - timedelta(microseconds=1))
        sink.send([entry(an_event(), 9), *old])
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "partner_vouchers.sinks.clevertap")
    assert "uploads 2 events that are older than two hours, the first is s-1" in record.getMessage()


def refusal(user: str) -> dict[str, Any]:
    return {"code": 513, "record": {"identity": user}}


# --- what is refused -----------------------------------------------------------------------------------------


def test_a_reserved_name_is_final_and_says_what_to_do(sink_for: Sinks) -> None:
    with loopback(CleverTap()) as server:
        assert sink_for(server, names={}).send(rewards(1)) == [final(1, 513)]
    assert "names={...}" in final(1, 513).reason


@pytest.mark.parametrize("as_text", [False, True], ids=["as object", "as text"])
def test_refused_events_are_told_apart_from_taken_ones(sink_for: Sinks, as_text: bool) -> None:
    service = CleverTap(record_as_text=as_text)
    long_name = "u" * 120
    entries = rewards(5)
    entries[1] = entry(an_event(CouponRedeemed, user_id="user-2"), 2)
    entries[3] = entry(an_event(user_id=long_name), 4)
    with loopback(service) as server:
        rejections = sink_for(server, names={"CT Partner Voucher Rewarded": "Voucher"}).send(entries)
    assert rejections == [final(2, 513), final(4, 523)]
    assert [record["identity"] for record in service.taken] == ["user-1", "user-3", "user-5"]


def test_codes_that_blame_the_event_are_final(sink_for: Sinks) -> None:
    for code in (509, 512, 513, 522, 523, 524, 525, 526, 528):
        with loopback(CleverTap(lambda _, code=code: code)) as server:  # type: ignore[misc]
            assert sink_for(server).send(rewards(2)) == [final(1, code), final(2, code)]


@pytest.mark.parametrize("code", [555, 599, "555", None, "what", -1, 5.5])
def test_other_codes_are_tried_again(sink_for: Sinks, code: Any) -> None:
    item = {"status": "fail", "code": code, "error": "PM500FF", "record": {"identity": "user-2"}}
    with loopback(answer({"status": "partial", "processed": 2, "unprocessed": [item]})) as server:
        (rejection,) = sink_for(server).send(rewards(3))
    assert (rejection.id, rejection.final) == ("s-2", False)
    assert "PM500FF" not in rejection.reason, "it never repeats what the response says"


@pytest.mark.parametrize(
    "item",
    [
        {"code": 513, "record": {"identity": "user-2"}},
        {"code": "513", "record": {"identity": "user-2"}},
        {"code": 513, "record": '{"identity": "user-2"}'},
        {"code": 513, "error": "Skipped record number : 2"},
        {"code": 513, "error": "Skipped record number : 2", "record": {"identity": "somebody"}},
        {"code": 513, "error": "Skipped record number : 2", "record": "{"},
    ],
    ids=str,
)
def test_a_refusal_finds_its_event(sink_for: Sinks, item: Mapping[str, object]) -> None:
    body = {"status": "partial", "processed": 2, "unprocessed": [item]}
    with loopback(answer(body)) as server:
        assert sink_for(server).send(rewards(3)) == [final(2, 513)]


@pytest.mark.parametrize(
    "status,items",
    [
        ("fail", ["user-2"]),
        (None, ["user-2"]),
        ("partial", ["user-2", "user-2"]),
        ("success", ["user-2", "user-2"]),
    ],
)
def test_an_event_of_which_nothing_is_said_is_not_taken(
    sink_for: Sinks, status: str | None, items: list[str]
) -> None:
    said = answer({"status": status, "unprocessed": [refusal(user) for user in items]})
    with loopback(said) as server, pytest.raises(SinkUnavailable, match="it reports on"):
        sink_for(server).send(rewards(3))


def test_without_a_count_a_partial_answer_names_those_that_were_refused(sink_for: Sinks) -> None:
    with loopback(answer({"status": "partial", "unprocessed": [refusal("user-2")]})) as server:
        assert sink_for(server).send(rewards(3)) == [final(2, 513)]


@pytest.mark.parametrize(
    "item",
    [
        {"code": 513},
        {"code": 513, "record": {"identity": "somebody"}, "error": "Skipped record number : 9"},
        {"code": 513, "record": None, "error": "Skipped record number : 0"},
    ],
    ids=str,
)
def test_a_refusal_without_an_event_is_found_by_halving(sink_for: Sinks, item: dict[str, Any]) -> None:
    service = CleverTap(lambda record: 513 if record["identity"] == "user-3" else None)

    def mute(connection: Any, request: Any) -> None:
        records = json.loads(request.body)["d"]
        said = service.take(records)
        answer({**said, "unprocessed": [item for _ in said["unprocessed"]]})(connection, request)

    with loopback(mute) as server:
        assert sink_for(server).send(rewards(4)) == [final(3, 513)]

    assert {record["identity"] for record in service.taken} == {"user-1", "user-2", "user-4"}


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_event_for_which_a_call_is_refused_is_found(sink_for: Sinks, status: int) -> None:
    service = CleverTap()

    def strict(connection: Any, request: Any) -> None:
        bad = b"user-7" in request.body
        (answer({}, status) if bad else service.respond(request))(connection, request)

    with loopback(strict) as server:
        rejections = sink_for(server).send(rewards(9))

    assert rejections == [Rejection("s-7", f"refused with the status {status}", final=True)]
    assert sorted(record["identity"] for record in service.taken) == [
        f"user-{n}" for n in (1, 2, 3, 4, 5, 6, 8, 9)
    ]


# --- no answer, or none that helps -----------------------------------------------------------------------------


class Saying(HttpClient):
    """Says what the test tells it, without a network."""

    body = b""

    def request(self, *_: object, **__: object) -> Response | NoResponse:
        return Response(200, {}, self.body)


SAYING = Saying()
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=5)
RECORDS = JSON | st.builds(lambda number: {"identity": f"user-{number}"}, st.integers(0, 4)) | st.just("{")
ITEMS = JSON | st.fixed_dictionaries(
    {"code": st.sampled_from([513, "513", 555]) | JSON},
    optional={"record": RECORDS, "error": st.builds("record number : {}".format, st.integers(-1, 5)) | JSON},
)
ANSWERS = JSON | st.fixed_dictionaries(
    {"status": st.sampled_from(["success", "partial", "fail"]) | JSON},
    optional={"processed": st.integers(-1, 4) | JSON, "unprocessed": st.lists(ITEMS, max_size=4) | JSON},
)


@given(said=ANSWERS)
def test_whatever_is_answered_every_event_is_accounted_for(said: Any) -> None:
    arguments: dict[str, Any] = {"account_id": ACCOUNT, "passcode": PASSCODE, "region": "in1"}
    sink = CleverTapSink(**arguments, client=SAYING, clock=lambda: NOW)
    SAYING.body = json.dumps(said).encode()
    try:
        rejections = sink.send(rewards(3))
    except SinkUnavailable:
        return

    ids = [rejection.id for rejection in rejections]
    assert len(ids) == len(set(ids))
    assert set(ids) <= {"s-1", "s-2", "s-3"}
    if not ids and isinstance(said, dict) and not unreadable(said.get("unprocessed")):
        # No word against an event, nor a number that leaves one out.
        assert said.get("status") not in ("fail", "partial")
        assert not said.get("unprocessed")
        assert type(said.get("processed")) is not int or said["processed"] == 3


def unreadable(unprocessed: Any) -> bool:
    if not unprocessed:
        return False
    return not isinstance(unprocessed, list) or not all(isinstance(item, dict) for item in unprocessed)


@pytest.mark.parametrize(
    "answering",
    [
        answer(b"", 200),
        answer(b"", 204),
        answer(b"<html>", 200),
        answer(b"\xff", 200),
        answer([], 200),
        answer(b"[" * 100_000, 200),
        answer({"unprocessed": 5}),
        answer({"unprocessed": ["x"]}),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        answer(b"half", 200, {"Content-Encoding": "gzip"}),
    ],
)
def test_a_success_that_cannot_be_read_means_taken_and_is_warned_of(
    sink_for: Sinks, answering: Answering, caplog: pytest.LogCaptureFixture
) -> None:
    with loopback(answering) as server:
        assert sink_for(server).send(rewards(3)) == []
    assert len(server.requests) == 1
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "took 3 events, but its response cannot be read" in record.getMessage()


@pytest.mark.parametrize(
    "answering,reason",
    [
        (answer({}, 401), "check the account id, the passcode and the region"),
        (answer({}, 403), "passcode is allowed to upload"),
        (answer({}, 404), "check the base URL"),
        (answer({"status": "fail"}), "a failure without a reason"),
        (answer({"status": "success", "processed": 2}), "reports on 2 of 3"),
        (reset, "may have arrived"),
    ],
)
def test_a_batch_that_was_not_answered_is_tried_again(
    sink_for: Sinks, answering: Answering, reason: str
) -> None:
    with loopback(answering) as server, pytest.raises(SinkUnavailable, match=reason) as caught:
        sink_for(server).send(rewards(3))
    assert caught.value.sink == "clevertap"
    assert PASSCODE not in str(caught.value)
    assert len(server.requests) == 1


def test_too_many_calls_wait_as_long_as_clevertap_asks(sink_for: Sinks) -> None:
    overloaded = answer({"error": "Too many concurrent requests"}, 429, {"Retry-After": "7"})
    told = "15 calls in flight"
    with loopback(overloaded) as server, pytest.raises(SinkUnavailable, match=told) as caught:
        sink_for(server).send(rewards(1))
    assert (caught.value.retry_after, caught.value.sender_refused) == (7, True)


# --- how it is set up --------------------------------------------------------------------------------------------


def test_each_region_has_its_host(client: HttpClient) -> None:
    for region, url in REGIONS.items():
        CleverTapSink(account_id=ACCOUNT, passcode=PASSCODE, region=region, client=client)
        assert url.startswith("https://")
        assert url.endswith("api.clevertap.com")
