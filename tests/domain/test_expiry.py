from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz
from dateutil import tz as dateutil_tz
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.expiry import new_expiry, require_aware
from partner_vouchers.errors import ExpiryNotInFuture, InvalidInput, NaiveDatetime
from tests.domain.examples import EXPIRY, MICROSECOND, NOW
from tests.support.zones import LOCALTIME

INDIA = ZoneInfo("Asia/Kolkata")
ZONES = [
    "UTC",
    "Asia/Kolkata",
    "America/New_York",
    "Europe/London",
    "Australia/Lord_Howe",  # its summer time is half an hour
    "America/Santiago",  # the clocks go back at midnight
    "America/Nuuk",  # the clocks go forward to midnight
    "Asia/Beirut",
    "America/Havana",
    "Atlantic/Azores",
    "Pacific/Kiritimati",
    "Pacific/Chatham",
]


def test_an_expiry_is_kept_in_utc() -> None:
    expiry = new_expiry(datetime(2027, 4, 1, 5, 29, 59, tzinfo=INDIA), None, NOW)

    assert expiry == EXPIRY
    assert expiry.tzinfo is UTC


def test_an_expiry_is_in_the_future() -> None:
    assert new_expiry(NOW + MICROSECOND, None, NOW) == NOW + MICROSECOND
    for late in (NOW, NOW - MICROSECOND, datetime.min.replace(tzinfo=UTC)):
        with pytest.raises(ExpiryNotInFuture) as refused:
            new_expiry(late, None, NOW)
        assert refused.value.field == "expires_at"
        assert f"{NOW:%Y-%m-%dT%H:%M:%SZ}" in refused.value.reason


class Nowhere(tzinfo):
    """A zone that knows no offset."""

    def utcoffset(self, _: datetime | None) -> None:
        return None

    dst = utcoffset

    def tzname(self, _: datetime | None) -> None:
        return None


WITHOUT_ZONE = EXPIRY.replace(tzinfo=None)
WEST = timezone(timedelta(hours=-1))
BROKEN: tzinfo = tzinfo()  # type: ignore[abstract]
NEW_YORK = "America/New_York"
BEYOND = "years 1 to 9999"
FAILED = r"time zone failed \(NotImplementedError\)"


@pytest.mark.parametrize(
    "value, zone, error, field, reason",
    [
        pytest.param(WITHOUT_ZONE, None, NaiveDatetime, "expires_at", "time zone", id="naive"),
        pytest.param(
            EXPIRY.replace(tzinfo=Nowhere()), None, NaiveDatetime, "expires_at", "no time", id="no offset"
        ),
        pytest.param(
            date(2027, 3, 31), None, NaiveDatetime, "expires_at", "bare date", id="date without zone"
        ),
        pytest.param("2027-03-31", None, InvalidInput, "expires_at", "a datetime or a date", id="string"),
        pytest.param(1806451199, None, InvalidInput, "expires_at", "a datetime or a date", id="number"),
        pytest.param(EXPIRY, INDIA, InvalidInput, "zone", "belongs to a bare date", id="datetime and zone"),
        pytest.param(WITHOUT_ZONE, INDIA, InvalidInput, "zone", "belongs to", id="naive datetime and zone"),
        pytest.param(date(2027, 3, 31), "Asia/Kolkata", InvalidInput, "zone", "not str", id="name of a zone"),
        pytest.param(
            date(2027, 3, 31), LOCALTIME, InvalidInput, "zone", "depends on the machine", id="local"
        ),
        pytest.param(datetime.max.replace(tzinfo=WEST), None, InvalidInput, "expires_at", BEYOND, id="end"),
        pytest.param(date.max, ZoneInfo(NEW_YORK), InvalidInput, "expires_at", BEYOND, id="last day"),
        pytest.param(date.max, pytz.timezone(NEW_YORK), InvalidInput, "expires_at", BEYOND, id="pytz"),
        pytest.param(EXPIRY.replace(tzinfo=BROKEN), None, InvalidInput, "expires_at", FAILED, id="failing"),
        pytest.param(date(2027, 3, 31), BROKEN, InvalidInput, "expires_at", FAILED, id="date, failing zone"),
    ],
)
def test_an_expiry_is_refused(
    value: Any, zone: Any, error: type[InvalidInput], field: str, reason: str
) -> None:
    with pytest.raises(error, match=reason) as refused:
        new_expiry(value, zone, NOW)
    assert refused.value.field == field


def test_the_last_instant_of_all_is_an_expiry() -> None:
    forever = datetime.max.replace(tzinfo=UTC)
    assert new_expiry(forever, None, NOW) == forever


