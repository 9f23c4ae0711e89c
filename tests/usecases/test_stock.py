"""How fast a list is used, and when it runs dry."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.domain.stock import Counts
from partner_vouchers.errors import InvalidInput
from tests.support.host import FixedClock, Host

DAY = timedelta(days=1)


def give(host: Host, list_id: str, codes: int, *, user: str = "user") -> None:
    for number in range(codes):
        host.vouchers.codes.assign(list_id=list_id, user_id=f"{user}-{host.clock.now:%d%H%M%S}-{number}")


def test_codes_are_counted_by_the_utc_day_on_which_they_were_given(host: Host, clock: FixedClock) -> None:
    winter = host.a_list(*(f"CODE{number:02}" for number in range(12))).id
    clock.now = datetime(2026, 12, 1, 23, 59, 59, 999999, tzinfo=UTC)
    give(host, winter, 2)
    clock.now = datetime(2026, 12, 2, tzinfo=UTC)
    give(host, winter, 1)
    host.vouchers.codes.assign_many(["a", "b", "c"], list_id=winter)
    clock.now += 2 * DAY
    give(host, winter, 1)
    # A clock that goes back is no error.
    clock.now -= 2 * DAY
    give(host, winter, 1, user="late")
    expected = {date(2026, 12, 1): 2, date(2026, 12, 2): 5, date(2026, 12, 4): 1}
    read = host.vouchers.lists.distribution
    assert read(winter) == expected
    assert list(read(winter)) == sorted(expected)
    assert read(winter, since=date(2026, 12, 2)) == dict(list(expected.items())[1:])
    assert read(winter, until=date(2026, 12, 2)) == dict(list(expected.items())[:2])
    assert read(winter, since=date(2026, 12, 2), until=date(2026, 12, 2)) == {date(2026, 12, 2): 5}
    assert read(winter, since=date(2027, 1, 1)) == {}
    assert read(winter, since=date.min, until=date.max) == expected


def test_replays_and_refusals_count_on_no_day(host: Host, clock: FixedClock) -> None:
    winter = host.a_list("A").id
    host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    clock.now += DAY
    host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    assert host.vouchers.lists.distribution(winter) == {(clock.now - DAY).date(): 1}


def test_the_stock_of_a_list(host: Host, clock: FixedClock) -> None:
    winter = host.a_list(*(f"CODE{number:03}" for number in range(100))).id
    give(host, winter, 28, user="first")
    clock.now += 10 * DAY
    give(host, winter, 14, user="second")
    stock = host.vouchers.lists.stock(winter)
    today = clock.now.date()
    assert stock.counts == Counts(uploaded=100, distributed=42)
    assert (stock.per_day_7, stock.per_day_28) == (2.0, 1.5)
    assert (stock.runs_dry_on, stock.earliest, stock.latest) == (
        today + 38 * DAY,
        today + 29 * DAY,
        today + 38 * DAY,
    )
    clock.now += 20 * DAY
    assert host.vouchers.lists.stock(winter).per_day_28 == 0.5
    clock.now += 20 * DAY
    idle = host.vouchers.lists.stock(winter)
    assert (idle.per_day_28, idle.runs_dry_on, idle.outlasts_expiry) == (0.0, None, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": "2026-12-01"},
        {"until": datetime(2026, 12, 1, tzinfo=UTC)},
        {"since": 5},
        {"since": date(2026, 12, 2), "until": date(2026, 12, 1)},
    ],
)
def test_days_are_dates_in_order(vouchers: PartnerVouchers, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        vouchers.lists.distribution("1", **wrong)
