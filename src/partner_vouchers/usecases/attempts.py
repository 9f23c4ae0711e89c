"""One transaction of a use case, and again where that is safe: the one place that says what may be repeated."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from partner_vouchers.errors import ConnectionLost, TransactionConflict
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.wiring import Wiring

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

_LOG = logging.getLogger("partner_vouchers.transactions")

PAUSES = (0.05, 0.25)
"""Seconds to wait before each further attempt."""


def _nothing() -> None:
    """Do nothing: a storage may have no `abandon`."""


def transact(
    wiring: Wiring,
    work: Callable[[Transaction, *Arguments], T],
    *arguments: *Arguments,
    write: bool = True,
) -> T:
    """Do the work of a use case in one transaction, and return what it returns.

    Where the storage gave the transaction up before its commit, as it says by `TransactionConflict` and
    `ConnectionLost`, all of the work is done again in a new transaction. Everything else is for the caller: an error
    of a rule stays one, what waited for a time-out would wait again, a commit without an answer may have been one, and
    of a host's transaction only a part is known here.

    Args:
        wiring: the collaborators.
        work: is given the transaction, and commits it. Before that it changes nothing but the storage, unless doing
            it again is as good; after it, it does not use the storage.
        arguments: what it is given besides.
        write: False for work that only reads.

    Raises:
        TransactionConflict: after the last attempt, too.
        ConnectionLost: after the last attempt, too.
    """
    attempts = 1
    while True:
        context = wiring.storage.begin(write=write)
        try:
            try:
                with context as tx:
                    return work(tx, *arguments)
            except BaseException:
                # A signal handler may raise between any two instructions, also where the context is entered or left.
                getattr(context, "abandon", _nothing)()
                raise
        except (TransactionConflict, ConnectionLost) as error:
            error.attempts = attempts
            if wiring.in_host_transaction or attempts > len(PAUSES):
                raise
            _LOG.info("attempt %d in a new transaction: %s", attempts + 1, error)
        wiring.pause(PAUSES[attempts - 1])
        attempts += 1
