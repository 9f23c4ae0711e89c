from __future__ import annotations

from typing import Any

import pytest

from partner_vouchers import PercentUsed, RepeatPolicy, Status
from partner_vouchers.domain.events import StockExhausted, StockLow
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import CodesExhausted, NoActiveList
from tests.support.host import Host, some_codes

# --- one event for each assignment -----------------------------------------------------------------------


def test_an_assignment_has_exactly_one_event(host: Host) -> None:
    found = host.a_list("A", "B", "C", "D", campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    codes = host.vouchers.codes
    rewards = [codes.assign(campaign_id="CMP", user_id="ann") for _ in range(2)]
    rewards += [codes.assign(list_id=found.id, user_id="ann")]
    rewards += codes.assign_many(["ben"], campaign_id="CMP").rewards
    assert host.events(VoucherRewarded) == [reward.event for reward in rewards]


# --- stock ---------------------------------------------------------------------------------------------------


def test_the_last_code_is_announced_once(host: Host) -> None:
    found = host.a_list("A", "B", partner="Puma", tag="winter")
    host.give(found.id, "ann")
    assert host.events(StockExhausted) == []
    host.give(found.id, "ben")
    (event,) = host.events(StockExhausted)
    assert (event.list_id, event.partner, event.list_tag, event.available) == (found.id, "Puma", "winter", 0)
    assert event.occurred_at == host.clock.now
    for user in ("cleo", "dora"):
        with pytest.raises(CodesExhausted):
            host.give(found.id, user)
    assert len(host.events(StockExhausted)) == 1


def test_a_list_that_never_had_a_code_is_announced_when_one_is_asked_for(host: Host) -> None:
    found = host.a_list(campaign="CMP")
    assert host.events(StockExhausted) == []
    for user in ("ann", "ben"):
        with pytest.raises(CodesExhausted):
            host.vouchers.codes.assign(campaign_id="CMP", user_id=user)
    (event,) = host.events(StockExhausted)
    assert event.list_id == found.id


@pytest.mark.parametrize("campaign", [None, "CMP"], ids=["of the list", "in a campaign"])
def test_a_percentage_used_is_announced_after_each_top_up(host: Host, campaign: str | None) -> None:
    found = host.a_list(low_stock_at=PercentUsed(80), campaign=campaign)
    source: dict[str, Any] = {"campaign_id": campaign} if campaign else {"list_id": found.id}
    # The list is never empty: two codes are left over each month.
    for month in range(6):
        host.upload(found.id, *some_codes(10 if month == 0 else 8, f"{month}-"))
        for number in range(8):
            assert len(host.events(StockLow)) == month
            host.vouchers.codes.assign(user_id=f"user-{month}-{number}", **source)
    assert [event.available for event in host.events(StockLow)] == [2] * 6


def test_a_withdrawal_does_not_use_a_percentage_up(host: Host) -> None:
    found = host.a_list(*some_codes(10), low_stock_at=PercentUsed(80))
    wrong = host.upload(found.id, *some_codes(10, "wrong"))
    host.give(found.id, *(f"user-{number}" for number in range(7)))
    host.vouchers.uploads.withdraw(wrong.id)
    assert host.events(StockLow) == []
    host.give(found.id, "user-7")
    assert [event.available for event in host.events(StockLow)] == [2]


def test_withdrawing_can_make_a_list_run_low(host: Host) -> None:
    found = host.a_list("A", low_stock_at=1)
    wrong = host.upload(found.id, "B", "C")
    before = len(host.events(StockLow))
    host.vouchers.uploads.withdraw(wrong.id)
    assert len(host.events(StockLow)) == before + 1


def test_a_new_threshold_is_looked_at_at_once(host: Host) -> None:
    found = host.a_list("A", "B")
    host.vouchers.lists.edit(found.id, low_stock_at=1)
    assert host.events(StockLow) == []
    host.vouchers.lists.edit(found.id, low_stock_at=2)
    assert [event.available for event in host.events(StockLow)] == [2]
    host.vouchers.lists.edit(found.id, low_stock_at=None)
    host.vouchers.lists.edit(found.id, low_stock_at=2)
    assert len(host.events(StockLow)) == 2


def test_a_new_list_is_not_low_before_it_had_codes(host: Host) -> None:
    found = host.a_list(low_stock_at=100)
    host.vouchers.lists.edit(found.id, low_stock_at=200)
    assert not host.events(StockLow)
    assert not host.events(StockExhausted)


@pytest.mark.parametrize("status", [Status.PAUSED, Status.ARCHIVED])
def test_a_refusal_for_another_reason_announces_nothing(host: Host, status: Status) -> None:
    found = host.a_list(campaign="CMP", status=status)
    with host.nothing_changes():
        for arguments in ({"campaign_id": "CMP"}, {"list_id": found.id}):
            given: dict[str, Any] = {"user_id": "ann", **arguments}
            with pytest.raises(NoActiveList):
                host.vouchers.codes.assign(**given)
