"""Which events are not sent any more."""

from __future__ import annotations

from collections.abc import Collection

from partner_vouchers.errors import Unsupported
from partner_vouchers.ports import Transaction, Unsent

ERASURES = "erasures"
"""The name of the setting that changes whenever a user is forgotten."""


def unsent_events(tx: Transaction, positions: Collection[int]) -> Unsent:
    """Return which events must not be sent; none in a storage without revocations."""
    try:
        return tx.revocations.unsent(positions)
    except Unsupported:
        return Unsent()
