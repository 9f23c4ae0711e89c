"""Reconciliation: what each row of a partner's file of redemptions says about the record.

`reconciled` is the one place that decides it; `ROW_KINDS` says what each answer means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from attrs import field, frozen

from partner_vouchers.domain.codes import mask, unstorable
from partner_vouchers.domain.events import CodeRedeemedUndistributed, FieldChange, RedemptionsReconciled
from partner_vouchers.domain.redemption import Entry, EntryState, narrowed, new_amount, new_redeemed_at
from partner_vouchers.domain.text import MAX_TEXT, require_name
from partner_vouchers.errors import InvalidInput


class RowKind(StrEnum):
    """The outcome of a row."""

    RECORDED = "recorded"
    KNOWN_ALREADY = "known_already"
    OTHER_ORDER = "other_order"
    REVERTED = "reverted"
    UNKNOWN_CODE = "unknown_code"
    NEVER_DISTRIBUTED = "never_distributed"
    RESERVED = "reserved"
    REVOKED = "revoked"
    AMBIGUOUS = "ambiguous"
    MALFORMED = "malformed"


ROW_KINDS: Final[Mapping[RowKind, str]] = MappingProxyType(
    {
        RowKind.RECORDED: "the redemption was recorded",
        RowKind.KNOWN_ALREADY: "the redemption was recorded before",
        RowKind.OTHER_ORDER: "the code was redeemed with another order; ask the partner which one is right",
        RowKind.REVERTED: "the redemption was reverted here; ask the partner whether the order was cancelled",
        RowKind.UNKNOWN_CODE: "no list contains the code; check the spelling, the partner and the list",
        RowKind.NEVER_DISTRIBUTED: "no user was given the code, so it leaked; it was retired and is never given out",
        RowKind.RESERVED: "the code is reserved for a user and not given out yet; nothing was changed",
        RowKind.REVOKED: "the code was revoked before it was used; nothing was recorded",
        RowKind.AMBIGUOUS: "several lists contain the code; upload the row again for one list",
        RowKind.MALFORMED: "the row cannot be read",
    }
)
"""What each kind of row means, and what to do."""

ERROR_KINDS: Final = tuple(kind for kind in RowKind if kind not in (RowKind.RECORDED, RowKind.KNOWN_ALREADY))
"""The kinds of rows that an error file lists."""


def reconciled(
    entries: Sequence[Entry], order_id: str | None, *, partner: str | None = None, list_id: str | None = None
) -> tuple[RowKind, Entry | None]:
    """Return what a row says about the record, and the entry of its code.

    A row without an order never contradicts the record. What was redeemed before it was revoked stays redeemed.

    Args:
        entries: the entries of the code.
        order_id: the order of the row, or None.
        partner: the partner whose file it is, or None.
        list_id: the list that the file is about, or None.
    """
    left = narrowed(entries, partner=partner, list_id=list_id, order_id=order_id) if entries else ()
    if not left:
        return RowKind.UNKNOWN_CODE, None
    if len(left) > 1:
        return RowKind.AMBIGUOUS, None
    entry = left[0]
    if entry.redemptions:
        known = entry.redemption
        if order_id is not None and entry.reverted(order_id):
            return RowKind.REVERTED, entry
        if known is not None:
            return kind_of_repeat(known.order_id, order_id), entry
        if order_id is None:
            return RowKind.REVERTED, entry
    return _KIND_OF_STATE[entry.state], entry


_KIND_OF_STATE: Final = {
    EntryState.HELD: RowKind.RECORDED,
    EntryState.AVAILABLE: RowKind.NEVER_DISTRIBUTED,
    EntryState.RETIRED: RowKind.NEVER_DISTRIBUTED,
    EntryState.RESERVED: RowKind.RESERVED,
    EntryState.REVOKED: RowKind.REVOKED,
}


def kind_of_repeat(known_order_id: str | None, order_id: str | None) -> RowKind:
    """Return the kind of a row about a code that was redeemed with an order, or without one."""
    same = order_id is None or known_order_id in (None, order_id)
    return RowKind.KNOWN_ALREADY if same else RowKind.OTHER_ORDER


def changes_nothing(known_order_id: str | None, order_id: str | None) -> bool:
    """Return whether such a row is known already and has no order that is missing."""
    return order_id is None or known_order_id == order_id


FIRST_USE: Final = _KIND_OF_STATE[EntryState.HELD]
"""The kind of a row about a code whose only entry a user holds, and that was never redeemed, as of most rows."""


def alarm(
    entry: Entry, code: str, order_id: str | None, redeemed_at: datetime, report_id: str, now: datetime
) -> CodeRedeemedUndistributed:
    """Return the event about a code that was used although no user was given it."""
    return CodeRedeemedUndistributed(
        occurred_at=now,
        assignment_id=None,
        list_id=entry.list_id,
        campaign_id=None,
        user_id=None,
        masked_code=mask(code),
        order_id=order_id,
        redeemed_at=redeemed_at,
        report_id=report_id,
    )


T = TypeVar("T")

_PLAIN = 200
"""Up to which length a printable text is surely valid."""
# Never long: amounts are remembered as they are written, also with very many zeros before them.
_AMOUNT = re.compile(r"[0-9]{1,100}(\.[0-9]{0,100})?([eE][+-]?[0-9]{1,2})?")


def read_code(text: str) -> str:
    """Return the code of a row, which is looked up as it is.

    Raises:
        ValueError: there is none, or no storage can keep it; the reason does not repeat it.
    """
    if not text:
        raise ValueError("the row has no code")
    if len(text) > MAX_TEXT:
        raise ValueError(f"the code is longer than {MAX_TEXT:,} characters")
    fault = unstorable(text)
    if fault is not None:
        raise ValueError(fault[1])
    return text


def read_order(text: str) -> str | None:
    """Return the order of a row, or None where it has none.

    Raises:
        ValueError: it is too long, or has control characters.
    """
    if not text:
        return None
    try:
        return require_name("order_id", text)
    except InvalidInput as error:
        raise ValueError(f"order_id {error.reason}") from None


def read_time(text: str, zone: tzinfo, now: datetime) -> datetime:
    """Return when the code of a row was used; `now` where the row does not say.

    Args:
        text: a date, or a date and a time, in ISO 8601.
        zone: the time zone of a time that names none.
        now: the present instant.

    Raises:
        ValueError: it is something else, or more than 24 hours ahead of `now`.
    """
    if not text:
        return now
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("redeemed_at is no time in ISO 8601, such as 2026-03-31T23:59:59+01:00") from None
    return _in_utc(found, zone, now)


def _in_utc(found: datetime, zone: tzinfo, now: datetime) -> datetime:
    try:
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC) if zone is UTC else in_zone(found, zone)
        return new_redeemed_at(found, now)
    except (InvalidInput, OverflowError) as error:
        reason = (
            error.reason if isinstance(error, InvalidInput) else "must lie within the years 1 to 9999 in UTC"
        )
        raise ValueError(f"redeemed_at: {reason}") from None


def in_zone(naive: datetime, zone: tzinfo) -> datetime:
    """Return a local time of a zone, which is of `zoneinfo`, `dateutil` or `pytz`."""
    localize = getattr(zone, "localize", None)
    return naive.replace(tzinfo=zone) if localize is None else localize(naive)


@lru_cache(maxsize=4096)
def read_amount(text: str) -> Decimal | None:
    """Return the amount of a row, or None where it has none.

    Raises:
        ValueError: it is no number of zero or more with a decimal point.
    """
    if not text:
        return None
    if not _AMOUNT.fullmatch(text):
        raise ValueError("amount is no number of zero or more, such as 1234.50")
    try:
        return new_amount(Decimal(text))
    except InvalidInput as error:
        raise ValueError(f"amount {error.reason}") from None


class ReadCells(NamedTuple):
    """The cells of rows that were read, as columns.

    Attributes:
        redeemed_at: when the codes were used.
        order_ids: in which orders, or None.
        faults: why rows cannot be read, by their index.
    """

    redeemed_at: list[datetime]
    order_ids: list[str | None]
    faults: dict[int, str]


def read_cells(
    codes: Sequence[str],
    redeemed_at: Sequence[str],
    order_ids: Sequence[str],
    amounts: Sequence[str],
    zone: tzinfo,
    now: datetime,
) -> ReadCells:
    """Read the cells of many rows by `read_code`, `read_order`, `read_time` and `read_amount`.

    A row that cannot be read has the reason of its first cell that cannot. Whole columns are looked at first, because
    nearly all are plain and a file can have very many rows.
    """
    faults: dict[int, str] = {}
    if "" in codes or not _are_plain(codes):
        _read_each(codes, read_code, faults, "")
    orders: list[str | None] = [each or None for each in order_ids]
    if not _are_plain(order_ids):
        orders = _read_each(order_ids, read_order, faults, None)
    if not any(redeemed_at):
        times = [now] * len(redeemed_at)
    else:
        try:
            times = [
                found if found.tzinfo is UTC and found <= now else _in_utc(found, zone, now)
                for found in map(datetime.fromisoformat, redeemed_at)
            ]
        except ValueError:
            times = _read_each(redeemed_at, lambda text: read_time(text, zone, now), faults, now)
    try:
        for text in set(amounts):
            read_amount(text)
    except ValueError:
        _read_each(amounts, read_amount, faults, None)
    return ReadCells(times, orders, faults)


def _are_plain(texts: Sequence[str]) -> bool:
    """Return whether texts are short printable ASCII."""
    joined = "".join(texts)
    return joined.isascii() and joined.isprintable() and len(max(texts, key=len, default="")) <= _PLAIN


def _read_each(texts: Sequence[str], read: Callable[[str], T], faults: dict[int, str], default: T) -> list[T]:
    """Read texts; note the faults of those that cannot be read, unless their row has one."""
    found: list[T] = []
    for index, text in enumerate(texts):
        try:
            found.append(read(text))
        except ValueError as error:
            faults.setdefault(index, str(error))
            found.append(default)
    return found


class ReconciledRow(NamedTuple):
    """A row of a partner's file. A plain tuple, because a file can have very many.

    Attributes:
        line: the line of the file on which the row begins, from 1.
        kind: what became of it.
        code: the code; masked in the repr.
        redeemed_at: the text of the row's time. It is kept for the rows of an error file, as are the two that follow.
        order_id: the text of its order.
        amount: the text of its amount.
        assignment_id: the assignment of the code, or None.
        fault: why a malformed row cannot be read; it does not repeat the code. None for another row.
    """

    line: int
    kind: RowKind
    code: str
    redeemed_at: str = ""
    order_id: str = ""
    amount: str = ""
    assignment_id: str | None = None
    fault: str | None = None

    @property
    def message(self) -> str:
        """The outcome of the row and the advice, for people; it does not repeat the code."""
        return self.fault or ROW_KINDS[self.kind]

    def __repr__(self) -> str:
        return f"ReconciledRow(line={self.line}, kind={self.kind.value!r}, code={mask(self.code.strip())!r})"


@frozen(kw_only=True)
class ReconciliationReport:
    """The report of a partner's file of redemptions.

    Attributes:
        id: given by the storage, never used again.
        partner: whose file it is, or None.
        list_id: the list that it is about, or None.
        uploaded_by: who uploaded it.
        filename: the name of the file.
        sha256: hexadecimal SHA-256 of the file.
        started_at: when the upload began, in UTC.
        finished_at: when it ended, in UTC; None while it runs, or where it was killed: then upload the file again.
        last_line: up to which line of the file the rows are in the report.
        counts: how many rows there are of each kind.
        rows: the first rows, or those that were asked for.
    """

    id: str
    partner: str | None
    list_id: str | None
    uploaded_by: str
    filename: str
    sha256: str
    started_at: datetime
    finished_at: datetime | None = None
    last_line: int = 0
    counts: Mapping[RowKind, int] = field(factory=dict)
    rows: tuple[ReconciledRow, ...] = ()

    @property
    def total(self) -> int:
        """How many rows were read."""
        return sum(self.counts.values())

    @property
    def error_count(self) -> int:
        """How many rows the error file lists."""
        return sum(self.counts.get(kind, 0) for kind in ERROR_KINDS)

    @property
    def event(self) -> RedemptionsReconciled:
        """The entry of the audit log about a file that was reconciled."""
        changes = (
            FieldChange("report", None, self.id),
            *(FieldChange(kind.value, None, count) for kind, count in self.counts.items()),
        )
        return RedemptionsReconciled(
            occurred_at=self.finished_at or self.started_at, list_id=self.list_id, changes=changes
        )
