"""A wrong type is refused with the name of its argument, by every sink, source and client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

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

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
CLIENT = HttpClient()
REQUIRED: Mapping[type, dict[str, Any]] = {
    CallableSink: {"function": print, "name": "f"},
    CleverTapSink: {"account_id": "a", "passcode": "p", "region": "in1", "client": CLIENT},
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
