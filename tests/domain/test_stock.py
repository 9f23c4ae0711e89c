from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.assignment import stock_alerts
from partner_vouchers.domain.events import StockLow
from partner_vouchers.domain.stock import (
    Counts,
    LowStock,
    PercentUsed,
    StockLevel,
    is_ample,
    new_low_stock,
    stock_level,
)
from partner_vouchers.domain.voucher_list import VoucherList
from tests.domain.examples import COUNTS, NOW, a_list

ENOUGH, LOW, EXHAUSTED = StockLevel.ENOUGH, StockLevel.LOW, StockLevel.EXHAUSTED


# --- counters --------------------------------------------------------------------------------------


@given(counts=COUNTS)
def test_every_code_is_counted_once(counts: Counts) -> None:
    assert counts.uploaded == counts.available + counts.reserved + counts.distributed + counts.withdrawn


def test_a_list_holds_a_million_codes_that_are_or_were_available() -> None:
    assert Counts().capacity_left == 1_000_000
    # Codes that were given out still count, withdrawn ones do not.
    assert Counts(uploaded=999_999, distributed=500_000).capacity_left == 1
    assert Counts(uploaded=999_999, distributed=500_000, withdrawn=400_000).capacity_left == 400_001
    assert Counts(uploaded=1_000_000).capacity_left == 0


# --- thresholds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0, 1, 1_000_000, PercentUsed(1), PercentUsed(100)], ids=str)
def test_a_threshold_is_codes_left_or_a_percentage_used(value: LowStock | None) -> None:
    assert new_low_stock(value) == value


@pytest.mark.parametrize(
    "counts,low_stock_at,expected",
    [
        pytest.param(Counts(), None, EXHAUSTED, id="nothing uploaded"),
        pytest.param(Counts(), PercentUsed(80), EXHAUSTED, id="nothing uploaded, percentage"),
        pytest.param(Counts(10, 10), None, EXHAUSTED, id="all given out"),
        pytest.param(Counts(10, 5, 5), None, EXHAUSTED, id="the rest reserved"),
        pytest.param(Counts(10, 5, 0, 5), None, EXHAUSTED, id="the rest withdrawn"),
        pytest.param(Counts(10, 9), None, ENOUGH, id="one left, no threshold"),
        pytest.param(Counts(10, 7), 2, ENOUGH, id="three left of two"),
        pytest.param(Counts(10, 8), 2, LOW, id="two left of two"),
        pytest.param(Counts(10, 10), 2, EXHAUSTED, id="none left of two"),
        pytest.param(Counts(10, 9), 0, ENOUGH, id="one left of none"),
        pytest.param(Counts(10, 10), 0, EXHAUSTED, id="none left of none"),
        pytest.param(Counts(10, 7), PercentUsed(80), ENOUGH, id="70 % of 80 % used"),
        pytest.param(Counts(10, 8), PercentUsed(80), LOW, id="80 % of 80 % used"),
        pytest.param(Counts(1000, 799), PercentUsed(80), ENOUGH, id="79.9 % of 80 % used"),
        pytest.param(Counts(3, 1), PercentUsed(33), LOW, id="33.3 % of 33 % used"),
        pytest.param(Counts(3, 1), PercentUsed(34), ENOUGH, id="33.3 % of 34 % used"),
        pytest.param(Counts(10, 4, 4), PercentUsed(80), LOW, id="reserved counts as used"),
        pytest.param(Counts(20, 8, 0, 10), PercentUsed(80), LOW, id="of what was not withdrawn"),
        pytest.param(Counts(20, 0, 0, 10), PercentUsed(1), ENOUGH, id="withdrawn is not used"),
        pytest.param(Counts(10, 9), PercentUsed(100), ENOUGH, id="90 % of 100 % used"),
        pytest.param(Counts(10, 10), PercentUsed(100), EXHAUSTED, id="100 % of 100 % used"),
    ],
)
def test_the_level_of_a_stock(counts: Counts, low_stock_at: LowStock | None, expected: StockLevel) -> None:
    assert stock_level(counts, low_stock_at) is expected


