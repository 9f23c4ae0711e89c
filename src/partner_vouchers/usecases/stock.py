"""Tell the host once when a list is running low or empty."""

from __future__ import annotations

from datetime import datetime

from partner_vouchers.domain.assignment import stock_alerts
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.ports import Transaction


def notify_stock_level(
    tx: Transaction, voucher_list: VoucherList, notified: StockLevel, counts: Counts, now: datetime
) -> None:
    """Store the due events of a list's stock, and the level that they notify.

    Args:
        tx: the transaction that changed the stock.
        voucher_list: the list.
        notified: the level that was notified last.
        counts: its counters now.
        now: the present instant.
    """
    level, events = stock_alerts(voucher_list, notified, counts, now)
    if events:
        tx.outbox.append(events)
    if level is not notified:
        tx.lists.set_notified_level(voucher_list.id, level)
