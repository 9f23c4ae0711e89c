"""Tell the host once when a list is running low or empty."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from partner_vouchers.domain.assignment import stock_alerts
from partner_vouchers.domain.stock import Counts, StockLevel, stock_level
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.ports import Transaction


def notify_falling_stock(
    tx: Transaction, voucher_list: VoucherList, notified: StockLevel, counts: Counts, now: datetime
) -> None:
    """Do what `notify_stock_level` does where codes were taken, which never arms an alert again.

    A code that was taken before and came back would do that otherwise.
    """
    if stock_level(counts, voucher_list.low_stock_at, voucher_list.used_before) > notified:
        now_left = _without_run_out(tx, voucher_list.id, counts, now)
        if stock_level(now_left, voucher_list.low_stock_at, voucher_list.used_before) > notified:
            notify_stock_level(tx, voucher_list, notified, now_left, now)


def counts_at(tx: Transaction, list_id: str, now: datetime) -> Counts:
    """Return the counters of a list, which leave out reservations that have run out."""
    return _without_run_out(tx, list_id, tx.codes.counts(list_id), now)


def current(tx: Transaction, voucher_list: VoucherList, now: datetime) -> VoucherList:
    """Return a list whose counters leave out reservations that have run out."""
    return all_current(tx, [voucher_list], now)[0]


def all_current(tx: Transaction, lists: Sequence[VoucherList], now: datetime) -> list[VoucherList]:
    """Return lists whose counters leave out reservations that have run out."""
    reserving = [each.id for each in lists if each.counts.reserved]
    run_out = tx.reservations.run_out(reserving, now) if reserving else {}
    return [
        evolve(each, counts=each.counts.without_run_out(*run_out[each.id])) if each.id in run_out else each
        for each in lists
    ]


def _without_run_out(tx: Transaction, list_id: str, counts: Counts, now: datetime) -> Counts:
    run_out = tx.reservations.run_out([list_id], now) if counts.reserved else {}
    return counts.without_run_out(*run_out[list_id]) if list_id in run_out else counts


def notify_stock_level(
    tx: Transaction, voucher_list: VoucherList, notified: StockLevel, counts: Counts, now: datetime
) -> None:
    """Store the due events of a list's stock, and the level that they notify.

    `notified` is the level that was notified last. `counts` leaves out reservations that have run out.
    """
    level, events = stock_alerts(voucher_list, notified, counts, now)
    if events:
        tx.outbox.append(events)
    if level is not notified:
        tx.lists.set_notified_level(voucher_list.id, level)
