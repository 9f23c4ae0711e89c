"""Many change one list at once, or open one new file."""

from __future__ import annotations

from partner_vouchers import Everywhere, PartnerVouchers, PerPartner
from partner_vouchers.domain.duplicates import DuplicatePolicy
from tests.concurrency import work
from tests.concurrency.state import new_list
from tests.concurrency.teams import in_processes
from tests.support.places import Place, opened


def test_no_edit_of_a_process_overwrites_another(shared: PartnerVouchers, place: Place) -> None:
    list_id = new_list(shared, "sale", [])
    words = [[f"editor-{number}-{word}" for word in range(20)] for number in range(3)]
    in_processes(work.edit, [(place, list_id, mine) for mine in words])
    view = shared.lists.get(list_id)
    assert sorted(view.description.split()) == sorted(word for mine in words for word in mine)
    assert view.version == 61


def test_a_list_is_either_linked_or_deleted(shared: PartnerVouchers, place: Place) -> None:
    lists = [new_list(shared, f"sale-{number}", []) for number in range(60)]
    # From both ends, so that they meet in the middle.
    with_links, with_deletions = in_processes(
        work.link_or_delete, [(place, lists, "link"), (place, lists[::-1], "delete")]
    )
    assert with_links == with_deletions[::-1]
    linked = {each.list_id for each in shared.campaigns.lists_of("CMP1")}
    assert linked == {view.id for view in shared.lists.find(limit=100)}
    assert linked == {list_id for list_id, is_linked in zip(lists, with_links, strict=True) if is_linked}


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
