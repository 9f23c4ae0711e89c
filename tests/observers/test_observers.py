from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, start_http_server

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.errors import CodesExhausted, InvalidInput
from partner_vouchers.observers import Call, Observer
from partner_vouchers.observers.opentelemetry import OpenTelemetryObserver
from partner_vouchers.observers.prometheus import PrometheusObserver
from partner_vouchers.usecases.codes import CodesGroup
from tests.support.ids import shown

CODE = "PM500FF-2026-XYZ"


class Recorder:
    def __init__(self) -> None:
        self.begun: list[str] = []
        self.calls: list[Call] = []

    def started(self, name: str) -> object:
        self.begun.append(name)
        return len(self.begun)

    def ended(self, token: object, call: Call) -> None:
        assert self.begun[int(str(token)) - 1] == call.name
        self.calls.append(call)


def use(observers: Sequence[Observer]) -> PartnerVouchers:
    """Do the main job: two rows, one code, one user who gets it, and one for whom none is left."""
    vouchers = PartnerVouchers(MemoryStorage(), observers=observers)
    vouchers.partners.add("Puma")
    winter = vouchers.lists.create(
        partner="Puma", tag="winter", name="Winter", expires_at=datetime(2199, 1, 1, tzinfo=UTC)
    )
    vouchers.uploads.add(winter.id, f"{CODE}\nwrong {CODE}\n".encode(), filename="c.csv", uploaded_by="ops")
    vouchers.campaigns.link(winter.id, "CMP1")
    vouchers.codes.assign(campaign_id="CMP1", user_id="user-42")
    vouchers.codes.assign(campaign_id="CMP1", user_id="user-42")
    with pytest.raises(CodesExhausted):
        vouchers.codes.assign(campaign_id="CMP1", user_id="user-43")
    return vouchers


def test_an_observer_is_told_of_each_call() -> None:
    recorder = Recorder()
    use([recorder])
    assert [(call.name, call.outcome, dict(call.counts)) for call in recorder.calls] == [
        ("partners.add", "ok", {}),
        ("lists.create", "ok", {}),
        ("uploads.add", "ok", {"rows": 2, "errors": 1}),
        ("campaigns.link", "ok", {}),
        ("codes.assign", "ok", {"codes": 1}),
        ("codes.assign", "ok", {"codes": 0}),
        ("codes.assign", "codes_exhausted", {}),
    ]
    assert all(call.seconds > 0 for call in recorder.calls)


def test_calls_within_a_hosts_transaction_are_observed(tmp_path: Path) -> None:
    recorder = Recorder()
    storage = SQLiteStorage(tmp_path / "vouchers.db")
    vouchers = PartnerVouchers(storage, observers=[recorder])
    vouchers.partners.all()
    connection = sqlite3.connect(tmp_path / "vouchers.db")
    vouchers.using(connection).partners.add("Puma")
    connection.rollback()
    connection.close()
    storage.close()
    assert [call.name for call in recorder.calls] == ["partners.all", "partners.add"]


def test_calls_of_an_asynchronous_host_are_observed() -> None:
    recorder = Recorder()

    async def work() -> None:
        async with AsyncPartnerVouchers(MemoryStorage(), observers=[recorder]) as vouchers:
            await vouchers.partners.add("Puma")
            winter = await vouchers.lists.create(
                partner="Puma", tag="winter", name="Winter", expires_at=datetime(2199, 1, 1, tzinfo=UTC)
            )
            assert [each async for each in vouchers.codes.assignments(winter.id)] == []
            assert [piece async for piece in vouchers.codes.export(winter.id)]

    asyncio.run(work())
    assert [call.name for call in recorder.calls] == [
        "partners.add",
        "lists.create",
        "codes.assignments",
        "codes.export",
    ]


class Broken:
    def started(self, name: str) -> object:
        raise RuntimeError(CODE)

    def ended(self, token: object, call: Call) -> None:
        raise RuntimeError(CODE)


def test_an_observer_that_fails_is_logged_once_and_not_felt(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    recorder = Recorder()
    storage = SQLiteStorage(tmp_path / "vouchers.db")
    with caplog.at_level(logging.WARNING, "partner_vouchers.observers"):
        vouchers = PartnerVouchers(storage, observers=[Broken(), recorder])
        vouchers.partners.add("Puma")
        vouchers.lists.find()
        with closing(sqlite3.connect(tmp_path / "vouchers.db")) as connection:
            for partner in ("Amazon", "Nykaa"):
                vouchers.using(connection).partners.add(partner)
    storage.close()
    assert [record.getMessage() for record in caplog.records] == [
        "the observer Broken failed with RuntimeError; this is logged once"
    ]
    assert len(recorder.calls) == 4


def test_without_observers_nothing_is_wrapped() -> None:
    vouchers = PartnerVouchers(MemoryStorage())
    assert type(vouchers.codes) is CodesGroup
    PartnerVouchers(MemoryStorage(), observers=[Recorder()])
    assert type(vouchers.codes) is CodesGroup


@pytest.mark.parametrize("observers", [5, "observer", None, [object()], [Recorder]], ids=shown)
def test_what_is_no_observer_is_refused(observers: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        PartnerVouchers(MemoryStorage(), observers=observers)  # type: ignore[arg-type]
    assert refused.value.field == "observers"


@pytest.mark.parametrize("wrong", [5, "global", object()], ids=shown)
def test_where_figures_go_is_a_registry_or_a_provider(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="registry"):
        PrometheusObserver(wrong)
    for name in ("tracer_provider", "meter_provider"):
        with pytest.raises(InvalidInput, match=name):
            OpenTelemetryObserver(**{name: wrong})


def test_opentelemetry_gets_spans_and_metrics_without_codes_or_users() -> None:
    spans = InMemorySpanExporter()
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    reader = InMemoryMetricReader()
    meter_provider = MeterProvider(metric_readers=[reader])
    use([OpenTelemetryObserver(tracer_provider=tracer_provider, meter_provider=meter_provider)])

    found = spans.get_finished_spans()
    assert [span.name for span in found][-3:] == ["codes.assign"] * 3
    assert dict(found[-1].attributes or {}) == {"error.type": "codes_exhausted"}
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert [point.value for point in metrics["partner_vouchers.codes"].data.data_points] == [1]  # type: ignore[union-attr]
    everything = data.to_json() + "".join(span.to_json() for span in found)
    assert CODE not in everything
    assert "user-4" not in everything
    tracer_provider.shutdown()
    meter_provider.shutdown()


def test_prometheus_is_read_over_http() -> None:
    registry = CollectorRegistry()
    use([PrometheusObserver(registry)])
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert 'partner_vouchers_codes_total{call="codes.assign"} 1.0' in text
    assert 'partner_vouchers_call_seconds_count{call="codes.assign",outcome="codes_exhausted"} 1.0' in text
    assert CODE not in text
    assert "user-4" not in text
