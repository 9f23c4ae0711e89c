"""Deliver until stopped."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from partner_vouchers.errors import StorageError
from partner_vouchers.usecases.delivery.run import Deliverer
from partner_vouchers.usecases.wiring import Wiring

_LOG = logging.getLogger("partner_vouchers.delivery")


class Relay:
    """Delivers to sinks until it is stopped; made by `vouchers.events.relay`.

    Any number of relays, in any number of processes, may run on one storage: one of them sends to a sink, the others
    stand by and take over when it ends or dies.

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
        # A signal handler may put to a queue of this kind; it may not set an `Event`, since it may have interrupted
        # the very thread that waits for it.
        self._wakers = [queue.SimpleQueue[None]() for _ in deliverers]

    def run(self) -> None:
        """Deliver until `stop` is called, and wait for the calls that are in flight then.

        A sink that fails is paused. If the storage cannot be used, that is logged and tried again.
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
        """Let `run` return soon, in whichever thread it runs; a signal handler may call it, also before `run`."""
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
                if not tally.delivered:
                    self._rest(number, self._interval)

    def _rest(self, number: int, seconds: float) -> None:
        # Half of it by chance, so that relays do not come all at the same time.
        try:
            self._wakers[number].get(timeout=seconds * (1 + self._wiring.chance()) / 2)
        except queue.Empty:
            return
