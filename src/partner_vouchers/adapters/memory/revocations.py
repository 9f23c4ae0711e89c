"""Codes that were taken back from users."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from attrs import evolve

from partner_vouchers import ports
from partner_vouchers.adapters.memory.codes import Assignments, Codes
from partner_vouchers.adapters.memory.records import Outbox
from partner_vouchers.adapters.memory.tables import number
from partner_vouchers.adapters.memory.unit import Repository, Unit
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.revocation import Revocation
from partner_vouchers.errors import StorageError
from partner_vouchers.ports import TakenCode, Unsent


class Revocations(Repository, ports.Revocations):
    def __init__(self, unit: Unit, outbox: Outbox, assignments: Assignments) -> None:
        super().__init__(unit)
        self._outbox = outbox
        self._assignments = assignments

    def get_for_update(self, assignment_id: str) -> Assignment | None:
        return next(iter(self._assignments.get_many([assignment_id])), None)

    def get(self, assignment_id: str) -> Revocation | None:
        found = self._unit.tables.revocations.get(assignment_id)
        return (
            None
            if found is None
            else evolve(found, assignment=self._assignments.get_many([assignment_id])[0])
        )

    def upload_is_withdrawn(self, assignment_id: str) -> bool:
        given = self._unit.tables.assignments[assignment_id]
        return self._unit.tables.stocks[given.list_id].batch_of(number(assignment_id)).source.withdrawn

    def event_position(self, assignment_id: str) -> int | None:
        position = self._unit.tables.event_positions[assignment_id]
        return position if self._outbox.get_many([position]) else None

    def counted_at(self, assignment_id: str) -> datetime:
        return self._unit.tables.counts_at(self._unit.tables.assignments[assignment_id])

    def add(self, revocation: Revocation) -> None:
        tables, log, given = self._unit.tables, self._unit.log, revocation.assignment
        if given.id in tables.revocations:
            raise StorageError(reason="the assignment was revoked before; read it with get_for_update")
        log.put(tables.revocations, given.id, revocation)
        self._outbox.append([revocation.event])
        if revocation.restocked:
            self._unit.count(given.list_id, distributed=-1)
            self._restock(given)
        else:
            self._unit.count(given.list_id, distributed=-1, retired=1)

    def unsent(self, positions: Collection[int]) -> Unsent:
        tables = self._unit.tables
        revoked = {tables.event_positions[each] for each in tables.revocations}
        return Unsent(frozenset(revoked.intersection(positions)))

    def _restock(self, given: Assignment) -> None:
        """Add a new entry of a code, which came back."""
        tables = self._unit.tables
        stock, scope = tables.stocks[given.list_id], tables.list(given.list_id).scope
        source = stock.batch_of(number(given.id)).source
        new_id = str(
            Codes(self._unit).add(given.list_id, scope, [given.code], taken=1, source=source).first_id
        )
        self._unit.log.put(stock.returned, new_id, TakenCode(new_id, given.code))
