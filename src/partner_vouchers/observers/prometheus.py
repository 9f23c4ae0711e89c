"""Metrics for Prometheus (extra `prometheus`)."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from partner_vouchers.domain.arguments import require_methods
from partner_vouchers.observers import COUNTERS, Call


class PrometheusObserver:
    """Counts calls and their results.

    Metrics: `partner_vouchers_call_seconds` (a histogram by `call` and `outcome`) and the counters
    `partner_vouchers_codes_total`, `_unserved_total`, `_rows_total`, `_errors_total` and `_events_total` by `call`.

    Example:
        >>> from prometheus_client import CollectorRegistry
        >>> from partner_vouchers import PartnerVouchers
        >>> from partner_vouchers.adapters.memory import MemoryStorage
        >>> vouchers = PartnerVouchers(MemoryStorage(), observers=[PrometheusObserver(CollectorRegistry())])
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Register the metrics.

        Args:
            registry: where they are registered; once for each registry, so create one observer for a process.

        Raises:
            InvalidInput: it is no registry.
            ValueError: the registry has them already.
        """
        require_methods("registry", registry, ("register", "collect"), "a CollectorRegistry")
        self._seconds = Histogram(
            "partner_vouchers_call_seconds",
            "Duration of calls of the library",
            ("call", "outcome"),
            registry=registry,
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
        )
        self._counters = {
            name: Counter(f"partner_vouchers_{name}", description, ("call",), registry=registry)
            for name, description in COUNTERS.items()
        }

    def started(self, name: str) -> object:
        """Do nothing."""
        del name
        return None

    def ended(self, token: object, call: Call) -> None:
        """Count."""
        del token
        self._seconds.labels(call.name, call.outcome).observe(call.seconds)
        for name, count in call.counts.items():
            if count:
                self._counters[name].labels(call.name).inc(count)
