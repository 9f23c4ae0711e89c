"""Many at once: threads that start together, transactions that overlap, processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from partner_vouchers.errors import CodesExhausted, StorageBusy
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing import driver

T = TypeVar("T")
U = TypeVar("U")

MOMENT = 0.05
"""Seconds in which another thread gets as far as it can while a transaction is open."""

_SPAWN = multiprocessing.get_context("spawn")


def started(work: Callable[[], object]) -> threading.Thread:
    """Start a thread."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def at_once(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Run jobs in threads that start together; return their results, or raise the first error."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], T]) -> T:
        barrier.wait(driver.PATIENCE)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(run, job) for job in jobs]
        return [future.result(driver.PATIENCE) for future in running]


def overlapping(storage: Storage, first: Callable[[Transaction], T], second: Callable[[], U]) -> tuple[T, U]:
    """Do `first` in a transaction, and begin `second` in another thread before that one commits.

    `second` may end at once, wait for the commit, or be told that the storage is busy: that is the storage's affair.
    So is which of the two is told so.

    Returns:
        what both returned.
    """
    answer: Future[U] = Future()

    def run() -> None:
        try:
            answer.set_result(second())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            answer.set_exception(error)

    thread: threading.Thread | None = None
    try:
        with storage.begin() as tx:
            done = first(tx)
            thread = started(run)
            thread.join(MOMENT)
            tx.commit()
    except StorageBusy:
        assert thread is not None, "the storage is busy although nobody uses it"
        thread.join(driver.PATIENCE)
        done = driver.in_transaction(storage, first)
    return done, answer.result(driver.PATIENCE)


def assign_until_exhausted(storage: Storage, list_id: str, name: str) -> list[tuple[str, str]]:
    """Ask for codes for one new user after the other; return who got which."""
    got: list[tuple[str, str]] = []
    while True:
        user_id = f"{name}-{len(got)}"
        try:
            got.append((user_id, driver.assign(storage, user_id, list_id=list_id).code))
        except CodesExhausted:
            return got


# --- processes ---


class Process(Generic[T]):
    """A process that opens the storage itself and does one thing with it, when it is told to go."""

    def __init__(
        self, open_storage: Callable[[], Storage], work: Callable[..., T], *arguments: object
    ) -> None:
        """Start it. What is passed is pickled."""
        self._line, far_end = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_work, args=(far_end, open_storage, work, arguments), daemon=True
        )
        self._process.start()
        far_end.close()

    def go(self) -> None:
        """Wait until it has opened the storage, and let it work."""
        assert self._hear() == "ready"
        self._line.send("go")

    def answer(self) -> T:
        """Return what the work returned, or raise what it raised."""
        found: T = self._hear()
        self._process.join(driver.PATIENCE)
        self._line.close()
        return found

    def died(self) -> bool:
        """Wait for its end, and tell whether it died without an answer."""
        self._process.join(driver.PATIENCE)
        silent = not self._line.poll()
        self._line.close()
        return silent or self._process.exitcode != 0

    def _hear(self) -> Any:
        assert self._line.poll(driver.PATIENCE), "the process says nothing"
        kind, said = self._line.recv()
        if kind == "raised":
            raise said
        return said


def in_processes(
    open_storage: Callable[[], Storage], jobs: Sequence[tuple[Callable[..., T], tuple[Any, ...]]]
) -> list[T]:
    """Run jobs in processes that go together; return their results."""
    processes = [Process(open_storage, work, *arguments) for work, arguments in jobs]
    for process in processes:
        process.go()
    return [process.answer() for process in processes]


def die_in_a_transaction(storage: Storage, list_id: str) -> None:
    """Assign a code, and die before the commit, as if killed."""
    with storage.begin() as tx:
        driver.inside(tx).codes.assign(user_id="user-1", list_id=list_id, idempotency_key="order-1")
        os._exit(1)


def upload(storage: Storage, list_id: str, codes: Sequence[str]) -> int:
    """Upload codes; return how many were accepted."""
    return driver.upload(storage, list_id, codes).accepted


def _work(
    line: Connection,
    open_storage: Callable[[], Storage],
    work: Callable[..., object],
    arguments: tuple[object, ...],
) -> None:
    try:
        storage = open_storage()
        line.send(("said", "ready"))
        line.recv()
        line.send(("said", work(storage, *arguments)))
    except Exception as error:  # noqa: BLE001 - raised again where the test waits for it
        line.send(("raised", error))
    finally:
        line.close()
