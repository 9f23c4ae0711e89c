"""Webhooks over real HTTP, read and verified by the packages of the two standards."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from partner_vouchers.domain.events import CodeRevoked, FieldChange, ListEdited, PartnerAdded
from partner_vouchers.domain.promo_events import PromoEvent
from partner_vouchers.errors import InvalidInput, SinkUnavailable
from partner_vouchers.http import HttpClient
from partner_vouchers.ports import EventSink, Rejection
from partner_vouchers.sinks.webhook import WebhookSink
from tests.sinks.entries import LOW, entry, rewards
from tests.support.loopback import (
    CERTIFICATE,
    Answering,
    Loopback,
    Received,
    answer,
    free_port,
    loopback,
    raw,
    reset,
)
from tests.support.promo import AT, an_event

OLD, NEW = (f"whsec_{base64.b64encode(bytes([number] * 32)).decode()}" for number in (1, 2))
NAME = "CT Partner Voucher Rewarded"
ABOUT_A_CODE: dict[str, Any] = {
    "occurred_at": AT, "assignment_id": "7", "list_id": "1837", "campaign_id": "CMP1", "masked_code": "PM…",
    "reason": None, "restocked": False,
}  # fmt: skip

Sinks = Callable[..., WebhookSink]


@pytest.fixture
def sink_for() -> Iterator[Sinks]:
    with closing(HttpClient(connect_timeout=2, read_timeout=0.5, deadline=2)) as client:

        def build(server: Loopback, **changed: Any) -> WebhookSink:
            return WebhookSink(f"{server.url}/hooks", **{"secrets": NEW, "client": client, **changed})

        yield build


def verified(request: Received, secret: str = NEW) -> Any:
    return Webhook(secret).verify(request.body, dict(request.headers))


def cloud_event(request: Received) -> Any:
    return from_structured_event(HTTPMessage(dict(request.headers), request.body))


# --- the envelope --------------------------------------------------------------------------------------------


def test_an_event_arrives_as_a_cloud_event_under_its_signature(sink_for: Sinks) -> None:
    given = an_event(list_description="₹500 छूट 🎁\n", user_id="उपयोगकर्ता")
    with loopback(answer(b"", 204)) as server:
        source = "https://shop.example.com/vouchers"
        sink: EventSink = sink_for(server, source=source, headers={"Authorization": "Bearer c0ffee"})
        assert sink.send([entry(given)]) == []
    (request,) = server.requests
    event = cloud_event(request)
    assert (request.method, request.target) == ("POST", "/hooks")
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    assert request.headers["authorization"] == "Bearer c0ffee"
    assert verified(request)["id"] == request.headers["webhook-id"] == event.get_id() == "s-1"
    assert (event.get_type(), event.get_subject(), event.get_time()) == (NAME, "उपयोगकर्ता", AT)
    assert (event.get_source(), event.get_datacontenttype()) == (source, "application/json")
    assert event.get_data() == given.properties()


@pytest.mark.parametrize(
    "event,subject,data",
    [
        (LOW, "1837", {"list_id": "1837", "partner": "Puma", "list_tag": "winter", "available": 3}),
        (
            ListEdited(occurred_at=AT, list_id="1837", changes=(FieldChange("name", None, "N"),)),
            "1837",
            {"list_id": "1837", "changes": [{"field": "name", "before": None, "after": "N"}]},
        ),
        (PartnerAdded(occurred_at=AT), None, {"list_id": None, "changes": []}),
        (CodeRevoked(user_id="user-42", **ABOUT_A_CODE), "user-42", {"user_id": "user-42"}),
        (CodeRevoked(user_id=None, **ABOUT_A_CODE), "1837", {"user_id": None}),
    ],
    ids=lambda each: getattr(each, "event_name", ""),
)
def test_the_librarys_own_events_arrive_as_well(
    sink_for: Sinks, event: Any, subject: str | None, data: dict[str, object]
) -> None:
    with loopback(answer()) as server:
        sink_for(server).send([entry(event)])
    found = cloud_event(server.requests[0])
    assert (found.get_type(), found.get_subject()) == (event.event_name, subject)
    assert found.get_data() == found.get_data() | data


def test_a_batch_is_one_request(sink_for: Sinks) -> None:
    entries = [*rewards(3), entry(LOW, 4)]
    with loopback(answer()) as server:
        sink = sink_for(server, batch_size=100)
        for batch in (entries, entries, entries[:1]):
            assert sink.send(batch) == []
    first, again, single = server.requests
    assert first.headers["content-type"].startswith("application/cloudevents-batch+json")
    found = [JSONFormat().read(None, json.dumps(each)) for each in verified(first)]
    assert [each.get_id() for each in found] == ["s-1", "s-2", "s-3", "s-4"]
    # The same events have the same id again, so that a receiver can tell a repeat.
    assert first.headers["webhook-id"] == again.headers["webhook-id"] != single.headers["webhook-id"]
    assert [each["id"] for each in verified(single)] == ["s-1"]


def test_names_forms_and_kinds_can_be_chosen(sink_for: Sinks) -> None:
    with loopback(answer()) as server:
        sink = sink_for(server, names={NAME: "voucher"}, forms={NAME: "legacy"}, events=(PromoEvent,))
        sink.send([entry(an_event(), 2)])
    (request,) = server.requests
    assert verified(request)["type"] == "voucher"
    assert verified(request)["data"] == an_event().properties("legacy")


# --- the signature -------------------------------------------------------------------------------------------


def test_while_a_secret_is_exchanged_both_verify(sink_for: Sinks) -> None:
    with loopback(answer()) as server:
        sink_for(server, secrets=[NEW, OLD]).send(rewards(1))
        sink_for(server, secrets=NEW).send(rewards(1))
    both, new = server.requests
    assert verified(both, OLD) == verified(both, NEW) == verified(new, NEW)
    with pytest.raises(WebhookVerificationError):
        verified(new, OLD)


def test_what_was_changed_on_the_way_or_is_old_does_not_verify(sink_for: Sinks) -> None:
    with loopback(answer()) as server:
        sink_for(server).send(rewards(1))
        sink_for(server, clock=lambda: time.time() - 3600).send(rewards(1))
    request, old = server.requests
    later = str(int(request.headers["webhook-timestamp"]) + 1)
    for body, changed in (
        (request.body.replace(b"Puma", b"Nike"), {}),
        (request.body, {"webhook-id": "s-2"}),
        (request.body, {"webhook-timestamp": later}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(body, {**request.headers, **changed})
    with pytest.raises(WebhookVerificationError, match="too old"):
        verified(old)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_???", base64.b64encode(bytes(32)).decode(), "whsec_पास"]
    + [f"whsec_{base64.b64encode(bytes(number)).decode()}" for number in (23, 65)],
)
def test_weak_or_broken_secrets_are_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(InvalidInput, match=r"^secrets: must be 'whsec_'") as caught:
        WebhookSink("https://shop.example.com", secrets=secret)
    assert len(secret) < 8 or secret not in str(caught.value)


# --- the answer ----------------------------------------------------------------------------------------------


def hang_after(begun: bytes) -> Answering:
    def hang(connection: Any, request: Received) -> None:
        connection.sendall(begun)
        connection.recv(1)

    return hang


@pytest.mark.parametrize("status", [200, 299])
@pytest.mark.parametrize(
    "rest,hangs",
    [
        (b"\r\n", False),
        (b"Content-Length: 9\r\n\r\nhalf", True),
        (b"Content-Length: 9\r\n\r\nhalf", False),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx", False),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf", False),
        (b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf", False),
    ],
)
def test_any_success_means_taken_whatever_happens_to_the_body(
    sink_for: Sinks, status: int, rest: bytes, hangs: bool
) -> None:
    response = b"HTTP/1.1 %d So\r\n" % status + rest
    with loopback(hang_after(response) if hangs else raw(response)) as server:
        assert sink_for(server).send(rewards(1)) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_the_event_for_which_a_request_is_refused_is_found(sink_for: Sinks, status: int) -> None:
    taken: list[str] = []

    def strict(connection: Any, request: Received) -> None:
        said = verified(request)
        ids = [each["id"] for each in (said if isinstance(said, list) else [said])]
        if "s-5" not in ids:
            taken.extend(ids)
        answer(b"", status if "s-5" in ids else 200)(connection, request)

    refused = Rejection("s-5", f"refused with the status {status}", final=True)
    with loopback(strict) as server:
        assert sink_for(server).send(rewards(5)[4:]) == [refused]
        assert sink_for(server, batch_size=10).send(rewards(10)) == [refused]
    assert sorted(taken) == sorted(f"s-{n}" for n in range(1, 11) if n != 5)


EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\n\r\n"


@pytest.mark.parametrize(
    "answering,reason",
    [
        (answer(b"", 301, {"Location": "https://example.com/"}), "not followed"),
        (answer(b"", 401), "check the secrets"),
        (answer(b"", 404), "check the URL"),
        (answer(b"", 410), "no longer exists; remove the sink"),
        (hang_after(b""), "in time"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "may have arrived"),
        (raw(EARLY_HINTS + b"HTTP/1.1 500 Failed\r\nContent-Length: 0\r\n\r\n"), "status 500"),
    ],
    ids=["301", "401", "404", "410", "silence", "half a head", "500 behind hints"],
)
def test_an_event_that_was_not_answered_is_sent_again(
    sink_for: Sinks, answering: Answering, reason: str
) -> None:
    with loopback(answering) as server, pytest.raises(SinkUnavailable, match=reason) as caught:
        sink_for(server, name="shop").send(rewards(1))
    assert caught.value.sink == "shop"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "statuses,sender_refused",
    [
        ((300, 301, 302, 303, 304, 307, 308, 401, 403, 404, 405, 407, 410, 429), True),
        ((402, 408, 409, 418, 500, 502, 503, 504), False),
    ],
)
def test_a_refusal_of_the_sender_blames_no_event(
    sink_for: Sinks, statuses: tuple[int, ...], sender_refused: bool
) -> None:
    with loopback(answer()) as server:
        for status in statuses:
            server.answering = answer(b"", status)
            with pytest.raises(SinkUnavailable) as caught:
                sink_for(server).send(rewards(1))
            assert caught.value.sender_refused is sender_refused
            # The whole is refused for its content, the first event is taken, and the second fails.
            answers = iter([answer(b"", 422), answer(), answer(b"", status)])
            server.answering = lambda *given, answers=answers: next(answers)(*given)
            (rejection,) = sink_for(server, batch_size=2).send(rewards(2))
            assert (rejection.id, rejection.final) == ("s-2", False)
            assert rejection.sender_refused is sender_refused


def test_what_was_not_sent_blames_no_event(sink_for: Sinks) -> None:
    nowhere = Loopback(f"http://127.0.0.1:{free_port()}", reset)
    with pytest.raises(SinkUnavailable, match="nothing was sent") as caught:
        sink_for(nowhere).send(rewards(1))
    assert caught.value.sender_refused is True
    with loopback(reset) as server, pytest.raises(SinkUnavailable, match="may have arrived") as caught:
        sink_for(server).send(rewards(1))
    assert caught.value.sender_refused is False


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_is_left_alone_as_long_as_it_asks(sink_for: Sinks, status: int) -> None:
    overloaded = answer(b"", status, {"Retry-After": "Mon Feb 19 14:00:30 2024"})
    with loopback(overloaded) as server, pytest.raises(SinkUnavailable) as caught:
        sink_for(server, clock=AT.timestamp).send(rewards(1))
    assert caught.value.retry_after == 30


# --- how it is set up ----------------------------------------------------------------------------------------


def test_certificates_are_verified() -> None:
    with loopback(answer(), tls=True) as server, closing(HttpClient()) as strict:
        with pytest.raises(SinkUnavailable, match="certificate cannot be trusted"):
            WebhookSink(server.url, secrets=NEW, client=strict).send(rewards(1))
        with closing(HttpClient(ca_certs=str(CERTIFICATE))) as trusting:
            assert WebhookSink(server.url, secrets=NEW, client=trusting).send(rewards(1)) == []
    assert len(server.requests) == 1
