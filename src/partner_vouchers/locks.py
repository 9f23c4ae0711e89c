"""A lock that works on after an exception at any instruction.

A signal handler can raise between any two instructions: after a lock was acquired and before anything could note it,
or before the first instruction of an `__exit__`. No `try` protects against both. So the lock here does not depend on
being released. Whoever uses it does so in the context of a `Recoverable`, whose token dies when its `with` statement
is left, by whatever way and whether or not its `__exit__` ran. A place in the queue whose token is dead counts as
released, and the next owner of the lock cleans up.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Final

Token = weakref.ref[Any]
"""Returns None once the context that it belongs to has been left."""

_LOOK_AGAIN = 0.02


class _Exit:
    """The `__exit__` of a context, as an object that only the `with` statement refers to.

    The interpreter drops it when it leaves the statement, also when it never calls it. A plain method would not do:
    the traceback of an exception in it refers to the context for as long as the exception lives.
    """

    def __get__(
        self, context: Recoverable | None, owner: type[Recoverable]
    ) -> Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]:
        if context is None:
            # `contextlib.ExitStack` asks the class.
            return _leave  # type: ignore[return-value]
        leave = partial(_leave, context)
        if context._token is None or context._token() is None:
            context._token = weakref.ref(leave)
        return leave


def _leave(
    context: Recoverable,
    _kind: type[BaseException] | None,
    error: BaseException | None,
    _traceback: TracebackType | None,
) -> None:
    context.leave(error)


class Recoverable:
    """A context of which others can tell that it was left, even when its `__exit__` was never run."""

    __exit__: Final = _Exit()

    _token: Token | None = None

    @property
    def token(self) -> Token:
        """The token, which is dead once the context was left."""
        if self._token is None:
            # Entered without a `with` statement.
            self._token = weakref.ref(self)
        return self._token

    def leave(self, error: BaseException | None) -> None:
        """End what the context began.

        Args:
            error: the exception that it is left with.
        """
        raise NotImplementedError


class Place:
    """A place in the queue of a `QueueLock`, for one acquisition.

    Attributes:
        token: tells whether its owner is still there.
        thread: the thread that queues.
        done: whether the lock was released, or is not wanted any more.
    """

    __slots__ = ("__weakref__", "_before", "after", "bell", "done", "thread", "token")

    def __init__(self, token: Token) -> None:
        self.token: Token = token
        self.thread: int = threading.get_ident()
        self.done: bool = False
        # Weak, so that finished places are freed at once. One that somebody waits for is kept by those before it.
        self._before: weakref.ref[Place] | None = None
        # At most one entry. `dict.setdefault` is one step, whatever other threads and signals do.
        self.after: dict[None, Place] = {}
        self.bell: SimpleQueue[None] | None = None

    @property
    def finished(self) -> bool:
        """Whether nobody has to wait for this place."""
        return self.done or self.token() is None

    @property
    def before(self) -> Place | None:
        """The place before this one, or one before that; None once all of them are finished."""
        return None if self._before is None else self._before()

    @before.setter
    def before(self, place: Place | None) -> None:
        self._before = None if place is None else weakref.ref(place)

    @property
    def follower(self) -> Place | None:
        """The next place behind this one that is not finished."""
        place = self.after.get(None)
        while place is not None and place.finished:
            place = place.after.get(None)
        return place

    def ring(self) -> None:
        """Let the thread of this place look whether it is its turn."""
        if self.bell is not None:
            self.bell.put(None)


class AlreadyOwner(Exception):
    """This thread owns the lock already, and would wait for itself."""


class QueueLock:
    """A lock that threads get in the order in which they ask for it, once at a time.

    The places of the queue are a chain, to which each thread appends its own.
    """

    def __init__(self) -> None:
        self._last = Place(weakref.ref(self))
        self._last.done = True

    def acquire(self, place: Place, timeout: float | None) -> bool:
        """Wait for the lock, or until the place is finished; return whether either came within so many seconds.

        Raises:
            AlreadyOwner: this thread has a place in the queue that is not finished.
        """
        last = self._last
        place._before = weakref.ref(last)
        while (found := last.after.setdefault(None, place)) is not place:
            last = found
            # Before the place can be found in the chain.
            place._before = weakref.ref(last)
        self._last = place
        if last.done and last._before is None:
            # Nobody waits, nearly always.
            place._before = None
            return True
        if self._is_first(place):
            return True
        try:
            return self._wait(place, timeout)
        except AlreadyOwner:
            place.done = True
            raise

    def release(self, place: Place) -> None:
        """End the turn of a place, and wake whoever comes next."""
        place.done = True
        if place.after and (follower := place.follower) is not None:
            follower.ring()

    def _is_first(self, place: Place) -> bool:
        before = place.before
        while before is not None:
            if not before.finished:
                return False
            before = place.before = before.before
        return True

    def _wait(self, place: Place, timeout: float | None) -> bool:
        self._require_other_threads(place)
        place.bell = SimpleQueue()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (self._is_first(place) or place.finished):
            wait = _LOOK_AGAIN if deadline is None else min(deadline - time.monotonic(), _LOOK_AGAIN)
            if wait <= 0:
                place.done = True
                return False
            # Those before it may be gone without a word: look from time to time.
            with suppress(Empty):
                place.bell.get(timeout=wait)
        return True

    def _require_other_threads(self, place: Place) -> None:
        before = place.before
        while before is not None:
            if before.thread == place.thread and not before.finished:
                raise AlreadyOwner
            before = before.before
