"""Many at once: threads that start together, transactions that overlap, processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

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


def in_processes(
    open_storage: Callable[[], Storage], jobs: Sequence[tuple[Callable[..., T], tuple[Any, ...]]]
) -> list[T]:
    """Run jobs in processes that begin together, each with a storage of its own; return their results.

    Raises:
        BrokenProcessPool: a process died.
    """
    barrier = _SPAWN.Barrier(len(jobs))
    with ProcessPoolExecutor(len(jobs), _SPAWN, _open, (open_storage, barrier)) as pool:
        running = [pool.submit(_work, work, arguments) for work, arguments in jobs]
        return [future.result(driver.PATIENCE) for future in running]


_opened: Storage


def _open(open_storage: Callable[[], Storage], barrier: Barrier) -> None:
    global _opened
    _opened = open_storage()
    barrier.wait(driver.PATIENCE)


def _work(work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    return work(_opened, *arguments)


def die_in_a_transaction(storage: Storage, list_id: str) -> None:
    """Assign a code, and die before the commit, as if killed."""
    with storage.begin() as tx:
        driver.inside(tx).codes.assign(user_id="user-1", list_id=list_id, idempotency_key="order-1")
        os._exit(1)


def upload(storage: Storage, list_id: str, codes: Sequence[str]) -> int:
    """Upload codes; return how many were accepted."""
    return driver.upload(storage, list_id, codes).accepted
