"""Every sink of the library under the contract of sinks."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import EventSink, OutboxEntry
from partner_vouchers.sinks.callback import CallableSink
from partner_vouchers.sinks.clevertap import CleverTapSink
from partner_vouchers.sinks.jsonl import JsonLinesSink
from partner_vouchers.sinks.logs import LoggingSink
from partner_vouchers.sinks.memory import MemorySink
from partner_vouchers.sinks.webhook import WebhookSink
from partner_vouchers.testing import EventSinkContract, UnsupportedHook, unsupported
from partner_vouchers.testing.sinks import UNWANTED
from tests.support.clevertap import ACCOUNT, PASSCODE, CleverTap
from tests.support.loopback import Loopback, Received, answer, loopback

NAMES = {"CT Partner Voucher Rewarded": "Voucher Rewarded"}
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


class TestMemorySink(EventSinkContract):
    def new_sink(self, place: Path) -> MemorySink:
        return MemorySink()

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        assert isinstance(sink, MemorySink)
        return [event.ordering_key for event in sink.events]

    def unavailable_sink(self, place: Path) -> UnsupportedHook:
        return unsupported("memory is always there")

    def rejecting_sink(self, place: Path) -> UnsupportedHook:
        return unsupported("it takes everything")


class TestCallableSink(EventSinkContract):
    def new_sink(self, place: Path) -> CallableSink:
        self.called: list[str] = []
        return CallableSink(self._call, name="function", concurrency=4)

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        return self.called

    def unavailable_sink(self, place: Path) -> CallableSink:
        def fail(entry: OutboxEntry) -> None:
            raise SinkUnavailable(sink="function", reason="closed")

        return CallableSink(fail, name="function")

    def rejecting_sink(self, place: Path) -> CallableSink:
        self.called = []

        def refuse(entry: OutboxEntry) -> None:
            if getattr(entry.event, "user_id", None) == UNWANTED:
                raise ValueError(entry.event)
            self._call(entry)

        return CallableSink(refuse, name="function")

    def _call(self, entry: OutboxEntry) -> None:
        self.called.append(entry.event.ordering_key)


class TestLoggingSink(EventSinkContract):
    def new_sink(self, place: Path) -> LoggingSink:
        logger = logging.getLogger("tests.sinks.contract")
        logger.setLevel(logging.INFO)
        logger.addHandler(logging.FileHandler(place / "log", encoding="utf-8", errors="backslashreplace"))
        self._logger = logger
        return LoggingSink(logger)

    def close(self, sink: EventSink) -> None:
        for handler in list(self._logger.handlers):
            self._logger.removeHandler(handler)
            handler.close()

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        return (place / "log").read_text(encoding="utf-8").splitlines()

    def unavailable_sink(self, place: Path) -> UnsupportedHook:
        return unsupported("a log is always there")

    def rejecting_sink(self, place: Path) -> UnsupportedHook:
        return unsupported("it takes everything")


class TestJsonLinesSink(EventSinkContract):
    def new_sink(self, place: Path) -> JsonLinesSink:
        return JsonLinesSink(place / "events.jsonl", durable=False)

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        return (place / "events.jsonl").read_text(encoding="utf-8").splitlines()

    def unavailable_sink(self, place: Path) -> JsonLinesSink:
        return JsonLinesSink(place / "no such directory" / "events.jsonl")

    def rejecting_sink(self, place: Path) -> UnsupportedHook:
        return unsupported("a file takes everything")


class OverHttp(EventSinkContract):
    """Talks with a real server on this machine."""

    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        with loopback(answer()) as self.receiver:
            yield

    receiver: Loopback


class TestCleverTapSink(OverHttp):
    def new_sink(self, place: Path) -> CleverTapSink:
        self.clevertap = self.receiver.answering = CleverTap()
        return self._sink(self.receiver.url)

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        return [json.dumps(record, ensure_ascii=False) for record in self.clevertap.taken]

    def unavailable_sink(self, place: Path) -> CleverTapSink:
        self.receiver.answering = answer({"status": "fail"}, 503)
        return self._sink(self.receiver.url)

    def rejecting_sink(self, place: Path) -> CleverTapSink:
        def judge(record: dict[str, Any]) -> int | None:
            return 523 if record["identity"] == UNWANTED else None

        self.clevertap = self.receiver.answering = CleverTap(judge)
        return self._sink(self.receiver.url)

    def credentials(self) -> Sequence[str]:
        return (PASSCODE,)

    def _sink(self, url: str) -> CleverTapSink:
        return CleverTapSink(account_id=ACCOUNT, passcode=PASSCODE, base_url=url, names=NAMES)


class TestWebhookSink(OverHttp):
    def new_sink(self, place: Path) -> WebhookSink:
        self.receiver.answering = answer()
        return self._sink()

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        bodies = [request.body.decode() for request in self.receiver.requests]
        return [body for body in bodies if UNWANTED not in body]

    def unavailable_sink(self, place: Path) -> WebhookSink:
        self.receiver.answering = answer(status=503)
        return self._sink()

    def rejecting_sink(self, place: Path) -> WebhookSink:
        def refuse(connection: Any, request: Received) -> None:
            answer(status=422 if UNWANTED.encode() in request.body else 200)(connection, request)

        self.receiver.answering = refuse
        return self._sink()

    def credentials(self) -> Sequence[str]:
        return (SECRET, SECRET.removeprefix("whsec_"))

    def _sink(self) -> WebhookSink:
        return WebhookSink(self.receiver.url, secrets=SECRET)
