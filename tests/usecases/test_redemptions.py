"""That codes were used, and that this was undone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from partner_vouchers import RepeatPolicy, Status
from partner_vouchers.domain.events import CodeEvent, CodeRedeemed, CodeRedemptionReverted
from partner_vouchers.errors import (
    AlreadyRedeemed,
    AmbiguousCode,
    InvalidInput,
    NotDistributed,
    NotTheirCode,
    RedemptionReverted,
    UnknownList,
    UnknownPartner,
    UnknownRedemption,
)
from tests.support.host import START, Host

DAY = timedelta(days=1)


def code_events(host: Host) -> list[CodeEvent]:
    return host.events(CodeEvent)


def test_a_code_is_redeemed(host: Host) -> None:
    found = host.a_list("A", campaign="CMP")
    reward = host.vouchers.codes.assign(campaign_id="CMP", user_id="asha")
    used = host.vouchers.redemptions.add("A", "order-1", redeemed_at=START - DAY, amount=Decimal("9.90"))
    assert (used.assignment_id, used.list_id, used.user_id, used.campaign_id) == (
        reward.id,
        found.id,
        "asha",
        "CMP",
    )
    assert (used.order_id, used.redeemed_at, used.recorded_at) == ("order-1", START - DAY, START)
    assert (used.amount, used.late, used.reverted_at) == (Decimal("9.90"), False, None)
    assert code_events(host) == [used.event]
    [shown] = host.vouchers.codes.holders("A")
    assert shown.redeemed_at == START - DAY
    [shown] = host.vouchers.codes.of_user("asha")
    assert shown.redeemed_at == START - DAY
    [shown] = host.vouchers.codes.assignments(found.id)
    assert shown.redeemed_at == START - DAY
    exported = host.vouchers.codes.export(found.id).read().decode().splitlines()
    assert exported[0].split(",") == [
        "code",
        "user_id",
        "campaign_id",
        "assigned_at",
        "redeemed_at",
        "revoked_at",
    ]
    assert exported[1].endswith(f"{(START - DAY).isoformat()},")


def test_the_same_order_again_is_the_same_redemption(host: Host) -> None:
    host.give(host.a_list("A").id, "asha")
    used = host.vouchers.redemptions.add("A", "order-1")
    host.clock.advance(days=1)
    assert host.vouchers.redemptions.add(" A ", "order-1", amount=Decimal(5)) == used
    with pytest.raises(AlreadyRedeemed) as refused:
        host.vouchers.redemptions.add("A", "order-2")
    assert (refused.value.assignment_id, refused.value.redeemed_at) == (used.assignment_id, START)
    assert code_events(host) == [used.event]


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.PAUSED, Status.EXPIRED, Status.ARCHIVED])
def test_a_code_is_redeemed_whatever_the_status_of_its_list(host: Host, status: Status) -> None:
    found = host.a_list("A", expires_at=START + DAY)
    host.give(found.id, "asha")
    host.bring(found.id, status)
    used = host.vouchers.redemptions.add("A", "order-1")
    assert used.late is (status is Status.EXPIRED)
    assert host.vouchers.redemptions.add("A", "order-1") == used


def test_a_code_of_several_lists_is_narrowed_down(host: Host) -> None:
    one, two = host.a_list("A", "B"), host.a_list("A", partner="Amazon")
    [asha, ravi] = [
        host.vouchers.codes.assign(list_id=each.id, user_id=user).id
        for each, user in ((one, "asha"), (two, "ravi"))
    ]
    with pytest.raises(AmbiguousCode) as refused:
        host.vouchers.redemptions.add("A", "order-1")
    assert refused.value.candidates == ((one.id, "Puma"), (two.id, "Amazon"))
    assert host.vouchers.redemptions.add("A", "order-1", partner="Amazon").assignment_id == ravi
    assert host.vouchers.redemptions.add("A", "order-1", user_id="asha").assignment_id == asha
    assert host.vouchers.redemptions.add("A", "order-1", list_id=one.id).assignment_id == asha
    with pytest.raises(NotTheirCode):
        host.vouchers.redemptions.add("A", "order-1", list_id=one.id, user_id="ravi")


def test_a_list_or_a_partner_that_does_not_exist_is_unknown(host: Host) -> None:
    found = host.a_list("A")
    for record in host.vouchers.redemptions.add, host.vouchers.redemptions.revert:
        with host.nothing_changes(), pytest.raises(UnknownPartner):
            record("A", "order-1", partner="puma")
    for list_id in ("999", "winter"):
        with pytest.raises(UnknownList):
            host.vouchers.redemptions.add("A", "order-1", list_id=list_id)
        with pytest.raises(UnknownList):
            host.vouchers.redemptions.revert("A", "order-1", list_id=list_id)
    with pytest.raises(NotDistributed):
        host.vouchers.redemptions.add("B", "order-1", list_id=found.id)


def test_a_redemption_is_reverted(host: Host) -> None:
    host.give(host.a_list("A").id, "asha")
    used = host.vouchers.redemptions.add("A", "order-1")
    host.clock.advance(hours=1)
    undone = host.vouchers.redemptions.revert("A", "order-1")
    assert undone.reverted_at == host.clock.now
    host.clock.advance(hours=1)
    assert host.vouchers.redemptions.revert("A", "order-1") == undone
    [shown] = host.vouchers.codes.holders("A")
    assert shown.redeemed_at is None
    with pytest.raises(RedemptionReverted):
        host.vouchers.redemptions.add("A", "order-1")
    again = host.vouchers.redemptions.add("A", "order-2")
    assert host.vouchers.redemptions.revert("A", "order-1") == undone
    assert [type(event) for event in code_events(host)] == [
        CodeRedeemed,
        CodeRedemptionReverted,
        CodeRedeemed,
    ]
    assert code_events(host) == [used.event, undone.reverted_event, again.event]


def test_who_has_not_used_a_code_is_reminded(host: Host) -> None:
    one = host.a_list(*"ABCD", campaign="CMP")
    two = host.a_list("E", campaign="OTHER")
    for user in ("asha", "ravi", "mina"):
        host.vouchers.codes.assign(campaign_id="CMP", user_id=user)
        host.clock.advance(days=1)
    host.vouchers.codes.assign(campaign_id="OTHER", user_id="asha")
    host.vouchers.redemptions.add("A", "order-1")
    unredeemed = host.vouchers.codes.unredeemed
    assert [each.user_id for each in unredeemed(campaign_id="CMP")] == ["ravi", "mina"]
    assert [each.user_id for each in unredeemed(campaign_id="CMP", older_than=2 * DAY)] == ["ravi"]
    assert [each.user_id for each in unredeemed(list_id=one.id, older_than=timedelta.max)] == []
    assert [each.code for each in unredeemed(list_id=two.id)] == ["E"]
    host.vouchers.redemptions.revert("A", "order-1")
    assert [each.user_id for each in unredeemed(list_id=one.id)] == ["asha", "ravi", "mina"]
    with pytest.raises(UnknownList):
        unredeemed(list_id="77")
    with pytest.raises(InvalidInput):
        unredeemed(campaign_id="CMP", list_id=one.id)


def test_a_used_code_is_not_valid_any_more_for_a_user_who_asks_again(host: Host) -> None:
    found = host.a_list("A1", "A2", "A3")
    host.vouchers.campaigns.link(found.id, "CMP1", repeat=RepeatPolicy.SAME_WHILE_VALID)
    first = host.vouchers.codes.assign(campaign_id="CMP1", user_id="asha")
    assert host.vouchers.codes.assign(campaign_id="CMP1", user_id="asha").replayed
    host.vouchers.redemptions.add(first.code, "order-1")
    (second,) = host.vouchers.codes.assign_many(["asha"], campaign_id="CMP1").rewards
    assert (second.replayed, second.code) == (False, "A2")
    # Undone, the redemption of the first code does not matter: the latest code is the held one.
    host.vouchers.redemptions.revert(first.code, "order-1")
    assert host.vouchers.codes.assign(campaign_id="CMP1", user_id="asha").code == "A2"


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": ""},
        {"code": "A\0"},
        {"order_id": ""},
        {"order_id": "x" * 256},
        {"amount": Decimal("-0.01")},
        {"redeemed_at": START + timedelta(days=1, microseconds=1)},
        {"partner": ""},
    ],
    ids=str,
)
def test_a_value_that_breaks_its_rule_is_refused_by_its_name(host: Host, wrong: dict[str, Any]) -> None:
    host.give(host.a_list("A").id, "asha")
    with host.nothing_changes(), pytest.raises(InvalidInput) as refused:
        host.vouchers.redemptions.add(**{"code": "A", "order_id": "order-1", **wrong})
    assert [refused.value.field] == list(wrong)


def test_only_what_was_redeemed_is_reverted(host: Host) -> None:
    host.give(host.a_list("A").id, "asha")
    with pytest.raises(UnknownRedemption):
        host.vouchers.redemptions.revert("A", "order-1")
    host.vouchers.redemptions.add("A", "order-1")
    host.vouchers.partners.add("Amazon")
    for whose, error in ({"user_id": "ravi"}, NotTheirCode), ({"partner": "Amazon"}, UnknownRedemption):
        with host.nothing_changes(), pytest.raises(error):
            host.vouchers.redemptions.revert("A", "order-1", **whose)
