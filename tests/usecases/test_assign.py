from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers, RepeatPolicy, Status
from partner_vouchers.domain.assignment import Source
from partner_vouchers.errors import (
    CampaignNotLinked,
    CodesExhausted,
    IdempotencyConflict,
    NoActiveList,
    NotEligible,
    UnknownEligibilityRule,
)
from partner_vouchers.ports import Storage
from tests.support.host import EXPIRY, START, FixedClock, Host

SAME, VALID, NEW = RepeatPolicy.SAME_CODE, RepeatPolicy.SAME_WHILE_VALID, RepeatPolicy.NEW_CODE
GIVES_NOTHING = [Status.PAUSED, Status.EXPIRED, Status.ARCHIVED]


# --- one code for one user -------------------------------------------------------------------------------


def test_a_user_gets_a_code_of_a_campaign(host: Host, vouchers: PartnerVouchers) -> None:
    found = host.a_list("A", "B", tag="winter", campaign="CMP123456")
    reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42", idempotency_key="order-991")
    assert (reward.code, reward.list_id, reward.user_id) == ("A", found.id, "user-42")
    assert (reward.campaign_id, reward.assigned_at, reward.replayed) == ("CMP123456", START, False)
    assert reward.assignment.source is Source.CAMPAIGN
    assert reward.event.properties() == {
        "CT Source": "Promo Module",
        "campaignId": "CMP123456",
        "eventTimestamp": int(START.timestamp()),
        "listDescription": "₹500 off",
        "listExpiry": "2027-03-31T23:59:59Z",
        "listTag": "winter",
        "partner": "Puma",
        "source": "Campaign",
        "voucherCode": "A",
        "voucherListId": found.id,
    }


def test_a_user_gets_a_code_of_a_list(host: Host, vouchers: PartnerVouchers) -> None:
    found = host.a_list("A")
    reward = vouchers.codes.assign(list_id=found.id, user_id="ann")
    assert (reward.code, reward.campaign_id, reward.assignment.source) == ("A", None, Source.API)
    assert reward.event.source == "API"
    assert "campaignId" not in reward.event.properties()


# --- which list --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", GIVES_NOTHING)
def test_lists_that_are_not_active_are_passed_over(host: Host, status: Status) -> None:
    passed = host.a_list("A", campaign="CMP", status=status)
    host.a_list("B", campaign="CMP")
    assert host.vouchers.codes.assign(campaign_id="CMP", user_id="ann").code == "B"
    assert host.vouchers.lists.get(passed.id).distributed == 0


# --- asking again ------------------------------------------------------------------------------------------


def test_a_user_who_asks_again_gets_the_same_code(host: Host) -> None:
    found = host.a_list("A", "B", campaign="CMP")
    first = host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    host.clock.advance(days=1)
    with host.nothing_changes():
        again = host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    assert (again.replayed, again.assignment) == (True, first.assignment)
    assert host.give(found.id, "ann") == host.give(found.id, "ann") == ["B"]


def test_each_request_gets_a_new_code_where_the_link_says_so(host: Host) -> None:
    host.a_list("A", "B", campaign="CMP", repeat=NEW)
    host.a_list("C", campaign="CMP", repeat=NEW)
    codes = host.vouchers.codes
    rewards = [codes.assign(campaign_id="CMP", user_id="ann") for _ in range(3)]
    assert [reward.code for reward in rewards] == ["A", "B", "C"]
    assert [reward.assignment.ordinal for reward in rewards] == [1, 2, 3]
    assert not any(reward.replayed for reward in rewards)
    with pytest.raises(CodesExhausted):
        codes.assign(campaign_id="CMP", user_id="ann")


