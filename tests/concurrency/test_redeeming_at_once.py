"""Many redeem, revert and reconcile at once: each has one effect, and no code is both given and retired."""

from __future__ import annotations

from collections import Counter

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.domain.events import CodeRedeemed, CodeRedeemedUndistributed, CodeRedemptionReverted
from partner_vouchers.testing.driver import outbox
from tests.concurrency import work
from tests.concurrency.state import codes_like, new_list
from tests.concurrency.teams import Process, in_processes
from tests.support.places import Place, SharedStorage

PROCESSES = 4


def test_of_several_orders_at_once_one_redeems_a_code(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    codes = codes_like("PM", 4)
    list_id = new_list(shared, "sale", codes)
    given = {shared.codes.assign(list_id=list_id, user_id=f"user-{n}").code for n in range(4)}
    for code in sorted(given):
        jobs = [(place, code, [f"order-{number}", "common"]) for number in range(PROCESSES)]
        answers = in_processes(work.redeem, jobs)
        won = {outcome for each in answers for outcome in each} - {"already_redeemed"}
        assert len(won) == 1, answers
        [shown] = shared.codes.holders(code)
        assert shown.redeemed_at is not None
    events = [entry.event for entry in outbox(shared_storage) if isinstance(entry.event, CodeRedeemed)]
    assert len(events) == len(given)


def test_several_reverts_at_once_have_one_effect(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    list_id = new_list(shared, "sale", codes_like("PM", 30))
    codes = [shared.codes.assign(list_id=list_id, user_id=f"user-{n}").code for n in range(30)]
    for code in codes:
        shared.redemptions.add(code, "order-1")
    answers = in_processes(work.revert, [(place, codes, "order-1")] * PROCESSES)
    assert all(each == answers[0] for each in answers)
    events = [entry.event for entry in outbox(shared_storage)]
    assert sum(isinstance(event, CodeRedemptionReverted) for event in events) == len(codes)


@pytest.mark.parametrize("rows", [600, pytest.param(6_000, marks=pytest.mark.deep)])
def test_a_reconciliation_runs_while_codes_are_assigned(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place, rows: int
) -> None:
    codes = codes_like("PM", rows)
    list_id = new_list(shared, "sale", codes)
    content = "".join(["code,order_id\n", *(f"{code},order-{code}\n" for code in codes)]).encode()
    assigning = [Process(work.drain, place, list_id, f"process-{number}", 1) for number in range(2)]
    reconciling = [Process(work.reconcile, place, list_id, content) for _ in range(2)]
    given = [one for each in assigning for one in each.hear()]
    counts = Counter[str]()
    for each in reconciling:
        counts.update(each.hear())
    for process in (*assigning, *reconciling):
        process.end()
    assignments = list(shared.codes.assignments(list_id))
    assert sorted(each.code for each in assignments) == sorted(code for _, code in given)
    with shared_storage.begin(write=False) as tx:
        found = tx.codes.counts(list_id)
        assert tx.codes.remaining(list_id, None, 9) == []
    # Each code was either given, or retired because it was used before anybody had it.
    assert (found.available, found.distributed + found.retired, found.distributed) == (0, rows, len(given))
    used = {each.code for each in assignments if each.redeemed_at is not None}
    events = [entry.event for entry in outbox(shared_storage)]
    assert sum(isinstance(event, CodeRedeemed) for event in events) == len(used) == counts["recorded"]
    leaks = [event for event in events if isinstance(event, CodeRedeemedUndistributed)]
    assert len(leaks) == found.retired
    assert sum(counts.values()) == 2 * rows
    # What was used and not known is found when the file comes again.
    again = shared.redemptions.upload(content, list_id=list_id, filename="used.csv", uploaded_by="ops")
    assert again.error_count == found.retired
    assert all(each.redeemed_at is not None for each in shared.codes.assignments(list_id))
