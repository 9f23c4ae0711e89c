"""Many change one list at once, or open one new file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from partner_vouchers import Everywhere, PartnerVouchers, PerPartner, Status
from partner_vouchers.domain.duplicates import DuplicatePolicy
from partner_vouchers.errors import ActionNotAllowed, ListLinked, PartnerExists, TagTaken, UnknownList
from partner_vouchers.ports import Storage
from tests.concurrency import work
from tests.concurrency.state import FAR, checked, codes_like, new_list
from tests.concurrency.teams import Line, in_processes, in_threads
from tests.support.places import Place, SharedStorage, opened

T = TypeVar("T")


def either_first(
    storage: Storage, one: Callable[[], T], other: Callable[[], T], round_number: int
) -> tuple[T, T]:
    """Run both in threads. Whoever is the last to start is mostly the first to work, so they take turns at it."""
    if round_number % 2:
        first, second = in_threads(storage, [one, other])
    else:
        second, first = in_threads(storage, [other, one])
    return first, second


def test_no_edit_of_a_thread_overwrites_another(vouchers: PartnerVouchers, storage: Storage) -> None:
    list_id = new_list(vouchers, "sale", [])

    def edit(name: str) -> None:
        for number in range(15):
            work.add_word(vouchers, list_id, f"{name}-{number}")

    in_threads(storage, [partial(edit, f"editor-{number}") for number in range(4)])
    view = vouchers.lists.get(list_id)
    words = view.description.split()
    assert len(words) == len(set(words)) == 60
    assert view.version == 61
    assert len(vouchers.audit.entries(list_id=list_id, limit=1000).items) == 61


def test_no_edit_of_a_process_overwrites_another(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    list_id = new_list(shared, "sale", [])
    words = [[f"editor-{number}-{word}" for word in range(20)] for number in range(3)]
    in_processes(work.edit, [(place, list_id, mine) for mine in words])
    view = shared.lists.get(list_id)
    assert sorted(view.description.split()) == sorted(word for mine in words for word in mine)
    assert view.version == 61


def test_of_many_who_create_the_same_one_does(vouchers: PartnerVouchers, storage: Storage) -> None:
    def create() -> tuple[bool, bool]:
        made_partner = made_list = True
        try:
            vouchers.partners.add("Puma")
        except PartnerExists:
            made_partner = False
        try:
            vouchers.lists.create(partner="Puma", tag="sale", name="Sale", expires_at=FAR)
        except TagTaken:
            made_list = False
        return made_partner, made_list

    made = in_threads(storage, [create] * 8)
    assert [partner for partner, _ in made].count(True) == 1
    assert [made_list for _, made_list in made].count(True) == 1
    assert len(vouchers.lists.find()) == 1


def test_a_list_is_either_linked_or_deleted(vouchers: PartnerVouchers, storage: Storage) -> None:
    for round_number in range(20):
        list_id = new_list(vouchers, f"sale-{round_number}", codes_like(f"PM{round_number}", 3))

        def link(list_id: str = list_id) -> bool:
            try:
                vouchers.campaigns.link(list_id, "CMP1")
            except UnknownList:
                return False
            return True

        def delete(list_id: str = list_id) -> bool:
            try:
                vouchers.lists.delete(list_id)
            except ListLinked:
                return False
            return True

        linked, deleted = either_first(storage, link, delete, round_number)
        assert linked is not deleted
        assert (list_id in {each.list_id for each in vouchers.campaigns.lists_of("CMP1")}) is linked


def test_a_list_is_either_linked_or_deleted_by_processes(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    lists = [new_list(shared, f"sale-{number}", []) for number in range(60)]
    # From both ends, so that they meet in the middle.
    with_links, with_deletions = in_processes(
        _link_or_delete, [(place, lists, "link"), (place, lists, "delete")]
    )
    assert with_links == with_deletions
    linked = {each.list_id for each in shared.campaigns.lists_of("CMP1")}
    assert linked == {view.id for view in shared.lists.find(limit=100)}
    assert linked == {list_id for list_id, is_linked in zip(lists, with_links, strict=True) if is_linked}


def _link_or_delete(line: Line, place: Place, list_ids: list[str], what: str) -> list[bool]:
    if what == "link":
        return work.link_lists(line, place, list_ids)
    return work.delete_lists(line, place, list_ids[::-1])[::-1]


def test_archiving_knows_every_link_that_was_made_before(vouchers: PartnerVouchers, storage: Storage) -> None:
    for round_number in range(20):
        list_id = new_list(vouchers, f"sale-{round_number}", codes_like(f"PM{round_number}", 3))
        campaign = f"CMP{round_number}"

        def link(list_id: str = list_id, campaign: str = campaign) -> tuple[str, ...]:
            try:
                vouchers.campaigns.link(list_id, campaign)
            except ActionNotAllowed:
                return ()
            return (campaign,)

        def archive(list_id: str = list_id) -> tuple[str, ...]:
            return vouchers.lists.archive(list_id).campaign_ids

        linked, known = either_first(storage, link, archive, round_number)
        assert linked == known
        view = vouchers.lists.get(list_id)
        assert (view.status, view.campaigns) == (Status.ARCHIVED, len(linked))
        assert len(checked(vouchers, storage, list_id).left) == 3


def test_processes_open_a_new_file_at_once(place: Place) -> None:
    partners = [f"Partner {number}" for number in range(4)]
    in_processes(work.open_and_add, [(place, PerPartner(), partner) for partner in partners])
    storage = opened(place)
    vouchers = PartnerVouchers(storage, duplicates=PerPartner())
    assert [partner.name for partner in vouchers.partners.all()] == partners
    storage.close()


def test_processes_that_open_a_new_file_with_different_policies_agree_on_one(place: Place) -> None:
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