def test_a_campaign_without_links_refuses_also_who_has_a_code(host: Host) -> None:
    found = host.a_list("A", "B", campaign="CMP")
    codes = host.vouchers.codes
    first = codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-1")
    host.vouchers.campaigns.unlink(found.id, "CMP")
    with host.nothing_changes():
        for user_id in ("ann", "ben"):
            with pytest.raises(CampaignNotLinked) as refused:
                codes.assign(campaign_id="CMP", user_id=user_id)
            assert refused.value.campaign_id == "CMP"
            for partial in (True, False):
                with pytest.raises(CampaignNotLinked):
                    codes.assign_many([user_id], campaign_id="CMP", partial=partial)
        # An idempotency key returns its first result for ever.
        again = codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-1")
    assert again.assignment == first.assignment
    host.vouchers.campaigns.link(found.id, "CMP")
    assert codes.assign(campaign_id="CMP", user_id="ann").replayed


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
@pytest.mark.parametrize(
    "first, second, unlinked, status, expected",
    [
        # The link of the list that the code came from decides, whatever became of the list.
        (SAME, NEW, False, Status.ARCHIVED, "OLD"),
        (NEW, SAME, False, Status.PAUSED, "FRESH"),
        (VALID, SAME, False, Status.PAUSED, "OLD"),
        (VALID, SAME, False, Status.EXPIRED, "FRESH"),
        # Where that list is no longer linked, the first link by priority does.
        (SAME, NEW, True, Status.ACTIVE, "FRESH"),
        (NEW, SAME, True, Status.EXPIRED, "OLD"),
        (SAME, VALID, True, Status.ARCHIVED, "FRESH"),
    ],
)
def test_next_years_birthday_gives_next_years_code(
    host: Host,
    first: RepeatPolicy,
    second: RepeatPolicy,
    unlinked: bool,
    status: Status,
    expected: str,
    many: bool,
) -> None:
    old = host.a_list("OLD", campaign="birthday", repeat=first)
    codes, campaigns = host.vouchers.codes, host.vouchers.campaigns
    codes.assign(campaign_id="birthday", user_id="ann")
    later = EXPIRY + timedelta(days=365)
    new = host.a_list("FRESH", campaign="birthday", repeat=second, expires_at=later)
    last = host.a_list("LAST", expires_at=later)
    campaigns.link(last.id, "birthday", repeat=NEW, priority=9)
    if unlinked:
        campaigns.unlink(old.id, "birthday")
    host.bring(old.id, status)
    if many:
        (reward,) = codes.assign_many(["ann"], campaign_id="birthday").rewards
    else:
        reward = codes.assign(campaign_id="birthday", user_id="ann")
    assert (reward.code, reward.replayed) == (expected, expected == "OLD")
    assert reward.list_id == (old.id if expected == "OLD" else new.id)


# --- idempotency keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize("repeat", RepeatPolicy)
@pytest.mark.parametrize("status", [Status.ACTIVE, *GIVES_NOTHING])
def test_the_same_key_returns_the_first_result_for_ever(
    host: Host, repeat: RepeatPolicy, status: Status
) -> None:
    found = host.a_list("A", "B", campaign="CMP", repeat=repeat)
    codes = host.vouchers.codes
    first = codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-1")
    direct = codes.assign(list_id=found.id, user_id="ann", idempotency_key="order-2")
    host.vouchers.campaigns.unlink(found.id, "CMP")
    host.bring(found.id, status)
    with host.nothing_changes():
        again = codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-1")
        direct_again = codes.assign(list_id=found.id, user_id="ann", idempotency_key="order-2")
    assert again.replayed
    assert (again.assignment, again.event) == (first.assignment, first.event)
    assert (direct_again.replayed, direct_again.assignment) == (True, direct.assignment)


def test_the_key_of_a_replay_is_remembered_too(host: Host) -> None:
    found = host.a_list("A", "B", campaign="CMP")
    codes = host.vouchers.codes
    codes.assign(campaign_id="CMP", user_id="ann")
    assert codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-1").replayed
    host.vouchers.campaigns.link(found.id, "CMP", repeat=NEW)
    assert codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-1").code == "A"


def test_a_key_with_other_arguments_is_a_conflict(host: Host) -> None:
    found = host.a_list("A", "B", "C", campaign="CMP")
    host.vouchers.campaigns.link(found.id, "CMP2")
    codes = host.vouchers.codes
    codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-1")
    others: list[dict[str, Any]] = [
        {"campaign_id": "CMP", "user_id": "ben"},
        {"campaign_id": "CMP2", "user_id": "ann"},
        {"list_id": found.id, "user_id": "ann"},
        {"list_id": "CMP", "user_id": "ann"},
    ]
    with host.nothing_changes():
        for other in others:
            with pytest.raises(IdempotencyConflict) as conflict:
                codes.assign(**other, idempotency_key="order-1")
            assert (conflict.value.code, conflict.value.key) == ("idempotency_conflict", "order-1")
        with pytest.raises(IdempotencyConflict):
            codes.assign_many(["ann"], campaign_id="CMP", idempotency_key="order-1")


