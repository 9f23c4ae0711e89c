"""Reconcile a partner's file: the run behind `redemptions.upload`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from operator import gt
from typing import BinaryIO, TypeVar, TypeVarTuple

from attrs import evolve, field, frozen

from partner_vouchers.csvfile.chunks import require_encoding
from partner_vouchers.csvfile.reader import is_error_file
from partner_vouchers.csvfile.redemptions import RedemptionFile, RedemptionRows
from partner_vouchers.csvfile.refusals import FileRefused
from partner_vouchers.csvfile.streams import CodeSource, open_source, source_filename
from partner_vouchers.domain.arguments import require_callable, require_zone
from partner_vouchers.domain.reconciliation import FIRST_USE, ReconciliationReport, RowKind, changes_nothing
from partner_vouchers.domain.redemption import Entry, EntryState
from partner_vouchers.domain.text import require_name
from partner_vouchers.domain.uploads import MAX_ROWS, FileFault, size_limit, too_large
from partner_vouchers.errors import (
    InvalidInput,
    ReconciliationInterrupted,
    RedemptionFileRefused,
    StorageError,
)
from partner_vouchers.ports import Transaction, Uses
from partner_vouchers.slices import SliceSize
from partner_vouchers.usecases.importing import OnProgress, UploadProgress
from partner_vouchers.usecases.limiting import return_run_out
from partner_vouchers.usecases.reconciled_rows import CommonRows, RowBatch, RowSpan
from partner_vouchers.usecases.wiring import Wiring, require_list, require_partner

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

LEASE = timedelta(seconds=30)
"""How long a reconciliation may be silent before another upload of the same file goes on with it."""

_PAUSE_SECONDS = 0.0007
_SMALLEST, _FIRST, _LARGEST = 400, 1_000, 5_000
_SPAN = 50_000
"""How many rows are looked up at once."""


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
        wiring.require_own_transactions(
            "a reconciliation cannot be part of a host's transaction, because it works in many short ones; "
            "call it on the PartnerVouchers object itself, not on using(connection)"
        )
        if (partner is None) == (list_id is None):
            raise InvalidInput(field="partner", reason="pass either partner or list_id")
        run = cls(
            wiring,
            None if partner is None else require_name("partner", partner),
            None if list_id is None else wiring.read(require_list, list_id).id,
            require_name("uploaded_by", uploaded_by),
            require_zone(zone),
            require_encoding(encoding),
            None if progress is None else require_callable("progress", progress),
            wiring.new_token(),
        )
        if run.partner is not None:
            wiring.read(require_partner, run.partner)
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
                report, done = self.wiring.write_alone(self._begin, opened.sha256, name)
                try:
                    return self._reconcile(report, done, opened.stream, opened.size)
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

    def _begin(
        self, tx: Transaction, sha256: str, filename: str
    ) -> tuple[ReconciliationReport, frozenset[int]]:
        """Return the report to go on with, and the lines after its last one that were done before.

        It is that of the same file whose process was killed, or else a new one.
        """
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
        done = tx.reports.rows(found.id, tuple(RowKind), found.last_line, MAX_ROWS)
        return found, frozenset(row.line for row in done)

    def _reconcile(
        self, report: ReconciliationReport, done: frozenset[int], stream: BinaryIO, size: int
    ) -> ReconciliationReport:
        file, slices = self._file(stream), SliceSize(_SMALLEST, _FIRST, _LARGEST)
        rows_before = 0
        for span in self._spans(file, report.last_line, done):
            self.wiring.read(span.look_up, self.partner, self.list_id)
            rows_before += span.skipped
            for saved, taken in self._take(report, span, slices):
                report = saved
                rows_before += taken
                if self.on_progress is not None:
                    self.on_progress(UploadProgress(rows_before, file.bytes_read, size))
            # It is stored with what follows.
            report = evolve(report, last_line=max(span.last_line, report.last_line))
            # Free it before the next one is read.
            del span
        return self.wiring.write_alone(self._finish, report)

    def _spans(self, file: RedemptionFile, last_line: int, done: frozenset[int]) -> Iterator[RowSpan]:
        """Yield the rows that are left of a file, so many at once that few pages of a storage are written twice.

        Args:
            file: the file.
            last_line: up to which line the rows were done before.
            done: later lines that were done before.
        """
        span = RowSpan(self.zone, self.wiring.now())
        for rows in file:
            span.last_line = rows.lines[-1]
            if done or rows.lines[0] <= last_line:
                left = [
                    index for index, line in enumerate(rows.lines) if line > last_line and line not in done
                ]
                span.skipped += len(rows.lines) - len(left)
                rows = rows.only(left)
            span.add(rows)
            if len(span.rows.lines) >= _SPAN:
                yield span
                span = RowSpan(self.zone, self.wiring.now())
        if span.last_line:
            yield span

    def _take(
        self, report: ReconciliationReport, span: RowSpan, slices: SliceSize
    ) -> Iterator[tuple[ReconciliationReport, int]]:
        """Reconcile a span in short transactions; yield the report and the number of rows after each."""
        common, unknown, others = span.split()
        start = 0
        while start < len(common.places):
            some = common.part(start, slices.rows)
            start += len(some.places)
            report, left = self._in_slice(slices, self._take_common, report, some)
            others += left
            yield report, len(some.places) - len(left)
        while unknown:
            indexes = unknown[: slices.rows]
            del unknown[: slices.rows]
            report = self._in_slice(slices, self._take_unknown, report, span.kept.only(indexes))
            yield report, len(indexes)
        others.sort()
        while others:
            indexes = others[: slices.rows]
            del others[: slices.rows]
            # Each list once: reservations that other transactions are ending stay as they are until these commit.
            ended = set[str]()
            while isinstance(
                decided := self._in_slice(slices, self._decide, report, span, indexes, ended), list
            ):
                for list_id in decided:
                    return_run_out(self.wiring, list_id, self.wiring.now())
                ended.update(decided)
            report = decided
            yield report, len(indexes)

    def _in_slice(
        self, slices: SliceSize, work: Callable[[Transaction, *Arguments], T], *arguments: *Arguments
    ) -> T:
        started = time.perf_counter()
        done = self.wiring.write_alone(work, *arguments)
        slices.learn(time.perf_counter() - started)
        # Whoever waits for the storage looks at it from time to time only, and must find it free.
        self.wiring.pause(_PAUSE_SECONDS)
        return done

    def _take_common(
        self, tx: Transaction, report: ReconciliationReport, some: CommonRows
    ) -> tuple[ReconciliationReport, list[int]]:
        """Reconcile what most rows say: a code that a user has was used, or is known to be.

        Return the report, and the indexes of the other rows.
        """
        now = self.wiring.now()
        self._keep_lease(tx, report, now)
        held = tx.redemptions.held(some.places)
        new, known = some.at(held.unused), some.at(held.used)
        if new.places:
            late = list(map(gt, new.redeemed_at, held.expires_at))
            amounts = [amount or None for amount in new.amounts]
            tx.redemptions.record(now, Uses(new.places, new.order_ids, new.redeemed_at, amounts, late))
        is_known = list(map(changes_nothing, held.order_ids, known.order_ids))
        if not all(is_known):
            known = known.only(is_known)
        counts = {}
        for kind, rows in ((FIRST_USE, new), (RowKind.KNOWN_ALREADY, known)):
            if rows.places:
                counts[kind] = len(rows.places)
                tx.reports.add_found(report.id, kind, rows.lines, rows.codes, rows.places)
        left = set[int]()
        if len(new.places) + len(known.places) < len(some.places):
            left.update(some.indexes)
            left.difference_update(new.indexes, known.indexes)
        return self._save(tx, report, counts), list(left)

    def _take_unknown(
        self, tx: Transaction, report: ReconciliationReport, rows: RedemptionRows
    ) -> ReconciliationReport:
        """Keep rows whose codes no list contains."""
        self._keep_lease(tx, report, self.wiring.now())
        tx.reports.add_unknown(report.id, *rows[:-1])
        return self._save(tx, report, {RowKind.UNKNOWN_CODE: len(rows.lines)})

    def _decide(
        self,
        tx: Transaction,
        report: ReconciliationReport,
        span: RowSpan,
        indexes: Sequence[int],
        ended: Collection[str],
    ) -> ReconciliationReport | list[str]:
        """Reconcile rows of any kind.

        If reservations of their codes have run out, which are in the pool again, it changes nothing, and returns the
        lists of these reservations. Those of the lists `ended` were ended already.
        """
        now = self.wiring.now()
        self._keep_lease(tx, report, now)
        rows = RowBatch(span, self.partner, self.list_id, report.id, now)
        codes = list(dict.fromkeys(span.rows.codes[index] for index in indexes if index not in span.faults))
        entries = tx.redemptions.entries(codes, self.partner, self.list_id) if codes else {}
        run_out = [each for each in self._run_out(tx, entries, now) if each not in ended]
        if run_out:
            return run_out
        for index in indexes:
            rows.add(index, entries)
        rows.store(tx)
        return self._save(tx, report, {kind: len(of_kind) for kind, of_kind in rows.rows.items()})

    def _save(
        self, tx: Transaction, report: ReconciliationReport, counts: Mapping[RowKind, int]
    ) -> ReconciliationReport:
        saved = evolve(report, counts=dict(Counter(report.counts) + Counter(counts)))
        tx.reports.save(saved)
        return saved

    def _run_out(self, tx: Transaction, found: Mapping[str, Sequence[Entry]], now: datetime) -> list[str]:
        """Return the lists of reserved entries in which reservations have run out."""
        reserved = {
            entry.list_id
            for entries in found.values()
            for entry in entries
            if entry.state is EntryState.RESERVED
        }
        return sorted(tx.reservations.run_out(reserved, now)) if reserved else []

    def _keep_lease(self, tx: Transaction, report: ReconciliationReport, now: datetime) -> None:
        if not tx.leases.held(_lease(report), self.token):
            raise ReconciliationInterrupted(report_id=report.id)
        tx.leases.take(_lease(report), self.token, now, now + LEASE)

    def _give_back(self, tx: Transaction, report: ReconciliationReport) -> None:
        tx.leases.release(_lease(report), self.token)

    def _finish(self, tx: Transaction, report: ReconciliationReport) -> ReconciliationReport:
        now = self.wiring.now()
        self._keep_lease(tx, report, now)
        finished = evolve(report, finished_at=now)
        tx.reports.save(finished)
        # The sinks are told of each code, not of the file.
        tx.audit.append(self.uploaded_by, [finished.event])
        tx.leases.release(_lease(report), self.token)
        return finished


def _lease(report: ReconciliationReport) -> str:
    return f"reconciliation {report.id}"


def _refused(fault: FileFault) -> RedemptionFileRefused:
    return RedemptionFileRefused(kind=fault.kind.value, reason=fault.message, line=fault.line)
