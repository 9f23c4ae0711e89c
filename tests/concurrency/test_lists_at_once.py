"""Many open one new file at once."""

from __future__ import annotations

from partner_vouchers import Everywhere, PartnerVouchers, PerPartner
from partner_vouchers.domain.duplicates import DuplicatePolicy
from tests.concurrency import work
from tests.concurrency.teams import in_processes
from tests.support.places import Place, opened


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
