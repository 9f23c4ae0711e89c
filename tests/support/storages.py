"""Storages that tell what is asked of them, and fail as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from partner_vouchers.ports import Storage
from partner_vouchers.testing.driver import Uncommitted


class CountingStorage:
    """A storage that counts the transactions that write."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.writes: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def begin(self, *, write: bool = True) -> Any:
        self.writes += write
        return self._storage.begin(write=write)


class UndoingStorage:
    """A storage whose shared commits are undone once, and then made in a new transaction, or never where they fail.

    Attributes:
        failure: the error of each shared commit, or None.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.failure: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def run_shared(self, work: Callable[[Any], Any]) -> Any:
        with self._storage.begin() as tx:
            work(Uncommitted(tx))
        if self.failure is not None:
            raise self.failure
        with self._storage.begin() as tx:
            return work(tx)


class GivingUpStorage:
    """A storage that gives transactions up before their commit, at a step that the test chooses.

    A step is a call of a repository, or the commit, which then does not happen.

    Attributes:
        transactions: how many were begun.
        gave_up: how many transactions it gave up.
        joined: the storage within a host's transaction that was asked for last.
    """

    joined: GivingUpStorage

    def __init__(self, storage: Storage, error: Callable[[], Exception]) -> None:
        self._storage = storage
        self._error = error
        self.transactions: int = 0
        self.gave_up: int = 0
        self._wait = 0
        self._left = 0
        self._place = 0
        self._commits_only = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def give_up(self, step: int, times: int = 1, *, commits_only: bool = False) -> None:
        """Give up at a step, counted from 1 and from now on, and at the same place of the transactions after it."""
        self.transactions = self.gave_up = self._place = 0
        self._wait, self._left, self._commits_only = step, times, commits_only

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[Any]:
        self.transactions += 1
        places = count(1)

        def step(*, commit: bool = False) -> None:
            place = next(places)
            self._wait -= commit or not self._commits_only
            due = place == self._place if self._place else self._wait == 0
            if self._left and due:
                self._place, self._left, self.gave_up = place, self._left - 1, self.gave_up + 1
                raise self._error()

        with self._storage.begin(write=write) as tx:
            yield _Stepwise(tx, step)

    def join(self, connection: Any) -> Storage:
        self.joined = GivingUpStorage(self._storage.join(connection._tx), self._error)
        return self.joined

    @contextmanager
    def import_codes(self, upload: Any, scope: str, counts: Any) -> Iterator[Any]:
        with self._storage.import_codes(upload, scope, counts) as importing:
            yield _Publishing(importing)


class _Stepwise:
    """A transaction whose steps are told before they are made."""

    def __init__(self, tx: Any, step: Callable[..., None]) -> None:
        self._tx = tx
        self._step = step

    def __getattr__(self, name: str) -> Any:
        return _Told(getattr(self._tx, name), self._step)

    def commit(self) -> None:
        self._step(commit=True)
        self._tx.commit()


class _Told:
    def __init__(self, repository: Any, step: Callable[..., None]) -> None:
        self._repository = repository
        self._step = step

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._repository, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self._step()
            return method(*arguments, **named)

        return call


class _Publishing:
    """An import that knows the storage's own transactions only."""

    def __init__(self, importing: Any) -> None:
        self._importing = importing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._importing, name)

    def publish(self, tx: Any) -> Any:
        return self._importing.publish(tx._tx)
