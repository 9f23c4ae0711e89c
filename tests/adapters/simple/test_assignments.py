"""Assignments that are worked out are those of the memory storage."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from random import Random

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.errors import CodesExhausted, StorageError
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import ALL, START
from tests.adapters.simple.parts import Assignments, reading, stocked_lists

USERS = ["user-1", "user-2"]
CAMPAIGNS = ["CMP1", "CMP2"]


ASKED = st.tuples(
    st.sampled_from(USERS), st.sampled_from([*CAMPAIGNS, None]), st.integers(0, 2), st.integers(0, 1)
)


@given(asked=st.lists(ASKED, max_size=15), random=st.randoms(use_true_random=False), limit=st.integers(1, 3))
def test_assignments_are_found_as_in_memory(
    asked: list[tuple[str, str | None, int, int]], random: Random, limit: int
) -> None:
    storage = MemoryStorage()
    lists = stocked_lists(storage)
    for campaign in CAMPAIGNS:
        for list_id in lists:
            with reading(storage) as tx:
                tx.campaigns.put(driver.a_link(list_id, campaign))
                tx.commit()
    for user, campaign_id, index, days in asked:
        asked_of = lists[index] if campaign_id is None else None
        now = START + timedelta(days=days)
        try:
            driver.assign(storage, user, list_id=asked_of, campaign_id=campaign_id, again=True, now=now)
        except CodesExhausted:
            continue
    with reading(storage) as tx:
        part = Assignments(tx, random)
        for each in [found for list_id in lists for found in tx.assignments.of_list(list_id, None, ALL)]:
            part.insert(evolve(each, id=f"code {each.id}"))

        def known(found: Iterable[Assignment]) -> list[str]:
            return [f"code {each.id}" for each in found]

        def shown(found: Iterable[Assignment]) -> list[str]:
            return [each.id for each in found]

        for user in [*USERS, "nobody"]:
            assert shown(part.of_user(user)) == known(tx.assignments.of_user(user))
        for code in driver.some_codes(6):
            assert shown(part.of_code(code)) == known(tx.assignments.of_code(code))
        for list_id in lists:
            whole = known(tx.assignments.of_list(list_id, None, ALL))
            for start, after in enumerate([None, *whole]):
                assert shown(part.of_list(list_id, after, limit)) == whole[start : start + limit]
            for campaign_id in [*CAMPAIGNS, None]:
                wanted = (USERS, campaign_id, list_id)
                latest = tx.assignments.latest_of_many(*wanted)
                assert {user: each.id for user, each in part.latest_of_many(*wanted).items()} == {
                    user: f"code {each.id}" for user, each in latest.items()
                }
        ids = [*part.rows, "nobody's"]
        random.shuffle(ids)
        assert shown(part.get_many(ids)) == [each for each in ids if each != "nobody's"]
        assert part.of_list(lists[0], "nobody's", ALL) == []


def test_an_ordinal_is_assigned_once_and_told_by_the_part() -> None:
    storage = MemoryStorage()
    [list_id] = stocked_lists(storage, 1)
    first, _ = driver.assign(storage, "user-1", list_id=list_id)
    with reading(storage) as tx:
        part = Assignments(tx)
        third = evolve(first, id="code 3", ordinal=3)
        part.add(
            [third, evolve(third, id="code 1", ordinal=1), evolve(third, id="code 4", campaign_id="CMP1")]
        )
        assert part.told == ["code 3", "code 1", "code 4"]
        refused = [
            [evolve(third, id="code 5")],
            [evolve(third, id="code 1", ordinal=2)],
            [evolve(third, id=new_id, user_id="user-2") for new_id in ("code 5", "code 6")],
        ]
        for each in refused:
            with pytest.raises(StorageError):
                part.add(each)
        assert part.told == ["code 3", "code 1", "code 4"]
