"""Events: emit them, deliver them, and watch what could not be delivered."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial

from attrs import frozen

from partner_vouchers.domain.arguments import (
    require_bool,
    require_instance,
    require_methods,
    require_seconds,
    require_whole,
)
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.domain.promo_events import HOST_EVENTS, HostEvent, VoucherRewarded
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports import EventSink, Transaction
from partner_vouchers.usecases.delivery.backlog import Backlog, backlog_of, backlog_of_all
from partner_vouchers.usecases.delivery.dead_letters import (
    DeadLetter,
    list_dead_letters,
    require_sink,
    retry_dead_letters,
)
from partner_vouchers.usecases.delivery.relay import Relay
from partner_vouchers.usecases.delivery.retention import remove_old_events
from partner_vouchers.usecases.delivery.run import Deliverer
from partner_vouchers.usecases.expired_lists import announce_expired
from partner_vouchers.usecases.paging import Page, require_limit
from partner_vouchers.usecases.wiring import Group, Wiring

_TIDY_EVERY = timedelta(minutes=10)
_COMMITTED_FIRST = "events are delivered once they are committed; deliver them outside the host's transaction"


@frozen
class DeliveryReport:
    """The outcome of a delivery run.

    Attributes:
        sink: the name of the sink.
        delivered: how many events it took.
        not_taken: how often it did not take one; each of these is sent again, or is a dead letter.
        deferred: how many events wait to be sent again, or for an earlier one that does.
        dead_letters: how many dead letters there are.
        paused_until: until when the sink gets no calls because it failed; None if it did not.
        failure: why it was paused during this run; None if it was not.
    """

    sink: str
    delivered: int
    not_taken: int
    deferred: int
    dead_letters: int
    paused_until: datetime | None
    failure: str | None


class EventsGroup(Group):
    """The events and their delivery; reached as `vouchers.events`."""

    def deliver(
        self, sink: EventSink, *, from_now: bool = False, retry: RetryPolicy | None = None
    ) -> DeliveryReport:
        """Send all events that are due now to a sink, and return.

        Each event arrives at least once; again, with the same id, only if the answer of the sink was lost. Events of
        one user, or of one list, arrive in order. Events that the sink does not take are sent again by a later call.
        Any exception of the sink is treated like `SinkUnavailable`. If another process is delivering to the sink,
        nothing is sent.

        Args:
            sink: the receiver. The storage remembers by its name what it has.
            from_now: whether a sink that the storage does not know begins with the events from now on, and not with
                all events that are kept.
            retry: when an event that was not taken is sent again, and when it becomes a dead letter.

        Raises:
            HostTransactionError: inside a host's transaction, which may still be rolled back.
            InvalidInput: the sink's name, batch size or concurrency breaks its rule.
            StorageError: the storage cannot be used.

        Example:
            >>> _ = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
            >>> vouchers.events.deliver(sink).delivered
            5
            >>> vouchers.events.deliver(sink).delivered
            0
        """
        self._wiring.require_own_transactions(_COMMITTED_FIRST)
        deliverer = self._deliverer(sink, from_now, retry)
        announce_expired(self._wiring)
        tally = deliverer.run()
        remove_old_events(self._wiring)
        found = self._wiring.read(backlog_of, sink.name, self._wiring.now())
        return DeliveryReport(
            sink.name,
            tally.delivered,
            tally.not_taken,
            found.deferred,
            found.dead_letters,
            found.paused_until,
            tally.failure,
        )

    def emit(self, event: HostEvent) -> None:
        """Emit a coupon or wallet event: it is stored, and goes to every sink like the library's own events.

        Inside a host's transaction it is committed or rolled back with it. Two calls make two events.

        Args:
            event: one of `CouponRewarded`, `CouponRedeemed`, `CouponReverted`, `PointsCredited`, `PointsDebited`.

        Raises:
            InvalidInput: it is another event. `VoucherRewarded` is written by an assignment alone.
            StorageError: the storage cannot be used.

        Example:
            >>> from partner_vouchers import PointsCredited
            >>> vouchers.events.emit(
            ...     PointsCredited(
            ...         occurred_at=datetime(2026, 11, 21, 12, tzinfo=UTC), user_id="user-42", wallet_id="W1",
            ...         source="API", points=20, transaction_id="T1",
            ...     )
            ... )
        """
        if isinstance(event, VoucherRewarded):
            raise InvalidInput(
                field="event",
                reason="is written by codes.assign, once for each code; emit does not take a second one",
            )
        # A class derived from one of these would come back from the storage as another.
        if type(event) not in HOST_EVENTS:
            known = ", ".join(kind.__name__ for kind in HOST_EVENTS)
            raise InvalidInput(field="event", reason=f"must be one of {known}, not {type(event).__name__}")
        self._wiring.write(lambda tx: tx.outbox.append([event]))

    def relay(
        self,
        *sinks: EventSink,
        interval: float = 1.0,
        from_now: bool = False,
        retry: RetryPolicy | None = None,
    ) -> Relay:
        """Return a relay that delivers to sinks, each at its own pace, until it is stopped.

        Args:
            sinks: the receivers.
            interval: how many seconds to wait when there is nothing to deliver.
            from_now: see `deliver`.
            retry: see `deliver`.

        Raises:
            HostTransactionError: within a host's transaction.
            InvalidInput: there is no sink, two have the same name, one breaks a rule, or `interval` is not
                a positive number.
        """
        self._wiring.require_own_transactions(_COMMITTED_FIRST)
        interval = require_seconds("interval", interval)
        for sink in sinks:
            self._deliverer(sink, from_now, retry)
        if not sinks or len({sink.name for sink in sinks}) < len(sinks):
            raise InvalidInput(field="sinks", reason="must be one or more, each with a different name")
        deliverers = [partial(self._deliverer, sink, from_now, retry) for sink in sinks]
        return Relay(self._wiring, deliverers, _Housekeeping(self._wiring), interval)

    def sinks(self) -> list[str]:
        """Return the names of the sinks that events were delivered to, in order.

        Example:
            >>> vouchers.events.sinks()
            ['crm']
        """
        return self._wiring.read(lambda tx: tx.deliveries.sinks())

    def backlog(self, sink: str | None = None) -> Backlog:
        """Return what a sink does not have yet, and since when.

        Args:
            sink: the name of the sink. None adds up all sinks: the numbers are sums, the times those of the sink that
                is furthest behind. If no sink is known yet, it is what a new one would be sent.

        Raises:
            UnknownSink: no event was ever delivered to a sink with this name.

        Example:
            >>> vouchers.events.backlog("crm").dead_letters
            0
        """
        now = self._wiring.now()
        if sink is None:
            return self._wiring.read(backlog_of_all, now)
        name = require_name("sink", sink)

        def read(tx: Transaction) -> Backlog:
            return backlog_of(tx, require_sink(tx, name), now)

        return self._wiring.read(read)

    def dead_letters(
        self, sink: str | None = None, *, after: str | None = None, limit: int = 50
    ) -> Page[DeadLetter]:
        """Return a page of the events that are not sent any more, by sink and age.

        Args:
            sink: the name of a sink; None for all.
            after: the `next` of the page before.
            limit: how many, from 1 to 1000.

        Raises:
            InvalidInput: `limit` is out of range.
            InvalidCursor: `after` is not from a page of dead letters.
            UnknownSink: no event was ever delivered to a sink with this name.
        """
        limit = require_limit(limit)
        sink = None if sink is None else require_name("sink", sink)
        return self._wiring.read(list_dead_letters, sink, after, limit)

    def retry_dead_letters(self, sink: str | None = None, *, ids: Collection[str] | None = None) -> int:
        """Send dead letters again with the next delivery, as if they had never been sent; return how many.

        Later events of the same user or list that were not delivered yet wait for them. A paused sink is sent to
        again at once.

        Args:
            sink: the name of a sink; None for all.
            ids: the ids of the dead letters; None for all.

        Raises:
            InvalidInput: `ids` is not a collection of strings.
            UnknownSink: no event was ever delivered to a sink with this name.
        """
        return retry_dead_letters(self._wiring, None if sink is None else require_name("sink", sink), ids)

    def forget_sink(self, sink: str) -> None:
        """Forget a sink that is not used any more, so that nothing is kept for it; its dead letters are lost.

        If events are delivered to it again, it is new. Stop its relays first.

        Args:
            sink: the name of the sink.

        Raises:
            UnknownSink: no event was ever delivered to a sink with this name.
        """
        name = require_name("sink", sink)
        self._wiring.write(lambda tx: tx.deliveries.forget(require_sink(tx, name)))

    def announce_expired(self) -> int:
        """Store an event `list.expired` for each list that expired since the last call; return how many.

        Every delivery does this first. An archived list is not announced. A list that was extended is announced again
        when it expires again.
        """
        self._wiring.require_own_transactions(_COMMITTED_FIRST)
        return announce_expired(self._wiring)

    def _deliverer(self, sink: EventSink, from_now: bool, retry: RetryPolicy | None) -> Deliverer:
        require_methods("sink", sink, ("send",), 'a sink such as CallableSink(function, name="crm")')
        require_name("sink.name", getattr(sink, "name", None))
        for bound in ("batch_size", "concurrency"):
            require_whole(f"sink.{bound}", getattr(sink, bound, None), 1, 2**31, "must be at least 1")
        require_bool("from_now", from_now)
        if retry is not None:
            require_instance("retry", retry, RetryPolicy, "RetryPolicy()")
        return Deliverer(self._wiring, sink, retry or RetryPolicy(), from_now=from_now)


class _Housekeeping:
    """What a relay does beside delivering."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._tidied_at: datetime | None = None

    def __call__(self) -> None:
        announce_expired(self._wiring)
        now = self._wiring.now()
        if self._tidied_at is None or not timedelta() <= now - self._tidied_at < _TIDY_EVERY:
            remove_old_events(self._wiring)
            self._tidied_at = now
