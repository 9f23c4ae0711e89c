"""A wrong type or value is refused with the name of its argument, by every sink, source and client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from partner_vouchers.domain.events import Event
from partner_vouchers.domain.promo_events import CouponRedeemed
from partner_vouchers.errors import InvalidInput
from partner_vouchers.http import HttpClient
from partner_vouchers.linked.publications import JsonLinesLog
from partner_vouchers.linked.rate_limit import RateLimit
from partner_vouchers.linked.voucher_list import VoucherListContent
from partner_vouchers.linked.voucherify import Voucherify
from partner_vouchers.sinks.callback import CallableSink
from partner_vouchers.sinks.clevertap import CleverTapSink
from partner_vouchers.sinks.jsonl import JsonLinesSink
from partner_vouchers.sinks.logs import LoggingSink
from partner_vouchers.sinks.memory import MemorySink
from partner_vouchers.sinks.webhook import WebhookSink
from tests.support.clevertap import PASSCODE
from tests.support.ids import shown

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
CLIENT = HttpClient()
REQUIRED: Mapping[type, dict[str, Any]] = {
    CallableSink: {"function": print, "name": "f"},
    CleverTapSink: {"account_id": "a", "passcode": PASSCODE, "region": "in1", "client": CLIENT},
    JsonLinesSink: {"path": "events.jsonl"},
    LoggingSink: {},
    MemorySink: {},
    WebhookSink: {"url": "https://shop.example.com", "secrets": SECRET, "client": CLIENT},
    Voucherify: {"api_url": "https://api.voucherify.io", "app_id": "a", "app_token": "t", "http": CLIENT},
    VoucherListContent: {"codes": None, "campaign_id": "CMP123456"},
    RateLimit: {"calls": 1, "seconds": 1},
    JsonLinesLog: {"path": "publications.jsonl"},
    HttpClient: {},
}
ARGUMENTS = {
    CallableSink: "function name events batch_size concurrency",
    CleverTapSink: "account_id passcode region identity names forms events name batch_size concurrency client clock",
    JsonLinesSink: "path durable source names forms name events",
    LoggingSink: "logger level name events",
    MemorySink: "name events batch_size",
    WebhookSink: "url secrets source headers names forms events name batch_size concurrency client clock",
    Voucherify: "api_url app_id app_token rate attempts max_wait log log_whole_codes http clock sleep",
    VoucherListContent: "codes",
    RateLimit: "calls seconds clock sleep",
    JsonLinesLog: "path",
    HttpClient: "connect_timeout read_timeout deadline max_response_bytes connections ca_certs allow_http",
}
WRONG = [object(), [5], {5: 5}, 5.5j, b"\x00", "\ud800", "", -1, float("nan")]


@pytest.mark.parametrize(
    "kind,argument",
    [(kind, argument) for kind, arguments in ARGUMENTS.items() for argument in arguments.split()],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_wrong_type_is_named(kind: type, argument: str) -> None:
    for value in WRONG:
        with pytest.raises(InvalidInput) as caught:
            kind(**{**REQUIRED[kind], argument: value})
        assert caught.value.field == argument


NO_ADDRESS = {"region": None}
VALUES: list[tuple[type, dict[str, Any], str]] = [
    (CallableSink, {"batch_size": 0}, "batch_size"),
    (CallableSink, {"concurrency": True}, "concurrency"),
    (CleverTapSink, NO_ADDRESS, "region"),
    (CleverTapSink, {"region": "de1"}, "region"),
    (CleverTapSink, {"base_url": "https://in1.api.clevertap.com"}, "region"),
    (CleverTapSink, {**NO_ADDRESS, "base_url": "http://in1.api.clevertap.com"}, "base_url"),
    (CleverTapSink, {**NO_ADDRESS, "base_url": "https://user:word@in1.api.clevertap.com"}, "base_url"),
    (CleverTapSink, {"passcode": "a\r\nb"}, "passcode"),
    (CleverTapSink, {"passcode": "पास"}, "headers"),
    (CleverTapSink, {"identity": "email"}, "identity"),
    (CleverTapSink, {"names": {"CT Coupon": "x"}}, "names"),
    (CleverTapSink, {"events": (Event,)}, "events"),
    (CleverTapSink, {"batch_size": 1001}, "batch_size"),
    (CleverTapSink, {"concurrency": 16}, "concurrency"),
    (CleverTapSink, {"name": " "}, "name"),
    (JsonLinesSink, {"source": " "}, "source"),
    (JsonLinesSink, {"names": {"x": "y"}}, "names"),
    *((WebhookSink, {"url": url}, "url") for url in ("http://shop.example.com/hooks", "shop", None)),
    *((WebhookSink, {"secrets": value}, "secrets") for value in ([], None, SECRET.encode(), [SECRET, None])),
    (WebhookSink, {"headers": {"A B": "x"}}, "headers"),
    (WebhookSink, {"headers": {"Authorization": "a\r\nb"}}, "headers"),
    (WebhookSink, {"batch_size": 0}, "batch_size"),
    (WebhookSink, {"concurrency": 101}, "concurrency"),
    (WebhookSink, {"events": CouponRedeemed}, "events"),
    (WebhookSink, {"forms": {"CT Coupon Redeemed": "legacy"}}, "form"),
]


@pytest.mark.parametrize("kind, wrong, field", VALUES, ids=shown)
def test_a_wrong_value_is_named_and_no_secret_is_shown(kind: type, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        kind(**{**REQUIRED[kind], **wrong})
    assert caught.value.field == field
    assert PASSCODE not in str(caught.value)
    assert SECRET not in str(caught.value)
