"""Keeps calls to another service under its limit."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from threading import Lock

from partner_vouchers.errors import InvalidInput


def is_count(value: object) -> bool:
    """Tell whether a value is a whole number, at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_positive(value: object) -> bool:
    """Tell whether a value is a finite number above zero."""
    return isinstance(value, int | float) and 0 < value < math.inf


class RateLimit:
    """At most so many calls in any stretch of time, whichever threads make them; each process counts for itself.

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
            calls: how many calls may begin within `seconds`.
            seconds: the stretch of time.
            clock: returns seconds that never go back.
            sleep: waits for so many seconds.

        Raises:
            InvalidInput: a number is not positive, or `calls` is not whole.
        """
        if not is_count(calls):
            raise InvalidInput(field="calls", reason="must be a whole number, at least 1")
        if not is_positive(seconds):
            raise InvalidInput(field="seconds", reason="must be a positive number")
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._begun: deque[float] = deque(maxlen=calls)
        self._not_before = 0.0
        self._lock = Lock()

    def acquire(self) -> None:
        """Wait until a call may begin."""
        with self._lock:
            now = self._clock()
            begin = max(now, self._not_before)
            if len(self._begun) == self._begun.maxlen:
                begin = max(begin, self._begun[0] + self._seconds)
            # Places are given out in the order of asking; the waiting is done outside of the lock.
            self._begun.append(begin)
        if begin > now:
            self._sleep(begin - now)

    def pause(self, seconds: float) -> None:
        """Let no further call begin for so many seconds."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + seconds)
