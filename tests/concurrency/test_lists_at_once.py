"""Many change one list at once, or open one new file."""

from __future__ import annotations

from partner_vouchers import Everywhere, PartnerVouchers, PerPartner
from partner_vouchers.domain.duplicates import DuplicatePolicy
from tests.concurrency import work
from tests.concurrency.state import new_list
from tests.concurrency.teams import in_processes
from tests.support.places import Place, opened


def test_no_edit_of_a_process_overwrites_another(shared: PartnerVouchers, place: Place) -> None:
    list_id = new_list(shared, "sale", ["PM-1", "PM-2"])
    shared.campaigns.link(list_id, "CMP1")
    shared.codes.assign(campaign_id="CMP1", user_id="ann")
    edits = [
        [
            ("lists", "edit", {"list_id": list_id, "version": version, "description": f"{version} by {name}"})
            for version in range(1, 31)
        ]
        for name in "ABC"
    ]
    of_each = in_processes(work.call, [(place, mine) for mine in edits])
    for version, answers in enumerate(zip(*of_each, strict=True), start=1):
        [stored] = [answer for answer in answers if answer != "stale_version"]
        assert stored.version == version + 1
    # What this process remembers of a campaign between assignments is not out of date.
    reward = shared.codes.assign(campaign_id="CMP1", user_id="ben")
    assert reward.event.list_description == stored.description


def test_a_list_is_either_linked_or_deleted(shared: PartnerVouchers, place: Place) -> None:
    lists = [new_list(shared, f"sale-{number}", []) for number in range(30)]
    links = [("campaigns", "link", {"list_id": each, "campaign_id": "CMP1"}) for each in lists]
    # From both ends, so that they meet in the middle.
    deletions = [("lists", "delete", {"list_id": each}) for each in lists[::-1]]
    with_links, with_deletions = in_processes(work.call, [(place, links), (place, deletions)])
    linked = [each for each, answer in zip(lists, with_links, strict=True) if answer != "unknown_list"]
    assert linked == [
        each for each, answer in zip(lists, with_deletions[::-1], strict=True) if answer == "list_linked"
    ]
    assert sorted(linked) == sorted(each.list_id for each in shared.campaigns.lists_of("CMP1"))
    assert sorted(linked) == sorted(view.id for view in shared.lists.find(limit=100))


def test_processes_that_open_a_new_file_at_once_agree_on_one_policy(place: Place) -> None:
    policies: list[DuplicatePolicy] = [PerPartner(), Everywhere(), PerPartner(), Everywhere()]
    arguments = [(place, policy, f"Partner {number}") for number, policy in enumerate(policies)]
    chosen = set(in_processes(work.open_and_add, arguments))
    assert len(chosen) == 1
    storage = opened(place)
    (policy,) = [each for each in (PerPartner(), Everywhere()) if each.name in chosen]
    vouchers = PartnerVouchers(storage, duplicates=policy)
    expected = [partner for _, given, partner in arguments if given.name in chosen]
    assert [partner.name for partner in vouchers.partners.all()] == expected
    storage.close()
