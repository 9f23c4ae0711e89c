"""What happens to a code besides that it is assigned: what it costs, and how long it keeps others from writing.

CPU time of this process, in turn with `assign`, in user mode and in the system: Linux divides the two by samples, which
are too few for rounds this short. SQLite, `synchronous=NORMAL`: a disk would hide it. Run it on tmpfs:
`--basetemp=/dev/shm/bench`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.errors import NoCodeAvailable
from tests.benchmarks.figures import record
from tests.benchmarks.measure import (
    CAMPAIGN,
    MILLION,
    assigning,
    compare,
    for_new_users,
    random_codes,
    seconds,
    with_campaign,
)

CALLS = 3_000
ROUNDS = 5
GROUP = "The life of a code on SQLite"


def _with_codes(path: Path, codes: int = 2 * CALLS * (ROUNDS + 1)) -> PartnerVouchers:
    return with_campaign(SQLiteStorage(path, synchronous="NORMAL"), random_codes(codes, seed=1))


def _report(
    what: str, beside: str, floor: Callable[[str], object], measured: Callable[[str], object], goal: float
) -> None:
    rounds = (for_new_users(CALLS, call, time.process_time) for call in (floor, measured))
    compare(GROUP, what, *rounds, beside=beside, goal=goal, rounds=ROUNDS)


def test_reserve_and_confirm_beside_assign(tmp_path: Path) -> None:
    plain, reserving = _with_codes(tmp_path / "plain.db"), _with_codes(tmp_path / "reserving.db").codes

    def reserve_and_confirm(user: str) -> None:
        made = reserving.reserve(campaign_id=CAMPAIGN, user_id=user, ttl=timedelta(minutes=15))
        reserving.confirm(made.id)

    _report("reserve and confirm", "assign", assigning(plain), reserve_and_confirm, 2)


def test_a_refusal_beside_a_replay(tmp_path: Path) -> None:
    replay, ask = assigning(_with_codes(tmp_path / "full.db")), assigning(_with_codes(tmp_path / "dry.db", 0))

    def refused(user: str) -> None:
        with suppress(NoCodeAvailable):
            ask(user)

    _report("a refusal of a dry campaign", "a replay", lambda _: replay("ann"), refused, 1.2)


def test_nothing_keeps_others_from_writing_for_long(tmp_path: Path) -> None:
    """A call is one transaction, so it locks for less than it takes."""
    vouchers = _with_codes(tmp_path / "million.db", MILLION)
    winter = vouchers.lists.find().items[0]
    (upload,) = vouchers.uploads.find(list_id=winter.id).items
    rewards = [vouchers.codes.assign(list_id=winter.id, user_id=f"user-{each}") for each in range(3)]
    calls: dict[str, Callable[[], object]] = {
        "revoke": lambda: vouchers.codes.revoke(rewards[0].id),
        "revoke, restock": lambda: vouchers.codes.revoke(rewards[1].id, restock=True, force=True),
        "withdraw": lambda: vouchers.uploads.withdraw(upload.id),
        "archive": lambda: vouchers.lists.archive(winter.id),
    }
    for name, call in calls.items():
        record(GROUP, name, 1_000 * seconds(call), beside="a list of a million codes", goal=20, unit="ms")
