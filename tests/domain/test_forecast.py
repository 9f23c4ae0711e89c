from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.forecast import Stock, forecast
from partner_vouchers.domain.stock import Counts

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TODAY = NOW.date()
EXPIRY = datetime(2027, 3, 31, tzinfo=UTC)


def the_stock(available: int, given: dict[int, int]) -> Stock:
    """Return the forecast for codes left, and codes given by how many days ago."""
    days = {TODAY - timedelta(days=back): codes for back, codes in given.items()}
    return forecast("1", Counts(uploaded=available), days, EXPIRY, NOW)


@pytest.mark.parametrize(
    "available, given, rates, runs_dry_on, earliest, latest",
    [
        # Nothing was given: there is no rate.
        (100, {}, (0, 0), None, None, None),
        # The same every day.
        (
            100,
            dict.fromkeys(range(28), 10),
            (10, 10),
            date(2026, 12, 8),
            date(2026, 12, 8),
            date(2026, 12, 8),
        ),
        # Only this week: 40 a day over 7 days, 10 a day over 28.
        (
            100,
            dict.fromkeys(range(7), 40),
            (40, 10),
            date(2026, 12, 8),
            date(2026, 11, 30),
            date(2026, 12, 8),
        ),
        # Not this week: no latest day at a rate of zero.
        (100, dict.fromkeys(range(7, 28), 40), (0, 30), date(2026, 12, 1), date(2026, 12, 1), None),
        # Dry already.
        (0, {0: 28}, (4, 1), TODAY, TODAY, TODAY),
        # What was given before does not count.
        (100, {28: 1_000}, (0, 0), None, None, None),
    ],
)
def test_when_a_list_runs_dry(
    available: int,
    given: dict[int, int],
    rates: tuple[float, float],
    runs_dry_on: date | None,
    earliest: date | None,
    latest: date | None,
) -> None:
    stock = the_stock(available, given)
    assert (stock.per_day_7, stock.per_day_28) == rates
    assert (stock.runs_dry_on, stock.earliest, stock.latest) == (runs_dry_on, earliest, latest)


def test_whether_a_list_outlasts_its_expiry() -> None:
    assert the_stock(100, {}).outlasts_expiry
    assert the_stock(10_000, {0: 28}).outlasts_expiry
    assert not the_stock(10, {0: 28}).outlasts_expiry


@given(
    available=st.integers(0, 1_000_000), given=st.dictionaries(st.integers(0, 40), st.integers(0, 1_000_000))
)
def test_the_bounds_enclose_the_expected_day(available: int, given: dict[int, int]) -> None:
    stock = the_stock(available, given)
    days = [stock.earliest, stock.runs_dry_on, stock.latest]
    known = [day for day in days if day is not None]
    assert known == sorted(known)
    assert days[len(known) :] == [None] * (3 - len(known))
