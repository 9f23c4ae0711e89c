"""The events in PostgreSQL, which get their positions after they are committed."""

from __future__ import annotations

from partner_vouchers.adapters.sql.outbox import SqlOutbox
from partner_vouchers.adapters.sql.session import first
from partner_vouchers.ports import Unordered

_AT_ONCE = 10_000


class PostgresOutbox(SqlOutbox):
    """The events on their way to the sinks.

    Rows are numbered before their transactions commit, in another order than these do. So an event gets its position
    once its transaction is older than every one that still runs: no event can appear before it any more.
    """

    def can_order(self) -> bool:
        return bool(self._db.fetch("can_order"))

    def order(self) -> bool:
        # One at a time: a reader must never see a position before a lower one.
        self._db.lock("event order")
        return self._db.change("order_events") >= _AT_ONCE

    def unordered(self, limit: int) -> Unordered:
        ((count,),) = self._db.fetch("count_unordered", limit)
        if not count:
            return Unordered()
        oldest = self._entries(self._db.fetch("oldest_unordered"))
        held_back = self._entries(self._db.fetch("oldest_held_back"))
        return Unordered(int(count), first(oldest), first(held_back))