@pytest.mark.parametrize(
    "day,zone,expected",
    [
        pytest.param(date(2027, 3, 31), "UTC", "2027-03-31T23:59:59", id="UTC"),
        pytest.param(date(2027, 3, 31), "Asia/Kolkata", "2027-03-31T18:29:59", id="India"),
        pytest.param(date(2027, 1, 31), "America/New_York", "2027-02-01T04:59:59", id="New York in winter"),
        pytest.param(date(2027, 7, 31), "America/New_York", "2027-08-01T03:59:59", id="New York in summer"),
        pytest.param(date(2027, 3, 27), "Europe/London", "2027-03-27T23:59:59", id="London, before summer"),
        pytest.param(
            date(2027, 3, 28), "Europe/London", "2027-03-28T22:59:59", id="London, first summer day"
        ),
        pytest.param(
            date(2027, 4, 3), "America/Santiago", "2027-04-04T03:59:59", id="Santiago, 23:59:59 twice"
        ),
        pytest.param(date(2027, 3, 27), "America/Nuuk", "2027-03-28T00:59:59", id="Nuuk, no 23:59:59"),
    ],
)
def test_a_bare_date_is_the_last_second_of_that_day_in_the_named_zone(
    day: date, zone: str, expected: str
) -> None:
    assert new_expiry(day, ZoneInfo(zone), NOW) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@given(day=st.dates(date(2027, 1, 1), date(2037, 12, 31)), name=st.sampled_from(ZONES))
def test_a_bare_date_holds_until_the_day_is_over_and_no_longer(day: date, name: str) -> None:
    zone = ZoneInfo(name)

    expiry = new_expiry(day, zone, NOW)

    assert expiry.astimezone(zone).date() == day
    assert (expiry + timedelta(seconds=1)).astimezone(zone).date() == day + timedelta(days=1)


def test_today_is_a_valid_expiry_until_its_last_second() -> None:
    today = date(2026, 11, 21)
    end = new_expiry(today, INDIA, NOW)

    assert new_expiry(today, INDIA, end - MICROSECOND) == end
    with pytest.raises(ExpiryNotInFuture):
        new_expiry(today, INDIA, end)


@given(value=st.datetimes(timezones=st.timezones() | st.none()))
def test_an_aware_datetime_becomes_the_same_instant_in_utc(value: datetime) -> None:
    try:
        found = require_aware("expires_at", value)
    except NaiveDatetime:
        assert value.tzinfo is None
    except InvalidInput:
        assert value.year in (1, 9999)
    else:
        assert found.tzinfo is UTC
        assert abs(found.timestamp() - value.timestamp()) < 1e-3


# --- the time zones of other libraries --------------------------------------------------------------------


@given(day=st.dates(date(2027, 1, 1), date(2036, 12, 31)), name=st.sampled_from(ZONES))
def test_a_bare_date_ends_at_the_same_instant_in_the_zones_of_all_libraries(day: date, name: str) -> None:
    # pytz has rules of its own, of another year perhaps.
    with pytz.open_resource(name) as rules:
        of_pytz = ZoneInfo.from_file(rules, key=name)

    assert new_expiry(day, pytz.timezone(name), NOW) == new_expiry(day, of_pytz, NOW)
    assert new_expiry(day, dateutil_tz.gettz(name), NOW) == new_expiry(day, ZoneInfo(name), NOW)


@pytest.mark.parametrize(
    "zone", [pytz.utc, pytz.FixedOffset(330), dateutil_tz.UTC, dateutil_tz.tzoffset(None, 19800)]
)
def test_fixed_zones_of_other_libraries_are_zones(zone: tzinfo) -> None:
    hours = timedelta(0) if zone in (pytz.utc, dateutil_tz.UTC) else timedelta(hours=5, minutes=30)
    expected = datetime(2027, 3, 31, 23, 59, 59, tzinfo=UTC) - hours

    assert new_expiry(date(2027, 3, 31), zone, NOW) == expected
    assert new_expiry(datetime(2027, 3, 31, 23, 59, 59, tzinfo=zone), None, NOW) == expected


@pytest.mark.parametrize("name", ["Asia/Kolkata", "America/New_York", "Europe/London", "Europe/Amsterdam"])
def test_a_datetime_with_an_unlocalised_zone_of_pytz_is_refused(name: str) -> None:
    zone = pytz.timezone(name)
    naive = datetime(2027, 7, 31, 23, 59, 59)  # noqa: DTZ001

    with pytest.raises(InvalidInput, match=r"zone\.localize\(") as refused:
        new_expiry(naive.replace(tzinfo=zone), None, NOW)
    assert refused.value.field == "expires_at"
    localised = zone.localize(naive)
    expected = naive.replace(tzinfo=ZoneInfo(name))
    assert new_expiry(localised, None, NOW) == expected
    assert new_expiry(zone.normalize(localised + timedelta(days=150)), None, NOW) == localised + timedelta(
        days=150
    )
    with pytest.raises(InvalidInput, match="localize"):
        require_aware("clock", naive.replace(tzinfo=zone))


def test_a_subclass_of_datetime_becomes_a_plain_instant() -> None:
    class Stamp(datetime):
        pass

    for zone in (UTC, INDIA):
        found = require_aware("expires_at", Stamp(2027, 4, 1, 5, 29, 59, tzinfo=zone))
        assert type(found) is datetime
        assert found == datetime(2027, 4, 1, 5, 29, 59, tzinfo=zone)
        assert found.tzinfo is UTC
