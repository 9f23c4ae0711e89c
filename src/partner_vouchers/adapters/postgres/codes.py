"""The codes in PostgreSQL: a queue for each list, of which each transaction takes what no other is taking."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import itemgetter

from attrs import evolve

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.heads import Heads
from partner_vouchers.adapters.sql.assignments import SqlAssignments
from partner_vouchers.adapters.sql.codes import SqlCodes, taken
from partner_vouchers.adapters.sql.columns import (
    NO_DAY,
    code_id_after,
    first_code_id,
    from_day,
    from_instant,
    last_code_id,
    to_list_number,
    to_low_stock,
    to_number,
)
from partner_vouchers.adapters.sql.reservations import SqlLimits, SqlReservations
from partner_vouchers.adapters.sql.rows import LEVELS, origin_of
from partner_vouchers.adapters.sql.session import Row, first
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.limits import Limit
from partner_vouchers.domain.reservation import Reservation, ReservationState
from partner_vouchers.domain.stock import Counts, LowStock, StockLevel, stock_level
from partner_vouchers.errors import UnknownList
from partner_vouchers.ports import Taken, TakenCode

NEAR = 128
"""How near to the next stock level, in codes, the takers of a list queue to count exactly."""

_NEVER = -(2**62)
"""Microseconds before any instant."""

_MANY_PARTS = 64
"""Above how many parts a counter is summed up."""


class PostgresCodes(SqlCodes):
    """The published codes. Taking costs the same at a thousand codes and at a million."""

    def __init__(self, db: Session, heads: Heads, last_taken: dict[int, int]) -> None:
        self._db: Session = db
        self._heads = heads
        self._last_taken = last_taken

    def take(
        self,
        list_id: str,
        limit: int,
        now: datetime | None = None,
        *,
        run_out_first: bool = True,
        reserve_until: datetime | None = None,
    ) -> Taken:
        number, db, reserves = to_list_number(list_id), self._db, reserve_until is not None
        take = partial(self._take, list_id, number, now=now, reserves=reserves)
        db.share_list(number)
        start = self._heads.emptied(number) or first_code_id(number)
        after = self._last_taken.get(number) or self._heads.after(number, start)
        codes, stock = take(start, after, limit, looks_for_run_out=run_out_first)
        if stock.run_out:
            return Taken((), stock.counts, stock.notified, run_out=True)
        if len(codes) < limit and after > max(start, stock.emptied):
            # What a rollback gave back lies further in front.
            self._heads.forget(number)
            more, stock = take(start, start, limit - len(codes), looks_for_run_out=False)
            codes += more
        if not db.joined and self._is_near(stock):
            # One after the other, until the level is notified. A host's transaction would keep the others waiting
            # for too long: what it takes is notified by whoever asks next.
            db.lock("stock", str(number))
            more, stock = take(start, start, limit - len(codes), looks_for_run_out=False)
            codes += more
        elif codes and stock.parts > _MANY_PARTS and not db.joined:
            db.change("sum_up_parts", number, number, number)
        taken_in_order = [row[0] for row in codes if row[2]]
        if taken_in_order:
            self._last_taken[number] = taken_in_order[-1]
        if stock.counts.available <= 0 and stock.published > stock.emptied and not db.joined:
            self._mark_emptied(number, stock)
        level = self._notified(number, stock)
        in_order = sorted(codes, key=itemgetter(2, 0))
        return Taken([TakenCode(str(row[0]), row[1]) for row in in_order], stock.counts, level)

    def withdraw(self, upload_id: str) -> int:
        db, upload = self._db, to_number(upload_id)
        row = first(db.fetch("range_of_upload", upload))
        if row is None or row[1] is None or not db.change("mark_withdrawn", upload):
            return 0
        codes = db.change("delete_codes_between", row[1], row[2])
        codes += db.change("delete_returned_between", row[1], row[2])
        bounds = first_code_id(row[0]), last_code_id(row[0])
        codes += db.change("delete_restocked_of_upload", *bounds, row[1], row[2])
        if codes:
            db.change("count_withdrawn", codes, row[0])
        return codes

    def remaining(self, list_id: str, after: str | None, limit: int) -> list[TakenCode]:
        number = to_list_number(list_id)
        start = code_id_after(after, first_code_id(number))
        rows = self._db.fetch("remaining_codes", start, number, limit)
        rows = sorted(rows + self._db.fetch("returned_codes", start, last_code_id(number), limit))[:limit]
        return [TakenCode(str(code_id), code) for code_id, code in rows]

    def _take(
        self,
        list_id: str,
        number: int,
        start: int,
        after: int,
        limit: int,
        *,
        now: datetime | None,
        reserves: bool,
        looks_for_run_out: bool,
    ) -> tuple[list[Row], _Stock]:
        run_out = from_instant(now) if now is not None and looks_for_run_out else _NEVER
        day = NO_DAY if now is None else from_day(now)
        bounds = first_code_id(number), last_code_id(number)
        asked = start, run_out, number, *bounds, limit, after, limit, day, day, int(reserves)
        rows = self._db.fetch("take_codes", *asked)
        if not rows:
            raise UnknownList(list_id=list_id)
        codes = [row[:3] for row in rows if row[0] is not None]
        return codes, _Stock(rows[0][3:], len(codes), reserves)

    def _is_near(self, stock: _Stock) -> bool:
        """Whether those who take codes at the same time could bring the list to another level."""
        near = evolve(stock.counts, distributed=stock.counts.distributed + NEAR)
        return stock_level(near, stock.low_stock_at, stock.used_before) > stock.notified

    def _mark_emptied(self, number: int, stock: _Stock) -> None:
        """Note that the list is empty, so that the next request need not look through the index for what is gone."""
        marked = self._db.change("mark_emptied", number, stock.published, stock.emptied)
        if marked and number not in self._last_taken:
            # This stays true also when the transaction is rolled back.
            self._heads.set_emptied(number, stock.published)

    def _notified(self, number: int, stock: _Stock) -> StockLevel:
        """Return the level notified last, and lock it where this transaction should notify another."""
        level = stock_level(stock.counts, stock.low_stock_at, stock.used_before)
        if level <= stock.notified:
            return stock.notified
        row = first(self._db.fetch("lock_level", number))
        # Where another transaction has it, that one is about to notify; if it is undone, the next request does.
        return level if row is None else LEVELS[row[0]]


class PostgresAssignments(SqlAssignments):
    _db: Session

    def add(self, assignments: Sequence[Assignment]) -> None:
        rows = [
            (
                to_number(given.id),
                given.code,
                given.user_id,
                origin_of(given.campaign_id, given.list_id),
                given.ordinal,
                from_instant(given.assigned_at),
                given.snapshot.version,
            )
            for given in assignments
        ]
        if len(rows) == 1:
            self._db.queue("add_assignment", *rows[0])
        elif rows:
            self._db.insert_columns("add_assignments", *zip(*rows, strict=True))


class PostgresReservations(SqlReservations):
    def get_for_update(self, reservation_id: str) -> Reservation | None:
        self._lock(reservation_id)
        return super().get_for_update(reservation_id)

    def confirm(self, reservation_id: str, now: datetime) -> Assignment | None:
        self._lock(reservation_id)
        given = super().confirm(reservation_id, now)
        if given is not None:
            self._share_counts([given])
        return given

    def _lock(self, reservation_id: str) -> None:
        """Lock what an open reservation needs, in the order in which it is locked where a code is assigned."""
        found = self.get(reservation_id)
        if found is not None and found.state is ReservationState.OPEN:
            self._db.share_list(to_list_number(found.list_id))
            self._db.lock("user", found.user_id, origin_of(found.campaign_id, found.list_id))

    def end(self, reservation: Reservation, state: ReservationState, at: datetime) -> None:
        self._share_counts([reservation])
        super().end(reservation, state, at)

    def end_run_out(
        self, now: datetime, limit: int, *, list_id: str | None = None, campaign_id: str | None = None
    ) -> list[Reservation]:
        ended = super().end_run_out(now, limit, list_id=list_id, campaign_id=campaign_id)
        self._share_counts(ended)
        return ended

    def _share_counts(self, codes: Sequence[Assignment | Reservation]) -> None:
        for origin in sorted({origin_of(each.campaign_id, each.list_id) for each in codes}):
            self._db.share("counts", origin)


class PostgresLimits(SqlLimits):
    """The limits of campaigns. Far from a limit, transactions count at the same time; near it, one after the other.

    The lock of a campaign's limits is shared by those who are far: each connection then has at most one code that
    others do not see. Who has it alone knows the count exactly.
    """

    _db: Session

    def get_for_update(self, campaign_id: str) -> tuple[Limit, ...]:
        db = self._db
        # Lists before links, as whoever links a list does.
        for number in self._lists_of(campaign_id):
            db.lock_list(number)
        db.lock("links", campaign_id)
        for number in self._lists_of(campaign_id):
            db.lock_list(number)
        db.lock("limits", campaign_id)
        # The codes that count may be of lists that are not linked any more: they are confirmed and come back without
        # the locks above.
        db.lock("counts", origin_of(campaign_id, None))
        return self.get(campaign_id)

    def counts_for_update(self, campaign_id: str, most: Mapping[str, int], codes: int) -> dict[str, int]:
        db = self._db
        if codes == 1 and not db.joined:
            counts, connections = self._counted(campaign_id, most)
            if all(counts[key] + 2 * connections <= limit for key, limit in most.items()):
                db.share("limits", campaign_id)
                counts, connections = self._counted(campaign_id, most)
                if all(counts[key] + connections <= limit for key, limit in most.items()):
                    return counts
        db.lock("limits", campaign_id)
        return self.counts(campaign_id, most)

    def _counted(self, campaign_id: str, keys: Collection[str]) -> tuple[dict[str, int], int]:
        """Return the counts, and how many connections may have counted a code that is not committed."""
        rows = [(key, *self._db.fetch("limit_count", campaign_id, key)[0]) for key in keys]
        return {key: int(codes) for key, codes, _ in rows}, max(connections for _, _, connections in rows)

    def _lists_of(self, campaign_id: str) -> Collection[int]:
        return sorted({row[0] for row in self._db.fetch("catalog_versions", campaign_id)})


class _Stock:
    """The state of a list after codes were taken."""

    def __init__(self, row: Row, count: int, reserves: bool) -> None:
        self.run_out: bool = row[0]
        self.published: int = row[1]
        self.emptied: int = row[2]
        found = taken((), row[3:9], *(0, count) if reserves else (count,))
        self.counts: Counts = found.counts
        self.notified: StockLevel = found.notified
        self.low_stock_at: LowStock | None = to_low_stock(row[9])
        self.used_before: int = row[10]
        self.parts: int = row[11]
