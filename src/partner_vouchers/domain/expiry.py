"""When a list ends: an aware instant, kept in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo

from partner_vouchers.errors import ExpiryNotInFuture, InvalidInput, NaiveDatetime

# Where the clocks change at midnight, 23:59:59 comes twice or not at all: fold=1 is the later one, or else
# the last second that the day has.
_LAST_SECOND = time(23, 59, 59, fold=1)


def require_aware(field: str, value: object) -> datetime:
    """Return `value` in UTC when it is a datetime with a time zone.

    Raises:
        InvalidInput: it is no datetime, or lies outside the years 1 to 9999 in UTC.
        NaiveDatetime: it has no time zone.
    """
    if not isinstance(value, datetime):
        raise InvalidInput(field=field, reason=f"must be a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise NaiveDatetime(
            field=field, reason="has no time zone; pass an aware datetime, such as one with tzinfo=UTC"
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(field=field, reason="must lie within the years 1 to 9999 in UTC") from None


def new_expiry(value: datetime | date, zone: tzinfo | None, now: datetime) -> datetime:
    """Return the instant until which a list gives out codes.

    Args:
        value: an aware datetime, or a bare date, which means 23:59:59 of that day in `zone`.
        zone: the time zone of a bare date; None with a datetime.
        now: the present instant, in UTC.

    Raises:
        NaiveDatetime: a datetime without a time zone, or a bare date without `zone`.
        ExpiryNotInFuture: the instant is not after `now`.
        InvalidInput: no date at all, a `zone` beside a datetime, or one that is no time zone.
    """
    if isinstance(value, datetime):
        if zone is not None:
            raise InvalidInput(
                field="zone", reason="belongs to a bare date; a datetime names its own time zone"
            )
        instant = require_aware("expires_at", value)
    elif isinstance(value, date):
        if zone is None:
            raise NaiveDatetime(
                field="expires_at",
                reason='a bare date needs the time zone in which the day ends, such as zone=ZoneInfo("Asia/Kolkata")',
            )
        if not isinstance(zone, tzinfo):
            raise InvalidInput(
                field="zone", reason=f"must be a tzinfo such as a ZoneInfo, not {type(zone).__name__}"
            )
        instant = require_aware("expires_at", datetime.combine(value, _LAST_SECOND, zone))
    else:
        raise InvalidInput(
            field="expires_at", reason=f"must be a datetime or a date, not {type(value).__name__}"
        )
    if instant <= now:
        raise ExpiryNotInFuture(
            field="expires_at", reason=f"{instant.isoformat()} is not in the future (it is {now.isoformat()})"
        )
    return instant
