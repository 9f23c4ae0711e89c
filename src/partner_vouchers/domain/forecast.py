"""How fast a list is used, and when it will have no code left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from attrs import frozen

from partner_vouchers.domain.stock import Counts

WEEK, MONTH = 7, 28
"""Over how many days the rates are taken."""


@frozen
class Stock:
    """The stock of a list, and when it will run dry.

    A rate is the number of codes given on the last full UTC days, today included as far as it has gone.

    Attributes:
        list_id: the list.
        counts: its counters.
        per_day_7: codes a day over the last 7 days.
        per_day_28: codes a day over the last 28 days.
        runs_dry_on: the UTC day on which the last code goes at the 28-day rate; None at a rate of zero.
        earliest: the same at the larger of both rates.
        latest: the same at the smaller of both rates.
        outlasts_expiry: whether codes are left at the expiry, at the 28-day rate.
    """

    list_id: str
    counts: Counts
    per_day_7: float
    per_day_28: float
    runs_dry_on: date | None
    earliest: date | None
    latest: date | None
    outlasts_expiry: bool


def forecast(
    list_id: str, counts: Counts, given: Mapping[date, int], expires_at: datetime, now: datetime
) -> Stock:
    """Return the stock of a list, from the codes given per UTC day; days without any may be missing.

    `expires_at` and `now` are in UTC.
    """
    today = now.date()
    week, month = (
        sum(given.get(today - timedelta(days=back), 0) for back in range(days)) / days
        for days in (WEEK, MONTH)
    )
    dry = _runs_dry(counts.available, month, today)
    return Stock(
        list_id=list_id,
        counts=counts,
        per_day_7=week,
        per_day_28=month,
        runs_dry_on=dry,
        earliest=_runs_dry(counts.available, max(week, month), today),
        latest=_runs_dry(counts.available, min(week, month), today),
        outlasts_expiry=counts.available > 0 and (dry is None or dry > expires_at.date()),
    )


def _runs_dry(available: int, per_day: float, today: date) -> date | None:
    if per_day <= 0:
        return None
    days = int(max(available, 0) / per_day)
    try:
        return today + timedelta(days=days)
    except OverflowError:
        return date.max
