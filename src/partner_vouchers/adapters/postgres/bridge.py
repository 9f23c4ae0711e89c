"""Use a connection of asynchronous psycopg as a synchronous one, where a greenlet of SQLAlchemy waits for its answers.

Of psycopg's connections only the lock and the waiting are asynchronous. So what is here shares everything else with
the host's connection, down to its prepared statements, and hands those two over to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import psycopg

from partner_vouchers.errors import HostTransactionError
from partner_vouchers.ports import AsyncHostConnection

T = TypeVar("T")


class BridgedConnection(psycopg.Connection[Any]):
    """A connection of a host's `AsyncSession` or `AsyncConnection`, within its `run_sync()`."""

    __slots__ = ("_driver", "_wait_for")

    # In the dictionary that all users of the host's connection share.
    partner_vouchers_task: asyncio.Task[Any] | None = None

    def __init__(self, host: AsyncHostConnection) -> None:
        self.__dict__ = host.driver.__dict__
        self._driver: psycopg.AsyncConnection[Any] = host.driver
        self._wait_for = host.wait_for

    def __del__(self, *_: object) -> None:
        """Leave the connection to the host."""

    @property
    def lock(self) -> _AwaitedLock:  # type: ignore[override]
        """The lock of the host's connection."""
        return _AwaitedLock(self._driver.lock, self._wait_for)

    def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        """Wait for an answer of the server, while the event loop goes on."""
        return self._wait_for(self._driver.wait(gen, *arguments, **options))

    def enter(self) -> None:
        """Note that a call of this task uses the connection.

        Raises:
            HostTransactionError: a call of another task does.
        """
        task = asyncio.current_task()
        if self.partner_vouchers_task not in (None, task):
            raise HostTransactionError(
                reason="another task is in a call on this connection; give each task its own session"
            )
        self.partner_vouchers_task = task

    def leave(self) -> None:
        """Note that the call has ended."""
        if self.partner_vouchers_task is asyncio.current_task():
            self.partner_vouchers_task = None

    def sleep(self, seconds: float) -> None:
        """Wait, while the event loop goes on."""
        self._wait_for(asyncio.sleep(seconds))

    def in_thread(self, call: Callable[[bool], T], argument: bool) -> T:
        """Return the result of a call that would block the event loop."""
        result: T = self._wait_for(asyncio.to_thread(call, argument))
        return result

    def finish(self, work: Any) -> Any:
        """Wait for something to its end, also if the task is cancelled meanwhile.

        Raises:
            asyncio.CancelledError: it was.
        """
        running = asyncio.ensure_future(self._driver.wait(work))
        cancelled: asyncio.CancelledError | None = None
        while not running.done():
            try:
                self._wait_for(asyncio.wait([running]))
            except asyncio.CancelledError as error:
                cancelled = error
        answers = running.result()
        if cancelled is not None:
            raise cancelled
        return answers


class _AwaitedLock:
    def __init__(self, lock: asyncio.Lock, wait_for: Any) -> None:
        self._lock = lock
        self._wait_for = wait_for

    def __enter__(self) -> None:
        self._wait_for(self._lock.acquire())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()
