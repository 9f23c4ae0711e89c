"""Redemptions: record that codes were used, undo it, and reconcile partners' files with the record."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import BinaryIO

from attrs import evolve

from partner_vouchers.csvfile.redemptions import redemption_error_file
from partner_vouchers.csvfile.streams import CodeSource, as_binary_stream
from partner_vouchers.domain.arguments import require_bool, require_each, require_member
from partner_vouchers.domain.reconciliation import ERROR_KINDS, ReconciledRow, ReconciliationReport, RowKind
from partner_vouchers.domain.redemption import (
    Entry,
    Redemption,
    choose_entry,
    known_redemption,
    new_amount,
    new_redeemed_at,
    redemption_to_revert,
)
from partner_vouchers.domain.text import MAX_TEXT, could_be_id, require_id, require_name, require_own_id
from partner_vouchers.errors import UnknownReport
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.importing import OnProgress
from partner_vouchers.usecases.paging import require_limit, require_line
from partner_vouchers.usecases.reconciling import Reconciliation
from partner_vouchers.usecases.wiring import PAGE, Group, audit_download, require_list, require_partner


class RedemptionsGroup(Group):
    """The codes that were used; reached as `vouchers.redemptions`."""

    def add(
        self,
        code: str,
        order_id: str,
        *,
        user_id: str | None = None,
        partner: str | None = None,
        list_id: str | None = None,
        redeemed_at: datetime | None = None,
        amount: Decimal | None = None,
    ) -> Redemption:
        """Record that a code was used, whatever the status of its list.

        A code that several lists contain is narrowed down by `partner`, `list_id` and `user_id`, then to the only list
        in which a user holds it, then to the only one that is not archived.

        Args:
            code: the voucher code.
            order_id: the order in which it was used. The same order again is the same redemption, also where another
                list has given the code to a user since.
            user_id: who used it, where you know.
            partner: whose code it is.
            list_id: the list that it came from.
            redeemed_at: when it was used, an aware datetime at most 24 hours ahead; the present instant by default.
            amount: the discount or the value of the order, zero or more.

        Returns:
            the redemption; `late` is True if the code was used after the expiry of its list.

        Raises:
            InvalidInput: an argument breaks its rule.
            UnknownPartner: there is no such partner.
            UnknownList: there is no such list.
            NotDistributed: no user holds the code.
            NotTheirCode: another user holds it.
            AmbiguousCode: several lists contain it; the error lists them.
            AlreadyRedeemed: it was redeemed with another order.
            RedemptionReverted: the redemption with this order was reverted.

        Example:
            >>> reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
            >>> used = vouchers.redemptions.add(reward.code, "order-991", amount=Decimal("9.90"))
            >>> used.user_id, used.late
            ('user-42', False)
        """
        code = self._code(code)
        order_id = require_own_id("order_id", order_id)
        about = _about(partner, list_id, user_id)
        now = self._wiring.now()
        redeemed_at = new_redeemed_at(redeemed_at, now)
        amount = new_amount(amount)

        def record(tx: Transaction) -> Redemption:
            entry = choose_entry(code, _entries(tx, code, about), order_id=order_id, **about)
            known = known_redemption(code, entry, order_id)
            if known is None:
                new = entry.redeemed(code, order_id, redeemed_at, amount, now)
                tx.redemptions.add([new])
                return new
            if known.order_id is None:
                known = evolve(known, order_id=order_id)
                tx.redemptions.set_order([known])
            return known

        return self._wiring.write(record)

    def revert(
        self,
        code: str,
        order_id: str,
        *,
        user_id: str | None = None,
        partner: str | None = None,
        list_id: str | None = None,
    ) -> Redemption:
        """Undo a redemption whose order was cancelled. The code can be redeemed again with another order.

        Reverting it again changes nothing.

        Args:
            code: the voucher code.
            order_id: the order of the redemption.
            user_id: who used it, where several lists contain the code.
            partner: whose code it is, likewise.
            list_id: the list that it came from, likewise.

        Returns:
            the redemption, with `reverted_at`.

        Raises:
            InvalidInput: an argument breaks its rule.
            UnknownPartner: there is no such partner.
            UnknownList: there is no such list.
            UnknownRedemption: the code was not redeemed with this order.
            NotTheirCode: another user redeemed it.
            AmbiguousCode: codes of several lists were redeemed with it; the error lists them.
        """
        code = self._code(code)
        order_id = require_own_id("order_id", order_id)
        about = _about(partner, list_id, user_id)
        now = self._wiring.now()

        def undo(tx: Transaction) -> Redemption:
            known = redemption_to_revert(code, _entries(tx, code, about), order_id, **about)
            if known.reverted_at is None:
                known = evolve(known, reverted_at=now)
                tx.redemptions.revert(known)
            return known

        return self._wiring.write(undo)

    def upload(
        self,
        source: CodeSource,
        *,
        partner: str | None = None,
        list_id: str | None = None,
        uploaded_by: str,
        filename: str | None = None,
        zone: tzinfo = UTC,
        encoding: str = "utf-8",
        progress: OnProgress | None = None,
    ) -> ReconciliationReport:
        """Reconcile a partner's own file of redemptions with the record.

        The file is a table with titles, separated by commas, semicolons or tabs. It needs a column of codes, by any
        known title; `redeemed_at` (ISO 8601), `order_id` and `amount` are read if they are there. The same file again
        changes nothing, and an upload that was killed is finished by uploading the file again.

        Args:
            source: a path, the bytes, or a binary stream.
            partner: whose file it is; pass either this or `list_id`.
            list_id: the list that it is about.
            uploaded_by: an email address or any other id of who uploads.
            filename: the name of the file; that of the path or stream by default.
            zone: the time zone of times that name none, from `zoneinfo`, `dateutil` or `pytz`.
            encoding: the encoding of the file, as Python names it; a byte order mark overrides it.
            progress: called now and then with rows and bytes read; what it raises ends the upload.

        Returns:
            the report, with the number of rows of each kind and the first rows.

        Raises:
            RedemptionFileRefused: the file has no column of codes, no row, broken quotes or another encoding, or is
                larger than 50 MB or 2,000,000 rows. Nothing was recorded.
            UnknownPartner: there is no such partner.
            UnknownList: there is no such list.
            SourceUnreadable: the file cannot be read.
            InvalidInput: another argument breaks its rule.
            ReconciliationInterrupted: this process was silent for so long that another one went on with the file.
            HostTransactionError: the call is made within a host's transaction.

        Example:
            >>> file = b"Voucher Code;Redeemed At;Order ID\\nPM500ZZ;2026-11-20 18:30:00;991\\n"
            >>> report = vouchers.redemptions.upload(file, partner="Puma", filename="used.csv", uploaded_by="ops")
            >>> report.total, report.counts
            (1, {<RowKind.UNKNOWN_CODE: 'unknown_code'>: 1})
        """
        begun = Reconciliation.of_arguments(
            self._wiring, partner, list_id, uploaded_by, zone, encoding, progress
        )
        report = begun.run(source, filename)
        return self.report(report.id)

    def report(
        self,
        report_id: str,
        *,
        kinds: Collection[RowKind] | None = None,
        after_line: int = 0,
        limit: int = 1000,
    ) -> ReconciliationReport:
        """Return the report of a file, with some of its rows in the order of their lines.

        Args:
            report_id: the report.
            kinds: only rows of these kinds; all by default.
            after_line: rows after this line of the file.
            limit: how many rows, from 1 to 1000.

        Raises:
            UnknownReport: there is no such report.
            InvalidInput: an argument breaks its rule.
        """
        wanted = (
            tuple(RowKind) if kinds is None else require_each("kinds", kinds, _require_kind, "kinds of rows")
        )
        after_line, limit = require_line(after_line), require_limit(limit)

        def read(tx: Transaction) -> ReconciliationReport:
            found = _require_report(tx, report_id)
            return evolve(found, rows=tuple(tx.reports.rows(found.id, wanted, after_line, limit)))

        return self._wiring.read(read)

    def error_file(self, report_id: str, *, raw: bool = False, actor: str | None = None) -> BinaryIO:
        """Return the rows that were neither recorded nor known as a CSV file.

        The rows can be corrected in this file and the file uploaded again as it is.

        Args:
            report_id: the report.
            raw: True writes cells unchanged, also those that a spreadsheet would run as a formula.
            actor: the person who downloads it, for the audit log.

        Returns:
            a stream to read from; it reads the storage in pieces.

        Raises:
            UnknownReport: there is no such report.
            InvalidInput: an argument breaks its rule.
        """
        raw = require_bool("raw", raw)
        report = self._wiring.read(_require_report, report_id)
        audit_download(self._wiring, report.list_id, f"error file of report {report.id}", actor)

        def read(tx: Transaction, after_line: int | None) -> list[ReconciledRow]:
            return tx.reports.rows(report.id, ERROR_KINDS, after_line or 0, PAGE)

        return as_binary_stream(redemption_error_file(self._stream(read, lambda row: row.line), raw=raw))

    def _code(self, code: object) -> str:
        return self._wiring.code_format.trim(require_name("code", code, most=MAX_TEXT))


def _about(partner: object, list_id: object, user_id: object) -> dict[str, str | None]:
    return {
        "partner": None if partner is None else require_name("partner", partner),
        "list_id": None if list_id is None else require_own_id("list_id", list_id),
        "user_id": None if user_id is None else require_own_id("user_id", user_id),
    }


def _entries(tx: Transaction, code: str, about: Mapping[str, str | None]) -> Sequence[Entry]:
    """Return the entries of a code.

    Raises:
        UnknownPartner: there is no such partner.
        UnknownList: there is no such list.
    """
    partner, list_id = about["partner"], about["list_id"]
    found = tx.redemptions.entries([code], partner, list_id).get(code, ())
    if partner is not None and not any(entry.partner == partner for entry in found):
        require_partner(tx, partner)
    if list_id is not None and not any(entry.list_id == list_id for entry in found):
        require_list(tx, list_id)
    return found


def _require_kind(field: str, value: object) -> RowKind:
    return require_member(field, value, RowKind)


def _require_report(tx: Transaction, report_id: object) -> ReconciliationReport:
    report_id = require_id("report_id", report_id)
    found = tx.reports.get(report_id) if could_be_id(report_id) else None
    if found is None:
        raise UnknownReport(report_id=report_id)
    return found
