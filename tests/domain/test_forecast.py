from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.stock import Counts, Stock, forecast

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TODAY = NOW.date()
EXPIRY = datetime(2027, 3, 31, tzinfo=UTC)


def the_stock(available: int, given: dict[int, int]) -> Stock:
    """Return the forecast for codes left, and codes given by how many days ago."""
    days = {TODAY - timedelta(days=back): codes for back, codes in given.items()}
    return forecast("1", Counts(uploaded=available), days, EXPIRY, NOW)


@pytest.mark.parametrize(
    "available, given, rates, days",
    [
        pytest.param(100, {}, (0, 0), (None, None, None), id="nothing was given"),
        pytest.param(100, dict.fromkeys(range(28), 10), (10, 10), (10, 10, 10), id="the same every day"),
        pytest.param(100, dict.fromkeys(range(7), 40), (40, 10), (2, 10, 10), id="only this week"),
        pytest.param(100, dict.fromkeys(range(7, 28), 40), (0, 30), (3, 3, None), id="not this week"),
        pytest.param(0, {0: 28}, (4, 1), (0, 0, 0), id="dry already"),
        pytest.param(100, {28: 1_000}, (0, 0), (None, None, None), id="only before"),
    ],
)
def test_when_a_list_runs_dry(
    available: int, given: dict[int, int], rates: tuple[float, float], days: tuple[int | None, ...]
) -> None:
    stock = the_stock(available, given)
    assert (stock.per_day_7, stock.per_day_28) == rates
    found = (stock.earliest, stock.runs_dry_on, stock.latest)
    assert tuple(day and (day - TODAY).days for day in found) == days


def test_whether_a_list_outlasts_its_expiry() -> None:
    assert the_stock(100, {}).outlasts_expiry
    assert the_stock(10_000, {0: 28}).outlasts_expiry
    assert not the_stock(10, {0: 28}).outlasts_expiry
    assert not the_stock(0, {}).outlasts_expiry


@given(
    available=st.integers(0, 1_000_000), given=st.dictionaries(st.integers(0, 40), st.integers(0, 1_000_000))
)
def test_the_bounds_enclose_the_expected_day(available: int, given: dict[int, int]) -> None:
    stock = the_stock(available, given)
    days = [stock.earliest, stock.runs_dry_on, stock.latest]
    known = [day for day in days if day is not None]
    assert known == sorted(known)
    assert days[len(known) :] == [None] * (3 - len(known))
