"""Group commit: threads that wait for the same disk share one durable commit.

Whoever finds no other writer leads. The leader runs its own work, then that of the calls that queue behind it, each in
a savepoint, for a few milliseconds, commits once, and wakes their threads with their own result or error. No thread is
started. If no other thread waits, a call commits at once.

An exception that does not come from the work of a call, such as that of a signal handler, ends the leader alone: its
transaction is rolled back, and the other calls are run again by the next leader. The main thread, in which signals are
handled, never runs the work of others.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from copy import copy
from typing import Any, Generic, TypeVar, cast

from partner_vouchers.adapters.sqlite.connections import Connection
from partner_vouchers.adapters.sqlite.contexts import WriteContext, queue_for
from partner_vouchers.adapters.sqlite.driver import translated
from partner_vouchers.adapters.sqlite.transaction import SQLiteTransaction
from partner_vouchers.errors import PartnerVouchersError, StorageBusy, StorageError
from partner_vouchers.locks import Place, Token

T = TypeVar("T")

Work = Callable[[SQLiteTransaction], T]

_LEAD_SECONDS = 0.004
"""How long a leader begins to run the work of others."""

_LOOK_AGAIN = 0.00005
_COMMIT = ("COMMIT",)


class _Batch:
    """The calls that one commit makes durable.

    Attributes:
        leader: the place of the leader.
        committed: not empty once the commit was made.
        failure: why the commit failed.
    """

    def __init__(self, leader: Place) -> None:
        self.leader = leader
        self.committed: list[object] = []
        self.failure: StorageError | None = None

    @property
    def is_resolved(self) -> bool:
        return bool(self.committed) or self.failure is not None


class _Call(Place, Generic[T]):
    """A call in the queue of the writers.

    Attributes:
        work: the function of a transaction.
        batch: the batch whose leader runs it.
        outcome: whether it returned, and what it returned or raised; it counts once the batch is committed.
        alone: whether its own thread must run it.
    """

    work: Work[T]
    batch: _Batch | None = None
    outcome: tuple[bool, Any] | None = None
    alone = False

    @property
    def finished(self) -> bool:
        return self.done or self.token() is None or self.is_resolved

    @property
    def is_resolved(self) -> bool:
        """Whether another thread has brought the call to its end."""
        return self.batch is not None and self.outcome is not None and self.batch.is_resolved

    def result(self) -> Any:
        """Return what the work returned.

        Raises:
            StorageError: the commit failed.
            Exception: what the work raised.
        """
        assert self.batch is not None
        assert self.outcome is not None
        if self.batch.failure is not None:
            # Each thread raises its own error object.
            raise copy(self.batch.failure)
        returned, value = self.outcome
        if not returned:
            raise value
        return value


class _DoneByAnother(Exception):
    """Another thread has brought the call to its end."""


class SharedWrite(WriteContext, Generic[T]):
    """Runs a function in a transaction that writes, and may share its commit with other threads."""

    _call: _Call[T]
    _is_deferred = False

    _work: Work[T]

    def run(self, work: Work[T]) -> T:
        """Run the function, or have it run by another thread; return what it returns.

        Raises:
            StorageError: the transaction could not be begun or committed.
            Exception: what the function raises.
        """
        self._work = work
        try:
            with self as tx:
                try:
                    result = work(tx)
                except PartnerVouchersError:
                    if self._is_deferred:
                        self._lead()
                    raise
                if self._is_deferred:
                    self._lead()
                return result
        except _DoneByAnother:
            pass
        try:
            return cast(T, self._call.result())
        finally:
            # The batch refers to its leader, which refers to all later members: free them at once.
            self._call.done = True
            self._call.batch = None

    def _queue(self, token: Token) -> None:
        call: _Call[T] = _Call(token)
        self._call = self._place = call
        call.work = self._work
        try:
            queue_for(self._pool, call)
        except StorageBusy:
            # A leader may have begun to run it in this very moment.
            batch = call.batch
            while batch is not None and not (batch.is_resolved or batch.leader.finished):
                time.sleep(_LOOK_AGAIN)
            if not call.is_resolved:
                raise
        if call.batch is not None:
            if call.is_resolved:
                raise _DoneByAnother
            call.batch = call.outcome = None

    def _lead(self) -> None:
        """Run the work of others, and commit."""
        assert self._connection is not None
        batch = _Batch(self._call)
        members = self._run_others(batch, self._connection)
        self._commit_all(batch, members, self._connection)
        if batch.failure is not None:
            raise batch.failure

    def _do_commit(self) -> None:
        # Signals are handled in the main thread, and belong to its own call.
        if (
            self._call.after
            and _next_call(self._call) is not None
            and threading.get_ident() != threading.main_thread().ident
        ):
            self._require_this_process()
            self._is_deferred = True
        else:
            WriteContext._do_commit(self)

    def _run_others(self, batch: _Batch, connection: Connection) -> list[_Call[Any]]:
        members: list[_Call[Any]] = []
        until = time.perf_counter() + _LEAD_SECONDS
        last: Place = batch.leader
        while time.perf_counter() < until and (call := _next_call(last)) is not None:
            last = call
            call.batch = batch
            # The thread of the call looks for a batch after it has given up.
            if call.finished:
                call.batch = None
            elif self._run_one(call, connection):
                members.append(call)
            else:
                call.batch = None
                break
        return members

    def _run_one(self, call: _Call[Any], connection: Connection) -> bool:
        """Run the work of another thread; return False where that thread must do it itself."""
        try:
            call.outcome = self._attempt(call.work, connection)
        except Exception as error:
            if isinstance(error, sqlite3.Error) or not connection.in_transaction:
                raise
            try:
                self._attempt(call.work, connection)
            except Exception:  # noqa: BLE001 - a fault of the work, which its own thread will see
                call.alone = True
                return False
            # It was sent to this thread, and is none of the work.
            raise
        return True

    def _attempt(self, work: Work[T], connection: Connection) -> tuple[bool, Any]:
        session = self._pool.session(connection)
        tx = SQLiteTransaction(session, self._catalog, lambda: tx.expire())
        session.execute("SAVEPOINT pv_call")
        outcome: tuple[bool, Any]
        try:
            outcome = True, work(tx)
        except PartnerVouchersError as error:
            outcome = False, error
        finally:
            is_committed = tx.expired
            tx.expire()
            if connection.in_transaction:
                if not is_committed:
                    session.execute("ROLLBACK TO pv_call")
                session.execute("RELEASE pv_call")
        return outcome

    def _commit_all(self, batch: _Batch, members: list[_Call[Any]], connection: Connection) -> None:
        try:
            self._pool.file.require_same(self._files)
            self._checked = True
            # In one step: no exception comes between the commit and the note that it was made.
            batch.committed.extend(map(connection.execute, _COMMIT))
        except StorageError as error:
            batch.failure = error
        except sqlite3.Error as error:
            batch.failure = translated(error)
        finally:
            for member in members:
                member.ring()


def _next_call(place: Place) -> _Call[Any] | None:
    """Return the call that queues behind a place, if others may run it."""
    follower = place.follower
    return follower if isinstance(follower, _Call) and not follower.alone else None
