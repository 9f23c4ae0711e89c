"""Entities as rows of tables, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from partner_vouchers.adapters.sql.columns import from_instant, to_instant, to_low_stock, to_number
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.domain.uploads import (
    FileFault,
    FileFaultKind,
    RowFaultKind,
    Upload,
    UploadStatus,
    WarningKind,
)
from partner_vouchers.domain.voucher_list import ListSnapshot, VoucherList

LEVELS = {int(level): level for level in StockLevel}
"""The stock levels by their numbers."""

LINK_COLUMNS = 6
"""How many columns a link has, where its list follows."""

_CAMPAIGN, _LIST = "c:", "l:"


def upload_to_row(upload: Upload) -> tuple[Any, ...]:
    """Return an upload as columns, in the order of `upload_from_row`."""
    failure = upload.failure
    return (
        to_number(upload.id),
        to_number(upload.list_id),
        upload.uploaded_by,
        upload.filename,
        from_instant(upload.started_at),
        upload.status.value,
        None if upload.finished_at is None else from_instant(upload.finished_at),
        upload.size,
        upload.sha256,
        upload.encoding,
        upload.header,
        upload.header_skipped,
        upload.total,
        upload.accepted,
        json.dumps({kind.value: count for kind, count in upload.errors.items()}),
        upload.withdrawn,
        None if failure is None else json.dumps([failure.kind.value, failure.message, failure.line]),
        # As JSON, since no text of PostgreSQL may hold every character of a row.
        None if upload.first_row is None else json.dumps(upload.first_row),
        json.dumps({kind.value: count for kind, count in upload.warnings.items()}),
    )


def upload_from_row(row: tuple[Any, ...]) -> Upload:
    """Return the upload of a row."""
    return Upload(
        id=str(row[0]),
        list_id=str(row[1]),
        uploaded_by=row[2],
        filename=row[3],
        started_at=to_instant(row[4]),
        status=UploadStatus(row[5]),
        finished_at=_instant_or_none(row[6]),
        size=row[7],
        sha256=row[8],
        encoding=row[9],
        header=None if row[10] is None else bool(row[10]),
        header_skipped=bool(row[11]),
        total=row[12],
        accepted=row[13],
        errors={RowFaultKind(kind): count for kind, count in json.loads(row[14]).items()},
        withdrawn=row[15],
        failure=_failure_or_none(row[16]),
        first_row=None if row[17] is None else json.loads(row[17]),
        warnings={WarningKind(kind): count for kind, count in json.loads(row[18]).items()},
    )


def _instant_or_none(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else to_instant(microseconds)


def _failure_or_none(text: str | None) -> FileFault | None:
    if text is None:
        return None
    kind, message, line = json.loads(text)
    return FileFault(FileFaultKind(kind), message, line)


def snapshot_from_row(row: tuple[Any, ...]) -> ListSnapshot:
    """Return what a list said, of a row: its id and version, then the rest in the order of a snapshot."""
    return ListSnapshot(str(row[0]), row[1], row[2], row[3], row[4], row[5], to_instant(row[6]))


class _SnapshotCache:
    """Makes assignments of rows; many of them share what their list said."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], ListSnapshot] = {}

    def assignment(self, row: tuple[Any, ...]) -> Assignment:
        key = (row[6], row[7])
        snapshot = self._known.get(key)
        if snapshot is None:
            snapshot = self._known[key] = snapshot_from_row(row[6:13])
        campaign_id = campaign_of(row[3])
        given = (str(row[0]), row[1], row[2], campaign_id, row[4], to_instant(row[5]), snapshot)
        return Assignment(*given, _instant_or_none(row[13]), _instant_or_none(row[14]))


def assignments_from_rows(rows: Iterable[tuple[Any, ...]]) -> list[Assignment]:
    """Return assignments of rows: the assignment, then its list, then what that said."""
    cache = _SnapshotCache()
    return [cache.assignment(row) for row in rows]


def origin_of(campaign_id: str | None, list_id: str | None) -> str:
    """Return where a code was asked for: in a campaign, or else of a list."""
    return f"{_LIST}{list_id}" if campaign_id is None else f"{_CAMPAIGN}{campaign_id}"


def campaign_of(origin: str) -> str | None:
    """Return the campaign of an origin, or None where a list was asked."""
    return origin[2:] if origin.startswith(_CAMPAIGN) else None


def list_from_row(row: tuple[Any, ...]) -> VoucherList:
    """Return the list of a row: its own columns, then its counters."""
    return VoucherList(
        id=str(row[0]),
        partner=row[1],
        tag=row[2],
        name=row[3],
        description=row[4],
        expires_at=to_instant(row[5]),
        state=State(row[6]),
        low_stock_at=to_low_stock(row[7]),
        scope=row[8],
        campaigns=row[9],
        created_at=to_instant(row[10]),
        updated_at=to_instant(row[11]),
        version=row[12],
        counts=Counts(*row[13:18]),
        notified=LEVELS[row[18]],
        used_before=row[19],
        expiring_soon=None if row[20] is None else timedelta(microseconds=row[20]),
    )


def link_from_row(row: tuple[Any, ...]) -> CampaignLink:
    """Return the link of a row."""
    return CampaignLink(
        list_id=str(row[0]),
        campaign_id=row[1],
        repeat=RepeatPolicy(row[2]),
        priority=row[3],
        eligibility=row[4],
        linked_at=to_instant(row[5]),
    )


def raw_text(raw: str | bytes) -> str:
    """Return a refused row; as bytes it is UTF-8, also of what is no text."""
    return raw if isinstance(raw, str) else bytes(raw).decode("utf-8", "surrogatepass")


def raw_bytes(text: str) -> bytes:
    """Return the bytes of `raw_text`."""
    return text.encode("utf-8", "surrogatepass")
