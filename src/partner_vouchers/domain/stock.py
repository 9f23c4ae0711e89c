"""How many codes a list has, when that is too few, how fast they go, and when there will be none left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import IntEnum

from attrs import evolve, frozen

from partner_vouchers.domain.arguments import require_whole

CAPACITY = 1_000_000
"""How many codes a list may hold that are or were available. Withdrawn codes do not count."""


@frozen
class Counts:
    """The counters of a list. Always `uploaded == available + reserved + distributed + withdrawn + retired`.

    Attributes:
        uploaded: codes accepted in the list's lifetime.
        distributed: codes given to users.
        reserved: codes set aside, neither given out nor available.
        withdrawn: codes taken back before a user had them.
        retired: codes that were revoked and are never given again.
    """

    uploaded: int = 0
    distributed: int = 0
    reserved: int = 0
    withdrawn: int = 0
    retired: int = 0

    @property
    def available(self) -> int:
        """How many codes can be given out."""
        return self.uploaded - self.distributed - self.reserved - self.retired - self.withdrawn

    @property
    def used(self) -> int:
        """How many codes users have or had, or that are set aside."""
        return self.distributed + self.reserved + self.retired

    def without_run_out(self, codes: int, withdrawn: int) -> Counts:
        """Return the counters after reservations that have run out: their codes are not reserved any more.

        Args:
            codes: how many reservations have run out.
            withdrawn: how many of their codes are withdrawn, because their upload was; the others are available.
        """
        return evolve(self, reserved=self.reserved - codes, withdrawn=self.withdrawn + withdrawn)

    @property
    def capacity_left(self) -> int:
        """How many codes can still be uploaded."""
        return CAPACITY - (self.uploaded - self.withdrawn)


@frozen
class PercentUsed:
    """A stock threshold as the share used of the codes that were available after the latest upload.

    Attributes:
        percent: a whole number from 1 to 100.
    """

    percent: int

    def __str__(self) -> str:
        return f"{self.percent}% used"


LowStock = int | PercentUsed
"""When a list is running low, which is at a number of codes left, or at a percentage used."""


def new_low_stock(value: object) -> LowStock | None:
    """Return `value` when it is a stock threshold, or None for none.

    Raises:
        InvalidInput: not a whole number, codes outside 0 to 1,000,000, or a percentage outside 1 to 100.
    """
    if value is None:
        return None
    field, reason = "low_stock_at", "a percentage used must be a whole number from 1 to 100"
    if isinstance(value, PercentUsed):
        require_whole(field, value.percent, 1, 100, reason)
        return value
    reason = f"must be a number of codes left from 0 to {CAPACITY:,}, or PercentUsed(n), or None"
    return require_whole(field, value, 0, CAPACITY, reason)


class StockLevel(IntEnum):
    """How urgent a list's stock is."""

    ENOUGH = 0
    LOW = 1
    EXHAUSTED = 2


# See `lifecycle.ACTIVE`.
_ENOUGH = StockLevel.ENOUGH


def stock_level(counts: Counts, low_stock_at: LowStock | None, used_before: int = 0) -> StockLevel:
    """Return the level of a list's stock against its threshold.

    A percentage is of what was available after the latest upload, so that a list that is topped up every month warns
    every month; codes withdrawn since do not count. `used_before` is how many were used before that upload. A list
    without codes is exhausted.
    """
    available = counts.available
    if available <= 0:
        return StockLevel.EXHAUSTED
    if low_stock_at is None:
        return StockLevel.ENOUGH
    if isinstance(low_stock_at, PercentUsed):
        used = counts.used - used_before
        low = used * 100 >= low_stock_at.percent * (available + used)
    else:
        low = available <= low_stock_at
    return StockLevel.LOW if low else StockLevel.ENOUGH


def is_ample(counts: Counts, low_stock_at: LowStock | None, notified: StockLevel) -> bool:
    """Return True, at little cost, when no event about the stock can be due: nearly always."""
    return low_stock_at is None and notified is _ENOUGH and counts.available > 0


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
