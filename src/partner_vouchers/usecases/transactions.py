"""Run a use case in a transaction: the one place that says what may be repeated, and that opens the storage."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from partner_vouchers.errors import (
    ConnectionLost,
    DuplicatePolicyMismatch,
    TransactionConflict,
)
from partner_vouchers.ports import Transaction

if TYPE_CHECKING:
    from partner_vouchers.usecases.wiring import Wiring

T = TypeVar("T")

_LOG = logging.getLogger("partner_vouchers.transactions")
_POLICY_SETTING = "duplicate policy"

PAUSES = (0.05, 0.25)
"""Seconds to wait before each further attempt."""

SLOW = 1.0
"""Seconds from which on a transaction of a call is logged as slow, with what it waited for."""

_SLOW_LOG = logging.getLogger("partner_vouchers.calls")


def run_in_transaction(
    wiring: Wiring, work: Callable[..., T], arguments: tuple[Any, ...], *, write: bool, alone: bool = False
) -> T:
    """Run the work of a use case in one transaction, and return its result.

    If the storage rolled the transaction back before its commit (`TransactionConflict`, `ConnectionLost`), all of the
    work is run again in a new transaction. Everything else is for the caller: an error of a rule stays one, a call
    that waited for a timeout would wait again, a commit without an answer may have succeeded, and of a host's
    transaction only a part is known here.

    The first call of a process also checks the duplicate policy of the storage.

    Args:
        wiring: the collaborators.
        work: is called with the transaction and `arguments`, and commits it. Before the commit it changes nothing but
            the storage, unless the operation is idempotent; after it, it does not use the storage.
        arguments: its other arguments.
        write: False for work that only reads.
        alone: True for work that must run in this thread and commit by itself. Other work that writes may be run by
            another thread, together with other calls, where the storage can do that (`ports.SharesCommits`).

    Raises:
        TransactionConflict: also after the last attempt.
        ConnectionLost: also after the last attempt.
        DuplicatePolicyMismatch: the storage was set up with another duplicate policy.
    """
    started = time.monotonic()
    try:
        if not wiring.policy_check.passed:
            check_policy(wiring, write=write)
        return _repeat(wiring, work, arguments, write=write, alone=alone)
    finally:
        seconds = time.monotonic() - started
        if seconds >= SLOW:
            _SLOW_LOG.warning("%s took %.1f s for a transaction", _name_of_call(work), seconds)


def check_policy(wiring: Wiring, *, write: bool = True) -> None:
    """Open the storage, and check that it was set up with the duplicate policy of this process.

    Args:
        wiring: the collaborators.
        write: True to set it up with this policy if it was not set up before.

    Raises:
        DuplicatePolicyMismatch: it was set up with another one.
        StorageError: it cannot be used.
    """
    given, check = wiring.duplicates.name, wiring.policy_check
    joined = wiring.in_host_transaction
    # A host's transaction that will write must not begin by reading: it could not wait for the lock any more.
    stored = _repeat(wiring, lambda tx: tx.settings.get(_POLICY_SETTING), (), write=write and joined)
    if stored is None and write:
        stored = _repeat(wiring, _remember_policy, (given,), write=True)
        check.in_doubt = joined
    if stored is None:
        return
    if stored != given:
        raise DuplicatePolicyMismatch(stored=stored, given=given)
    check.in_doubt = check.in_doubt and joined
    check.passed = not check.in_doubt


def _repeat(
    wiring: Wiring, work: Callable[..., T], arguments: tuple[Any, ...], *, write: bool, alone: bool = False
) -> T:
    attempts = 1
    while True:
        try:
            storage: Any = wiring.storage
            if write and not (alone or wiring.in_host_transaction) and hasattr(type(storage), "run_shared"):
                result: T = storage.run_shared((lambda tx: work(tx, *arguments)) if arguments else work)
                return result
            context = storage.begin(write=write)
            try:
                with context as tx:
                    return work(tx, *arguments)
            except BaseException:
                # A signal handler may raise between any two instructions, also where the context is entered or left.
                getattr(context, "abandon", lambda: None)()
                raise
        except (TransactionConflict, ConnectionLost) as error:
            error.attempts = attempts
            if wiring.in_host_transaction or attempts > len(PAUSES):
                raise
            _LOG.info("attempt %d in a new transaction: %s", attempts + 1, error)
        wiring.pause(PAUSES[attempts - 1])
        attempts += 1


def _remember_policy(tx: Transaction, given: str) -> str:
    stored = tx.settings.get(_POLICY_SETTING)
    if stored is not None:
        return stored
    tx.settings.put(_POLICY_SETTING, given)
    tx.commit()
    return given


def _name_of_call(work: Callable[..., object]) -> str:
    """Return the public name of the call that this thread is in, such as `codes.assign`."""
    # Where no group was called, as by the thread of a relay: such as `store`.
    name = inner = _method(getattr(work, "__qualname__", "a call"))
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("partner_vouchers.usecases."):
            group = type(frame.f_locals.get("self")).__name__
            if group.endswith("Group"):
                method = frame.f_code.co_name
                called = inner if method == "_stream" else _method(frame.f_code.co_qualname)
                name = f"{group.removesuffix('Group').lower()}.{called}"
        frame = frame.f_back
    return name


def _method(qualname: str) -> str:
    """Return `create` for `ListsGroup.create.<locals>.work`."""
    return qualname.partition(".<locals>")[0].rpartition(".")[2].lstrip("_")
