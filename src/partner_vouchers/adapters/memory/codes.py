"""Codes, and who has which."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any

from attrs import evolve

from partner_vouchers import ports
from partner_vouchers.adapters.memory.records import Outbox
from partner_vouchers.adapters.memory.reservations import open_reservations
from partner_vouchers.adapters.memory.tables import Batch, number
from partner_vouchers.adapters.memory.unit import Repository, Unit
from partner_vouchers.adapters.simple import SimpleAssignments
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts
from partner_vouchers.errors import StorageError
from partner_vouchers.ports import Holding, Taken, TakenCode
from partner_vouchers.ports.codes import NOTHING


class Codes(Repository, ports.Codes):
    def take(
        self,
        list_id: str,
        limit: int,
        now: datetime | None = None,
        *,
        run_out_first: bool = True,
        reserve_until: datetime | None = None,
    ) -> Taken:
        tables, log = self._unit.tables, self._unit.log
        voucher_list, stock = tables.list(list_id), tables.stocks[list_id]
        has_run_out = now is not None and stock.next_run_out is not None and stock.next_run_out <= now
        if run_out_first and has_run_out:
            return Taken((), voucher_list.counts, voucher_list.notified, run_out=True)
        found = sorted(stock.returned.values(), key=_by_age)[:limit]
        for each in found:
            log.drop(stock.returned, each.id)
        while len(found) < limit and stock.current < len(stock.batches):
            batch = stock.batches[stock.current]
            places = batch.next_places(limit - len(found))
            if not places:
                log.set(stock, "current", stock.current + 1)
                continue
            found.extend(TakenCode(str(batch.first_id + place), batch.codes[place]) for place in places)
            log.set(batch, "taken", places[-1] + 1)
        counts = voucher_list.counts
        if found and reserve_until is not None:
            counts = self._unit.count(list_id, reserved=len(found))
            log.set(stock, "next_run_out", min(filter(None, (stock.next_run_out, reserve_until))))
        elif found:
            counts = self._unit.count(list_id, distributed=len(found))
            if now is not None:
                log.put(stock.given, now.date(), stock.given.get(now.date(), 0) + len(found))
        return Taken(found, counts, voucher_list.notified)

    def add(
        self, list_id: str, scope: str, codes: Sequence[str], *, upload_id: str | None = None, **of: Any
    ) -> Batch:
        """Add codes to a list, behind those that it has, and let them take over their entries in the scope."""
        tables, log = self._unit.tables, self._unit.log
        batch = Batch(list_id, codes, tables.next_code_id, **of)
        tables.next_code_id += len(codes)
        log.append(tables.stocks[list_id].batches, batch)
        owners = tables.owners.setdefault(scope, {})
        log.update(owners, {code: (batch, place) for place, code in enumerate(codes)})
        if upload_id is not None:
            log.put(tables.batches, upload_id, batch)
            self._unit.count(list_id, uploaded=len(codes))
        return batch

    def given(self, list_id: str, since: date | None, until: date | None) -> dict[date, int]:
        stock = self._unit.tables.stocks.get(list_id)
        days = sorted(stock.given.items()) if stock is not None else []
        first, last = since or date.min, until or date.max
        return {day: codes for day, codes in days if codes and first <= day <= last}

    def counts(self, list_id: str) -> Counts:
        return self._unit.tables.list(list_id).counts

    def withdraw(self, upload_id: str) -> int:
        tables, log = self._unit.tables, self._unit.log
        batch = tables.batches.get(upload_id)
        if batch is None or batch.withdrawn:
            return 0
        withdrawn = len(batch.available)
        stock = tables.stocks[batch.list_id]
        for code_id in list(stock.returned):
            found = stock.batch_of(number(code_id))
            if found.source is batch:
                log.drop(stock.returned, code_id)
                log.put(found.lost, number(code_id) - found.first_id, None)
                withdrawn += 1
        self._unit.count(batch.list_id, withdrawn=withdrawn)
        log.set(batch, "withdrawn", True)
        return withdrawn

    def holder(self, scope: str, code: str, counts: Callable[[State], bool]) -> Holder | None:
        return self.find_holder(scope, counts)(code)

    def find_holder(self, scope: str, counts: Callable[[State], bool]) -> Callable[[str], Holder | None]:
        """Return a function that returns the holder of a code of a scope, until the transaction ends."""
        tables = self._unit.tables
        owners = tables.owners.get(scope, {})

        def find(code: str) -> Holder | None:
            place = owners.get(code)
            return Holder(place[0].list_id) if place and tables.is_held(*place, counts) else None

        return find

    def remaining(self, list_id: str, after: str | None, limit: int) -> list[TakenCode]:
        stock = self._unit.tables.stocks.get(list_id)
        if stock is None or (after is not None and number(after) < 0):
            return []
        start = 0 if after is None else number(after) + 1
        available = (
            TakenCode(str(batch.first_id + place), batch.codes[place])
            for batch in islice(stock.batches, stock.current, None)
            for place in batch.available[bisect_left(batch.available, start - batch.first_id) :]
        )
        returned = (each for each in stock.returned.values() if number(each.id) >= start)
        return sorted([*islice(available, limit), *returned], key=_by_age)[:limit]


class Assignments(Repository, SimpleAssignments[ports.Transaction]):
    def __init__(self, unit: Unit, outbox: Outbox) -> None:
        super().__init__(unit)
        self._outbox = outbox

    def stored_where(self, field: str, values: Collection[str]) -> Iterable[Assignment]:
        tables = self._unit.tables
        if field != "id":
            index = tables.of_user if field == "user_id" else tables.of_code
            values = [each for value in values for each in index.get(value, ())]
        return self._shown(tables.assignments[each] for each in values if each in tables.assignments)

    def insert(self, assignment: Assignment) -> None:
        tables, log = self._unit.tables, self._unit.log
        if assignment.id in tables.assignments:
            raise StorageError(reason=f"code {assignment.id} is assigned already; take another")
        log.put(tables.assignments, assignment.id, assignment)
        log.append(tables.of_user.setdefault(assignment.user_id, []), assignment.id)
        log.append(tables.of_code.setdefault(assignment.code, []), assignment.id)

    def append_events(self, assignments: Sequence[Assignment]) -> None:
        tables, log = self._unit.tables, self._unit.log
        self._outbox.append([assignment.event for assignment in assignments])
        for assignment, entry in zip(reversed(assignments), reversed(tables.outbox), strict=False):
            log.put(tables.event_positions, assignment.id, entry.position)

    def holding(self, user_id: str, campaign_id: str | None, list_id: str | None) -> Holding:
        given = self.given_to([user_id], campaign_id, list_id)
        held = [each for each in given if each.revoked_at is None]
        return Holding(
            held[-1] if held else None,
            given[-1].ordinal if given else 0,
            bool(open_reservations(self._unit.tables, user_id, campaign_id, list_id)),
        )

    def holdings(
        self, user_ids: Sequence[str], campaign_id: str | None, list_id: str | None
    ) -> dict[str, Holding]:
        found = {user_id: self.holding(user_id, campaign_id, list_id) for user_id in user_ids}
        return {user_id: each for user_id, each in found.items() if each != NOTHING}

    def of_list(self, list_id: str, after: str | None, limit: int) -> list[Assignment]:
        tables = self._unit.tables
        stock = tables.stocks.get(list_id)
        if stock is None or (after is not None and number(after) < 0):
            return []
        start = 0 if after is None else number(after) + 1
        taken = (
            tables.assignments.get(str(code_id))
            for batch in stock.batches
            for code_id in range(max(start, batch.first_id), batch.first_id + batch.taken)
        )
        return self._shown(islice((assignment for assignment in taken if assignment is not None), limit))

    def _shown(self, assignments: Iterable[Assignment]) -> list[Assignment]:
        """Return assignments with what became of their codes."""
        redemptions, revocations = self._unit.tables.redemptions, self._unit.tables.revocations
        found = []
        for given in assignments:
            last = redemptions[given.id][-1] if given.id in redemptions else None
            shown = given
            if last is not None and last.reverted_at is None:
                shown = evolve(shown, redeemed_at=last.redeemed_at)
            if given.id in revocations:
                shown = evolve(shown, revoked_at=revocations[given.id].revoked_at)
            found.append(shown)
        return found


def _by_age(code: TakenCode) -> int:
    return number(code.id)
