"""Redemptions, and the reports of reconciliations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from heapq import nsmallest

from attrs import evolve

from partner_vouchers import ports
from partner_vouchers.adapters.memory.codes import Assignments
from partner_vouchers.adapters.memory.records import Outbox
from partner_vouchers.adapters.memory.tables import number
from partner_vouchers.adapters.memory.unit import Repository, Unit
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.reconciliation import ReconciledRow, ReconciliationReport, RowKind
from partner_vouchers.domain.redemption import Entry, EntryState, Redemption
from partner_vouchers.errors import StorageError


class Redemptions(Repository, ports.Redemptions):
    def __init__(self, unit: Unit, outbox: Outbox, assignments: Assignments) -> None:
        super().__init__(unit)
        self._outbox = outbox
        self._assignments = assignments

    def entries(
        self, codes: Sequence[str], partner: str | None, list_id: str | None
    ) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {code: list(self._entries(code)) for code in codes}
        for each in self._unit.tables.open_reservations():
            if each.code in found:
                found[each.code].append(self._entry(each.code_id, each.list_id, EntryState.RESERVED))
        return {code: entries for code, entries in found.items() if entries}

    def add(self, redemptions: Sequence[Redemption]) -> None:
        tables, log = self._unit.tables, self._unit.log
        for new in redemptions:
            earlier = tables.redemptions.get(new.assignment_id, ())
            if len(earlier) + 1 != new.number:
                raise StorageError(reason="the assignment has this redemption already; read its entry again")
            log.put(tables.redemptions, new.assignment_id, (*earlier, new))
        self._outbox.append([new.event for new in redemptions])

    def set_order(self, redemptions: Sequence[Redemption]) -> None:
        for changed in redemptions:
            self._replace(changed)

    def revert(self, redemption: Redemption) -> None:
        self._replace(redemption)
        self._outbox.append([redemption.reverted_event])

    def retire(self, entries: Sequence[Entry]) -> None:
        tables, log = self._unit.tables, self._unit.log
        for entry in entries:
            code_id = number(entry.id)
            stock = tables.stocks[entry.list_id]
            batch = stock.batch_of(code_id)
            place = code_id - batch.first_id
            log.drop(stock.returned, entry.id)
            log.put(batch.retired, place, None)
            log.append(tables.retired.setdefault(batch.codes[place], []), (entry.list_id, entry.id))
            self._unit.count(entry.list_id, retired=1)

    def of_assignments(self, assignment_ids: Collection[str]) -> dict[str, tuple[Redemption, ...]]:
        redemptions = self._unit.tables.redemptions
        return {each: redemptions[each] for each in assignment_ids if each in redemptions}

    def unredeemed(
        self,
        campaign_id: str | None,
        list_id: str | None,
        assigned_until: datetime,
        after: str | None,
        limit: int,
    ) -> list[Assignment]:
        if after is not None and number(after) < 0:
            return []
        start = 0 if after is None else number(after)
        fitting = (
            each
            for each in self._assignments.get_many(list(self._unit.tables.assignments))
            if number(each.id) > start
            and each.assigned_at <= assigned_until
            and each.redeemed_at is None
            and each.revoked_at is None
            and (each.list_id == list_id if campaign_id is None else each.campaign_id == campaign_id)
        )
        return sorted(fitting, key=lambda each: number(each.id))[:limit]

    def _entries(self, code: str) -> Iterator[Entry]:
        tables = self._unit.tables
        for given in (tables.assignments[each] for each in tables.of_code.get(code, ())):
            yield self._entry(
                given.id,
                given.list_id,
                EntryState.REVOKED if given.id in tables.revocations else EntryState.HELD,
                user_id=given.user_id,
                campaign_id=given.campaign_id,
                redemptions=tables.redemptions.get(given.id, ()),
            )
        for list_id, code_id in tables.retired.get(code, ()):
            yield self._entry(code_id, list_id, EntryState.RETIRED)
        for owners in tables.owners.values():
            batch, place = owners.get(code, (None, 0))
            if batch is None or batch.list_id not in tables.lists:
                continue
            code_id = str(batch.first_id + place)
            waits = place >= batch.taken or code_id in tables.stocks[batch.list_id].returned
            if waits and batch.holds(place) and place not in batch.retired:
                yield self._entry(code_id, batch.list_id, EntryState.AVAILABLE)

    def _entry(self, code_id: str, list_id: str, state: EntryState, **known: object) -> Entry:
        voucher_list = self._unit.tables.list(list_id)
        return Entry(
            id=code_id,
            list_id=list_id,
            partner=voucher_list.partner,
            expires_at=voucher_list.expires_at,
            archived=voucher_list.state is State.ARCHIVED,
            state=state,
            **known,  # type: ignore[arg-type]
        )

    def _replace(self, changed: Redemption) -> None:
        tables = self._unit.tables
        known = tables.redemptions[changed.assignment_id]
        replaced = (*known[: changed.number - 1], changed, *known[changed.number :])
        self._unit.log.put(tables.redemptions, changed.assignment_id, replaced)


class Reports(Repository, ports.Reports):
    def new_id(self) -> str:
        return str(next(self._unit.tables.report_ids))

    def add(self, report: ReconciliationReport) -> None:
        tables = self._unit.tables
        if report.id in tables.reports:
            raise StorageError(reason=f"report {report.id} is stored already; take another id from `new_id`")
        self._unit.log.put(tables.reports, report.id, evolve(report, rows=()))

    def save(self, report: ReconciliationReport) -> None:
        self._unit.log.put(self._unit.tables.reports, report.id, evolve(report, rows=()))

    def get(self, report_id: str) -> ReconciliationReport | None:
        return self._unit.tables.reports.get(report_id)

    def unfinished(
        self, sha256: str, partner: str | None, list_id: str | None
    ) -> ReconciliationReport | None:
        about = (sha256, partner, list_id)
        found = (
            each
            for each in self._unit.tables.reports.values()
            if each.finished_at is None and (each.sha256, each.partner, each.list_id) == about
        )
        return max(found, key=lambda each: number(each.id), default=None)

    def add_rows(self, report_id: str, rows: Sequence[ReconciledRow]) -> None:
        stored = self._unit.tables.report_rows.setdefault(report_id, [])
        for row in rows:
            self._unit.log.append(stored, row)

    def rows(
        self, report_id: str, kinds: Collection[RowKind], after_line: int, limit: int
    ) -> list[ReconciledRow]:
        stored = self._unit.tables.report_rows.get(report_id, ())
        return nsmallest(limit, (row for row in stored if row.line > after_line and row.kind in kinds))
