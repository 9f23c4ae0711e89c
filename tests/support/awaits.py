"""Cancel a task at a chosen await."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


async def cancelled_at(number: int, call: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine, and cancel the task when it waits for the `number`-th time."""
    return await _cancelled_at(number, call)


@types.coroutine
def _cancelled_at(number: int, call: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    steps = call.__await__()
    error: BaseException | None = None
    waits = 0
    while True:
        try:
            waiting_for = next(steps) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        error = None
        waits += 1
        if waits == number:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            yield waiting_for
        except BaseException as thrown:  # noqa: BLE001 - handed to the coroutine
            error = thrown
