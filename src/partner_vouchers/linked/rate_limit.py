"""A rate limit for calls to another service."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from threading import Lock

from partner_vouchers.domain.arguments import require_callable, require_count, require_seconds


class RateLimit:
    """Allows a number of calls in any period of a given length. Threads share it; each process counts its own calls.

    Example:
        >>> limit = RateLimit(calls=100, seconds=60)
        >>> limit.acquire()
    """

    def __init__(
        self,
        *,
        calls: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Set the limit.

        Args:
            calls: how many calls may start within `seconds`, from 1 to 1,000,000.
            seconds: the length of the period.
            clock: returns seconds that never go back.
            sleep: waits for a number of seconds.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        self._seconds = require_seconds("seconds", seconds)
        self._clock = require_callable("clock", clock)
        self._sleep = require_callable("sleep", sleep)
        self._starts: deque[float] = deque(maxlen=require_count("calls", calls, 1_000_000))
        self._not_before = 0.0
        self._lock, self._process = Lock(), os.getpid()

    def acquire(self) -> None:
        """Wait until the next call may start."""
        with self._own_lock():
            now = self._clock()
            start = max(now, self._not_before)
            if len(self._starts) == self._starts.maxlen:
                start = max(start, self._starts[0] + self._seconds)
            # Reserve the start in the order of the requests, but wait outside of the lock.
            self._starts.append(start)
        if start > now:
            self._sleep(start - now)

    def pause(self, seconds: float) -> None:
        """Let no further call start for a number of seconds."""
        with self._own_lock():
            self._not_before = max(self._not_before, self._clock() + seconds)

    def _own_lock(self) -> Lock:
        if self._process != os.getpid():
            # A thread of the parent may have held the lock at the moment of the fork.
            self._lock, self._process = Lock(), os.getpid()
        return self._lock
