from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.limits import Limit, LimitUsage, new_limits, reached, usage_of

NOW = datetime(2026, 11, 30, 20, tzinfo=UTC)
ZONES = sorted(available_timezones() - {"localtime"})
PER_USER = Limit(2, per="user")
PER_MONTH = Limit(10, per="campaign", period="month", zone="Asia/Kolkata")


def test_a_zone_is_stored_by_its_name() -> None:
    assert Limit(1, per="user", period="day", zone=ZoneInfo("Asia/Tokyo")).zone == "Asia/Tokyo"
    assert Limit(1, per="user", period="day", zone=UTC).zone == "UTC"


@pytest.mark.parametrize(
    "period, zone, instant, starts_at, ends_at",
    [
        ("day", "UTC", "2026-11-30T20:00Z", "2026-11-30T00:00Z", "2026-12-01T00:00Z"),
        ("day", "Asia/Kolkata", "2026-11-30T20:00Z", "2026-11-30T18:30Z", "2026-12-01T18:30Z"),
        ("day", "Asia/Kolkata", "2026-11-30T18:30Z", "2026-11-30T18:30Z", "2026-12-01T18:30Z"),
        ("day", "Asia/Kolkata", "2026-11-30T18:29:59.999999Z", "2026-11-29T18:30Z", "2026-11-30T18:30Z"),
        ("week", "UTC", "2026-11-29T23:59Z", "2026-11-23T00:00Z", "2026-11-30T00:00Z"),
        ("week", "UTC", "2026-11-30T00:00Z", "2026-11-30T00:00Z", "2026-12-07T00:00Z"),
        ("month", "Asia/Kolkata", "2026-11-30T20:00Z", "2026-11-30T18:30Z", "2026-12-31T18:30Z"),
        ("month", "UTC", "2028-02-29T12:00Z", "2028-02-01T00:00Z", "2028-03-01T00:00Z"),
        # The clocks go back at 1:00: midnight comes twice, and the day begins with the first one.
        ("day", "America/Havana", "2026-11-01T04:30Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
        # The clocks go forward at midnight: the day begins at 1:00.
        ("day", "Africa/Cairo", "2026-04-24T12:00Z", "2026-04-23T22:00Z", "2026-04-24T21:00Z"),
    ],
)
def test_a_period_is_that_of_the_calendar_in_its_zone(
    period: str, zone: str, instant: str, starts_at: str, ends_at: str
) -> None:
    window = Limit(1, per="campaign", period=period, zone=zone).window(datetime.fromisoformat(instant))
    assert (window.starts_at, window.ends_at) == tuple(map(datetime.fromisoformat, (starts_at, ends_at)))


@given(
    period=st.sampled_from(["day", "week", "month"]),
    zone=st.sampled_from(ZONES),
    instant=st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
def test_periods_follow_one_another_without_gaps(period: str, zone: str, instant: datetime) -> None:
    limit = Limit(1, per="campaign", period=period, zone=zone)
    window = limit.window(instant)
    assert window.starts_at is not None
    assert window.ends_at is not None
    assert window.contains(instant)
    assert limit.window(window.starts_at) == window
    following = limit.window(window.ends_at)
    assert following.starts_at == window.ends_at
    assert following.key != window.key


def test_a_limit_without_a_period_counts_for_ever() -> None:
    window = PER_USER.window(NOW)
    assert window == PER_USER.window(NOW + timedelta(days=10_000))
    assert (window.starts_at, window.ends_at) == (None, None)


def test_usage_says_what_is_left_and_when_it_frees() -> None:
    assert usage_of(PER_MONTH, 4, NOW) == LimitUsage(
        PER_MONTH, 4, 6, datetime(2026, 12, 31, 18, 30, tzinfo=UTC)
    )
    assert usage_of(PER_USER, None, NOW) == LimitUsage(PER_USER, None, None, None)
    # A limit that was lowered takes nothing back.
    assert usage_of(PER_USER, 5, NOW).left == 0


@pytest.mark.parametrize(
    "used, refused",
    [
        ({}, None),
        ({"user": 2}, "user"),
        ({"user": 2, "campaign": 9, "day": 3}, "user"),
        ({"campaign": 9}, "campaign"),
        ({"day": 3}, "day"),
        # Of two limits of one kind the one that frees last.
        ({"campaign": 9, "day": 3}, "campaign"),
        ({"month": 5, "day": 3}, "month"),
    ],
)
def test_limits_are_checked_in_order(used: dict[str, int], refused: str | None) -> None:
    limits = {
        "day": Limit(3, per="campaign", period="day", zone="UTC"),
        "month": Limit(5, per="campaign", period="month", zone="Asia/Kolkata"),
        "campaign": Limit(9, per="campaign"),
        "user": Limit(2, per="user"),
    }
    found = reached(usage_of(limit, used.get(name, 0), NOW) for name, limit in limits.items())
    assert (found and found.limit) == (limits[refused] if refused else None)


def test_a_request_for_many_codes_needs_room_for_all() -> None:
    usage = usage_of(PER_MONTH, 8, NOW)
    assert reached([usage], 2) is None
    assert reached([usage], 3) == usage


def test_no_limits_are_an_empty_list() -> None:
    assert new_limits([]) == ()
    assert new_limits([PER_USER, PER_MONTH]) == (PER_USER, PER_MONTH)
