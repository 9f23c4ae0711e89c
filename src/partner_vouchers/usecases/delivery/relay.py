"""Deliver again and again, until told to stop."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from partner_vouchers.errors import StorageError
from partner_vouchers.usecases.delivery.passes import Deliverer
from partner_vouchers.usecases.wiring import Wiring

_LOG = logging.getLogger("partner_vouchers.delivery")


class Relay:
    """Delivers to sinks until it is told to stop; made by `vouchers.events.relay`.

    Any number of relays, in any number of processes, may run on one storage: they share the work.

    Example:
        >>> import signal
        >>> relay = vouchers.events.relay(sink)
        >>> previous = signal.signal(signal.SIGTERM, lambda *_: relay.stop())
        >>> relay.stop()
        >>> relay.run()
        >>> _ = signal.signal(signal.SIGTERM, previous)
    """

    def __init__(
        self,
        wiring: Wiring,
        deliverers: Sequence[Callable[[], Deliverer]],
        housekeeping: Callable[[], object],
        interval: float,
    ) -> None:
        self._wiring = wiring
        self._deliverers = deliverers
        self._housekeeping = housekeeping
        self._interval = interval
        self._stopped = False
        # A queue of this kind may be put to from a signal handler, which an `Event` may not: the handler may
        # have interrupted the very thread that waits for it.
        self._wakers = [queue.SimpleQueue[None]() for _ in deliverers]

    def run(self) -> None:
        """Deliver until `stop` is called, and end the calls that are under way then.

        A sink that fails is left alone for a while. Where the storage cannot be used, it is tried again.
        """
        if len(self._deliverers) == 1:
            self._serve(0)
            return
        with ThreadPoolExecutor(len(self._deliverers), "partner_vouchers relay") as threads:
            running = [threads.submit(self._serve, number) for number in range(len(self._deliverers))]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                self.stop()
        for ended in running:
            ended.result()

    def stop(self) -> None:
        """Let `run` return soon, in whichever thread it is; may be called from a signal handler, and before it."""
        self._stopped = True
        for waker in self._wakers:
            waker.put(None)

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def _serve(self, number: int) -> None:
        deliverer = self._deliverers[number]()
        failures = 0
        while not self._stopped:
            try:
                self._housekeeping()
                tally = deliverer.run(lambda: self._stopped)
            except StorageError as error:
                _LOG.warning("events are not delivered now: %s", error)
                failures += 1
                self._rest(number, min(self._interval * 2 ** min(failures, 10), 60.0))
            else:
                failures = 0
                if tally.failure is not None:
                    _LOG.warning(
                        "the sink %r is left alone for a while: %s", deliverer.sink_name, tally.failure
                    )
                if not tally.delivered:
                    self._rest(number, self._interval)

    def _rest(self, number: int, seconds: float) -> None:
        # Half of it by chance, so that relays do not come all at the same time.
        try:
            self._wakers[number].get(timeout=seconds * (1 + self._wiring.chance()) / 2)
        except queue.Empty:
            return
