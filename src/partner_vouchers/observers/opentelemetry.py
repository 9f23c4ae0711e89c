"""Traces and metrics through OpenTelemetry (extra `opentelemetry`).

Needs the API alone; which exporter gets the data is the host's choice. Names follow the semantic conventions of
OpenTelemetry: https://opentelemetry.io/docs/specs/semconv/general/
"""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import cast

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from partner_vouchers.domain.arguments import require_methods
from partner_vouchers.observers import COUNTERS, OK, Call

_NAME = "partner_vouchers"
_CALL = "partner_vouchers.call"
_ERROR = "error.type"


class OpenTelemetryObserver:
    """Makes a span of each call, and counts calls and their results.

    Metrics: `partner_vouchers.call.duration` (a histogram in seconds, by `partner_vouchers.call` and `error.type`) and
    the counters `partner_vouchers.codes`, `.unserved`, `.rows`, `.errors` and `.events`.

    Example:
        >>> from partner_vouchers import PartnerVouchers
        >>> from partner_vouchers.adapters.memory import MemoryStorage
        >>> vouchers = PartnerVouchers(MemoryStorage(), observers=[OpenTelemetryObserver()])
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        spans: bool = True,
    ) -> None:
        """Prepare the instruments.

        Args:
            tracer_provider: where spans go; the global one by default.
            meter_provider: where metrics go; the global one by default.
            spans: False for metrics alone.

        Raises:
            InvalidInput: a provider has not the methods of one.
        """
        if tracer_provider is not None:
            require_methods("tracer_provider", tracer_provider, ("get_tracer",), "a TracerProvider")
        if meter_provider is not None:
            require_methods("meter_provider", meter_provider, ("get_meter",), "a MeterProvider")
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider) if spans else None
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "partner_vouchers.call.duration", unit="s", description="Duration of calls of the library"
        )
        self._record = self._duration.record
        # The SDK takes most of a call's time, so nothing is built for it twice.
        self._attributes: dict[tuple[str, str], dict[str, str]] = {}
        # Summed up here and read when metrics are collected: a counter of the SDK costs as much as the histogram.
        self._lock = Lock()
        self._totals: dict[str, dict[str, int]] = {name: {} for name in COUNTERS}
        for name, description in COUNTERS.items():
            meter.create_observable_counter(
                f"partner_vouchers.{name}", callbacks=[partial(self._observe, name)], description=description
            )

    def started(self, name: str) -> object:
        """Begin a span, within which the spans of the database are."""
        if self._tracer is None:
            return None
        span = self._tracer.start_span(name, kind=SpanKind.INTERNAL)
        return span, context.attach(trace.set_span_in_context(span))

    def ended(self, token: object, call: Call) -> None:
        """End the span, and count."""
        attributes = self._attributes.get((call.name, call.outcome))
        if attributes is None:
            attributes = self._new_attributes(call)
        self._record(call.seconds, attributes)
        for name, count in call.counts.items():
            if count:
                with self._lock:
                    totals = self._totals[name]
                    totals[call.name] = totals.get(call.name, 0) + count
        if token is not None:
            span, attached = cast("tuple[Span, object]", token)
            context.detach(attached)  # type: ignore[arg-type]
            for name, count in call.counts.items():
                span.set_attribute(f"partner_vouchers.{name}", count)
            if call.outcome != OK:
                span.set_attribute(_ERROR, call.outcome)
                span.set_status(Status(StatusCode.ERROR, call.outcome))
            span.end()

    def _new_attributes(self, call: Call) -> dict[str, str]:
        attributes = {_CALL: call.name}
        if call.outcome != OK:
            attributes[_ERROR] = call.outcome
        self._attributes[call.name, call.outcome] = attributes
        return attributes

    def _observe(self, name: str, _options: CallbackOptions) -> list[Observation]:
        with self._lock:
            totals = dict(self._totals[name])
        return [Observation(total, {_CALL: call}) for call, total in totals.items()]


__all__ = ["OpenTelemetryObserver"]
