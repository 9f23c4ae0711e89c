from __future__ import annotations

import pytest

from partner_vouchers import RepeatPolicy
from partner_vouchers.domain.assignment import BatchOutcome
from partner_vouchers.domain.events import StockExhausted
from partner_vouchers.errors import CodesExhausted, IdempotencyConflict, NotEligible
from partner_vouchers.ports import Storage
from tests.support.host import FixedClock, Host, some_codes

NEW = RepeatPolicy.NEW_CODE


def test_a_batch_says_the_same_as_single_requests(host: Host) -> None:
    for campaign in ("ONE", "MANY"):
        host.a_list("A", "B", campaign=campaign)
        host.a_list("C", campaign=campaign)
    users = ["ann", "ben", "ann", "cleo"]
    codes = host.vouchers.codes
    single = [codes.assign(campaign_id="ONE", user_id=user) for user in users]
    batch = codes.assign_many(users, campaign_id="MANY").rewards
    assert [(r.code, r.user_id, r.replayed) for r in batch] == [
        (r.code, r.user_id, r.replayed) for r in single
    ]


def test_nobody_asked_for_anything(host: Host) -> None:
    host.a_list("A", campaign="CMP")
    with host.nothing_changes():
        assert host.vouchers.codes.assign_many([], campaign_id="CMP").rewards == ()


def test_a_large_batch(host: Host) -> None:
    codes = some_codes(1000)
    found = host.a_list(*codes)
    users = [f"user-{number}" for number in range(1000)]
    outcome = host.vouchers.codes.assign_many(users, list_id=found.id)
    assert [(reward.user_id, reward.code) for reward in outcome.rewards] == list(
        zip(users, codes, strict=True)
    )
    assert host.vouchers.lists.get(found.id).available == 0


# --- all or nothing, or as many as there are -----------------------------------------------------------


def test_all_or_nothing(host: Host) -> None:
    first = host.a_list("A", "B", campaign="CMP")
    second = host.a_list("C", campaign="CMP")
    with host.nothing_changes(), pytest.raises(CodesExhausted) as refused:
        host.vouchers.codes.assign_many(["ann", "ben", "cleo", "dora"], campaign_id="CMP")
    assert refused.value.lists == ((first.id, "exhausted"), (second.id, "exhausted"))


def test_as_many_as_there_are_codes_the_first_first(host: Host) -> None:
    found = host.a_list("A", "B", campaign="CMP")
    outcome = host.vouchers.codes.assign_many(["ann", "ben", "cleo", "dora"], campaign_id="CMP", partial=True)
    assert [reward.user_id for reward in outcome.rewards] == ["ann", "ben"]
    assert outcome.unserved == ("cleo", "dora")
    assert host.vouchers.lists.get(found.id).available == 0
    assert len(host.events(StockExhausted)) == 1


# --- asking again ------------------------------------------------------------------------------------------


def test_a_user_who_stands_there_twice_asks_twice(host: Host) -> None:
    found = host.a_list("A", "B", "C", "D", campaign="CMP", repeat=NEW)
    users = ["ann", "ben", "ann", "ann"]
    outcome = host.vouchers.codes.assign_many(users, campaign_id="CMP")
    assert [reward.user_id for reward in outcome.rewards] == users
    assert len({reward.code for reward in outcome.rewards}) == 4
    assert sorted(r.assignment.ordinal for r in outcome.rewards if r.user_id == "ann") == [1, 2, 3]
    host.vouchers.campaigns.link(found.id, "CMP")
    again = host.vouchers.codes.assign_many(["ann", "ann"], campaign_id="CMP")
    assert len({reward.code for reward in again.rewards}) == 1
    assert all(reward.replayed for reward in again.rewards)


