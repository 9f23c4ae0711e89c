"""The codes in SQLite: an append-only log for each list, and a cursor that moves along it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from partner_vouchers.adapters.sql.assignments import SqlAssignments
from partner_vouchers.adapters.sql.campaigns import Catalog
from partner_vouchers.adapters.sql.codes import SqlCodes, taken
from partner_vouchers.adapters.sql.columns import (
    NO_DAY,
    POSITION_BITS,
    code_id_after,
    first_code_id,
    from_day,
    from_instant,
    last_code_id,
    to_list_number,
    to_number,
)
from partner_vouchers.adapters.sql.reservations import (
    SqlLimits,
    SqlReservations,
    to_expiry,
)
from partner_vouchers.adapters.sql.rows import campaign_of, origin_of, snapshot_from_row
from partner_vouchers.adapters.sql.session import Row, first
from partner_vouchers.adapters.sqlite.session import STATEMENTS, SQLiteSession
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.reservation import Reservation
from partner_vouchers.errors import UnknownList
from partner_vouchers.ports import Taken, TakenCode

_NEXT_CODES = STATEMENTS["next_codes"]
_ADVANCE_CURSOR = STATEMENTS["advance_cursor"]
_RESERVE = STATEMENTS["advance_cursor_and_reserve"]
_ADD_ASSIGNMENT = STATEMENTS["add_assignment"]
_ADD_REWARD_EVENT = STATEMENTS["add_reward_event"]
_ADD_RESERVATION = STATEMENTS["add_reservation"]
_OPEN_RESERVATION = STATEMENTS["open_reservation"]
_COUNT_CONFIRMED = STATEMENTS["count_confirmed_today"]


class SQLiteCodes(SqlCodes):
    """The published codes. Taking costs the same at a thousand codes and at a million."""

    def __init__(self, db: SQLiteSession) -> None:
        self._db: SQLiteSession = db

    def take(
        self,
        list_id: str,
        limit: int,
        now: datetime | None = None,
        *,
        run_out_first: bool = True,
        reserve_until: datetime | None = None,
    ) -> Taken:
        number = to_list_number(list_id)
        until = None if reserve_until is None else from_instant(reserve_until)
        execute = self._db.execute
        rows = execute(_NEXT_CODES, (number, limit)).fetchall()
        if not rows:
            raise UnknownList(list_id=list_id)
        last = rows[-1]
        if last[3] or (last[4] is not None and run_out_first and _has_run_out(last[4], now)):
            return self._take_with_care(list_id, limit, now, run_out_first, until)
        if last[0] is None:
            return taken((), last[6:], 0)
        if now is None or last[5] != from_day(now) or last[0] >= last[2]:
            return self._take_with_care(list_id, limit, now, run_out_first, until)
        count = len(rows)
        if until is None:
            execute(_ADVANCE_CURSOR, (last[0], count, count, number))
            return taken(rows, last[6:], count)
        execute(_RESERVE, (last[0], count, number))
        self._note_run_out(number, last[4], until)
        return taken(rows, last[6:], 0, count)

    def withdraw(self, upload_id: str) -> int:
        db, upload = self._db, to_number(upload_id)
        row = first(db.fetch("range_of_upload", upload))
        if row is None or not db.change("mark_withdrawn", upload):
            return 0
        number, first_id, last_id, cursor = row
        returned = [code_id for code_id, _ in db.fetch("returned_codes", first_id - 1, last_id, -1)]
        bounds = first_code_id(number), last_code_id(number)
        returned += [row[0] for row in db.fetch("restocked_of_upload", *bounds, first_id, last_id)]
        if returned:
            db.queue_many("delete_returned", [(code_id,) for code_id in returned])
            db.queue_many("add_dead_range", _ranges(returned))
            db.change("count_returned_withdrawn", len(returned), number)
        start = max(first_id, cursor + 1)
        codes: int = db.fetch("codes_left_of_upload", upload)[0][0] if start <= last_id else 0
        if codes:
            db.change("add_dead_range", start, last_id)
            db.change("count_withdrawn", codes, number)
            db.change("refresh_skip", number)
        return codes + len(returned)

    def remaining(self, list_id: str, after: str | None, limit: int) -> list[TakenCode]:
        number = to_list_number(list_id)
        row = first(self._db.fetch("stock_of_list", number))
        if row is None:
            return []
        cursor, published, returned, *_ = row
        rows, _ = self._walk(number, code_id_after(after, cursor), published, limit)
        if returned:
            start = code_id_after(after, first_code_id(number))
            rows += self._db.fetch("returned_codes", start, last_code_id(number), limit)
            rows = sorted(rows)[:limit]
        return [TakenCode(str(code_id), code) for code_id, code in rows]

    def _take_with_care(
        self, list_id: str, limit: int, now: datetime | None, run_out_first: bool, until: int | None
    ) -> Taken:
        """Take codes of a list of which some came back, are dead, or are to come back first, or on a new day."""
        number = to_list_number(list_id)
        row = first(self._db.fetch("stock_of_list", number))
        if row is None:
            raise UnknownList(list_id=list_id)
        cursor, published, returned, next_run_out, day, *counters = row
        if run_out_first and _has_run_out(next_run_out, now):
            return taken((), counters, 0, run_out=True)
        today = NO_DAY if now is None else from_day(now)
        if today not in (NO_DAY, day):
            self._db.change("keep_day", number)
            self._db.change("begin_day", today, number)
        codes: list[Row] = []
        if returned:
            codes = self._db.fetch("returned_codes", first_code_id(number), last_code_id(number), limit)
            self._db.queue_many("delete_returned", [row[:1] for row in codes])
            self._db.change("take_out_returned", len(codes), number)
        if len(codes) < limit and cursor < published:
            rows, reached = self._walk(number, cursor, published, limit - len(codes))
            codes += rows
            if reached > cursor:
                self._db.change("move_cursor", reached, number)
                self._db.change("refresh_skip", number)
        count = len(codes)
        if until is None:
            self._db.change("count_distributed", count, count if today else 0, number)
            return taken(codes, counters, count)
        self._db.change("count_reserved", count, number)
        if count:
            self._note_run_out(number, next_run_out, until)
        return taken(codes, counters, 0, count)

    def _note_run_out(self, number: int, known: int | None, until: int) -> None:
        """Note when the next reservation of a list runs out; seldom, since the column is in an index."""
        if known is None or until < known:
            self._db.change("set_next_run_out", until, number)

    def _walk(self, number: int, cursor: int, published: int, limit: int) -> tuple[list[Row], int]:
        """Return codes behind `cursor` that are not dead, and how far the walk went."""
        found: list[Row] = []
        while len(found) < limit:
            dead = first(self._db.fetch("next_dead_range", first_code_id(number), published, cursor))
            end = published if dead is None else dead[0] - 1
            rows = self._db.fetch("codes_between", cursor, end, limit - len(found))
            found += rows
            if len(found) == limit or dead is None:
                return found, rows[-1][0] if rows else cursor
            cursor = dead[1]
        return found, cursor


def _has_run_out(next_run_out: int | None, now: datetime | None) -> bool:
    return next_run_out is not None and now is not None and next_run_out <= from_instant(now)


def _ranges(ids: Sequence[int]) -> list[tuple[int, int]]:
    """Return growing ids as ranges without gaps."""
    ranges: list[tuple[int, int]] = []
    for each in ids:
        start = ranges.pop()[0] if ranges and ranges[-1][1] == each - 1 else each
        ranges.append((start, each))
    return ranges


class SQLiteReservations(SqlReservations):
    def __init__(self, db: SQLiteSession, catalog: Catalog) -> None:
        self._db: SQLiteSession = db
        self._catalog = catalog

    def add(self, reservations: Sequence[Reservation]) -> None:
        for each in reservations:
            row = (
                each.id,
                int(each.code_id),
                int(each.list_id),
                each.user_id,
                origin_of(each.campaign_id, each.list_id),
                from_instant(each.reserved_at),
                to_expiry(each),
            )
            self._db.execute(_ADD_RESERVATION, row)

    def confirm(self, reservation_id: str, now: datetime) -> Assignment | None:
        # SQLite reads the number in it.
        code_id, execute = reservation_id.partition("-")[0], self._db.execute
        row = execute(_OPEN_RESERVATION, (code_id, reservation_id, from_instant(now))).fetchone()
        if row is None:
            return None
        code, user_id, origin, last_ordinal, token = row
        campaign_id, number, day = campaign_of(origin), int(code_id) >> POSITION_BITS, from_day(now)
        known = None if campaign_id is None else self._catalog.get(campaign_id)
        snapshot = None if known is None else known.snapshot(number, [(token,)])
        if snapshot is None:
            snapshot = snapshot_from_row(self._db.fetch("list_of_reservation", number)[0])
        # The assignment, which is stored next, ends the reservation. The latest day is counted in the row of the list.
        if not execute(_COUNT_CONFIRMED, (number, day)).rowcount:
            self._count_confirmed(number, day)
        return Assignment(code_id, code, user_id, campaign_id, (last_ordinal or 0) + 1, now, snapshot)

    def end_run_out(
        self, now: datetime, limit: int, *, list_id: str | None = None, campaign_id: str | None = None
    ) -> list[Reservation]:
        ended = super().end_run_out(now, limit, list_id=list_id, campaign_id=campaign_id)
        # Without this, each later call would look at all that were confirmed.
        if not ended and list_id is not None:
            self._refresh(to_list_number(list_id))
        elif not ended:
            self._db.queue("refresh_due_run_outs", from_instant(now))
        return ended

    def _withdraw(self, code_id: int) -> None:
        self._db.queue("add_dead_range", code_id, code_id)

    def _refresh(self, number: int) -> None:
        self._db.queue("refresh_next_run_out", number)


class SQLiteLimits(SqlLimits):
    def count_within(self, campaign_id: str, most: Mapping[str, int], codes: int) -> bool:
        if len(most) == 1:
            # Nearly always in one statement.
            ((key, limit),) = most.items()
            if self._db.change("count_within_limit", codes, campaign_id, key, limit):
                return True
        return super().count_within(campaign_id, most, codes)


class SQLiteAssignments(SqlAssignments):
    def __init__(self, db: SQLiteSession) -> None:
        self._db: SQLiteSession = db

    def add(self, assignments: Sequence[Assignment]) -> None:
        db = self._db
        if len(assignments) == 1:
            row = _row(assignments[0])
            db.execute(_ADD_REWARD_EVENT, row[:1])
            db.execute(_ADD_ASSIGNMENT, row)
        elif assignments:
            columns = list(zip(*map(_row, assignments), strict=True))
            db.insert_columns("add_reward_event", columns[0])
            # Their positions have no gaps: one transaction writes at a time.
            last: int = db.fetch("last_position")[0][0]
            db.insert_columns("add_assignments", *columns, range(last - len(assignments) + 1, last + 1))


def _row(given: Assignment) -> tuple[int, str, str, int, int, int]:
    snapshot = given.snapshot
    return (
        int(given.id),
        given.user_id,
        origin_of(given.campaign_id, snapshot.list_id),
        given.ordinal,
        from_instant(given.assigned_at),
        snapshot.version,
    )