@pytest.mark.parametrize(
    "counts,used_before,expected",
    [
        pytest.param(Counts(20, 10), 10, ENOUGH, id="just topped up"),
        pytest.param(Counts(20, 17), 10, ENOUGH, id="7 of 10 used since"),
        pytest.param(Counts(20, 18), 10, LOW, id="8 of 10 used since"),
        pytest.param(Counts(20, 16, 2), 10, LOW, id="reserved counts as used"),
        pytest.param(Counts(30, 14, 0, 10), 10, ENOUGH, id="withdrawn since: 4 of 10 used"),
        pytest.param(Counts(30, 18, 0, 10), 10, LOW, id="withdrawn since: 8 of 10 used"),
        pytest.param(Counts(20, 8), 10, ENOUGH, id="more returned than were used since"),
        pytest.param(Counts(20, 20), 10, EXHAUSTED, id="none left"),
    ],
)
def test_a_percentage_counts_from_the_latest_upload(
    counts: Counts, used_before: int, expected: StockLevel
) -> None:
    assert stock_level(counts, PercentUsed(80), used_before) is expected
    # A number of codes left does not care.
    assert stock_level(counts, 1, used_before) is stock_level(counts, 1)


@given(percent=st.integers(1, 100), used=st.integers(0, 10_000), topped_up=st.integers(1, 10_000))
def test_a_list_that_is_topped_up_warns_at_the_same_share_each_time(
    percent: int, used: int, topped_up: int
) -> None:
    warns_at = -(-percent * topped_up // 100)
    for since in (warns_at - 1, warns_at):
        counts = Counts(uploaded=used + topped_up, distributed=used + since)
        expected = EXHAUSTED if since == topped_up else LOW if since == warns_at else ENOUGH
        assert stock_level(counts, PercentUsed(percent), used) is expected


@given(
    counts=COUNTS,
    codes=st.integers(0, 1000),
    low_stock_at=st.none() | st.integers(0, 1000) | st.builds(PercentUsed, st.integers(1, 100)),
)
def test_giving_codes_out_never_raises_the_stock(
    counts: Counts, codes: int, low_stock_at: LowStock | None
) -> None:
    given_out = evolve(counts, distributed=counts.distributed + codes)

    assert stock_level(counts, low_stock_at) <= stock_level(given_out, low_stock_at)


# --- alerts ----------------------------------------------------------------------------------------


def announced(found: VoucherList, left: int) -> tuple[VoucherList, list[str]]:
    """Return the list when `left` of its thousand codes are left, and the names of what is told about it."""
    counts = Counts(uploaded=1000, distributed=1000 - left)
    level, events = stock_alerts(found, found.notified, counts, NOW)
    return evolve(found, counts=counts, notified=level), [event.event_name for event in events]


def test_an_alert_says_which_list_and_what_is_left() -> None:
    level, events = stock_alerts(a_list(low_stock_at=100), ENOUGH, Counts(1000, 900), NOW)

    assert level is LOW
    assert events == (
        StockLow(occurred_at=NOW, list_id="1837", partner="Puma", list_tag="winter_sale_500", available=100),
    )


@given(low_stock_at=st.none() | st.integers(0, 6), stock=st.lists(st.integers(0, 8)))
def test_a_crossing_is_told_exactly_once(low_stock_at: int | None, stock: list[int]) -> None:
    found = a_list(low_stock_at=low_stock_at)
    before = 1000
    threshold = -1 if low_stock_at is None else low_stock_at
    for left in stock:
        found, told = announced(found, left)

        # Without a threshold, or with one of 0, a list is low only when it is exhausted.
        is_low, was_low = left <= max(threshold, 0), before <= max(threshold, 0)
        assert ("list.running_low" in told) is (low_stock_at is not None and is_low and not was_low)
        assert ("list.exhausted" in told) is (left == 0 and before != 0)
        before = left


@given(
    counts=COUNTS,
    low_stock_at=st.none() | st.integers(0, 5) | st.builds(PercentUsed, st.integers(1, 100)),
    level=st.sampled_from(StockLevel),
)
def test_of_an_ample_stock_there_is_nothing_to_tell(
    counts: Counts, low_stock_at: LowStock | None, level: StockLevel
) -> None:
    if is_ample(counts, low_stock_at, level):
        assert stock_alerts(a_list(low_stock_at=low_stock_at), level, counts, NOW) == (level, ())


def test_a_stock_is_ample_while_a_code_is_left_and_nothing_was_told() -> None:
    assert is_ample(Counts(uploaded=1), None, ENOUGH)
    assert not is_ample(Counts(uploaded=1, distributed=1), None, ENOUGH)
    assert not is_ample(Counts(uploaded=1), 0, ENOUGH)
    # A top-up is to be noted, so that the next crossing is told again.
    assert not is_ample(Counts(uploaded=1), None, EXHAUSTED)
