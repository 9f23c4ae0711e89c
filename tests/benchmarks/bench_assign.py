"""How fast codes are given out, beside bare durable commits. SQLite, `synchronous=FULL`."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.benchmarks.figures import record
from tests.benchmarks.measure import (
    MILLION,
    BareCommit,
    assigning,
    compare,
    compare_sizes,
    for_new_users,
    random_codes,
    seconds,
    with_campaign,
)

CALLS = 500
ROUNDS = 15
GROUP = "Assignments on SQLite, every commit durable"


def test_a_single_caller_beside_a_bare_commit(tmp_path: Path) -> None:
    vouchers = with_campaign(SQLiteStorage(tmp_path / "million.db"), random_codes(MILLION, seed=1))
    commit = BareCommit(tmp_path / "floor.db")
    floor, library = for_new_users(CALLS, commit), for_new_users(CALLS, assigning(vouchers))
    # The warm-up goes on until both write-ahead logs have their size.
    beside = "a bare durable commit"
    compare(GROUP, "assign, one caller", floor, library, beside=beside, goal=1.43, rounds=ROUNDS, warm_up=4)


def test_flat_from_a_thousand_codes_to_a_million(tmp_path: Path) -> None:
    # Both lists in one file: a younger write-ahead log alone would make a difference.
    vouchers = with_campaign(SQLiteStorage(tmp_path / "large.db"), random_codes(MILLION, seed=1))
    large = vouchers.lists.find().items[0].id
    compare_sizes(GROUP, vouchers, large, rounds=ROUNDS, calls=CALLS, goal=1.1)


ASSIGNERS = """
    import sys, threading, time
    from partner_vouchers import PartnerVouchers
    from partner_vouchers.adapters.sqlite import SQLiteStorage

    vouchers = PartnerVouchers(SQLiteStorage(sys.argv[1]))
    codes, waits = [], []

    def work(name):
        for number in range(int(sys.argv[3])):
            started = time.perf_counter()
            reward = vouchers.codes.assign(campaign_id="CMP", user_id=f"{name}-{number}")
            waits.append(time.perf_counter() - started)
            codes.append(reward.code)

    print("ready", flush=True)
    sys.stdin.readline()
    threads = [threading.Thread(target=work, args=(f"{sys.argv[2]}-{n}",)) for n in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(max(waits), sorted(waits)[int(len(waits) * 0.99)], *codes)
"""


def test_four_processes_with_two_threads_on_one_list(tmp_path: Path) -> None:
    path, calls = tmp_path / "shared.db", 1_000
    vouchers = with_campaign(SQLiteStorage(path), random_codes(100_000, seed=1))
    command = [sys.executable, "-c", textwrap.dedent(ASSIGNERS), str(path)]
    others = [
        subprocess.Popen(
            [*command, str(number), str(calls)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    for other in others:
        assert other.stdout
        other.stdout.readline()
    results: list[list[str]] = []

    def race() -> None:
        for other in others:
            assert other.stdin
            other.stdin.write("go\n")
            other.stdin.flush()
        results.extend(other.communicate()[0].split() for other in others)

    taken = seconds(race)
    assert all(other.returncode == 0 for other in others)
    codes = [code for result in results for code in result[2:]]
    longest, p99 = (1000 * max(float(result[place]) for result in results) for place in (0, 1))
    beside = f"{len(codes) / taken:,.0f} codes a second, p99 {p99:.0f} ms"
    what = "4 processes with 2 threads on one list, the longest wait"
    record(GROUP, what, longest, beside=beside, goal=500, unit="ms")
    assert len(set(codes)) == len(codes) == 8 * calls
    assert vouchers.lists.find().items[0].distributed == len(codes)
