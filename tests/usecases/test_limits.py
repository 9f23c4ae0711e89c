"""A campaign gives so many codes to each user and in all, for ever or in a calendar period."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from partner_vouchers import Limit, RefusalReason, RepeatPolicy
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.errors import CampaignNotLinked, CodesExhausted, LimitReached, NotEligible, StorageFull
from tests.support.host import START, FixedClock, Host
from tests.support.storages import UndoingStorage

CAMPAIGN = "CMP123456"
MINUTE = timedelta(minutes=1)
CODES = [f"C{number:02}" for number in range(20)]


@pytest.fixture
def campaign(host: Host) -> Host:
    """A campaign that gives a new code each time."""
    host.a_list(*CODES, campaign=CAMPAIGN, repeat=RepeatPolicy.NEW_CODE)
    return host


def ask(host: Host, user_id: str = "ann") -> str:
    return host.vouchers.codes.assign(campaign_id=CAMPAIGN, user_id=user_id).code


def refused(host: Host, user_id: str = "ann") -> LimitReached:
    with pytest.raises(LimitReached) as caught:
        ask(host, user_id)
    preview = host.vouchers.codes.preview(campaign_id=CAMPAIGN, user_id=user_id).refusal
    assert str(preview) == str(caught.value)
    return caught.value


def left(host: Host, user_id: str | None = None) -> list[int | None]:
    return [each.left for each in host.vouchers.campaigns.limits(CAMPAIGN, user_id=user_id)]


def test_a_limit_per_user(campaign: Host) -> None:
    campaign.vouchers.campaigns.set_limits(CAMPAIGN, [Limit(2, per="user")])
    assert [ask(campaign), ask(campaign)] == CODES[:2]
    error = refused(campaign)
    assert (error.per, error.limit, error.used, error.period, error.frees_at) == ("user", 2, 2, None, None)
    assert (left(campaign, "ann"), left(campaign, "ben"), left(campaign)) == ([0], [2], [None])
    assert ask(campaign, "ben") == CODES[2]


def test_a_period_begins_anew_in_its_zone(campaign: Host, clock: FixedClock) -> None:
    clock.now = datetime(2026, 11, 30, 18, 29, 59, tzinfo=UTC)  # 23:59:59 in Kolkata
    month = Limit(1, per="campaign", period="month", zone="Asia/Kolkata")
    campaign.vouchers.campaigns.set_limits(CAMPAIGN, [month, Limit(1, per="user", period="day", zone="UTC")])
    ask(campaign)
    assert refused(campaign, "ben").frees_at == datetime(2026, 11, 30, 18, 30, tzinfo=UTC)
    # A limit per user comes first, and frees later.
    assert refused(campaign).frees_at == datetime(2026, 12, 1, tzinfo=UTC)
    clock.advance(seconds=1)
    assert left(campaign) == [1, None]
    ask(campaign, "ben")
    # A clock that goes back meets the earlier period as it was.
    clock.advance(seconds=-1)
    assert refused(campaign, "cleo").period == "month"


def test_a_new_limit_counts_what_was_given_before_and_takes_nothing_back(campaign: Host) -> None:
    for user in ("ann", "ann", "ben"):
        ask(campaign, user)
    campaign.vouchers.codes.reserve(campaign_id=CAMPAIGN, user_id="ben", ttl=MINUTE)
    campaign.vouchers.campaigns.set_limits(CAMPAIGN, [Limit(5, per="campaign"), Limit(1, per="user")])
    assert left(campaign, "ann") == [1, 0]
    assert refused(campaign, "ben").used == 2
    ask(campaign, "cleo")
    assert refused(campaign, "dora").used == 5
    campaign.vouchers.campaigns.set_limits(CAMPAIGN, [])
    assert campaign.vouchers.campaigns.limits(CAMPAIGN) == []
    ask(campaign, "dora")


@pytest.mark.every_storage
@pytest.mark.parametrize("clock_of_the_other", [timedelta(minutes=-1), timedelta(minutes=1)])
def test_a_new_limit_counts_what_a_host_gave_whose_clock_shows_another_day(
    campaign: Host, clock: FixedClock, clock_of_the_other: timedelta
) -> None:
    midnight = datetime(2026, 11, 30, tzinfo=UTC)
    clock.now = midnight + clock_of_the_other
    ask(campaign)
    clock.now = midnight - clock_of_the_other
    campaign.vouchers.campaigns.set_limits(CAMPAIGN, [Limit(1, per="campaign", period="day", zone="UTC")])
    ask(campaign, "ben")
    clock.now = midnight + clock_of_the_other
    assert refused(campaign, "cleo").used == 1


def test_setting_limits_is_audited(campaign: Host) -> None:
    for _ in range(2):
        campaign.vouchers.campaigns.set_limits(CAMPAIGN, [Limit(5, per="campaign")], actor="asha@example.com")
    [entry] = campaign.vouchers.audit.entries(actor="asha@example.com")
    assert entry.event.event_name == "campaign.limits_set"
    assert entry.event.changes[0].after == "5 per campaign"


def test_replays_and_requests_to_a_list_do_not_count(host: Host) -> None:
    found = host.a_list("A", "B", campaign=CAMPAIGN)
    host.vouchers.campaigns.set_limits(CAMPAIGN, [Limit(1, per="campaign")])
    assert [ask(host), ask(host)] == ["A", "A"]
    assert host.vouchers.codes.assign(list_id=found.id, user_id="ben").code == "B"
    refused(host, "ben")


def test_a_reservation_counts_until_it_is_released_or_runs_out(campaign: Host, clock: FixedClock) -> None:
    campaign.vouchers.campaigns.set_limits(CAMPAIGN, [Limit(1, per="campaign"), Limit(1, per="user")])
    reserve = campaign.vouchers.codes.reserve
    first = reserve(campaign_id=CAMPAIGN, user_id="ann", ttl=MINUTE)
    assert refused(campaign).per == "user"
    assert refused(campaign, "ben").per == "campaign"
    campaign.vouchers.codes.release(first.id)
    assert left(campaign, "ann") == [1, 1]
    reserve(campaign_id=CAMPAIGN, user_id="ann", ttl=MINUTE)
    clock.advance(minutes=1)
    assert left(campaign, "ann") == [1, 1]
    third = reserve(campaign_id=CAMPAIGN, user_id="ben", ttl=MINUTE)
    assert left(campaign, "ben") == [0, 0]
    assert campaign.vouchers.codes.confirm(third.id).user_id == "ben"
    assert refused(campaign, "cleo").used == 1


def test_a_code_counts_when_it_was_reserved(campaign: Host, clock: FixedClock) -> None:
    day = Limit(1, per="campaign", period="day", zone="UTC")
    campaign.vouchers.campaigns.set_limits(CAMPAIGN, [day, Limit(1, per="user", period="day", zone="UTC")])
    ours = campaign.vouchers.codes.reserve(campaign_id=CAMPAIGN, user_id="ann", ttl=timedelta(days=2))
    clock.advance(days=1)
    assert left(campaign, "ann") == [1, 1]
    ask(campaign, "ben")
    # Never refused, and counted on the day before.
    campaign.vouchers.codes.confirm(ours.id)
    assert left(campaign, "ann") == [0, 1]


def test_a_batch_is_served_in_order_as_far_as_the_limits_go(campaign: Host) -> None:
    campaign.vouchers.campaigns.set_limits(CAMPAIGN, [Limit(3, per="campaign"), Limit(1, per="user")])
    asked = ["ann", "ann", "ben", "cleo", "dora"]
    outcome = campaign.vouchers.codes.assign_many(
        asked, campaign_id=CAMPAIGN, partial=True, idempotency_key="k"
    )
    assert [each.user_id for each in outcome.rewards] == ["ann", "ben", "cleo"]
    assert outcome.unserved == ("ann", "dora")
    errors = [each.error for each in outcome.unserved]
    assert [isinstance(each, LimitReached) and each.per for each in errors] == ["user", "campaign"]
    again = campaign.vouchers.codes.assign_many(
        asked, campaign_id=CAMPAIGN, partial=True, idempotency_key="k"
    )
    assert [(each.user_id, each.reason) for each in again.unserved] == [
        ("ann", "limit_reached"),
        ("dora", "limit_reached"),
    ]
    with pytest.raises(LimitReached):
        campaign.vouchers.codes.assign_many(["eve"], campaign_id=CAMPAIGN)


def test_a_batch_names_the_limit_that_refuses_the_next_code(campaign: Host) -> None:
    day = Limit(1, per="campaign", period="day", zone="UTC")
    campaign.vouchers.campaigns.set_limits(CAMPAIGN, [Limit(2, per="campaign"), day])
    for asked, served in ((["ann", "ben", "cleo"], 1), (["dora", "eve", "finn"], 0)):
        outcome = campaign.vouchers.codes.assign_many(asked, campaign_id=CAMPAIGN, partial=True)
        assert len(outcome.rewards) == served
        for each in outcome.unserved:
            assert isinstance(each.error, LimitReached)
            assert (each.error.period, each.error.used) == ("day", 1)
            assert each.error.frees_at is not None


def test_whom_no_list_serves_leaves_the_room_to_the_next(host: Host) -> None:
    vouchers = Host(
        host.storage, host.clock, eligibility={"gold": lambda user: bool(user.get("gold"))}
    ).vouchers
    found = host.a_list(*CODES)
    vouchers.campaigns.link(found.id, CAMPAIGN, eligibility="gold")
    vouchers.campaigns.set_limits(CAMPAIGN, [Limit(1, per="campaign")])
    outcome = vouchers.codes.assign_many(
        ["ann", "ben", "cleo"],
        campaign_id=CAMPAIGN,
        partial=True,
        contexts={"ben": {"gold": True}, "cleo": {"gold": True}},
    )
    assert [each.user_id for each in outcome.rewards] == ["ben"]
    assert [type(each.error) for each in outcome.unserved] == [NotEligible, LimitReached]


def test_refusals_are_counted_by_day_reason_and_list(host: Host, clock: FixedClock) -> None:
    found = host.a_list("A", campaign=CAMPAIGN)
    today = START.date()
    with pytest.raises(CampaignNotLinked):
        host.vouchers.codes.assign(campaign_id="nowhere", user_id="ann")
    ask(host)
    for _ in range(3):
        with pytest.raises(CodesExhausted):
            ask(host, "ben")
    host.vouchers.codes.assign_many(["ann", "ben", "cleo"], campaign_id=CAMPAIGN, partial=True)
    host.vouchers.campaigns.set_limits(CAMPAIGN, [Limit(1, per="campaign")])
    refused(host, "ben")
    clock.advance(days=1)
    refused(host, "ben")
    counted = host.vouchers.campaigns.refusals(CAMPAIGN)
    assert [(each.day, each.reason, each.list_id, each.count) for each in counted] == [
        (today, RefusalReason.CAMPAIGN_LIMIT, None, 1),
        (today, RefusalReason.EXHAUSTED, None, 5),
        (today, RefusalReason.EXHAUSTED, found.id, 5),
        (today + timedelta(days=1), RefusalReason.CAMPAIGN_LIMIT, None, 1),
    ]
    assert len(host.vouchers.campaigns.refusals(CAMPAIGN, since=today, until=today)) == 3
    assert host.vouchers.campaigns.refusals(CAMPAIGN, since=date(2030, 1, 1)) == []
    [lost] = host.vouchers.campaigns.refusals("nowhere")
    assert (lost.reason, lost.count) == (RefusalReason.NOT_LINKED, 1)


def stored_refusals(host: Host) -> int:
    with host.storage.begin(write=False) as tx:
        return sum(each.count for each in tx.refusals.of_campaign("nowhere", None, None))


def test_refusals_are_stored_with_the_next_write_after_a_second_and_when_closed(host: Host) -> None:
    found = host.a_list("A", "B")

    def refuse() -> None:
        with pytest.raises(CampaignNotLinked):
            host.vouchers.codes.assign(campaign_id="nowhere", user_id="ann")

    refuse()
    refuse()
    assert stored_refusals(host) == 0
    host.vouchers.codes.assign(list_id=found.id, user_id="ann")
    assert stored_refusals(host) == 2
    refuse()
    host.vouchers.lists.pause(found.id)
    assert stored_refusals(host) == 3
    refuse()
    host.clock.advance(seconds=1)
    host.vouchers.lists.get(found.id)
    assert stored_refusals(host) == 4
    refuse()
    host.vouchers.close()
    assert stored_refusals(host) == 5


def test_refusals_outlive_a_shared_commit_that_is_undone() -> None:
    storage = UndoingStorage(MemoryStorage())
    host = Host(storage, FixedClock())
    found = host.a_list("A", "B")
    with pytest.raises(CampaignNotLinked):
        host.vouchers.codes.assign(campaign_id="nowhere", user_id="ann")
    storage.failure = StorageFull(reason="no space is left")
    for call in (lambda: host.give(found.id, "ann"), lambda: host.vouchers.lists.pause(found.id)):
        with pytest.raises(StorageFull):
            call()
    assert stored_refusals(host) == 0
    storage.failure = None
    host.give(found.id, "ann")
    assert stored_refusals(host) == 1
