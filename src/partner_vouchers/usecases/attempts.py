"""Run a use case in a transaction, by the name that other modules still use; see `Wiring.read` and `Wiring.write`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.wiring import Wiring

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def transact(
    wiring: Wiring,
    work: Callable[[Transaction, *Arguments], T],
    *arguments: *Arguments,
    write: bool = True,
) -> T:
    """Run the work of a use case in one transaction, and return its result."""
    return wiring.write(work, *arguments) if write else wiring.read(work, *arguments)
