"""Many at once: jobs that start together in threads of this process, or in processes of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import Storage
from tests.support.places import Place, wait_until_gone
from tests.support.processes import PROCESSES

T = TypeVar("T")

PATIENCE = 120
"""Seconds after which somebody is taken to hang."""


def in_threads(storage: Storage, jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Run jobs in threads that start together; return their results, or raise the first error."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], T]) -> T:
        start.wait(PATIENCE)
        try:
            return job()
        finally:
            hang_up(storage)

    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(run, job) for job in jobs]
        return [future.result(PATIENCE) for future in running]


def hang_up(storage: Storage) -> None:
    """Close the connections of this thread, where they belong to it."""
    if isinstance(storage, SQLiteStorage):
        storage.close()


class Process:
    """A process that runs one function, and can be talked with meanwhile."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, start: Barrier | None = None) -> None:
        self.line, far_end = PROCESSES.Pipe()
        self._process = PROCESSES.Process(
            target=_work, args=(far_end, start, function, arguments), daemon=True
        )
        self._process.start()
        far_end.close()

    def hear(self) -> Any:
        """Return the next thing that the process says; raise what it raised."""
        assert self.line.poll(PATIENCE), "the process says nothing"
        kind, said = self.line.recv()
        if kind == "raised":
            raise said
        return said

    def has_spoken(self) -> bool:
        """Tell whether there is something to hear."""
        return self.line.poll()

    def say(self, what: object) -> None:
        """Say something to the process."""
        self.line.send(what)

    def kill(self, place: Place) -> None:
        """Kill the process with SIGKILL, and wait until the server of a place has noticed."""
        self._process.kill()
        self._process.join(PATIENCE)
        wait_until_gone(place, name_of(self._process.pid))
        self.line.close()

    def end(self) -> None:
        """Wait for the end of the process."""
        self._process.join(PATIENCE)
        assert self._process.exitcode == 0
        self.line.close()


def name_of(pid: int | None) -> str:
    """Return how the connections of a process that will be killed are called on a server."""
    return f"victim {pid}"


class Line:
    """The other end of `Process`: what a function in a process talks with."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def say(self, what: object) -> None:
        self._connection.send(("said", what))

    def hear(self) -> Any:
        assert self._connection.poll(PATIENCE), "the test says nothing"
        return self._connection.recv()


def in_processes(function: Callable[..., T], many: Sequence[tuple[Any, ...]]) -> list[T]:
    """Run a function in processes that start together, each with its arguments; return the results.

    The first argument of the function is its `Line`, which it need not use.
    """
    start = PROCESSES.Barrier(len(many))
    team = [Process(function, *arguments, start=start) for arguments in many]
    results = [process.hear() for process in team]
    for process in team:
        process.end()
    return results


def _work(
    connection: Connection, start: Barrier | None, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    with closing(connection):
        try:
            if start is not None:
                start.wait(PATIENCE)
            connection.send(("said", function(Line(connection), *arguments)))
        except Exception as error:  # noqa: BLE001 - raised again where the test waits for it
            connection.send(("raised", error))
