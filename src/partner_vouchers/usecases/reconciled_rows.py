"""The rows of a partner's file in a reconciliation: what they need of the record, and what they change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, tzinfo
from functools import cached_property
from itertools import chain, compress, count, islice
from typing import NamedTuple

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
from partner_vouchers.picking import picker
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
        places: where the entry of each code is; see `ports.Redemptions.places`.
        last_line: the last line of the file that was looked at.
        skipped: how many rows were left out, because the report has them already.
    """

    def __init__(self, zone: tzinfo, now: datetime) -> None:
        """Begin with no rows; times without a zone are in `zone`, and rows without a time of `now`."""
        self.rows: RedemptionRows = RedemptionRows([], [], [], [], [], [])
        self.redeemed_at: list[datetime] = []
        self.order_ids: list[str | None] = []
        self.faults: dict[int, str] = {}
        self.places: Sequence[int | None] = []
        self.last_line: int = 0
        self.skipped: int = 0
        self._zone = zone
        self._now = now

    def add(self, rows: RedemptionRows) -> None:
        """Add rows that follow, and read their cells while these are in the cache of the processor."""
        start = len(self.redeemed_at)
        _, codes, redeemed_at, order_ids, amounts, surplus = rows
        cells = read_cells(codes, redeemed_at, order_ids, amounts, self._zone, self._now)
        self.rows.add(rows)
        self.redeemed_at += cells.redeemed_at
        self.order_ids += cells.order_ids
        self.faults.update((start + index, fault) for index, fault in cells.faults.items())
        for index in compress(count(start), surplus):
            self.faults[index] = "the row has more columns than the first row names"

    def look_up(self, tx: Transaction, partner: str | None, list_id: str | None) -> None:
        """Find the places of the codes."""
        codes: Sequence[str] = self.rows.codes
        if self.faults:
            codes = ["" if index in self.faults else code for index, code in enumerate(codes)]
        self.places = tx.redemptions.places(codes, partner, list_id)

    def split(self) -> SplitRows:
        """Return the rows by what is known of their codes."""
        places, faults = self.places, self.faults
        _, codes, _, _, amounts, _ = self.rows
        columns = (self.rows.lines, codes, self.order_ids, self.redeemed_at, amounts)
        found = [place for place in places if place]
        if len(found) == len(places) and not faults and all(map(int.__lt__, found, islice(found, 1, None))):
            return SplitRows(CommonRows(range(len(found)), found, *columns), [], [])
        common, unknown, others = list(range(len(places))), list[int](), list[int]()
        if len(found) < len(places) or faults:
            unknown = [index for index in common if places[index] == 0 and index not in faults]
            others = [index for index in common if places[index] is None or index in faults]
            common = [index for index in common if places[index] and index not in faults]
        common.sort(key=places.__getitem__)  # type: ignore[arg-type]
        once = set(picker(common)(places))
        if len(once) < len(common):
            times = Counter(picker(common)(places))
            others += [index for index in common if times[places[index]] > 1]
            common = [index for index in common if times[places[index]] == 1]
        return SplitRows(CommonRows(common, *map(picker(common), (places, *columns))), unknown, others)

    @cached_property
    def kept(self) -> RedemptionRows:
        """The rows as a report keeps them, with long cells shortened."""
        _, codes, redeemed_at, order_ids, amounts, _ = self.rows
        return self.rows._replace(
            codes=_shortened(codes, MAX_TEXT),
            redeemed_at=_shortened(redeemed_at, _KEPT),
            order_ids=_shortened(order_ids, _KEPT),
            amounts=_shortened(amounts, _KEPT),
        )


class SplitRows(NamedTuple):
    """Rows of a file by what is known of their codes.

    Attributes:
        common: those whose code has one place and is in no other row.
        unknown: the indexes of those whose code was not found.
        others: the indexes of all others.
    """

    common: CommonRows
    unknown: list[int]
    others: list[int]


class CommonRows(NamedTuple):
    """Rows whose code has one place, as columns in the order of the places, in which a storage writes them fastest."""

    indexes: Sequence[int]
    places: Sequence[int]
    lines: Sequence[int]
    codes: Sequence[str]
    order_ids: Sequence[str | None]
    redeemed_at: Sequence[datetime]
    amounts: Sequence[str]

    def part(self, start: int, count: int) -> CommonRows:
        """Return some rows in a row."""
        return CommonRows._make(column[start : start + count] for column in self)

    def at(self, places: Sequence[int]) -> CommonRows:
        """Return the rows of some of the places."""
        if len(places) == len(self.places):
            return self
        if not places:
            return self.part(0, 0)
        return self.only(list(map(set(places).__contains__, self.places)))

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
