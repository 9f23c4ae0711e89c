from __future__ import annotations

from typing import Any

import pytest

from partner_vouchers import PercentUsed, RepeatPolicy, Status
from partner_vouchers.domain.events import StockExhausted, StockLow
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import CodesExhausted, NoActiveList
from tests.support.host import Host, some_codes


def names(host: Host) -> list[str]:
    return [entry.event.event_name for entry in host.outbox()]


# --- one event for each assignment -----------------------------------------------------------------------


def test_an_assignment_has_exactly_one_event(host: Host) -> None:
    found = host.a_list("A", "B", "C", "D", campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    codes = host.vouchers.codes
    rewards = [codes.assign(campaign_id="CMP", user_id="ann") for _ in range(2)]
    rewards += [codes.assign(list_id=found.id, user_id="ann")]
    rewards += codes.assign_many(["ben"], campaign_id="CMP").rewards
    assert host.events(VoucherRewarded) == [reward.event for reward in rewards]


def test_a_replay_has_none(host: Host) -> None:
    host.a_list("A", "B", campaign="CMP")
    codes = host.vouchers.codes
    codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="k")
    before = host.outbox()
    assert codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="k").replayed
    assert codes.assign(campaign_id="CMP", user_id="ann").replayed
    assert codes.assign_many(["ann", "ann"], campaign_id="CMP").rewards[0].replayed
    assert host.outbox() == before


def test_an_event_in_the_outbox_stays_as_it_was(host: Host) -> None:
    found = host.a_list("A", campaign="CMP")
    reward = host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    before = host.outbox()
    host.vouchers.lists.edit(found.id, name="N", description="D")
    host.vouchers.campaigns.unlink(found.id, "CMP")
    host.vouchers.lists.archive(found.id)
    assert host.outbox()[: len(before)] == before
    assert host.events(VoucherRewarded) == [reward.event]


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


def test_a_top_up_arms_the_announcement_again(host: Host) -> None:
    found = host.a_list("A")
    host.give(found.id, "ann")
    host.upload(found.id, "B")
    assert len(host.events(StockExhausted)) == 1
    host.give(found.id, "ben")
    assert len(host.events(StockExhausted)) == 2


def test_codes_left_are_announced_once_for_each_crossing(host: Host) -> None:
    found = host.a_list(*some_codes(4), low_stock_at=2)
    host.give(found.id, "u1")
    assert host.events(StockLow) == []
    host.give(found.id, "u2")
    (event,) = host.events(StockLow)
    assert (event.list_id, event.available) == (found.id, 2)
    host.give(found.id, "u3", "u4")
    assert len(host.events(StockLow)) == len(host.events(StockExhausted)) == 1
    host.upload(found.id, *some_codes(3, "N"))
    host.give(found.id, "u5")
    assert [event.available for event in host.events(StockLow)] == [2, 2]


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


# --- what happens to lists -----------------------------------------------------------------------------------


def test_what_happens_to_a_list_is_told_in_order(host: Host) -> None:
    found = host.a_list("A", campaign="CMP")
    lists = host.vouchers.lists
    lists.edit(found.id, name="N")
    lists.pause(found.id)
    lists.activate(found.id)
    host.upload(found.id, "B B")
    host.vouchers.campaigns.unlink(found.id, "CMP")
    lists.archive(found.id)
    lists.delete(host.a_list().id)
    assert names(host) == [
        "partner.added",
        "list.created",
        "upload.completed",
        "campaign.linked",
        "list.edited",
        "list.paused",
        "list.activated",
        "upload.failed",
        "campaign.unlinked",
        "list.archived",
        "list.created",
        "list.deleted",
    ]
