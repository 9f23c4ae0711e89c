"""What happens to a code besides that it is assigned: what it costs, and how long it keeps others from writing.

CPU time of this process, in turn with `assign`. SQLite, `synchronous=NORMAL`: a disk would hide it. Run it on tmpfs:
`--basetemp=/dev/shm/bench`.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.errors import NoCodeAvailable
from tests.benchmarks.figures import record
from tests.benchmarks.measure import in_turn, new_list, random_codes, seconds, write_codes

CALLS = 3_000
ROUNDS = 5
MILLION = 1_000_000
USERS = count()
GROUP = "The life of a code on SQLite"


def _with_codes(directory: Path, name: str, codes: int = 2 * CALLS * (ROUNDS + 1)) -> PartnerVouchers:
    vouchers = PartnerVouchers(SQLiteStorage(directory / f"{name}.db", synchronous="NORMAL"))
    vouchers.partners.add("Puma")
    list_id = new_list(vouchers, "winter").id
    if codes:
        source = write_codes(directory / f"{name}.csv", random_codes(codes, seed=codes))
        vouchers.uploads.add(list_id, source, uploaded_by="ops@example.com")
    vouchers.campaigns.link(list_id, "CMP123456")
    return vouchers


def _cpu(call: Callable[[], object]) -> Callable[[], float]:
    """Return a round: the CPU time, in user mode, of a number of calls."""

    def run() -> float:
        started = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        for _ in range(CALLS):
            call()
        return resource.getrusage(resource.RUSAGE_SELF).ru_utime - started

    run()
    return run


def _assign(vouchers: PartnerVouchers, user_id: str | None = None) -> None:
    with suppress(NoCodeAvailable):
        vouchers.codes.assign(campaign_id="CMP123456", user_id=user_id or f"user-{next(USERS)}")


def _report(
    what: str, beside: str, floor: Callable[[], float], measured: Callable[[], float], goal: float
) -> None:
    found = in_turn(ROUNDS, floor, measured)
    each = f"{1e6 * found.seconds / CALLS:.0f} µs"
    record(GROUP, f"{what}: {each}", found.ratio, beside=beside, goal=goal)


def test_reserve_and_confirm_beside_assign(tmp_path: Path) -> None:
    plain, reserving = _with_codes(tmp_path, "plain"), _with_codes(tmp_path, "reserving")

    def reserve_and_confirm() -> None:
        user_id, ttl = f"user-{next(USERS)}", timedelta(minutes=15)
        reservation = reserving.codes.reserve(campaign_id="CMP123456", user_id=user_id, ttl=ttl)
        reserving.codes.confirm(reservation.id)

    _report("reserve and confirm", "assign", _cpu(lambda: _assign(plain)), _cpu(reserve_and_confirm), 2)


def test_a_refusal_beside_a_replay(tmp_path: Path) -> None:
    full, dry = _with_codes(tmp_path, "full"), _with_codes(tmp_path, "dry", 0)
    _report(
        "a refusal of a dry campaign",
        "a replay",
        _cpu(lambda: _assign(full, "ann")),
        _cpu(lambda: _assign(dry)),
        1.2,
    )


def test_nothing_keeps_others_from_writing_for_long(tmp_path: Path) -> None:
    """A call is one transaction, so it locks for less than it takes."""
    vouchers = _with_codes(tmp_path, "million", MILLION)
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
