"""How fast codes are given out, beside bare durable commits. SQLite, `synchronous=FULL`."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from partner_vouchers import PartnerVouchers
from tests.benchmarks.figures import record
from tests.benchmarks.measure import (
    BareCommit,
    in_turn,
    new_library,
    new_list,
    random_codes,
    seconds,
    write_codes,
)

MILLION = 1_000_000
CALLS = 500
ROUNDS = 15
GROUP = "Assignments on SQLite, every commit durable"


def _with_codes(directory: Path, codes: int, name: str) -> PartnerVouchers:
    vouchers = new_library(directory / f"{name}.db")
    list_id = new_list(vouchers, "winter").id
    source = write_codes(directory / f"{name}.csv", random_codes(codes, seed=codes))
    vouchers.uploads.add(list_id, source, uploaded_by="ops@example.com")
    vouchers.campaigns.link(list_id, "CMP123456")
    return vouchers


def _calls(vouchers: PartnerVouchers, numbers: Iterator[int]) -> Callable[[], float]:
    def run() -> float:
        users = [f"user-{next(numbers)}" for _ in range(CALLS)]
        return seconds(
            lambda: [vouchers.codes.assign(campaign_id="CMP123456", user_id=user) for user in users]
        )

    return run


def test_a_single_caller_beside_a_bare_commit(tmp_path: Path) -> None:
    vouchers = _with_codes(tmp_path, MILLION, "million")
    commit = BareCommit(tmp_path / "floor.db")

    def bare() -> float:
        return seconds(lambda: [commit() for _ in range(CALLS)])  # type: ignore[func-returns-value]

    assign = _calls(vouchers, count())
    for _ in range(4):  # until both write-ahead logs have their size
        bare()
        assign()
    found = in_turn(ROUNDS, bare, assign)
    each = 1e6 * found.seconds / CALLS
    what = f"assign, one caller: {each:.0f} µs"
    record(GROUP, what, found.ratio, beside="a bare durable commit", goal=1.43)


def test_flat_from_a_thousand_codes_to_a_million(tmp_path: Path) -> None:
    # Both lists in one file: a younger write-ahead log alone would make a difference.
    vouchers = _with_codes(tmp_path, MILLION, "large")
    large_id = vouchers.lists.find().items[0].id
    numbers = count()

    def assign_from(list_id: str) -> float:
        users = [f"user-{next(numbers)}" for _ in range(CALLS)]
        return seconds(lambda: [vouchers.codes.assign(list_id=list_id, user_id=user) for user in users])

    def assign_from_small() -> float:
        small_id = new_list(vouchers, f"small_{next(numbers)}").id
        source = write_codes(tmp_path / "small.csv", random_codes(1_000, seed=next(numbers)))
        vouchers.uploads.add(small_id, source, uploaded_by="ops@example.com")
        return assign_from(small_id)

    assign_from(large_id)
    found = in_turn(ROUNDS, assign_from_small, lambda: assign_from(large_id))
    record(GROUP, "assign from a million codes", found.ratio, beside="from a thousand", goal=1.1)


ASSIGNERS = """
    import sys, threading, time
    from partner_vouchers import PartnerVouchers
    from partner_vouchers.adapters.sqlite import SQLiteStorage

    vouchers = PartnerVouchers(SQLiteStorage(sys.argv[1]))
    codes, waits = [], []

    def work(name):
        for number in range(int(sys.argv[3])):
            started = time.perf_counter()
            reward = vouchers.codes.assign(campaign_id="CMP123456", user_id=f"{name}-{number}")
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
    vouchers = _with_codes(tmp_path, 100_000, "shared")
    calls = 1_000
    others = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                textwrap.dedent(ASSIGNERS),
                str(tmp_path / "shared.db"),
                str(n),
                str(calls),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
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
    longest, p99 = max(float(result[0]) for result in results), max(float(result[1]) for result in results)
    beside = f"{len(codes) / taken:,.0f} codes a second, p99 {1000 * p99:.0f} ms"
    what = "4 processes with 2 threads on one list, the longest wait"
    record(GROUP, what, 1000 * longest, beside=beside, goal=500, unit="ms")
    assert len(set(codes)) == len(codes) == 8 * calls
    assert vouchers.lists.find().items[0].distributed == len(codes)
