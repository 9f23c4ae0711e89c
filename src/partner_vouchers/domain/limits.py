"""Limits of a campaign: how many codes it gives to each user and in all, for ever or per calendar period."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo

from attrs import field, frozen

from partner_vouchers.domain.arguments import named_zone, require_member, require_whole
from partner_vouchers.errors import InvalidInput, LimitReached

MAX_LIMIT = 2**31 - 1
"""The greatest limit, in codes."""

CLOCKS_DIFFER = timedelta(hours=1)
"""How far the clocks of two hosts may differ, or one may be set back."""


class Per(StrEnum):
    """Whose codes a limit counts."""

    USER = "user"
    CAMPAIGN = "campaign"


class Period(StrEnum):
    """The calendar periods of limits. A week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def _to_per(value: str) -> Per:
    return require_member("per", value, Per)


def _to_period(value: str | None) -> Period | None:
    return None if value is None else require_member("period", value, Period)


def _to_zone(value: tzinfo | str | None) -> str | None:
    # ZoneInfo and pytz zones are named by their string; a zone without a name cannot be stored.
    name = str(value) if isinstance(value, tzinfo) else value
    if name is not None:
        named_zone(name)
    return name


@frozen
class Limit:
    """A limit on the codes that a campaign gives.

    Args:
        count: how many codes, 1 or more.
        per: `"user"` or `"campaign"`: whose codes are counted.
        period: `"day"`, `"week"` or `"month"`; None for ever.
        zone: the time zone in which a period begins, as a `ZoneInfo` or its name; required with a period.

    Raises:
        InvalidInput: an argument breaks its rule; `field` names it.

    Example:
        >>> Limit(1_000, per="campaign", period="month", zone="Asia/Kolkata").zone
        'Asia/Kolkata'
    """

    count: int
    per: Per = field(kw_only=True, converter=_to_per)
    period: Period | None = field(default=None, kw_only=True, converter=_to_period)
    zone: str | None = field(default=None, kw_only=True, converter=_to_zone)

    def __attrs_post_init__(self) -> None:
        """Check the arguments."""
        require_whole("count", self.count, 1, MAX_LIMIT, f"must be a whole number from 1 to {MAX_LIMIT:,}")
        if self.period is None and self.zone is not None:
            raise InvalidInput(field="zone", reason="belongs to a period; pass period= too, or no zone")
        if self.period is not None and self.zone is None:
            raise InvalidInput(
                field="zone", reason='is required with a period; pass a time zone such as "Asia/Kolkata"'
            )

    def __str__(self) -> str:
        period = "" if self.period is None else f" and {self.period.value} ({self.zone})"
        return f"{self.count} per {self.per.value}{period}"

    def window(self, instant: datetime) -> Window:
        """Return the period of this limit that contains an aware instant; all time for a limit without a period."""
        if self.period is None or self.zone is None:
            return _ALL_TIME
        return _calendar_window(self.period, self.zone, instant)

    def windows_near(self, instant: datetime) -> set[Window]:
        """Return the periods that contain an instant by any clock: two near a border, otherwise one."""
        return {self.window(instant + by) for by in (-CLOCKS_DIFFER, timedelta(), CLOCKS_DIFFER)}


@frozen
class Window:
    """A stretch of time in which a limit counts codes.

    Attributes:
        key: names the window; equal for limits that count the same codes.
        starts_at: its first instant in UTC; None where it has no beginning.
        ends_at: the first instant after it, in UTC; None where it has no end.
    """

    key: str
    starts_at: datetime | None
    ends_at: datetime | None

    def contains(self, instant: datetime) -> bool:
        """Return whether an instant lies in the window."""
        return (self.starts_at is None or self.starts_at <= instant) and (
            self.ends_at is None or instant < self.ends_at
        )


_ALL_TIME = Window("", None, None)
_NEVER = datetime.max.replace(tzinfo=UTC)


@frozen
class LimitUsage:
    """How far a limit is used.

    Attributes:
        limit: the limit.
        used: codes counted in the present period; None for a limit per user where no user was named.
        left: codes that can still be given; None where `used` is.
        frees_at: when the present period ends, in UTC; None for a limit without a period.
    """

    limit: Limit
    used: int | None
    left: int | None
    frees_at: datetime | None


def usage_of(limit: Limit, used: int | None, now: datetime) -> LimitUsage:
    """Return the usage of a limit, of which `used` codes count in the window that contains `now`."""
    left = None if used is None else max(limit.count - used, 0)
    return LimitUsage(limit, used, left, limit.window(now).ends_at)


def reached(usages: Iterable[LimitUsage], codes: int = 1) -> LimitUsage | None:
    """Return the limit that refuses a request, or None.

    Limits per user are checked before limits per campaign. If several limits of one kind refuse, it is the one
    that frees last.
    """
    refusing = [each for each in usages if each.left is not None and each.left < codes]
    for per in Per:
        found = [each for each in refusing if each.limit.per is per]
        if found:
            return max(found, key=lambda each: each.frees_at or _NEVER)
    return None


def limit_reached(campaign_id: str, usage: LimitUsage) -> LimitReached:
    """Return the error that says which limit refuses a request."""
    limit = usage.limit
    return LimitReached(
        campaign_id=campaign_id,
        per=limit.per.value,
        limit=limit.count,
        used=usage.used or 0,
        period=None if limit.period is None else limit.period.value,
        zone=limit.zone,
        frees_at=usage.frees_at,
    )


def new_limits(values: object) -> tuple[Limit, ...]:
    """Return the limits of a campaign.

    Raises:
        InvalidInput: it is no list of `Limit`, or two limits count the same codes in the same period.
    """
    if not isinstance(values, Sequence) or not all(isinstance(value, Limit) for value in values):
        raise InvalidInput(field="limits", reason="must be a list of Limit; pass [] for no limits")
    limits: tuple[Limit, ...] = tuple(values)
    if len({(limit.per, limit.period, limit.zone) for limit in limits}) < len(limits):
        raise InvalidInput(
            field="limits",
            reason="has two limits for the same user or campaign and period; keep the lower one",
        )
    return limits


def _calendar_window(period: Period, zone: str, instant: datetime) -> Window:
    place = ZoneInfo(zone)
    day = instant.astimezone(place).date()
    match period:
        case Period.DAY:
            first, following = day, day + timedelta(days=1)
        case Period.WEEK:
            first = day - timedelta(days=day.weekday())
            following = first + timedelta(days=7)
        case Period.MONTH:
            first = day.replace(day=1)
            following = (first + timedelta(days=31)).replace(day=1)
    return Window(
        f"{period.value} {zone} {first.isoformat()}", _midnight(first, place), _midnight(following, place)
    )


def _midnight(day: date, zone: tzinfo) -> datetime:
    # fold=0: where midnight comes twice the day begins with the first; where it is skipped, with the change itself.
    return datetime.combine(day, time.min, zone).astimezone(UTC)
