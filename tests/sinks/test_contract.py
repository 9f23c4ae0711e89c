"""Every sink that comes along passes the contract that a sink of a host's passes."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from socket import socket

from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.httpclient import HttpClient
from partner_vouchers.ports import EventSink, OutboxEntry
from partner_vouchers.sinks.callback import CallableSink
from partner_vouchers.sinks.clevertap import CleverTapSink
from partner_vouchers.sinks.jsonl import JsonLinesSink
from partner_vouchers.sinks.logs import LoggingSink
from partner_vouchers.sinks.memory import MemorySink
from partner_vouchers.sinks.webhook import WebhookSink
from partner_vouchers.testing import EventSinkContract, Unable, unable
from partner_vouchers.testing.sinks import UNWANTED
from tests.support.clevertap import ACCOUNT, PASSCODE, CleverTap, Record, judge
from tests.support.loopback import Answering, Received, answer, free_port, loopback

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"


class TestMemorySink(EventSinkContract):
    def new_sink(self, place: Path) -> EventSink:
        return MemorySink()

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        assert isinstance(sink, MemorySink)
        return [repr(event) for event in sink.events]

    def unavailable_sink(self, place: Path) -> Unable:
        return unable("memory is always there")

    def rejecting_sink(self, place: Path) -> Unable:
        return unable("it takes everything")


class TestCallableSink(EventSinkContract):
    def new_sink(self, place: Path) -> EventSink:
        self.seen: list[str] = []
        return CallableSink(lambda entry: self.seen.append(repr(entry)), name="function", concurrency=4)

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        return self.seen

    def unavailable_sink(self, place: Path) -> EventSink:
        def function(entry: OutboxEntry) -> None:
            raise SinkUnavailable(sink="function", reason="the queue is full")

        return CallableSink(function, name="function")

    def rejecting_sink(self, place: Path) -> EventSink:
        self.seen = []

        def function(entry: OutboxEntry) -> None:
            if UNWANTED in repr(entry):
                raise ValueError(entry)
            self.seen.append(repr(entry))

        return CallableSink(function, name="function")


class TestLoggingSink(EventSinkContract):
    def new_sink(self, place: Path) -> EventSink:
        logger = logging.getLogger(f"tests.{place}")
        logger.setLevel("INFO")
        logger.addHandler(logging.FileHandler(place / "log", encoding="utf-8"))
        return LoggingSink(logger)

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        return (place / "log").read_text(encoding="utf-8").splitlines()

    def close(self, sink: EventSink) -> None:
        for name, logger in logging.Logger.manager.loggerDict.items():
            if name.startswith("tests./") and isinstance(logger, logging.Logger):
                while logger.handlers:
                    logger.handlers.pop().close()

    def unavailable_sink(self, place: Path) -> Unable:
        return unable("logging tells nobody that it failed")

    def rejecting_sink(self, place: Path) -> Unable:
        return unable("it takes everything")


class TestJsonLinesSink(EventSinkContract):
    def new_sink(self, place: Path) -> EventSink:
        return JsonLinesSink(place / "events.jsonl")

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        return (place / "events.jsonl").read_text(encoding="utf-8").split("\n")[:-1]

    def unavailable_sink(self, place: Path) -> EventSink:
        return JsonLinesSink(place / "missing" / "events.jsonl")

    def rejecting_sink(self, place: Path) -> Unable:
        return unable("it takes everything")


class OverHttp(EventSinkContract):
    """A sink and the server that it speaks to, until it is closed."""

    def sink_for(self, url: str, client: HttpClient) -> EventSink:
        raise NotImplementedError

    def served(self, answering: Answering) -> EventSink:
        stack = ExitStack()
        server = stack.enter_context(loopback(answering))
        return self._open(server.url, stack)

    def unavailable_sink(self, place: Path) -> EventSink:
        return self._open(f"http://127.0.0.1:{free_port()}", ExitStack())

    def _open(self, url: str, stack: ExitStack) -> EventSink:
        client = HttpClient()
        stack.callback(client.close)
        sink = self.sink_for(url, client)
        self.stacks = [*getattr(self, "stacks", []), (sink, stack)]
        return sink

    def close(self, sink: EventSink) -> None:
        for served, stack in self.stacks:
            if served is sink:
                stack.close()


class TestCleverTapSink(OverHttp):
    def sink_for(self, url: str, client: HttpClient) -> EventSink:
        names = {"CT Partner Voucher Rewarded": "Voucher Rewarded"}
        return CleverTapSink(account_id=ACCOUNT, passcode=PASSCODE, base_url=url, names=names, client=client)

    def new_sink(self, place: Path) -> EventSink:
        self.service = CleverTap()
        return self.served(self.service)

    def rejecting_sink(self, place: Path) -> EventSink:
        def choosy(record: Record) -> int | None:
            return 528 if record["identity"] == UNWANTED else judge(record)

        self.service = CleverTap(choosy)
        return self.served(self.service)

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        return [str(record["identity"]) for record in self.service.taken]

    def credentials(self) -> Sequence[str]:
        return [PASSCODE]


class TestWebhookSink(OverHttp):
    batch_size = 1

    def sink_for(self, url: str, client: HttpClient) -> EventSink:
        return WebhookSink(url, secrets=SECRET, batch_size=self.batch_size, client=client)

    def new_sink(self, place: Path) -> EventSink:
        return self.choosy(None)

    def rejecting_sink(self, place: Path) -> EventSink:
        return self.choosy(UNWANTED)

    def choosy(self, unwanted: str | None) -> EventSink:
        self.taken: list[str] = []

        def take(connection: socket, request: Received) -> None:
            found = json.loads(request.body)
            subjects = [each.get("subject") for each in (found if isinstance(found, list) else [found])]
            refused = unwanted is not None and unwanted in subjects
            if not refused:
                self.taken.extend(subjects)
            answer(b"", 422 if refused else 204)(connection, request)

        return self.served(take)

    def received(self, sink: EventSink, place: Path) -> Sequence[str]:
        return self.taken

    def credentials(self) -> Sequence[str]:
        return [SECRET, SECRET.removeprefix("whsec_")]


class TestWebhookSinkInBatches(TestWebhookSink):
    batch_size = 100
