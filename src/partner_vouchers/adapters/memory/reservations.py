"""Reservations, limits and refusals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime

from attrs import evolve

from partner_vouchers import ports
from partner_vouchers.adapters.memory.tables import Tables, number
from partner_vouchers.adapters.memory.unit import Repository
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.limits import Limit, Window
from partner_vouchers.domain.refusals import RefusalCount
from partner_vouchers.domain.reservation import Reservation, ReservationState
from partner_vouchers.errors import StorageError
from partner_vouchers.ports import RunOut, TakenCode

_NEVER = datetime.max.replace(tzinfo=UTC)


class Reservations(Repository, ports.Reservations):
    def add(self, reservations: Sequence[Reservation]) -> None:
        tables, log = self._unit.tables, self._unit.log
        for each in reservations:
            if each.id in tables.reservations or each.code_id in tables.reserved_codes:
                raise StorageError(reason="the code is reserved already; take another")
            log.put(tables.reservations, each.id, each)
            log.put(tables.reserved_codes, each.code_id, each.id)
            log.put(tables.open_of_user.setdefault(each.user_id, {}), each.id, None)

    def get(self, reservation_id: str) -> Reservation | None:
        return self._unit.tables.reservations.get(reservation_id)

    def get_for_update(self, reservation_id: str) -> Reservation | None:
        return self.get(reservation_id)

    def confirm(self, reservation_id: str, now: datetime) -> Assignment | None:
        tables, log, found = self._unit.tables, self._unit.log, self.get(reservation_id)
        if found is None or found.at(now).state is not ReservationState.OPEN:
            return None
        self._end(found, ReservationState.CONFIRMED, now)
        stock = tables.stocks.get(found.list_id)
        if stock is not None:
            self._unit.count(found.list_id, reserved=-1, distributed=1)
            log.put(stock.given, now.date(), stock.given.get(now.date(), 0) + 1)
        ordinals = (
            each.ordinal
            for each in map(tables.assignments.__getitem__, tables.of_user.get(found.user_id, ()))
            if each.campaign_id == found.campaign_id
            and (found.campaign_id is not None or each.list_id == found.list_id)
        )
        ordinal, snapshot = max(ordinals, default=0) + 1, tables.list(found.list_id).snapshot
        return Assignment(found.code_id, found.code, found.user_id, found.campaign_id, ordinal, now, snapshot)

    def end(self, reservation: Reservation, state: ReservationState, at: datetime) -> None:
        tables, log = self._unit.tables, self._unit.log
        ended = self._end(reservation, state, at)
        stock = tables.stocks.get(ended.list_id)
        if stock is None:
            return
        log.drop(tables.reserved_codes, ended.code_id)
        code_id = number(ended.code_id)
        batch = stock.batch_of(code_id)
        if batch.source.withdrawn:
            log.put(batch.lost, code_id - batch.first_id, None)
            self._unit.count(ended.list_id, reserved=-1, withdrawn=1)
        else:
            log.put(stock.returned, ended.code_id, TakenCode(ended.code_id, ended.code))
            self._unit.count(ended.list_id, reserved=-1)
        left = (each.expires_at for each in self._open(ended.list_id))
        log.set(stock, "next_run_out", min(filter(None, left), default=None))

    def end_run_out(
        self, now: datetime, limit: int, *, list_id: str | None = None, campaign_id: str | None = None
    ) -> list[Reservation]:
        if campaign_id is not None:
            asked = [each for each in self._open() if each.campaign_id == campaign_id]
        else:
            asked = self._open(list_id)
        found = sorted((each for each in asked if _has_run_out(each, now)), key=_by_expiry)
        ended = [each.at(now) for each in found[:limit]]
        for each in ended:
            self.end(each, each.state, each.ended_at or now)
        return ended

    def open_of_user(self, user_id: str, campaign_id: str | None, list_id: str | None) -> list[Reservation]:
        found = open_reservations(self._unit.tables, user_id, campaign_id, list_id)
        return sorted(
            sorted(found, key=lambda each: each.id), key=lambda each: _by_expiry(each)[0], reverse=True
        )

    def of_user(self, user_id: str) -> list[Reservation]:
        found = (each for each in self._open() if each.user_id == user_id)
        return sorted(found, key=lambda each: (each.reserved_at, each.id))

    def of_list(self, list_id: str, after: tuple[datetime, str] | None, limit: int) -> list[Reservation]:
        found = sorted(self._open(list_id), key=_by_expiry)
        return [each for each in found if after is None or _by_expiry(each) > after][:limit]

    def run_out(self, list_ids: Collection[str] | None, now: datetime) -> dict[str, RunOut]:
        asked = (each for each in self._open() if list_ids is None or each.list_id in list_ids)
        found = [each for each in asked if _has_run_out(each, now)]
        codes = Counter(each.list_id for each in found)
        withdrawn = Counter(each.list_id for each in found if self._upload_is_withdrawn(each))
        return {list_id: RunOut(codes[list_id], withdrawn[list_id]) for list_id in codes}

    def has_returned(self, list_id: str) -> bool:
        stock = self._unit.tables.stocks.get(list_id)
        return stock is not None and bool(stock.returned)

    def remove_ended(self, before: datetime, limit: int) -> int:
        kept = ReservationState.OPEN, ReservationState.CONFIRMED
        gone = [
            each.id
            for each in self._unit.tables.reservations.values()
            if each.state not in kept and each.ended_at is not None and each.ended_at < before
        ][:limit]
        for reservation_id in gone:
            self._unit.log.drop(self._unit.tables.reservations, reservation_id)
        return len(gone)

    def _end(self, reservation: Reservation, state: ReservationState, at: datetime) -> Reservation:
        tables, log = self._unit.tables, self._unit.log
        stored = tables.reservations.get(reservation.id)
        if stored is None or stored.state is not ReservationState.OPEN:
            raise StorageError(reason="the reservation is not open; read it with get_for_update")
        ended = evolve(stored, state=state, ended_at=at)
        log.put(tables.reservations, ended.id, ended)
        log.drop(tables.open_of_user[ended.user_id], ended.id)
        return ended

    def _upload_is_withdrawn(self, each: Reservation) -> bool:
        stock = self._unit.tables.stocks.get(each.list_id)
        return stock is not None and stock.batch_of(number(each.code_id)).source.withdrawn

    def _open(self, list_id: str | None = None) -> list[Reservation]:
        """Return the open reservations of a list, or of all."""
        found = self._unit.tables.open_reservations()
        return [each for each in found if list_id in (None, each.list_id)]


class Limits(Repository, ports.Limits):
    def get(self, campaign_id: str) -> tuple[Limit, ...]:
        return self._unit.tables.limits.get(campaign_id, ())

    def replace(self, campaign_id: str, limits: Sequence[Limit], counts: Mapping[str, int]) -> None:
        tables, log = self._unit.tables, self._unit.log
        log.put(tables.limits, campaign_id, tuple(limits))
        log.put(tables.limit_counts, campaign_id, dict(counts))

    def given(self, campaign_id: str, window: Window) -> int:
        tables = self._unit.tables
        given = sum(
            window.contains(tables.counts_at(each))
            for each in tables.assignments.values()
            if each.campaign_id == campaign_id and each.id not in tables.revocations
        )
        reserved = (each for each in tables.open_reservations() if each.campaign_id == campaign_id)
        return given + sum(window.contains(each.reserved_at) for each in reserved)

    def given_to(
        self, user_ids: Collection[str], campaign_id: str, window: Window, now: datetime
    ) -> dict[str, int]:
        tables = self._unit.tables
        found = Counter[str]()
        for user_id in user_ids:
            for each in (tables.assignments[one] for one in tables.of_user.get(user_id, ())):
                if each.campaign_id == campaign_id and each.id not in tables.revocations:
                    found[user_id] += window.contains(tables.counts_at(each))
            for reservation in open_reservations(tables, user_id, campaign_id, None):
                is_open = reservation.at(now).state is ReservationState.OPEN
                found[user_id] += is_open and window.contains(reservation.reserved_at)
        return dict(+found)

    def run_out(self, campaign_id: str, window: Window, now: datetime) -> int:
        return sum(
            window.contains(each.reserved_at) and _has_run_out(each, now)
            for each in self._unit.tables.open_reservations()
            if each.campaign_id == campaign_id
        )

    def counts(self, campaign_id: str, keys: Collection[str]) -> dict[str, int]:
        counted = self._unit.tables.limit_counts.get(campaign_id, {})
        return {key: counted.get(key, 0) for key in keys}

    def count(self, campaign_id: str, keys: Collection[str], codes: int) -> None:
        tables, log = self._unit.tables, self._unit.log
        counted = tables.limit_counts.setdefault(campaign_id, {})
        for key in keys:
            if codes > 0 or key in counted:
                log.put(counted, key, counted.get(key, 0) + codes)


class Refusals(Repository, ports.Refusals):
    def add(self, campaign_id: str, counts: Sequence[RefusalCount]) -> None:
        known = self._unit.tables.refusals.setdefault(campaign_id, {})
        for each in counts:
            key = each.day, each.reason, each.list_id or ""
            self._unit.log.put(known, key, known.get(key, 0) + each.count)

    def of_campaign(self, campaign_id: str, since: date | None, until: date | None) -> list[RefusalCount]:
        known = self._unit.tables.refusals.get(campaign_id, {})
        return [
            RefusalCount(day, reason, list_id or None, known[day, reason, list_id])
            for day, reason, list_id in sorted(known, key=lambda key: (key[0], key[1], number(key[2])))
            if (since or date.min) <= day <= (until or date.max)
        ]


def open_reservations(
    tables: Tables, user_id: str, campaign_id: str | None, list_id: str | None
) -> list[Reservation]:
    """Return the open reservations of a user in a campaign or, without one, from a list."""
    found = (tables.reservations[each] for each in tables.open_of_user.get(user_id, ()))
    return [
        each
        for each in found
        if each.campaign_id == campaign_id and (campaign_id is not None or each.list_id == list_id)
    ]


def _by_expiry(each: Reservation) -> tuple[datetime, str]:
    return each.expires_at or _NEVER, each.id


def _has_run_out(each: Reservation, now: datetime) -> bool:
    return each.at(now).state is ReservationState.EXPIRED
