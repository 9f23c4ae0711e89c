"""Announce that lists have expired, since nothing happens when they do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from partner_vouchers.domain.events import ListExpired, ListExpiringSoon
from partner_vouchers.domain.lifecycle import Status, criteria_for
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.ports import ListOrder, ListQuery, SortKey, Transaction
from partner_vouchers.usecases.wiring import Wiring

_ANNOUNCED = "list.expired announced"
_AT_ONCE = 100

Find = Callable[[Transaction, datetime, int], list[VoucherList]]
Announce = Callable[[Transaction, datetime], int]


def announce_expired(wiring: Wiring) -> int:
    """Store an event for each list that expires soon or has expired since it was last looked; return how many.

    The lists are walked through by their expiry, and the storage remembers how far. One that is extended comes
    later in this order, and is announced again.
    """
    steps: tuple[tuple[Find, Announce], ...] = (_expiring, _announce_soon), (_expired, _announce)
    announced = 0
    for find, announce in steps:
        while wiring.read(find, now := wiring.now(), 1):
            announced += wiring.write(announce, now)
    return announced


def _expiring(tx: Transaction, now: datetime, limit: int) -> list[VoucherList]:
    return tx.lists.expiring(now, limit)


def _announce_soon(tx: Transaction, now: datetime) -> int:
    found = [each for each in _expiring(tx, now, _AT_ONCE) if tx.lists.set_expiring(each.id)]
    tx.outbox.append([_soon_event(each) for each in found])
    return len(found)


def _announce(tx: Transaction, now: datetime) -> int:
    found = _expired(tx, now, _AT_ONCE)
    if found:
        tx.outbox.append([ListExpired(occurred_at=each.expires_at, **_about(each)) for each in found])
        last = found[-1]
        tx.settings.put(_ANNOUNCED, json.dumps([last.expires_at.isoformat(), last.id]))
    return len(found)


def _expired(tx: Transaction, now: datetime, limit: int) -> list[VoucherList]:
    after: tuple[SortKey, str] | None = None
    announced = tx.settings.get(_ANNOUNCED)
    if announced is not None:
        instant, list_id = json.loads(announced)
        after = datetime.fromisoformat(instant), list_id
    criteria = criteria_for(Status.EXPIRED, now)
    return tx.lists.find(ListQuery(criteria=criteria, order=ListOrder.EXPIRES, after=after, limit=limit))


def _soon_event(expiring: VoucherList) -> ListExpiringSoon:
    since, expires_at = expiring.expiring_soon or timedelta(0), expiring.expires_at
    return ListExpiringSoon(occurred_at=expires_at - since, expires_at=expires_at, **_about(expiring))


def _about(voucher_list: VoucherList) -> dict[str, str]:
    return {"list_id": voucher_list.id, "partner": voucher_list.partner, "list_tag": voucher_list.tag}
