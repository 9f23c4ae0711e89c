"""Many ask for codes at once: each code goes to one user, none is lost, and each request has one answer.

What the contract of storages tries at once is not tried again here.
"""

from __future__ import annotations

import threading
from collections import Counter
from functools import partial

from partner_vouchers import PartnerVouchers, RepeatPolicy
from partner_vouchers.errors import IdempotencyConflict, NoCodeAvailable
from partner_vouchers.ports import Storage
from tests.concurrency import work
from tests.concurrency.state import checked, codes_like, new_list, rewards
from tests.concurrency.teams import in_processes, in_threads
from tests.support.places import Place, SharedStorage

THREADS = 8


def test_processes_with_threads_empty_a_list_and_each_code_goes_out_once(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    codes = codes_like("PM", 400)
    list_id = new_list(shared, "sale", codes)
    got = in_processes(work.drain, [(place, list_id, f"process-{number}", 2) for number in range(4)])
    state = checked(shared, shared_storage, list_id)
    assert state.left == []
    assert [assignment.code for assignment in state.given] == codes
    answers = [one for answers in got for one in answers]
    assert len(answers) == len(codes)
    assert {assignment.user_id: assignment.code for assignment in state.given} == dict(answers)


def test_batches_and_single_requests_share_a_list(vouchers: PartnerVouchers, storage: Storage) -> None:
    codes = codes_like("PM", 300)
    list_id = new_list(vouchers, "sale", codes)

    def batches(name: str, partial: bool) -> int:
        served = 0
        while True:
            users = [f"{name}-{served}-{index}" for index in range(7)]
            try:
                outcome = vouchers.codes.assign_many(users, list_id=list_id, partial=partial)
            except NoCodeAvailable:
                return served
            assert partial or len(outcome.rewards) == 7
            served += len(outcome.rewards)
            if outcome.unserved:
                return served

    def singles(name: str) -> int:
        return len(work.assign_until_exhausted(vouchers, list_id, name))

    served = in_threads(
        storage, [partial(batches, "a", True), partial(batches, "b", False), partial(singles, "c")]
    )
    state = checked(vouchers, storage, list_id)
    assert sum(served) == len(codes)
    assert [assignment.code for assignment in state.given] == codes


def test_a_campaign_moves_on_to_its_next_list_without_losing_a_code(
    vouchers: PartnerVouchers, storage: Storage
) -> None:
    lists = [new_list(vouchers, f"sale-{number}", codes_like(f"PM{number}", 60)) for number in range(3)]
    for number, list_id in enumerate(lists):
        vouchers.campaigns.link(list_id, "CMP1", priority=number, repeat=RepeatPolicy.NEW_CODE)

    def ask(name: str) -> int:
        asked = 0
        while True:
            try:
                vouchers.codes.assign(campaign_id="CMP1", user_id=f"{name}-{asked % 5}")
            except NoCodeAvailable:
                return asked
            asked += 1

    asked = in_threads(storage, [partial(ask, f"user-{number}") for number in range(6)])
    assert sum(asked) == 180
    for list_id in lists:
        assert checked(vouchers, storage, list_id).left == []


def test_processes_that_ask_the_same_get_one_code(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    list_id = new_list(shared, "sale", codes_like("PM", 50))
    shared.campaigns.link(list_id, "CMP1", repeat=RepeatPolicy.NEW_CODE)
    shared.campaigns.link(list_id, "CMP2", repeat=RepeatPolicy.SAME_CODE)
    asked: list[dict[str, str]] = []
    for number in range(10):
        user_id = f"user-{number}"
        asked.append({"campaign_id": "CMP1", "user_id": user_id, "idempotency_key": f"order-{number}"})
        asked.append({"campaign_id": "CMP2", "user_id": user_id})
    calls = [("codes", "assign", arguments) for arguments in asked]
    for answers in zip(*in_processes(work.call, [(place, calls)] * 4), strict=True):
        assert len({(reward.id, reward.code) for reward in answers}) == 1
        assert [reward.replayed for reward in answers].count(False) == 1
    assert len(checked(shared, shared_storage, list_id).given) == len(asked)


def test_of_users_who_race_with_one_key_one_gets_the_code_and_the_others_hear_of_the_conflict(
    vouchers: PartnerVouchers, storage: Storage
) -> None:
    list_id = new_list(vouchers, "sale", codes_like("PM", 50))

    def ask(user_id: str) -> str:
        try:
            return vouchers.codes.assign(list_id=list_id, user_id=user_id, idempotency_key="order-1").code
        except IdempotencyConflict:
            return "conflict"

    answers = Counter(in_threads(storage, [partial(ask, f"user-{number}") for number in range(THREADS)]))
    assert answers == {"PM-000000": 1, "conflict": THREADS - 1}
    assert len(checked(vouchers, storage, list_id).given) == 1


def test_readers_see_whole_transactions_while_codes_go_out(
    vouchers: PartnerVouchers, storage: Storage
) -> None:
    codes = codes_like("PM", 300)
    list_id = new_list(vouchers, "sale", codes)
    finished = threading.Event()

    def give_all() -> int:
        try:
            for number in range(0, len(codes), 3):
                vouchers.codes.assign_many([f"user-{number + index}" for index in range(3)], list_id=list_id)
        finally:
            finished.set()
        return len(codes)

    def read() -> int:
        looks = 0
        while True:
            last = finished.is_set()
            view = vouchers.lists.get(list_id)
            # Three at a time go out, so whoever sees a part of a transaction sees another number.
            assert view.distributed % 3 == 0
            assert view.uploaded == view.available + view.distributed == len(codes)
            given = [assignment.code for assignment in vouchers.codes.assignments(list_id)]
            assert given == codes[: len(given)]
            assert len(given) >= view.distributed
            with vouchers.codes.export(list_id, remaining=True) as file:
                left = file.read().decode().split()[1:]
            assert left == codes[len(codes) - len(left) :]
            assert len(rewards(storage)) >= len(given)
            looks += 1
            if last:
                return looks

    in_threads(storage, [give_all, read, read])
    assert checked(vouchers, storage, list_id).left == []