def test_the_first_of_a_batch_are_served_first_also_where_a_user_repeats(host: Host) -> None:
    host.a_list("A", "B", campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    outcome = host.vouchers.codes.assign_many(["ann", "ann", "ben"], campaign_id="CMP", partial=True)
    assert [(reward.user_id, reward.code) for reward in outcome.rewards] == [("ann", "A"), ("ann", "B")]
    assert outcome.unserved == ("ben",)


# --- idempotency ---------------------------------------------------------------------------------------------


def test_the_same_key_returns_the_first_outcome(host: Host) -> None:
    found = host.a_list("A", "B", campaign="CMP", repeat=NEW)
    users = ["ann", "ben", "ann"]
    codes = host.vouchers.codes
    first = codes.assign_many(users, campaign_id="CMP", idempotency_key="batch-1", partial=True)
    host.upload(found.id, "C")
    host.vouchers.lists.archive(found.id)
    with host.nothing_changes():
        again = codes.assign_many(users, campaign_id="CMP", idempotency_key="batch-1", partial=True)
    assert [reward.assignment for reward in again.rewards] == [reward.assignment for reward in first.rewards]
    assert all(reward.replayed for reward in again.rewards)
    assert again.unserved == first.unserved == ("ann",)


def test_a_key_with_other_arguments_is_a_conflict(host: Host) -> None:
    host.a_list("A", "B", "C", campaign="CMP")
    codes = host.vouchers.codes
    codes.assign_many(["ann", "ben"], campaign_id="CMP", idempotency_key="batch-1")
    with host.nothing_changes():
        for users, partial in ((["ben", "ann"], False), (["ann"], False), (["ann", "ben"], True)):
            with pytest.raises(IdempotencyConflict):
                codes.assign_many(users, campaign_id="CMP", idempotency_key="batch-1", partial=partial)
        with pytest.raises(IdempotencyConflict):
            codes.assign(user_id="ann", campaign_id="CMP", idempotency_key="batch-1")


def test_a_batch_that_failed_may_come_again_with_its_key(host: Host) -> None:
    found = host.a_list("A")
    with pytest.raises(CodesExhausted):
        host.vouchers.codes.assign_many(["ann", "ben"], list_id=found.id, idempotency_key="batch-1")
    host.upload(found.id, "B")
    outcome = host.vouchers.codes.assign_many(["ann", "ben"], list_id=found.id, idempotency_key="batch-1")
    assert [reward.code for reward in outcome.rewards] == ["A", "B"]


def test_the_empty_outcome_of_a_key_is_kept(host: Host) -> None:
    found = host.a_list()
    codes = host.vouchers.codes
    for _ in range(2):
        outcome = codes.assign_many(["ann"], list_id=found.id, idempotency_key="k", partial=True)
        assert (outcome.rewards, outcome.unserved) == ((), ("ann",))
        host.upload(found.id, "A", force=True)


@pytest.mark.every_storage
def test_a_replay_knows_whom_it_served_after_a_user_was_forgotten(host: Host) -> None:
    found = host.a_list("A", "B", "C")
    users = ["ann", "ben", "cleo", "dora"]

    def ask() -> BatchOutcome:
        return host.vouchers.codes.assign_many(users, list_id=found.id, idempotency_key="k", partial=True)

    first = ask()
    host.vouchers.codes.forget_user("ben")
    again = ask()
    assert [each.code for each in again.rewards] == ["A", "B", "C"]
    assert [(each.user_id, each.reason) for each in again.unserved] == [("dora", "codes_exhausted")]
    host.vouchers.codes.revoke(first.rewards[0].id)
    host.vouchers.codes.revoke(first.rewards[1].id)
    assert [(each.user_id, each.reason) for each in ask().unserved] == [
        ("ann", "assignment_revoked"),
        ("ben", "assignment_revoked"),
        ("dora", "codes_exhausted"),
    ]


def test_a_key_of_the_version_before_knows_the_served_users_only(host: Host) -> None:
    found = host.a_list("A", "B", "C")
    users = ["ann", "ben", "cleo"]

    def ask() -> BatchOutcome:
        return host.vouchers.codes.assign_many(users, list_id=found.id, idempotency_key="k", partial=True)

    served = [each.id for each in ask().rewards]
    with host.storage.begin() as tx:
        known = tx.keys.get("k")
        assert known is not None
        tx.keys.put("old", known[0], (served[0], served[2]))
        tx.commit()
    again = host.vouchers.codes.assign_many(users, list_id=found.id, idempotency_key="old", partial=True)
    assert ([each.user_id for each in again.rewards], again.unserved) == (["ann", "cleo"], ("ben",))


# --- eligibility and bad input -------------------------------------------------------------------------------


def test_each_user_is_judged_by_a_context_of_their_own(storage: Storage, clock: FixedClock) -> None:
    host = Host(storage, clock, eligibility={"gold": lambda context: context.get("tier") == "gold"})
    gold = host.a_list("GOLD1", "GOLD2", campaign="CMP")
    host.vouchers.campaigns.link(gold.id, "CMP", eligibility="gold")
    contexts = {"ann": {"tier": "gold"}, "ben": {"tier": "tin"}}
    with host.nothing_changes(), pytest.raises(NotEligible):
        host.vouchers.codes.assign_many(["ann", "ben"], campaign_id="CMP", contexts=contexts)
    host.a_list("TIN1", "TIN2", "TIN3", campaign="CMP")
    outcome = host.vouchers.codes.assign_many(["ben", "ann", "cleo"], campaign_id="CMP", contexts=contexts)
    assert [reward.code for reward in outcome.rewards] == ["TIN1", "GOLD1", "TIN2"]


def test_a_batch_is_refused_for_what_holds_of_the_first_user_without_a_code(
    storage: Storage, clock: FixedClock
) -> None:
    host = Host(storage, clock, eligibility={"gold": lambda context: context.get("tier") == "gold"})
    found = host.a_list("A")
    host.vouchers.campaigns.link(found.id, "CMP", eligibility="gold")
    gold, tin = {"tier": "gold"}, {"tier": "tin"}
    assign_many = host.vouchers.codes.assign_many
    with pytest.raises(CodesExhausted) as refused:
        assign_many(["ann", "bob"], campaign_id="CMP", contexts={"ann": gold, "bob": gold})
    assert (refused.value.campaign_id, refused.value.lists) == ("CMP", ((found.id, "exhausted"),))
    with pytest.raises(NotEligible):
        assign_many(["bob", "ann"], campaign_id="CMP", contexts={"ann": gold, "bob": tin})
