"""When a list ends: an aware instant, kept in UTC."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any

from partner_vouchers.domain.arguments import require_zone
from partner_vouchers.errors import ExpiryNotInFuture, InvalidInput, NaiveDatetime

# If the clocks change at midnight, 23:59:59 comes twice or not at all: fold=1 is the later one, or else
# the last second that the day has.
_LAST_SECOND = time(23, 59, 59, fold=1)


def require_aware(field: str, value: object) -> datetime:
    """Return `value` in UTC if it is a datetime with a time zone.

    Raises:
        InvalidInput: it is not a datetime, lies outside the years 1 to 9999 in UTC, or has a zone of pytz that was
            not applied by `localize`.
        NaiveDatetime: it has no time zone.
    """
    if not isinstance(value, datetime):
        raise InvalidInput(field=field, reason=f"must be a datetime, not {type(value).__name__}")
    if value.tzinfo is UTC and type(value) is datetime:
        return value
    try:
        offset = value.utcoffset()
    except Exception as error:
        raise InvalidInput(field=field, reason=f"its time zone failed ({type(error).__name__})") from error
    if offset is None:
        raise NaiveDatetime(
            field=field, reason="has no time zone; pass an aware datetime, such as one with tzinfo=UTC"
        )
    if is_unlocalised(value):
        raise InvalidInput(
            field=field,
            reason=f"has a zone of pytz that gives it the historical offset {value:%z}; "
            "write zone.localize(datetime(...)) instead of datetime(..., tzinfo=zone), or use a ZoneInfo",
        )
    try:
        found = value.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(field=field, reason="must lie within the years 1 to 9999 in UTC") from None
    # Of a subclass, such as a Timestamp of pandas, the instant is kept.
    return found if type(found) is datetime else datetime.combine(found.date(), found.timetz())


def new_expiry(value: datetime | date, zone: tzinfo | None, now: datetime) -> datetime:
    """Return the expiry of a new list: `expiry_instant`, which must be after `now`.

    Raises:
        ExpiryNotInFuture: it is not after `now`.
        InvalidInput: see `expiry_instant`.
    """
    return require_future(expiry_instant(value, zone), now)


def expiry_instant(value: datetime | date, zone: tzinfo | None) -> datetime:
    """Return the instant in UTC until which a list with this expiry gives out codes.

    Args:
        value: an aware datetime, or a bare date, which means 23:59:59 of that day in `zone`.
        zone: the time zone of a bare date, from `zoneinfo`, `dateutil` or `pytz`; None with a datetime.

    Raises:
        NaiveDatetime: a datetime without a time zone, or a bare date without `zone`.
        InvalidInput: not a date, a `zone` beside a datetime, or one that is not a time zone.
    """
    if isinstance(value, datetime):
        if zone is not None:
            raise InvalidInput(
                field="zone", reason="belongs to a bare date; a datetime names its own time zone"
            )
        return require_aware("expires_at", value)
    if not isinstance(value, date):
        raise InvalidInput(
            field="expires_at", reason=f"must be a datetime or a date, not {type(value).__name__}"
        )
    if zone is None:
        raise NaiveDatetime(
            field="expires_at",
            reason='a bare date needs the time zone in which the day ends, such as zone=ZoneInfo("Asia/Kolkata")',
        )
    return _end_of(value, require_zone(zone))


def require_future(instant: datetime, now: datetime) -> datetime:
    """Return an expiry that is after `now`.

    Raises:
        ExpiryNotInFuture: it is not.
    """
    if instant <= now:
        raise ExpiryNotInFuture(
            field="expires_at",
            reason=f"{instant:%Y-%m-%dT%H:%M:%SZ} is not in the future (it is {now:%Y-%m-%dT%H:%M:%SZ})",
        )
    return instant


def _end_of(day: date, zone: Any) -> datetime:
    naive = datetime.combine(day, _LAST_SECOND)
    if not hasattr(zone, "localize"):
        return require_aware("expires_at", naive.replace(tzinfo=zone))
    # pytz does not know `fold`. Of two instants the later is meant, and of none the one before the gap.
    try:
        instants = [zone.localize(naive.replace(fold=0), is_dst=is_dst) for is_dst in (True, False)]
        real = [each for each in instants if zone.normalize(each).replace(tzinfo=None) == naive]
    except OverflowError:
        raise InvalidInput(field="expires_at", reason="must lie within the years 1 to 9999 in UTC") from None
    return require_aware("expires_at", max(real) if real else min(instants))


def is_unlocalised(value: datetime) -> bool:
    """Return whether `value` has a zone object of pytz itself, which has the zone's first offset in history.

    Source: https://pythonhosted.org/pytz/ ("Localized times and date arithmetic").
    """
    zone: Any = value.tzinfo
    pytz: Any = sys.modules.get("pytz")
    if pytz is None or not hasattr(zone, "localize") or not isinstance(getattr(zone, "zone", None), str):
        return False
    try:
        return pytz.timezone(zone.zone) is zone and zone.normalize(value).utcoffset() != value.utcoffset()
    except (pytz.UnknownTimeZoneError, OverflowError):
        return False
