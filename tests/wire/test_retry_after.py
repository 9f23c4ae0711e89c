"""`Retry-After` in all its forms, wherever the host is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.wire.retry_after import LONGEST_WAIT, retry_after

NOW = datetime(2024, 2, 19, 14, tzinfo=UTC).timestamp()
ZONES = ["UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Kiritimati", "Europe/London"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if not hasattr(time, "tzset"):
        pytest.skip("the zone of this system cannot be changed")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "header,seconds",
    [
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("999999999", LONGEST_WAIT),
        ("9" * 5000, LONGEST_WAIT),
        ("Mon, 19 Feb 2024 14:00:30 GMT", 30.0),
        ("Monday, 19-Feb-24 14:00:30 GMT", 30.0),
        ("Mon Feb 19 14:00:30 2024", 30.0),
        ("Mon, 19 Feb 2024 13:00:00 GMT", 0.0),
        ("Mon Feb 19 13:00:00 2024", 0.0),
        ("Tue, 19 Feb 2030 14:00:30 GMT", LONGEST_WAIT),
        ("Thu Feb 29 00:00:00 2024", LONGEST_WAIT),
        ("Mon, 19 Feb 2024 19:30:30 +0530", 30.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1e9", None),
        ("1.5", None),
        ("Mon, 99 Feb 2024 14:00:30 GMT", None),
        ("Mon, 19 Feb 2024 25:00:30 GMT", None),
        ("Mon, 19 Feb 99999999999 14:00:30 GMT", None),
        (f"Mon, 19 Feb 2024 14:00:30 +{'9' * 400}", None),
        ("٣", None),
    ],
)
def test_every_form_is_understood_in_every_zone(zone: str, header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(seconds=st.integers(0, 86_400), epoch=st.integers(0, 3_000_000_000))
def test_the_three_dates_mean_the_same_instant(seconds: int, epoch: int) -> None:
    start = datetime.fromtimestamp(epoch, UTC)
    at = start + timedelta(seconds=seconds)
    day, month = DAYS[at.weekday()], MONTHS[at.month - 1]
    forms = [
        f"{day[:3]}, {at.day:02} {month} {at.year} {at:%H:%M:%S} GMT",
        f"{day}, {at.day:02}-{month}-{at.year % 100:02} {at:%H:%M:%S} GMT",
        f"{day[:3]} {month} {at.day:2} {at:%H:%M:%S} {at.year}",
    ]
    assert [retry_after(form, start.timestamp()) for form in forms] == [seconds] * 3


@given(header=st.text())
def test_any_text_is_a_wait_or_nothing(header: str) -> None:
    found = retry_after(header, NOW)
    assert found is None or 0 <= found <= LONGEST_WAIT
