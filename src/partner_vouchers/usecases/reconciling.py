"""Reconcile a partner's file: the run behind `redemptions.upload`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import BinaryIO, NamedTuple

from attrs import evolve, field, frozen

from partner_vouchers.csvfile.chunks import require_encoding
from partner_vouchers.csvfile.reader import is_error_file
from partner_vouchers.csvfile.redemptions import RedemptionFile, RedemptionRow
from partner_vouchers.csvfile.refusals import FileRefused
from partner_vouchers.csvfile.streams import CodeSource, open_source, source_filename
from partner_vouchers.domain.arguments import require_callable
from partner_vouchers.domain.reconciliation import (
    ERROR_KINDS,
    ReconciledRow,
    ReconciliationReport,
    RowKind,
    alarm,
    read_amount,
    read_code,
    read_order,
    read_time,
    reconciled,
)
from partner_vouchers.domain.redemption import Entry, EntryState, Redemption
from partner_vouchers.domain.text import MAX_TEXT, require_name
from partner_vouchers.domain.uploads import FileFault, require_uploader, size_limit, too_large
from partner_vouchers.errors import (
    HostTransactionError,
    InvalidInput,
    ReconciliationInterrupted,
    RedemptionFileRefused,
    StorageError,
    UnknownPartner,
)
from partner_vouchers.ports import Transaction, Use
from partner_vouchers.usecases.importing import OnProgress, UploadProgress
from partner_vouchers.usecases.limiting import end_run_out
from partner_vouchers.usecases.stock import notify_falling_stock
from partner_vouchers.usecases.wiring import Wiring, require_list

LEASE = timedelta(seconds=30)
"""How long a reconciliation may be silent before another upload of the same file goes on with it."""

_TARGET_SECONDS = 0.008
_PAUSE_SECONDS = 0.0007
_SMALLEST, _FIRST, _LARGEST = 400, 1_000, 5_000
_KEPT = 300


class _Read(NamedTuple):
    """A row of a file whose cells were read."""

    row: RedemptionRow
    order_id: str | None
    redeemed_at: datetime
    amount: Decimal | None
    fault: str | None


@frozen
class Reconciliation:
    """One reading of a partner's file.

    Attributes:
        wiring: the collaborators.
        partner: whose file it is, or None.
        list_id: the list that it is about, or None.
        uploaded_by: who uploads it.
        zone: the time zone of times that name none.
        encoding: the encoding of the file.
        on_progress: called with how far the reading is, or None.
        token: names this run as the holder of its lease.
    """

    wiring: Wiring
    partner: str | None
    list_id: str | None
    uploaded_by: str
    zone: tzinfo
    encoding: str
    on_progress: OnProgress | None
    token: str = field(repr=False)

    @classmethod
    def of_arguments(
        cls,
        wiring: Wiring,
        partner: object,
        list_id: object,
        uploaded_by: object,
        zone: object,
        encoding: object,
        progress: OnProgress | None,
    ) -> Reconciliation:
        """Return the run that a caller asks for.

        Raises:
            InvalidInput: an argument breaks its rule.
            UnknownPartner: there is no such partner.
            UnknownList: there is no such list.
            HostTransactionError: the call is made within a host's transaction.
        """
        if wiring.in_host_transaction:
            raise HostTransactionError(
                reason="a reconciliation cannot be part of a host's transaction, because it works in many short ones; "
                "call it on the PartnerVouchers object itself, not on using(connection)"
            )
        if (partner is None) == (list_id is None):
            raise InvalidInput(field="partner", reason="pass either partner or list_id")
        run = cls(
            wiring,
            None if partner is None else require_name("partner", partner),
            None if list_id is None else wiring.read(require_list, list_id).id,
            require_uploader(uploaded_by),
            _require_zone(zone),
            require_encoding(encoding),
            None if progress is None else require_callable("progress", progress),
            wiring.new_token(),
        )
        if run.partner is not None and wiring.read(_get_partner, run.partner) is None:
            raise UnknownPartner(name=run.partner)
        return run

    def run(self, source: CodeSource, filename: str | None) -> ReconciliationReport:
        """Read a file twice: to find out whether it is refused as a whole, and to reconcile its rows.

        Raises:
            RedemptionFileRefused: it is refused as a whole; nothing was recorded.
            SourceUnreadable: it cannot be read.
            InvalidInput: no name is known for it.
            ReconciliationInterrupted: another process went on with it.
        """
        name = source_filename(source, filename)
        with open_source(source, name, self._limit_of) as opened:
            if opened.is_too_large:
                raise _refused(too_large(opened.limit))
            try:
                self._file(opened.stream).check()
            except FileRefused as refused:
                fault = refused.fault
            else:
                opened.stream.seek(0)
                report = self.wiring.write_alone(self._begin, opened.sha256, name)
                try:
                    return self._reconcile(report, opened.stream, opened.size)
                except BaseException:
                    # Whoever uploads the file again must not wait for the lease of this process.
                    with suppress(StorageError):
                        self.wiring.write_alone(self._give_back, report)
                    raise
        raise _refused(fault)

    def _limit_of(self, head: bytes) -> int:
        return size_limit(is_error_file(head, self.encoding))

    def _file(self, stream: BinaryIO) -> RedemptionFile:
        return RedemptionFile(stream, self.wiring.code_format, encoding=self.encoding)

    def _begin(self, tx: Transaction, sha256: str, filename: str) -> ReconciliationReport:
        """Return the report to go on with: that of the same file whose process was killed, or else a new one."""
        now = self.wiring.now()
        found = tx.reports.unfinished(sha256, self.partner, self.list_id)
        if found is None or not tx.leases.take(_lease(found), self.token, now, now + LEASE):
            found = ReconciliationReport(
                id=tx.reports.new_id(),
                partner=self.partner,
                list_id=self.list_id,
                uploaded_by=self.uploaded_by,
                filename=filename,
                sha256=sha256,
                started_at=now,
            )
            tx.reports.add(found)
            tx.leases.take(_lease(found), self.token, now, now + LEASE)
        tx.commit()
        return found

    def _reconcile(self, report: ReconciliationReport, stream: BinaryIO, size: int) -> ReconciliationReport:
        file, rows = self._file(stream), _SliceSize()
        batch: list[_Read] = []
        done, now = 0, self.wiring.now()
        for row in file:
            done += 1
            if row.line <= report.last_line:
                continue
            batch.append(self._read(row, now))
            if len(batch) >= rows.count:
                report = self._take(report, batch, rows)
                batch, now = [], self.wiring.now()
                if self.on_progress is not None:
                    self.on_progress(UploadProgress(done, file.bytes_read, size))
        if batch:
            report = self._take(report, batch, rows)
        return self.wiring.write_alone(self._finish, report)

    def _read(self, row: RedemptionRow, now: datetime) -> _Read:
        try:
            if row.surplus:
                raise ValueError("the row has more columns than the first row names")
            code, order_id = row.code, row.order_id or None
            if not (code.isascii() and code.isalnum()):
                read_code(code)
            if order_id is not None and not (
                order_id.isascii() and order_id.isprintable() and len(order_id) < 200
            ):
                order_id = read_order(order_id)
            return _Read(
                row, order_id, read_time(row.redeemed_at, self.zone, now), read_amount(row.amount), None
            )
        except ValueError as error:
            return _Read(row, None, now, None, str(error))

    def _take(
        self, report: ReconciliationReport, batch: Sequence[_Read], rows: _SliceSize
    ) -> ReconciliationReport:
        started = time.perf_counter()
        taken = self.wiring.write_alone(self._take_in, report, batch)
        rows.learn(time.perf_counter() - started)
        # Whoever waits for the storage looks at it from time to time only, and must find it free.
        self.wiring.pause(_PAUSE_SECONDS)
        return taken

    def _take_in(
        self, tx: Transaction, report: ReconciliationReport, batch: Sequence[_Read]
    ) -> ReconciliationReport:
        """Reconcile rows in one transaction."""
        now = self.wiring.now()
        self._keep_lease(tx, report, now)
        recorded, others = self._record_unused(tx, batch, now)
        batch_of = _Batch(self, report, now)
        batch_of.rows += recorded
        if others:
            codes = list(dict.fromkeys(each.row.code for each in others if each.fault is None))
            entries = self._entries(tx, codes, now) if codes else {}
            is_once = len(codes) == len(others)
            for each in others:
                batch_of.add(each, entries, is_once)
            batch_of.store(tx)
        counts = Counter(report.counts)
        counts.update(row.kind for row in batch_of.rows)
        taken = evolve(report, last_line=batch[-1].row.line, counts=dict(counts))
        tx.reports.add_rows(report.id, batch_of.rows)
        tx.reports.save(taken)
        tx.commit()
        return taken

    def _entries(self, tx: Transaction, codes: Sequence[str], now: datetime) -> dict[str, list[Entry]]:
        """Return the entries of codes. A code whose reservation has run out is in the pool."""
        found = tx.redemptions.entries(codes, self.partner, self.list_id)
        reserved = {
            entry.list_id
            for entries in found.values()
            for entry in entries
            if entry.state is EntryState.RESERVED
        }
        run_out = tx.reservations.run_out(reserved, now) if reserved else {}
        if not run_out:
            return found
        for list_id, count in sorted(run_out.items()):
            end_run_out(tx, list_id, count, now)
        return tx.redemptions.entries(codes, self.partner, self.list_id)

    def _record_unused(
        self, tx: Transaction, batch: Sequence[_Read], now: datetime
    ) -> tuple[list[ReconciledRow], list[_Read]]:
        """Record what most rows say: that a code was used which a user has. Return these rows, and the others."""
        codes = list(dict.fromkeys([each.row.code for each in batch if each.fault is None]))
        unused = tx.redemptions.unused(codes, self.partner, self.list_id) if codes else {}
        if not unused:
            return [], list(batch)
        uses: list[Use] = []
        rows: list[ReconciledRow] = []
        others: list[_Read] = []
        for each in batch:
            row, order_id, redeemed_at, _, fault = each
            # Of several rows with the code, the first.
            found = unused.pop(row.code, None) if fault is None else None
            if found is None:
                others.append(each)
                continue
            assignment_id, expires_at = found
            uses.append(
                Use(assignment_id, order_id, redeemed_at, now, row.amount or None, redeemed_at > expires_at)
            )
            rows.append(ReconciledRow(row.line, RowKind.RECORDED, row.code, assignment_id=assignment_id))
        tx.redemptions.record(uses)
        return rows, others

    def _keep_lease(self, tx: Transaction, report: ReconciliationReport, now: datetime) -> None:
        if not tx.leases.held(_lease(report), self.token):
            raise ReconciliationInterrupted(report_id=report.id)
        tx.leases.take(_lease(report), self.token, now, now + LEASE)

    def _give_back(self, tx: Transaction, report: ReconciliationReport) -> None:
        tx.leases.release(_lease(report), self.token)
        tx.commit()

    def _finish(self, tx: Transaction, report: ReconciliationReport) -> ReconciliationReport:
        now = self.wiring.now()
        self._keep_lease(tx, report, now)
        finished = evolve(report, finished_at=now)
        tx.reports.save(finished)
        # The sinks are told of each code, not of the file.
        tx.audit.append(self.uploaded_by, [finished.event])
        tx.leases.release(_lease(report), self.token)
        tx.commit()
        return finished


class _Batch:
    """What the rows of one transaction change.

    Attributes:
        rows: the rows, with what became of them.
    """

    def __init__(self, run: Reconciliation, report: ReconciliationReport, now: datetime) -> None:
        self.rows: list[ReconciledRow] = []
        self._run = run
        self._report = report
        self._now = now
        self._new: dict[tuple[str, int], Redemption] = {}
        self._completed: dict[tuple[str, int], Redemption] = {}
        self._leaked: list[tuple[Entry, _Read]] = []

    def add(self, read: _Read, entries: dict[str, list[Entry]], is_once: bool) -> None:
        """Decide what becomes of a row.

        Args:
            read: the row.
            entries: the entries of its code, which follow what earlier rows changed.
            is_once: whether each code of the batch is in it once, so that nothing has to follow.
        """
        row = read.row
        if read.fault is not None:
            self.rows.append(_kept(row, RowKind.MALFORMED, None, read.fault))
            return
        found = entries.get(row.code, ())
        kind, entry = reconciled(found, read.order_id, partner=self._run.partner, list_id=self._run.list_id)
        changed = None
        if entry is not None:
            changed = self._change(kind, entry, read)
        if changed is not None and not is_once:
            entries[row.code] = [changed if each.id == changed.id else each for each in found]
        held = entry is not None and entry.user_id is not None
        self.rows.append(_kept(row, kind, entry.id if entry is not None and held else None, None))

    def _change(self, kind: RowKind, entry: Entry, read: _Read) -> Entry | None:
        """Return the entry as the row changes it, or None where it does not."""
        if kind is RowKind.RECORDED:
            new = entry.redeemed(read.row.code, read.order_id, read.redeemed_at, read.amount, self._now)
            self._new[entry.id, new.number] = new
            return evolve(entry, redemptions=(*entry.redemptions, new))
        known = entry.redemption
        if kind is RowKind.KNOWN_ALREADY and known is not None and known.order_id is None and read.order_id:
            completed = evolve(known, order_id=read.order_id)
            key = (entry.id, known.number)
            (self._new if key in self._new else self._completed)[key] = completed
            return evolve(entry, redemptions=(*entry.redemptions[:-1], completed))
        if kind is RowKind.NEVER_DISTRIBUTED and entry.state is EntryState.AVAILABLE:
            self._leaked.append((entry, read))
            return evolve(entry, state=EntryState.RETIRED)
        return None

    def store(self, tx: Transaction) -> None:
        """Store what the rows change."""
        if self._new:
            tx.redemptions.add(list(self._new.values()))
        if self._completed:
            tx.redemptions.set_order(list(self._completed.values()))
        if not self._leaked:
            return
        tx.redemptions.retire([entry for entry, _ in self._leaked])
        tx.outbox.append(
            [
                alarm(entry, read.row.code, read.order_id, read.redeemed_at, self._report.id, self._now)
                for entry, read in self._leaked
            ]
        )
        for list_id in dict.fromkeys(entry.list_id for entry, _ in self._leaked):
            voucher_list = require_list(tx, list_id)
            counts = tx.codes.counts(list_id)
            notify_falling_stock(tx, voucher_list, voucher_list.notified, counts, self._now)


class _SliceSize:
    """How many rows fit into one short transaction, learned from those before."""

    def __init__(self) -> None:
        self.count: int = _FIRST

    def learn(self, seconds: float) -> None:
        fitting = self.count * _TARGET_SECONDS / max(seconds, 1e-4)
        # Growing slowly and shrinking at once keeps the longest ones rare.
        self.count = int(max(_SMALLEST, min(_LARGEST, fitting, self.count * 1.5)))


def _kept(row: RedemptionRow, kind: RowKind, assignment_id: str | None, fault: str | None) -> ReconciledRow:
    code = _shortened(row.code, MAX_TEXT)
    if kind not in ERROR_KINDS:
        return ReconciledRow(row.line, kind, code, assignment_id=assignment_id)
    return ReconciledRow(
        row.line,
        kind,
        code,
        _shortened(row.redeemed_at, _KEPT),
        _shortened(row.order_id, _KEPT),
        _shortened(row.amount, _KEPT),
        assignment_id,
        fault,
    )


def _shortened(cell: str, most: int) -> str:
    return cell if len(cell) <= most else cell[:most] + "…"


def _require_zone(zone: object) -> tzinfo:
    if not isinstance(zone, tzinfo):
        raise InvalidInput(
            field="zone", reason=f"must be a tzinfo such as a ZoneInfo, not {type(zone).__name__}"
        )
    return zone


def _lease(report: ReconciliationReport) -> str:
    return f"reconciliation {report.id}"


def _get_partner(tx: Transaction, name: str) -> object:
    return tx.partners.get(name)


def _refused(fault: FileFault) -> RedemptionFileRefused:
    return RedemptionFileRefused(kind=fault.kind.value, reason=fault.message, line=fault.line)
