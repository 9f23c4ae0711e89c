"""Many take codes back at once: each revocation has one effect, and a code that returned has one holder."""

from __future__ import annotations

from collections import Counter

from partner_vouchers import PartnerVouchers
from partner_vouchers.domain.events import CodeRevoked
from partner_vouchers.domain.stock import Counts
from partner_vouchers.testing.driver import outbox
from tests.concurrency import work
from tests.concurrency.state import codes_like, new_list
from tests.concurrency.teams import in_processes
from tests.support.places import Place, SharedStorage

PROCESSES = 4


def test_processes_that_revoke_the_same_assignments_have_one_effect(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    list_id = new_list(shared, "sale", codes_like("PM", 40))
    ids = [shared.codes.assign(list_id=list_id, user_id=f"user-{number}").id for number in range(30)]
    answers = in_processes(work.revoke_each, [(place, ids) for _ in range(PROCESSES)])
    assert [dict(each) for each in answers] == [dict(answers[0])] * PROCESSES
    assert shared.lists.stock(list_id).counts == Counts(uploaded=40)
    revoked = [entry.event for entry in outbox(shared_storage) if isinstance(entry.event, CodeRevoked)]
    assert Counter(event.assignment_id for event in revoked) == Counter(ids)


def test_codes_that_return_while_others_ask_have_one_holder(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    list_id = new_list(shared, "sale", codes_like("PM", 3))
    jobs = [(place, list_id, f"process-{number}", 40) for number in range(PROCESSES)]
    served = sum(in_processes(work.assign_and_revoke, jobs))
    assert shared.lists.stock(list_id).counts == Counts(uploaded=3)
    given = list(shared.codes.assignments(list_id))
    assert len(given) == len({each.id for each in given}) == served
    assert all(each.revoked_at is not None for each in given)
    with shared_storage.begin(write=False) as tx:
        left = [each.code for each in tx.codes.remaining(list_id, None, 10)]
    assert sorted(left) == sorted(codes_like("PM", 3))
