from __future__ import annotations

from typing import Any

from partner_vouchers.domain.events import Event, StockLow
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.ports import OutboxEntry
from tests.support.promo import AT, an_event

NOW = AT.timestamp() + 60


def entry(event: Event, number: int = 1) -> OutboxEntry:
    return OutboxEntry(f"s-{number}", number, event)


def rewards(count: int, **changed: Any) -> list[OutboxEntry]:
    """Return an event each for so many users."""
    return [
        entry(an_event(VoucherRewarded, user_id=f"user-{number}", **changed), number)
        for number in range(1, count + 1)
    ]


LOW = StockLow(occurred_at=AT, list_id="1837", partner="Puma", list_tag="winter", available=3)
