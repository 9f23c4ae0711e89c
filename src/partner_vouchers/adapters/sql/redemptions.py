"""Redemptions, and the reports of reconciliations."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import compress, groupby
from operator import attrgetter
from typing import Any

from attrs import evolve

from partner_vouchers.adapters.sql.columns import (
    POSITION_BITS,
    code_id_after,
    first_code_id,
    from_instant,
    from_instants,
    last_code_id,
    to_instant,
    to_json,
    to_list_number,
    to_number,
)
from partner_vouchers.adapters.sql.rows import (
    REDEMPTIONS,
    REPORTS,
    assignments_from_rows,
    campaign_of,
    origin_of,
)
from partner_vouchers.adapters.sql.session import Repository, Row, Session
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.events import CodeRedeemed, CodeRedemptionReverted, Event
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.reconciliation import ReconciledRow, ReconciliationReport, RowKind
from partner_vouchers.domain.redemption import Entry, EntryState, Redemption
from partner_vouchers.picking import picker
from partner_vouchers.ports import HeldEntries, Uses

_LINE_BITS = 32
_PAGE = 5_000
_FIRST_BLOCKS, _MOST_BLOCKS = 2, 20
_kind = attrgetter("kind")
_REDEEMED, _REVERTED = CodeRedeemed.event_name, CodeRedemptionReverted.event_name


class SqlRedemptions(Repository):
    def entries(
        self, codes: Sequence[str], partner: str | None, list_id: str | None
    ) -> dict[str, list[Entry]]:
        in_scopes, others = self._places(codes, self._scopes(partner, list_id))
        places = [each for ids in in_scopes for each in zip(codes, ids, strict=True) if each[1]]
        places += others
        code_ids = [code_id for _, code_id in places]
        self._lock(code_ids)
        lists = self._lists({code_id >> POSITION_BITS for code_id in code_ids})
        ids = json.dumps(code_ids)
        owners = {row[0]: row[1:] for row in self._db.fetch("owners_of_codes", ids)}
        uses = _by_code_id(self._db.fetch("redemptions_of_codes", ids))
        states = self._states([code_id for code_id in code_ids if code_id not in owners])
        found: dict[str, list[Entry]] = {}
        for code, code_id in places:
            said = lists.get(code_id >> POSITION_BITS)
            user_id, origin, revoked = owners.get(code_id, (None, None, False))
            held = EntryState.REVOKED if revoked else EntryState.HELD
            state = states.get(code_id) if user_id is None else held
            if said is None or state is None:
                continue
            entry = Entry(
                id=str(code_id),
                list_id=said[0],
                partner=said[1],
                expires_at=said[2],
                archived=said[3],
                state=state,
                user_id=user_id,
                campaign_id=None if origin is None else campaign_of(origin),
            )
            if code_id in uses:
                entry = evolve(entry, redemptions=tuple(_of_entry(use, entry, code) for use in uses[code_id]))
            found.setdefault(code, []).append(entry)
        return found

    def places(self, codes: Sequence[str], partner: str | None, list_id: str | None) -> Sequence[int | None]:
        lists: set[int] | None = None
        if list_id is not None:
            lists = {0, to_list_number(list_id)}
        elif partner is not None:
            lists = {0, *(number for (number,) in self._db.fetch("lists_of_partner", partner))}
        found: list[int | None] = [0] * len(codes)
        scopes = self._scopes(partner, list_id)
        # In the order of the index, each of its pages is read once.
        ordered = sorted(range(len(codes)), key=codes.__getitem__)
        for start in range(0, len(codes), _PAGE):
            indexes = ordered[start : start + _PAGE]
            some = picker(indexes)(codes)
            in_scopes, others = self._places(some, scopes)
            if lists is not None:
                in_scopes = [_of_lists(ids, lists) for ids in in_scopes]
            places: Iterable[int | None] = in_scopes[0] if in_scopes else ()
            if len(in_scopes) > 1:
                places = (
                    sum(each) if sum(map(bool, each)) < 2 else None for each in zip(*in_scopes, strict=True)
                )
            for index, place in zip(indexes, places, strict=False):
                found[index] = place
            if others:
                unclear = {code for code, _ in others}
                for index in compress(indexes, map(unclear.__contains__, some)):
                    found[index] = None
        return found

    def held(self, places: Sequence[int]) -> HeldEntries:
        self._lock_assigned(places)
        unused, used, order_ids = places, list[int](), list[str | None]()
        if not self._all_unused(places):
            [columns] = self._db.fetch("held_codes", json.dumps(places))
            unused, used, order_ids = (json.loads(column or "[]") for column in columns)
        numbers = [place >> POSITION_BITS for place in unused]
        lists = self._lists(set(numbers))
        return HeldEntries(unused, [lists[number][2] for number in numbers], used, order_ids)

    def _all_unused(self, places: Sequence[int]) -> bool:
        """Return whether users hold all codes among which these lie, unused; False unless they lie close together.

        A look at their range takes a tenth of the time of a look at each.
        """
        ends = min(places, default=0), max(places, default=0)
        count = ends[1] - ends[0] + 1
        if count > 2 * len(places):
            return False
        return self._db.fetch("unused_in_range", *ends, *ends, *ends) == [(count,)]

    def record(self, recorded_at: datetime, uses: Uses) -> None:
        self._db.insert_columns(
            "add_first_redemptions",
            uses.places,
            uses.order_ids,
            from_instants(uses.redeemed_at),
            [from_instant(recorded_at)] * len(uses.places),
            uses.amounts,
            # The driver of SQLite takes four times as long for a boolean.
            list(map(int, uses.late)),
        )
        signed = uses.places
        if not all(uses.order_ids):
            pairs = zip(uses.places, uses.order_ids, strict=True)
            signed = [place if order_id else -place for place, order_id in pairs]
        self._db.change("add_redeemed_events", json.dumps(signed))

    def add(self, redemptions: Sequence[Redemption]) -> None:
        rows = [(int(each.assignment_id), *REDEMPTIONS.row(each)) for each in redemptions]
        self._db.insert_columns("add_redemptions", *zip(*rows, strict=True))
        # An order that comes later must not change the event: a minus sign says that there was none.
        numbers = [str(each.number if each.order_id else -each.number) for each in redemptions]
        self._db.insert_columns("add_code_events", [row[0] for row in rows], [_REDEEMED] * len(rows), numbers)

    def set_order(self, redemptions: Sequence[Redemption]) -> None:
        self._db.queue_many(
            "set_order", [(each.order_id, int(each.assignment_id), each.number) for each in redemptions]
        )

    def revert(self, redemption: Redemption) -> None:
        at = None if redemption.reverted_at is None else from_instant(redemption.reverted_at)
        code_id, number = int(redemption.assignment_id), redemption.number
        self._db.queue("set_reverted", at, code_id, number)
        self._db.insert_columns("add_code_events", [code_id], [_REVERTED], [str(number)])

    def retire(self, entries: Sequence[Entry]) -> None:
        of_list: dict[int, list[int]] = {}
        for entry in entries:
            of_list.setdefault(int(entry.list_id), []).append(int(entry.id))
        for number, code_ids in sorted(of_list.items()):
            ids = json.dumps(code_ids)
            self._db.change("delete_retired_codes", ids)
            returned = self._db.change("delete_retired_returned", ids)
            self._db.change("add_retired_codes", ids)
            self._db.change("count_retired", number, len(code_ids), returned)

    def of_assignments(self, assignment_ids: Collection[str]) -> dict[str, tuple[Redemption, ...]]:
        numbers = json.dumps([to_number(each) for each in assignment_ids])
        assignments = {
            each.id: each for each in assignments_from_rows(self._db.fetch("assignments_by_ids", numbers))
        }
        return redemptions_of(self._db, assignments)

    def unredeemed(
        self,
        campaign_id: str | None,
        list_id: str | None,
        assigned_until: datetime,
        after: str | None,
        limit: int,
    ) -> list[Assignment]:
        until = from_instant(assigned_until)
        if campaign_id is not None:
            start = code_id_after(after, 0)
            rows = self._db.fetch("unredeemed_of_campaign", start, origin_of(campaign_id, None), until, limit)
        else:
            number = to_list_number(list_id)
            start = code_id_after(after, first_code_id(number))
            rows = self._db.fetch("unredeemed_of_list", start, last_code_id(number), until, limit)
        return assignments_from_rows(rows)

    def _places(
        self, codes: Sequence[str], scopes: Sequence[int] | None
    ) -> tuple[list[list[int]], list[Row]]:
        """Return which ids each scope has of codes, 0 for none; and codes with other ids.

        These are codes whose place in a scope was taken over. No scopes mean all: most of those have none of the codes,
        so all ids are in the second part.
        """
        wanted, count = to_json(codes), len(codes) or 1
        ids: list[int] = []
        others: list[Row] = []
        if scopes is None:
            others += self._db.fetch("places_in_all_scopes", wanted)
        else:
            [(found,)] = self._db.fetch("places_of_codes", json.dumps(scopes), wanted)
            ids = json.loads(found or "[]")
        in_scopes = [ids[start : start + count] for start in range(0, len(ids), count)]
        return in_scopes, others + self._db.fetch("superseded_places", wanted)

    def _scopes(self, partner: str | None, list_id: str | None) -> list[int] | None:
        if list_id is not None:
            rows = self._db.fetch("scopes_of_list", to_list_number(list_id))
        elif partner is not None:
            rows = self._db.fetch("scopes_of_partner", partner)
        else:
            return None
        return [row[0] for row in rows]

    def _lock(self, code_ids: Sequence[int]) -> None:
        """Keep other transactions from changing what becomes of codes."""

    def _lock_assigned(self, code_ids: Sequence[int]) -> None:
        """Keep other transactions from redeeming and revoking codes that users have."""

    def _lists(self, numbers: Collection[int]) -> dict[int, tuple[str, str, datetime, bool]]:
        rows = self._db.fetch("lists_of_entries", json.dumps(sorted(numbers)))
        return {
            number: (str(number), partner, to_instant(expires_at), state == State.ARCHIVED.value)
            for number, partner, expires_at, state in rows
        }

    def _states(self, code_ids: Sequence[int]) -> dict[int, EntryState | None]:
        if not code_ids:
            return {}
        rows = self._db.fetch("states_of_codes", json.dumps(code_ids))
        return {code_id: None if state is None else EntryState(state) for code_id, state in rows}


def redemptions_of(db: Session, assignments: dict[str, Assignment]) -> dict[str, tuple[Redemption, ...]]:
    """Return the redemptions of assignments, by assignment id."""
    found: dict[str, tuple[Redemption, ...]] = {}
    for row in db.fetch("redemptions_of_codes", json.dumps([int(each) for each in assignments])):
        given = assignments[str(row[0])]
        use = _redemption(row[1:], given.id, given.code, given.list_id, given.campaign_id, given.user_id)
        found[given.id] = (*found.get(given.id, ()), use)
    return found


def event_of_code(name: str, number: str, redemptions: Sequence[Redemption]) -> Event | None:
    """Return the event that what is stored about a code tells; None for one that this version does not know."""
    if name not in (_REDEEMED, _REVERTED):
        return None
    told = redemptions[abs(int(number)) - 1]
    if name == _REVERTED:
        return told.reverted_event
    return (evolve(told, order_id=None) if number.startswith("-") else told).event


class SqlReports(Repository):
    def new_id(self) -> str:
        return str(self._db.fetch("next_report_id")[0][0])

    def add(self, report: ReconciliationReport) -> None:
        self._db.change("add_report", *REPORTS.row(report))

    def save(self, report: ReconciliationReport) -> None:
        progress = REPORTS.row(report, "finished_at", "last_line", "counts")
        self._db.change("save_report", *progress, int(report.id))

    def get(self, report_id: str) -> ReconciliationReport | None:
        rows = self._db.fetch("report_by_id", to_number(report_id))
        return REPORTS.entity(rows[0]) if rows else None

    def unfinished(
        self, sha256: str, partner: str | None, list_id: str | None
    ) -> ReconciliationReport | None:
        found = (REPORTS.entity(row) for row in self._db.fetch("unfinished_reports", sha256))
        return next((each for each in found if (each.partner, each.list_id) == (partner, list_id)), None)

    def add_rows(self, report_id: str, rows: Sequence[ReconciledRow]) -> None:
        for kind, some in groupby(sorted(rows, key=_kind), key=_kind):
            lines, _, *cells, assignment_ids, faults = zip(*some, strict=True)
            self._add_rows(report_id, kind, lines, assignment_ids, faults, *cells)

    def add_found(
        self,
        report_id: str,
        kind: RowKind,
        lines: Sequence[int],
        codes: Sequence[str],
        places: Sequence[int],
    ) -> None:
        del codes
        self._add_rows(report_id, kind, lines, places)

    def add_unknown(
        self,
        report_id: str,
        lines: Sequence[int],
        codes: Sequence[str],
        redeemed_at: Sequence[str],
        order_ids: Sequence[str],
        amounts: Sequence[str],
    ) -> None:
        none = [None] * len(lines)
        cells = (none, none, codes, redeemed_at, order_ids, amounts)
        self._add_rows(report_id, RowKind.UNKNOWN_CODE, lines, *cells)

    def _add_rows(
        self, report_id: str, kind: RowKind, lines: Sequence[int], *columns: Sequence[int | str | None]
    ) -> None:
        if lines:
            start = int(report_id) << _LINE_BITS
            cells = f"[{','.join(map(to_json, (lines, *columns)))}]"
            self._db.change("add_report_rows", start + min(lines), max(lines), kind.value, cells)

    def rows(
        self, report_id: str, kinds: Collection[RowKind], after_line: int, limit: int
    ) -> list[ReconciledRow]:
        number = to_number(report_id)
        if number < 0:
            return []
        after = start = number << _LINE_BITS
        end, wanted = (number + 1) << _LINE_BITS, json.dumps(list(kinds))
        found: list[tuple[int, str, Sequence[Any]]] = []
        # A block may have more rows than a page. Where they are small, more are read at a time.
        size = _FIRST_BLOCKS
        while blocks := self._db.fetch("report_rows", after, end, after_line, wanted, size):
            for after, kind, cells in blocks:
                if len(found) == limit and found[-1][0] < after - start:
                    return self._rows(found)
                columns = json.loads(cells)
                found += [
                    (row[0], kind, row[1:]) for row in zip(*columns, strict=True) if row[0] > after_line
                ]
                # The lines of one block may lie between those of another.
                found.sort()
                del found[limit:]
            size = min(2 * size, _MOST_BLOCKS)
        return self._rows(found)

    def _rows(self, found: Sequence[tuple[int, str, Sequence[Any]]]) -> list[ReconciledRow]:
        places = [row[0] for _, _, row in found if len(row) == 1]
        codes: dict[int, str] = {}
        if places:
            codes.update(self._db.fetch("codes_of_report_rows", json.dumps(places)))
        rows: list[ReconciledRow] = []
        for line, kind, (place, *others) in found:
            if others:
                fault, *cells = others
                rows.append(ReconciledRow._make([line, RowKind(kind), *cells, place, fault]))
            else:
                row = ReconciledRow(line, RowKind(kind), codes.get(place, ""), assignment_id=str(place))
                rows.append(row)
        return rows


def _of_lists(places: list[int], lists: Collection[int]) -> list[int]:
    """Return places with 0 for those that are not of these lists; 0 is one of them."""
    if all(number in lists for number in {place >> POSITION_BITS for place in places}):
        return places
    return [place if place >> POSITION_BITS in lists else 0 for place in places]


def _by_code_id(rows: Iterable[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row[1:])
    return found


def _of_entry(row: Row, entry: Entry, code: str) -> Redemption:
    return _redemption(row, entry.id, code, entry.list_id, entry.campaign_id, entry.user_id or "")


def _redemption(
    row: Row, assignment_id: str, code: str, list_id: str, campaign_id: str | None, user_id: str
) -> Redemption:
    return REDEMPTIONS.entity(
        row,
        assignment_id=assignment_id,
        code=code,
        list_id=list_id,
        campaign_id=campaign_id,
        user_id=user_id,
    )
