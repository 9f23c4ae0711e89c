"""What a part knows that asks other parts of its transaction."""

from __future__ import annotations

from typing import Generic, TypeVar

from partner_vouchers.ports.transaction import Transaction

Tx = TypeVar("Tx", bound=Transaction)


class Part(Generic[Tx]):
    """A part of a transaction of some type.

    Attributes:
        tx: the transaction. The subclass sets it.
    """

    tx: Tx
