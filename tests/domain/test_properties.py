"""What a property may look like on the wire, and how a table of properties is written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.properties import (
    CODE,
    COUPON_DATE,
    EPOCH_SECONDS,
    ISO_INSTANT,
    NAME,
    NUMBER,
    TEXT,
    Format,
    coupon_date,
    iso_utc,
)
from partner_vouchers.errors import InvalidInput

NO_ISO = "must be an instant in UTC such as '2024-03-31T23:59:59Z'"
NO_EPOCH = "must be whole seconds since 1970 such as 1708351200"
NO_COUPON_DATE = "must be a date in the form DD-MM-YYYY HH:MM:SS, such as '31-03-2024 23:59:59', in UTC"
NO_CONTROL = "must not contain control characters other than line breaks and tabs"
OUT_OF_RANGE = "must lie between -2**53 and 2**53"
EXPIRY = datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC)


def as_told(value: object) -> str:
    """Name a case of a test, the same in every run."""
    return value.label if isinstance(value, Format) else repr(value)


def reason_of(form: Format, value: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        form.read("Points", value)
    assert caught.value.field == "Points"
    return caught.value.reason


# --- formats ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form,value,found",
    [
        (TEXT, "", ""),
        (TEXT, "one\r\ntwo\tthree", "one\r\ntwo\tthree"),
        (CODE, "a" * 10_000, "a" * 10_000),
        (NUMBER, 0, 0),
        (NUMBER, -49.9, -49.9),
        (NUMBER, 2**53, 2**53),
        (NUMBER, -(2**53), -(2**53)),
        (ISO_INSTANT, "2024-03-31T23:59:59Z", EXPIRY),
        (EPOCH_SECONDS, 1711929599, EXPIRY),
        (EPOCH_SECONDS, -1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (COUPON_DATE, "31-03-2024 23:59:59", EXPIRY),
        (COUPON_DATE, "01-02-0003 04:05:06", datetime(3, 2, 1, 4, 5, 6, tzinfo=UTC)),
    ],
    ids=as_told,
)
def test_what_fits_its_format_is_read(form: Format, value: object, found: object) -> None:
    assert form.read("Points", value) == found
    assert type(form.read("Points", value)) is type(found)
    if isinstance(found, datetime):
        assert form.read("Points", value).tzinfo is UTC


@pytest.mark.parametrize(
    "name,reason",
    [
        ("", "must not be empty"),
        (" \t", "must not be empty"),
        ("a\nb", "must not contain control characters"),
    ],
)
def test_a_name_that_is_read_says_something_in_one_line(name: str, reason: str) -> None:
    assert NAME.read("Source", "crm 7") == "crm 7"
    assert reason_of(NAME, name) == reason


@pytest.mark.parametrize(
    "form,value,reason",
    [
        (TEXT, None, "must be a string, not NoneType"),
        (TEXT, 20, "must be a string, not int"),
        (NUMBER, True, "must be a number, not bool"),
        (NUMBER, "PM500FF", "must be a number, not str"),
        (NUMBER, {}, "must be a number, not dict"),
        (TEXT, "a\0b", NO_CONTROL),
        (TEXT, "\x1b[2J", NO_CONTROL),
        (TEXT, "a" * 10_001, "must have at most 10,000 characters, not 10,001"),
        (NAME, "a" * 256, "must have at most 255 characters, not 256"),
        (CODE, "a" * 10_001, "must have at most 10,000 characters, not 10,001"),
        (NUMBER, float("nan"), "must be a finite number"),
        (NUMBER, float("-inf"), "must be a finite number"),
        (NUMBER, 2**53 + 1, OUT_OF_RANGE),
        (NUMBER, -(2**53) - 1, OUT_OF_RANGE),
        (NUMBER, 1e300, OUT_OF_RANGE),
        (ISO_INSTANT, 1711929599, NO_ISO),
        (ISO_INSTANT, "2024-03-31", NO_ISO),
        (ISO_INSTANT, "2024-03-31T23:59:59", NO_ISO),
        (ISO_INSTANT, "2024-03-31T23:59:59z", NO_ISO),
        (ISO_INSTANT, "2024-03-31t23:59:59Z", NO_ISO),
        (ISO_INSTANT, "2024-03-31T23:59:59+05:30", NO_ISO),
        (ISO_INSTANT, "2024-03-31T23:59:59Z\n", NO_ISO),
        (ISO_INSTANT, "2024-02-30T23:59:59Z", NO_ISO),
        (EPOCH_SECONDS, True, NO_EPOCH),
        (EPOCH_SECONDS, "1711929599", NO_EPOCH),
        (EPOCH_SECONDS, 1711929599.0, NO_EPOCH),
        (EPOCH_SECONDS, 10**12, NO_EPOCH),
        (EPOCH_SECONDS, 10**30, NO_EPOCH),
        (COUPON_DATE, None, NO_COUPON_DATE),
        (COUPON_DATE, "2024-03-31 23:59:59", NO_COUPON_DATE),
        (COUPON_DATE, "31-03-2024 23:59:59 ", NO_COUPON_DATE),
        (COUPON_DATE, "31-02-2024 23:59:59", NO_COUPON_DATE),
    ],
    ids=as_told,
)
def test_what_does_not_fit_its_format_is_refused_with_what_would(
    form: Format, value: object, reason: str
) -> None:
    assert reason_of(form, value) == reason


@given(
    instant=st.datetimes(timezones=st.timezones() | st.just(UTC)).filter(
        lambda at: 1 < at.year < 9999  # an instant at the ends of time has none in UTC
    )
)
def test_an_instant_comes_back_from_each_of_its_formats_to_the_second(instant: datetime) -> None:
    second = instant.astimezone(UTC).replace(microsecond=0)
    for form in (ISO_INSTANT, EPOCH_SECONDS, COUPON_DATE):
        assert form.write is not None
        assert form.read("Points", form.write(instant)) == second


def test_early_years_are_written_with_four_digits() -> None:
    early = datetime(3, 2, 1, 4, 5, 6, tzinfo=UTC)

    assert (iso_utc(early), coupon_date(early)) == ("0003-02-01T04:05:06Z", "01-02-0003 04:05:06")
