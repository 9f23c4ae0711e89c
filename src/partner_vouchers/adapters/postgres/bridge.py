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

from partner_vouchers.adapters.sql.bridge import Bridge
from partner_vouchers.ports import AsyncHostConnection

T = TypeVar("T")


class BridgedConnection(Bridge, psycopg.Connection[Any]):
    """A connection of a host's `AsyncSession` or `AsyncConnection`, within its `run_sync()`."""

    __slots__ = ("_driver", "_wait_for")

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

    def sleep(self, seconds: float) -> None:
        """Wait, while the event loop goes on."""
        self._wait_for(asyncio.sleep(seconds))

    def in_thread(self, call: Callable[[bool], T], argument: bool) -> T:
        """Return the result of a call that would block the event loop."""
        result: T = self._wait_for(asyncio.to_thread(call, argument))
        return result

    def finish(self, work: Any) -> Any:
        """Wait for answers of the server to their end, also if the task is cancelled meanwhile."""
        return self.wait_to_the_end(self._driver.wait(work))


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
