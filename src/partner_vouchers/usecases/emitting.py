"""Store the promo events that a host raises, for every sink to get."""

from __future__ import annotations

from typing import Final

from partner_vouchers.domain.promo_events import HOST_EVENTS, HostEvent, VoucherRewarded
from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.wiring import Wiring

_KNOWN: Final = ", ".join(kind.__name__ for kind in HOST_EVENTS)


def emit(wiring: Wiring, event: HostEvent) -> None:
    """Write an event to the outbox. It checked itself when it was made.

    Raises:
        InvalidInput: it is not for a host to raise.
    """
    if isinstance(event, VoucherRewarded):
        raise InvalidInput(
            field="event",
            reason="is written by codes.assign, once for each code; emit does not take a second one",
        )
    # A class derived from one of these would come back from the storage as another.
    if type(event) not in HOST_EVENTS:
        raise InvalidInput(field="event", reason=f"must be one of {_KNOWN}, not {type(event).__name__}")
    wiring.write(_store, event)


def _store(tx: Transaction, event: HostEvent) -> None:
    tx.outbox.append([event])
    tx.commit()
