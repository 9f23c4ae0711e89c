"""The rows of a partner's file in a reconciliation: what they need of the record, and what they change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from itertools import chain, compress, repeat
from operator import not_
from typing import Any, NamedTuple

from attrs import evolve

from partner_vouchers.csvfile.redemptions import RedemptionRows
from partner_vouchers.domain.reconciliation import (
    ERROR_KINDS,
    ReconciledRow,
    RowKind,
    alarm,
    read_amount,
    read_cells,
    reconciled,
)
from partner_vouchers.domain.redemption import Entry, EntryState, Redemption
from partner_vouchers.domain.text import MAX_TEXT
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.stock import notify_falling_stock
from partner_vouchers.usecases.wiring import require_list

_KEPT = 300


class RowSpan:
    """Rows of a file whose codes are looked up together.

    Attributes:
        rows: the rows, as text.
        redeemed_at: when their codes were used.
        order_ids: in which orders, or None.
        faults: why rows cannot be read, by index.
        places: where the entries of their codes are; see `ports.Redemptions.places`.
        kept: the rows as a report keeps them, with long cells shortened.
    """

    def __init__(self, rows: RedemptionRows, zone: tzinfo, now: datetime) -> None:
        _, codes, redeemed_at, order_ids, amounts, surplus = rows
        self.rows = rows
        cells = read_cells(codes, redeemed_at, order_ids, amounts, zone, now)
        self.redeemed_at: list[datetime] = cells.redeemed_at
        self.order_ids: list[str | None] = cells.order_ids
        self.faults: dict[int, str] = cells.faults
        for index in compress(range(len(surplus)), surplus):
            self.faults[index] = "the row has more columns than the first row names"
        self.places: dict[str, int | None] = {}
        self.kept: RedemptionRows = rows._replace(
            codes=_shortened(codes, MAX_TEXT),
            redeemed_at=_shortened(redeemed_at, _KEPT),
            order_ids=_shortened(order_ids, _KEPT),
            amounts=_shortened(amounts, _KEPT),
        )

    def look_up(self, tx: Transaction, partner: str | None, list_id: str | None) -> None:
        """Find the places of the codes."""
        codes: Iterable[str] = self.rows.codes
        if self.faults:
            codes = (code for index, code in enumerate(codes) if index not in self.faults)
        self.places = tx.redemptions.places(list(dict.fromkeys(codes)), partner, list_id)

    def split(self) -> tuple[CommonRows, list[int]]:
        """Return the rows whose code has one place and is in no other row, and the indexes of all others."""
        codes, faults = self.rows.codes, self.faults
        places = [self.places.get(code) or 0 for code in codes]
        indexes, others = list(range(len(codes))), list[int]()
        if 0 in places or len(self.places) < len(codes):
            times = Counter(codes)
            is_common = [
                place > 0 and times[code] == 1 and index not in faults
                for index, (code, place) in enumerate(zip(codes, places, strict=True))
            ]
            others = [index for index in indexes if not is_common[index]]
            indexes = list(compress(indexes, is_common))
        indexes.sort(key=places.__getitem__)
        columns: tuple[list[Any], ...] = (
            places,
            self.rows.lines,
            codes,
            self.order_ids,
            self.redeemed_at,
            self.rows.amounts,
        )
        return CommonRows(indexes, *(list(map(column.__getitem__, indexes)) for column in columns)), others


class CommonRows(NamedTuple):
    """Rows whose code has one place, as columns in the order of the places, in which a storage writes them fastest."""

    indexes: list[int]
    places: list[int]
    lines: list[int]
    codes: list[str]
    order_ids: list[str | None]
    redeemed_at: list[datetime]
    amounts: list[str]

    def part(self, start: int, count: int) -> CommonRows:
        """Return some rows in a row."""
        return CommonRows._make(column[start : start + count] for column in self)

    def only(self, wanted: Sequence[bool]) -> CommonRows:
        """Return the rows that are wanted."""
        return CommonRows._make(list(compress(column, wanted)) for column in self)


class RowBatch:
    """What the rows of one transaction change.

    Attributes:
        rows: the rows, with what became of them, by their kind.
    """

    def __init__(
        self, span: RowSpan, partner: str | None, list_id: str | None, report_id: str, now: datetime
    ) -> None:
        self.rows: dict[RowKind, list[ReconciledRow]] = {}
        self._partner = partner
        self._list_id = list_id
        self._report_id = report_id
        self._span = span
        self._now = now
        self._new: dict[tuple[str, int], Redemption] = {}
        self._completed: dict[tuple[str, int], Redemption] = {}
        self._leaked: list[tuple[Entry, int]] = []

    def add_unknown(self, indexes: Sequence[int]) -> list[int]:
        """Decide what becomes of rows whose code was not found; return the others."""
        codes, span = self._span.rows.codes, self._span
        is_other = [codes[index] in span.places or index in span.faults for index in indexes]
        unknown = list(compress(indexes, map(not_, is_other)))
        if unknown:
            kind, none = RowKind.UNKNOWN_CODE, repeat(None)
            lines, *cells = (map(column.__getitem__, unknown) for column in span.kept[:-1])
            self.rows[kind] = list(map(ReconciledRow._make, zip(lines, repeat(kind), *cells, none, none)))
        return list(compress(indexes, is_other))

    def add(self, index: int, entries: dict[str, list[Entry]]) -> None:
        """Decide what becomes of a row; the entries of its code follow what it changes."""
        fault = self._span.faults.get(index)
        if fault is not None:
            self._keep(index, RowKind.MALFORMED, None, fault)
            return
        code = self._span.rows.codes[index]
        found = entries.get(code, ())
        kind, entry = reconciled(
            found, self._span.order_ids[index], partner=self._partner, list_id=self._list_id
        )
        if entry is None:
            self._keep(index, kind, None, None)
            return
        changed = self._change(kind, entry, index)
        if changed is not None:
            entries[code] = [changed if each.id == changed.id else each for each in found]
        self._keep(index, kind, None if entry.user_id is None else entry.id, None)

    def _change(self, kind: RowKind, entry: Entry, index: int) -> Entry | None:
        """Return the entry as the row changes it, or None where it does not."""
        span = self._span
        order_id = span.order_ids[index]
        if kind is RowKind.RECORDED:
            amount = read_amount(span.rows.amounts[index])
            new = entry.redeemed(span.rows.codes[index], order_id, span.redeemed_at[index], amount, self._now)
            self._new[entry.id, new.number] = new
            return evolve(entry, redemptions=(*entry.redemptions, new))
        known = entry.redemption
        if kind is RowKind.KNOWN_ALREADY and known is not None and known.order_id is None and order_id:
            completed = evolve(known, order_id=order_id)
            key = (entry.id, known.number)
            (self._new if key in self._new else self._completed)[key] = completed
            return evolve(entry, redemptions=(*entry.redemptions[:-1], completed))
        if kind is RowKind.NEVER_DISTRIBUTED and entry.state is EntryState.AVAILABLE:
            self._leaked.append((entry, index))
            return evolve(entry, state=EntryState.RETIRED)
        return None

    def _keep(self, index: int, kind: RowKind, assignment_id: str | None, fault: str | None) -> None:
        kept, cells = self._span.kept, ("", "", "")
        if kind in ERROR_KINDS:
            cells = (kept.redeemed_at[index], kept.order_ids[index], kept.amounts[index])
        row = ReconciledRow(kept.lines[index], kind, kept.codes[index], *cells, assignment_id, fault)
        self.rows.setdefault(kind, []).append(row)

    def store(self, tx: Transaction) -> None:
        """Store the rows, and what they change."""
        tx.reports.add_rows(self._report_id, list(chain.from_iterable(self.rows.values())))
        if self._new:
            tx.redemptions.add(list(self._new.values()))
        if self._completed:
            tx.redemptions.set_order(list(self._completed.values()))
        if not self._leaked:
            return
        tx.redemptions.retire([entry for entry, _ in self._leaked])
        span, report_id = self._span, self._report_id
        tx.outbox.append(
            [
                alarm(
                    entry,
                    span.rows.codes[at],
                    span.order_ids[at],
                    span.redeemed_at[at],
                    report_id,
                    self._now,
                )
                for entry, at in self._leaked
            ]
        )
        for list_id in dict.fromkeys(entry.list_id for entry, _ in self._leaked):
            voucher_list = require_list(tx, list_id)
            counts = tx.codes.counts(list_id)
            notify_falling_stock(tx, voucher_list, voucher_list.notified, counts, self._now)


def _shortened(cells: list[str], most: int) -> list[str]:
    if max(map(len, cells), default=0) <= most:
        return cells
    return [cell if len(cell) <= most else cell[:most] + "…" for cell in cells]
