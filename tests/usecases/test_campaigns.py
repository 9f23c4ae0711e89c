from __future__ import annotations

import pytest

from partner_vouchers import PartnerVouchers, RepeatPolicy, Status
from partner_vouchers.domain.events import CampaignLinked, CampaignUnlinked
from partner_vouchers.errors import ActionNotAllowed, NotLinked, UnknownEligibilityRule
from partner_vouchers.ports import Storage
from tests.support.host import START, FixedClock, Host


def test_a_link_is_seen_from_both_sides(host: Host, vouchers: PartnerVouchers) -> None:
    found = host.a_list()
    link = vouchers.campaigns.link(found.id, "CMP1")
    assert (link.list_id, link.campaign_id, link.linked_at) == (found.id, "CMP1", START)
    assert (link.repeat, link.priority, link.eligibility) == (RepeatPolicy.SAME_CODE, 0, None)
    assert vouchers.campaigns.of_list(found.id) == [link]
    assert vouchers.campaigns.lists_of("CMP1") == [link]


def test_linking_again_changes_the_link_and_keeps_its_age(host: Host, vouchers: PartnerVouchers) -> None:
    first, second = host.a_list(campaign="CMP1"), host.a_list(campaign="CMP1")
    host.clock.advance(hours=1)
    changed = vouchers.campaigns.link(first.id, "CMP1", repeat=RepeatPolicy.NEW_CODE)
    assert (changed.repeat, changed.linked_at) == (RepeatPolicy.NEW_CODE, START)
    assert [link.list_id for link in vouchers.campaigns.lists_of("CMP1")] == [first.id, second.id]
    assert vouchers.lists.get(first.id).campaigns == 1
    event = host.events(CampaignLinked)[-1]
    assert [(change.field, change.before, change.after) for change in event.changes] == [
        ("repeat", "same code", "new code")
    ]


def test_linking_again_without_a_change_leaves_no_trace(host: Host, vouchers: PartnerVouchers) -> None:
    found = host.a_list(campaign="CMP1")
    with host.nothing_changes():
        vouchers.campaigns.link(found.id, "CMP1")


def test_an_ended_link_is_gone_on_both_sides(host: Host, vouchers: PartnerVouchers) -> None:
    found = host.a_list(campaign="CMP1")
    vouchers.campaigns.unlink(found.id, "CMP1", actor="ops")
    assert vouchers.campaigns.of_list(found.id) == vouchers.campaigns.lists_of("CMP1") == []
    assert vouchers.lists.get(found.id).campaigns == 0
    (event,) = host.events(CampaignUnlinked)
    assert {change.field: change.before for change in event.changes} == {
        "campaign_id": "CMP1",
        "repeat": "same code",
        "priority": 0,
    }


def test_a_link_that_is_not_there_cannot_end(host: Host, vouchers: PartnerVouchers) -> None:
    found = host.a_list(campaign="CMP1")
    with host.nothing_changes(), pytest.raises(NotLinked) as missing:
        vouchers.campaigns.unlink(found.id, "CMP2")
    assert (missing.value.code, missing.value.list_id, missing.value.campaign_id) == (
        "not_linked",
        found.id,
        "CMP2",
    )


@pytest.mark.parametrize("status", [Status.PAUSED, Status.EXPIRED])
def test_a_list_that_gives_nothing_now_can_be_linked(host: Host, status: Status) -> None:
    found = host.a_list(status=status)
    assert host.vouchers.campaigns.link(found.id, "CMP1").list_id == found.id


def test_an_archived_list_is_not_linked_any_more(host: Host) -> None:
    found = host.a_list(campaign="CMP1", status=Status.ARCHIVED)
    with host.nothing_changes(), pytest.raises(ActionNotAllowed) as refused:
        host.vouchers.campaigns.link(found.id, "CMP2")
    assert (refused.value.status, refused.value.action, refused.value.allowed) == ("Archived", "link", ())
    host.vouchers.campaigns.unlink(found.id, "CMP1")
    assert host.vouchers.campaigns.of_list(found.id) == []
    with host.nothing_changes(), pytest.raises(ActionNotAllowed):
        host.vouchers.campaigns.link(found.id, "CMP1")


@pytest.mark.parametrize("status", Status)
def test_an_existing_link_can_be_changed_whatever_the_status_of_its_list(host: Host, status: Status) -> None:
    found = host.a_list(campaign="CMP1", status=status)
    changed = host.vouchers.campaigns.link(found.id, "CMP1", repeat=RepeatPolicy.NEW_CODE, priority=3)
    assert (changed.repeat, changed.priority) == (RepeatPolicy.NEW_CODE, 3)
    assert host.vouchers.campaigns.lists_of("CMP1") == [changed]
    assert [change.field for change in host.events(CampaignLinked)[-1].changes] == ["repeat", "priority"]


def test_campaigns_are_listed_a_page_at_a_time(host: Host) -> None:
    first, second = host.a_list(), host.a_list()
    names = ["b", "a", "B", "₹", "10", "9", "\U0001f600"]
    for name in names:
        host.vouchers.campaigns.link(first.id, name)
        host.vouchers.campaigns.link(second.id, name)
    page = host.vouchers.campaigns.all(limit=3)
    rest = host.vouchers.campaigns.all(after=page.next, limit=4)
    assert ([*page, *rest], rest.next) == (sorted(names), None)
    host.vouchers.campaigns.unlink(first.id, "a")
    assert "a" in host.vouchers.campaigns.all()
    host.vouchers.campaigns.unlink(second.id, "a")
    assert "a" not in host.vouchers.campaigns.all()


def test_a_link_names_a_rule_that_was_registered(storage: Storage, clock: FixedClock) -> None:
    host = Host(storage, clock, eligibility={"adults": bool})
    found = host.a_list()
    assert host.vouchers.campaigns.link(found.id, "CMP1", eligibility="adults").eligibility == "adults"
    with host.nothing_changes(), pytest.raises(UnknownEligibilityRule) as unknown:
        host.vouchers.campaigns.link(found.id, "CMP1", eligibility="adult")
    assert (unknown.value.code, unknown.value.name) == ("unknown_eligibility_rule", "adult")
    assert unknown.value.registered == ("adults",)
