"""A host that delivers to one scripted sink, in short words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from partner_vouchers import DeliveryReport
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.ports import OutboxEntry, Rejection
from tests.support.host import Host
from tests.support.sinks import Behaviour, ScriptedSink

ONCE = RetryPolicy(max_attempts=1)


class Stage:
    """A host, and a sink that behaves as it is told."""

    def __init__(self, host: Host, sink: ScriptedSink | None = None) -> None:
        self.host = host
        self.events = host.vouchers.events
        self.sink = sink or ScriptedSink()

    def emit(self, *users: str) -> None:
        """Store an event for each of these users."""
        for user in users:
            self.host.emit_for(user)

    def deliver(self, retry: RetryPolicy | None = None, *, hours: float = 0) -> DeliveryReport:
        """Deliver after some hours; two end every pause and every wait."""
        self.host.clock.advance(hours=hours)
        return self.events.deliver(self.sink, retry=retry)

    def drain(self, retry: RetryPolicy | None = None) -> None:
        """Deliver until nothing waits, and make sure that nothing was lost, nor arrived out of order."""
        for _ in range(1000):
            report = self.deliver(retry, hours=2)
            if not report.deferred and report.paused_until is None:
                break
        else:
            raise AssertionError("it never ends")
        assert self.missing() == []
        self.require_order()

    def missing(self) -> list[int]:
        """Return the positions of events that did not arrive exactly once."""
        taken = positions(self.sink.taken)
        return [at for at in positions(self.host.outbox()) if taken.count(at) != 1]

    def require_order(self) -> None:
        """Make sure that the events of each key arrived in order."""
        keys = dict[str, list[int]]()
        for entry in self.sink.taken:
            keys.setdefault(entry.event.ordering_key, []).append(entry.position)
        assert all(order == sorted(order) for order in keys.values())

    def new_batches(self, before: int) -> list[int]:
        """Return how many events each call had since there were so many calls."""
        return [len(batch) for batch in self.sink.batches[before:]]


def meanwhile(act: Callable[[], object]) -> Behaviour:
    """Do something while the sink is called, and take everything."""

    def behave(_: object) -> Sequence[Rejection]:
        act()
        return []

    return behave


def positions(entries: Sequence[OutboxEntry]) -> list[int]:
    """Return where entries are in the outbox, in order."""
    return sorted(entry.position for entry in entries)


def user_of(entries: Sequence[OutboxEntry]) -> str:
    """Return whose event is the first."""
    return str(getattr(entries[0].event, "user_id", ""))
