"""Reservations, limits and refusals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from partner_vouchers import ports
from partner_vouchers.adapters.sql.columns import (
    first_code_id,
    from_day,
    from_instant,
    last_code_id,
    to_instant,
    to_list_number,
    to_number,
)
from partner_vouchers.adapters.sql.rows import campaign_of, origin_of, snapshot_from_row
from partner_vouchers.adapters.sql.session import Repository, Row, first
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.limits import Limit, Window
from partner_vouchers.domain.refusals import RefusalCount, RefusalReason
from partner_vouchers.domain.reservation import Reservation, ReservationState
from partner_vouchers.errors import StorageError
from partner_vouchers.ports import RunOut

HELD_BY_USER = """(
    EXISTS (SELECT 1 FROM pv_assignments AS g WHERE g.code_id = a.code_id)
    OR EXISTS (SELECT 1 FROM pv_reservations AS r WHERE r.code_id = a.code_id)
    OR EXISTS (SELECT 1 FROM pv_retired AS u WHERE u.code_id = a.code_id))
"""
"""A condition: a user has, has reserved, or has used the code of the entry `a`."""

_STATES = {state.value: state for state in ReservationState}
_EPOCH = date(1970, 1, 1)
_ALWAYS = 2**62
"""Microseconds that no instant reaches."""


class SqlReservations(Repository):
    def add(self, reservations: Sequence[Reservation]) -> None:
        for each in reservations:
            self._db.queue(
                "add_reservation",
                each.id,
                to_number(each.code_id),
                each.code,
                to_list_number(each.list_id),
                each.user_id,
                origin_of(each.campaign_id, each.list_id),
                from_instant(each.reserved_at),
                to_expiry(each),
            )

    def get(self, reservation_id: str) -> Reservation | None:
        rows = self._db.fetch("reservation_by_id", code_of(reservation_id), reservation_id)
        return first(from_rows(rows or self._db.fetch("ended_reservation", reservation_id)))

    def get_for_update(self, reservation_id: str) -> Reservation | None:
        rows = self._db.fetch("reservation_for_update", code_of(reservation_id), reservation_id)
        return first(from_rows(rows or self._db.fetch("ended_reservation", reservation_id)))

    def confirm(self, reservation_id: str, now: datetime) -> Assignment | None:
        code_id, at = code_of(reservation_id), from_instant(now)
        row = first(self._db.fetch("open_reservation", code_id, reservation_id, at))
        if row is None:
            return None
        code, user_id, origin, last_ordinal, number, *_ = row
        self._db.queue("confirm_reservation", at, code_id)
        self._count_confirmed(number, from_day(now))
        campaign_id, snapshot = campaign_of(origin), snapshot_from_row(row[4:])
        return Assignment(str(code_id), code, user_id, campaign_id, (last_ordinal or 0) + 1, now, snapshot)

    def end(self, reservation: Reservation, state: ReservationState, at: datetime) -> None:
        code_id = to_number(reservation.code_id)
        if not self._db.change("keep_ended_reservation", state.value, from_instant(at), code_id):
            raise StorageError(reason="the reservation is not open; read it with get_for_update")
        self._db.queue("delete_open_reservation", code_id)
        self._return([reservation])

    def end_run_out(
        self, now: datetime, limit: int, *, list_id: str | None = None, campaign_id: str | None = None
    ) -> list[Reservation]:
        if campaign_id is not None:
            rows = self._db.fetch("run_out_of_origin", origin_of(campaign_id, None), from_instant(now), limit)
        else:
            rows = self._db.fetch("run_out_of_list", to_list_number(list_id), from_instant(now), limit)
        ended = [each.at(now) for each in from_rows(rows)]
        for each in ended:
            code_id = to_number(each.code_id)
            self._db.queue("keep_ended_reservation", each.state.value, to_expiry(each), code_id)
            self._db.queue("delete_open_reservation", code_id)
        self._return(ended)
        return ended

    def open_of_user(self, user_id: str, campaign_id: str | None, list_id: str | None) -> list[Reservation]:
        return from_rows(self._db.fetch("reservations_of_asker", user_id, origin_of(campaign_id, list_id)))

    def of_user(self, user_id: str) -> list[Reservation]:
        return from_rows(self._db.fetch("reservations_of_user", user_id))

    def of_list(self, list_id: str, after: tuple[datetime, str] | None, limit: int) -> list[Reservation]:
        start = (-_ALWAYS, "") if after is None else (from_instant(after[0]), after[1])
        return from_rows(self._db.fetch("reservations_of_list", to_list_number(list_id), *start, limit))

    def run_out(self, list_ids: Collection[str] | None, now: datetime) -> dict[str, RunOut]:
        if list_ids is None:
            rows = self._db.fetch("count_run_out_of_all", from_instant(now))
        else:
            numbers = json.dumps([to_list_number(each) for each in list_ids])
            rows = self._db.fetch("count_run_out", numbers, from_instant(now))
        return {str(number): RunOut(codes, withdrawn) for number, codes, withdrawn in rows}

    def has_returned(self, list_id: str) -> bool:
        number = to_list_number(list_id)
        return bool(self._db.fetch("returned_codes", first_code_id(number), last_code_id(number), 1))

    def remove_ended(self, before: datetime, limit: int) -> int:
        return self._db.change("delete_ended_reservations", from_instant(before), limit)

    def _count_confirmed(self, number: int, day: int) -> None:
        """Count a reserved code of a list as distributed, and as given on a day."""
        self._db.queue("count_confirmed", number)
        self._db.queue("count_given", number, day)

    def _return(self, ended: Sequence[Reservation]) -> None:
        """Return codes to their lists."""
        returned, withdrawn = Counter[int](), Counter[int]()
        for each in ended:
            number, code_id = to_list_number(each.list_id), to_number(each.code_id)
            if number not in returned and number not in withdrawn:
                # A withdrawal waits, or has been seen to.
                self._db.share_list(number)
            if self._db.fetch("source_upload_is_withdrawn", number, code_id, code_id):
                withdrawn[number] += 1
                self._withdraw(code_id)
            else:
                returned[number] += 1
                self._db.queue("add_returned", code_id, each.code)
        for number, codes in returned.items():
            self._db.queue("count_returned", number, codes)
        for number, codes in withdrawn.items():
            self._db.queue("count_returned_as_withdrawn", number, codes)
        for number in {*returned, *withdrawn}:
            self._refresh(number)

    def _withdraw(self, code_id: int) -> None:
        """Note that nobody holds a code any more, where the tables do not say so by themselves."""

    def _refresh(self, number: int) -> None:
        """Note when the next reservation of a list runs out, where that is kept."""


class SqlLimits(Repository, ports.Limits):
    def get(self, campaign_id: str) -> tuple[Limit, ...]:
        rows = self._db.fetch("limits_of_campaign", campaign_id)
        return tuple(Limit(codes, per=per, period=period, zone=zone) for codes, per, period, zone in rows)

    def replace(self, campaign_id: str, limits: Sequence[Limit], counts: Mapping[str, int]) -> None:
        self._db.change("delete_limits", campaign_id)
        self._db.change("delete_limit_counts", campaign_id)
        for place, each in enumerate(limits):
            period = None if each.period is None else each.period.value
            self._db.change("add_limit", campaign_id, place, each.count, each.per.value, period, each.zone)
        for key, codes in counts.items():
            self._db.change("raise_limit_count", campaign_id, key, codes)

    def given(self, campaign_id: str, window: Window) -> int:
        asked = (origin_of(campaign_id, None), *_bounds(window))
        return sum(
            int(self._db.fetch(each, *asked)[0][0]) for each in ("codes_in_window", "reserved_in_window")
        )

    def given_to(
        self, user_ids: Collection[str], campaign_id: str, window: Window, now: datetime
    ) -> dict[str, int]:
        asked = (json.dumps(list(user_ids)), origin_of(campaign_id, None), *_bounds(window))
        found = Counter[str](dict(self._db.fetch("codes_of_users_in_window", *asked)))
        found.update(dict(self._db.fetch("reserved_for_users_in_window", *asked, from_instant(now))))
        return dict(found)

    def run_out(self, campaign_id: str, window: Window, now: datetime) -> int:
        asked = (origin_of(campaign_id, None), *_bounds(window), from_instant(now))
        return int(self._db.fetch("run_out_in_window", *asked)[0][0])

    def counts(self, campaign_id: str, keys: Collection[str]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for key in keys:
            rows = self._db.fetch("limit_count", campaign_id, key)
            counts[key] = int(rows[0][0]) if rows else 0
        return counts

    def count_within(self, campaign_id: str, most: Mapping[str, int], codes: int) -> bool:
        counts = self.counts_for_update(campaign_id, most, codes)
        has_room = all(counts[key] + codes <= limit for key, limit in most.items())
        if has_room:
            self.count(campaign_id, most, codes)
        return has_room

    def count(self, campaign_id: str, keys: Collection[str], codes: int) -> None:
        statement = "raise_limit_count" if codes > 0 else "lower_limit_count"
        for key in keys:
            self._db.queue(statement, campaign_id, key, codes)


class SqlRefusals(Repository):
    def add(self, campaign_id: str, counts: Sequence[RefusalCount]) -> None:
        rows = (
            (campaign_id, (each.day - _EPOCH).days, each.reason.value, _list_number(each), each.count)
            for each in counts
        )
        # In one order, in which two transactions never wait for one another.
        self._db.queue_many("add_refusal", sorted(rows))

    def of_campaign(self, campaign_id: str, since: date | None, until: date | None) -> list[RefusalCount]:
        rows = self._db.fetch(
            "refusals_of_campaign",
            campaign_id,
            ((since or date.min) - _EPOCH).days,
            ((until or date.max) - _EPOCH).days,
        )
        return [
            RefusalCount(
                _EPOCH + timedelta(days=day), RefusalReason(reason), str(number) if number else None, n
            )
            for day, reason, number, n in rows
        ]


def code_of(reservation_id: str) -> int:
    """Return the number of the code with which the id of a reservation begins; -1 for anything else."""
    return to_number(reservation_id.partition("-")[0])


def _list_number(each: RefusalCount) -> int:
    return 0 if each.list_id is None else to_list_number(each.list_id)


def _bounds(window: Window) -> tuple[int, int]:
    return (
        -_ALWAYS if window.starts_at is None else from_instant(window.starts_at),
        _ALWAYS if window.ends_at is None else from_instant(window.ends_at),
    )


def to_expiry(each: Reservation) -> int:
    """Return when a reservation runs out, as a column."""
    if each.expires_at is None:
        raise StorageError(reason="a code that the user holds already is not reserved")
    return from_instant(each.expires_at)


def from_rows(rows: Iterable[Row]) -> list[Reservation]:
    """Return the reservations of rows."""
    return [from_row(row) for row in rows]


def from_row(row: Row) -> Reservation:
    """Return the reservation of a row."""
    return Reservation(
        id=row[0],
        code=row[1],
        code_id=str(row[2]),
        user_id=row[3],
        campaign_id=campaign_of(row[4]),
        list_id=str(row[5]),
        reserved_at=to_instant(row[6]),
        expires_at=to_instant(row[7]),
        state=_STATES[row[8]],
        ended_at=None if row[9] is None else to_instant(row[9]),
    )
