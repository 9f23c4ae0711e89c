"""Use a host's asynchronous connection where a greenlet of SQLAlchemy waits for its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from partner_vouchers.errors import HostTransactionError

_TASK = "_partner_vouchers_task"


class Bridge:
    """The base of connections of a host's `AsyncSession` or `AsyncConnection`, within its `run_sync()`."""

    __slots__ = ()

    _driver: Any
    _wait_for: Any

    def enter(self) -> None:
        """Note that a call of this task uses the connection.

        Raises:
            HostTransactionError: a call of another task does.
        """
        task = asyncio.current_task()
        if getattr(self._driver, _TASK, None) not in (None, task):
            raise HostTransactionError(
                reason="another task is in a call on this connection; give each task its own session"
            )
        setattr(self._driver, _TASK, task)

    def leave(self) -> None:
        """Note that the call has ended."""
        if getattr(self._driver, _TASK, None) is asyncio.current_task():
            setattr(self._driver, _TASK, None)

    def wait_to_the_end(self, work: Awaitable[Any]) -> Any:
        """Wait for something that cannot be taken back, also if the task is cancelled meanwhile.

        Raises:
            asyncio.CancelledError: it was.
        """
        running = asyncio.ensure_future(work)
        cancelled: asyncio.CancelledError | None = None
        while not running.done():
            try:
                self._wait_for(asyncio.wait([running]))
            except asyncio.CancelledError as error:
                cancelled = error
        answer = running.result()
        if cancelled is not None:
            raise cancelled
        return answer
