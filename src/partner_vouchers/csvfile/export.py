"""Write the codes of a list as CSV files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from partner_vouchers.csvfile.cells import csv_bytes
from partner_vouchers.domain.assignment import Assignment

DISTRIBUTED_HEADER = ("code", "user_id", "campaign_id", "assigned_at", "redeemed_at", "revoked_at")


def distributed_codes(assignments: Iterable[Assignment], *, raw: bool = False) -> Iterator[bytes]:
    """Yield a CSV file of codes and the users who have them; instants in ISO 8601, UTC.

    Args:
        assignments: the codes that were given out.
        raw: True leaves cells as they are that a spreadsheet would take for a formula.
    """
    rows = (
        (
            given.code,
            given.user_id,
            given.campaign_id or "",
            given.assigned_at.isoformat(),
            _instant(given.redeemed_at),
            _instant(given.revoked_at),
        )
        for given in assignments
    )
    return csv_bytes(DISTRIBUTED_HEADER, rows, raw=raw)


def _instant(instant: datetime | None) -> str:
    return "" if instant is None else instant.isoformat()