def test_a_request_that_failed_may_come_again_with_its_key(host: Host) -> None:
    found = host.a_list(campaign="CMP")
    with pytest.raises(CodesExhausted):
        host.vouchers.codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-1")
    host.upload(found.id, "A")
    reward = host.vouchers.codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-1")
    assert (reward.code, reward.replayed) == ("A", False)


# --- no code -----------------------------------------------------------------------------------------------


def test_exhausted_lists_are_named(host: Host) -> None:
    first, second = host.a_list(campaign="CMP"), host.a_list("A", campaign="CMP", status=Status.PAUSED)
    with pytest.raises(CodesExhausted) as refused:
        host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    assert (refused.value.code, refused.value.campaign_id) == ("codes_exhausted", "CMP")
    assert refused.value.lists == ((first.id, "exhausted"), (second.id, "Paused"))
    with pytest.raises(CodesExhausted) as direct:
        host.vouchers.codes.assign(list_id=first.id, user_id="ann")
    assert (direct.value.campaign_id, direct.value.lists) == (None, ((first.id, "exhausted"),))


def test_lists_that_are_not_active_are_named_with_their_status(host: Host) -> None:
    lists = {host.a_list("A", campaign="CMP", status=status).id: status.value for status in GIVES_NOTHING}
    with host.nothing_changes(), pytest.raises(NoActiveList) as refused:
        host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    assert (refused.value.code, dict(refused.value.lists)) == ("no_active_list", lists)


# --- eligibility -------------------------------------------------------------------------------------------


def is_adult(context: Mapping[str, object]) -> bool:
    age = context.get("age", 0)
    return isinstance(age, int) and age >= 18


@pytest.fixture
def choosy(storage: Storage, clock: FixedClock) -> Host:
    """A host with a rule, a list for adults and, after it, one for all."""
    host = Host(storage, clock, eligibility={"adults": is_adult})
    beer = host.a_list("BEER1", "BEER2")
    host.vouchers.campaigns.link(beer.id, "CMP", eligibility="adults")
    return host


def test_a_user_gets_a_code_of_the_first_list_whose_rule_is_met(choosy: Host) -> None:
    choosy.a_list("MILK", campaign="CMP")
    assign = choosy.vouchers.codes.assign
    assert assign(campaign_id="CMP", user_id="ann", context={"age": 18}).code == "BEER1"
    assert assign(campaign_id="CMP", user_id="kid", context={"age": 9}).code == "MILK"


@pytest.mark.parametrize("context", [None, {}, {"age": 17}])
def test_a_user_who_meets_no_rule_gets_nothing(choosy: Host, context: Any) -> None:
    (link,) = choosy.vouchers.campaigns.lists_of("CMP")
    with choosy.nothing_changes(), pytest.raises(NotEligible) as refused:
        choosy.vouchers.codes.assign(campaign_id="CMP", user_id="kid", context=context)
    assert (refused.value.code, refused.value.lists) == ("not_eligible", ((link.list_id, "not eligible"),))


def test_a_list_asked_directly_has_no_rule(choosy: Host) -> None:
    (link,) = choosy.vouchers.campaigns.lists_of("CMP")
    assert choosy.give(link.list_id, "kid") == ["BEER1"]


def test_a_rule_that_this_program_does_not_know_is_an_error(choosy: Host) -> None:
    other = PartnerVouchers(choosy.storage, clock=choosy.clock)
    with choosy.nothing_changes(), pytest.raises(UnknownEligibilityRule) as unknown:
        other.codes.assign(campaign_id="CMP", user_id="ann", context={"age": 30})
    assert (unknown.value.name, unknown.value.registered) == ("adults", ())


def test_a_rule_that_raises_gives_nothing_away(storage: Storage, clock: FixedClock) -> None:
    def broken(context: Mapping[str, object]) -> bool:
        raise ZeroDivisionError

    host = Host(storage, clock, eligibility={"broken": broken})
    found = host.a_list("A", "B")
    host.vouchers.campaigns.link(found.id, "CMP", eligibility="broken")
    with host.nothing_changes(), pytest.raises(ZeroDivisionError):
        host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    assert host.give(found.id, "ann") == ["A"]
