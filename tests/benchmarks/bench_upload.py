"""How fast, how light and how quiet an upload is, beside a hand-written insert that checks nothing.

One million random codes of 12 characters, `synchronous=FULL`. Beside the time that passes stands the time that the
processor works, which does not depend on the disk.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from partner_vouchers import PartnerVouchers, PerPartner, UploadStatus
from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.benchmarks.figures import record
from tests.benchmarks.measure import (
    MILLION,
    OPS,
    bare_insert,
    in_turn,
    new_library,
    new_list,
    percentile,
    random_codes,
    seconds,
    user_time,
    write_codes,
)

ROUNDS = 5
GROUP, FLOOR = "Uploads to SQLite", "an unchecked insert of as many"


CLOCKS = pytest.mark.parametrize(
    "clock, unit", [(time.perf_counter, "s"), (user_time, "s of the processor")], ids=["time", "processor"]
)


def _upload(
    directory: Path, source: Path, accepted: int, clock: Callable[[], float] = time.perf_counter
) -> Callable[[], float]:
    def run() -> float:
        vouchers = new_library(directory / "vouchers.db")
        list_id = new_list(vouchers)

        def upload() -> None:
            done = vouchers.uploads.add(list_id, source, uploaded_by=OPS)
            assert (done.status, done.accepted) == (UploadStatus.COMPLETED, accepted)

        return seconds(upload, clock)

    return run


@CLOCKS
@pytest.mark.parametrize("faulty, goal", [(False, 0.7), (True, 1)], ids=["sound", "faulty"])
def test_a_million_codes_beside_an_unchecked_insert(
    tmp_path: Path, faulty: bool, goal: float, clock: Callable[[], float], unit: str
) -> None:
    codes = random_codes(MILLION, seed=1)
    rows = list(codes)
    if faulty:
        for number, place in enumerate(range(0, MILLION, 10)):
            code = codes[place]
            rows[place] = ("", f"{code[:5]} {code[5:]}", codes[place - 1], "X" * 200)[number % 4]
    source = write_codes(tmp_path / "codes.csv", rows)
    found = in_turn(
        ROUNDS,
        lambda: bare_insert(tmp_path / "floor.db", codes, clock),
        _upload(tmp_path, source, 900_000 if faulty else MILLION, clock),
    )
    what = "with 10 % faulty rows" if faulty else "a million codes"
    record(GROUP, f"{what}: {found.seconds:.2f} {unit}", found.ratio, beside=FLOOR, goal=goal)


def test_the_tenth_million_in_a_scope(tmp_path: Path) -> None:
    vouchers = PartnerVouchers(SQLiteStorage(tmp_path / "vouchers.db"), duplicates=PerPartner())
    taken: list[float] = []
    for number in range(10):
        source = write_codes(tmp_path / "codes.csv", random_codes(MILLION, seed=10 + number))
        list_id = new_list(vouchers, f"list_{number}")
        taken.append(seconds(partial(vouchers.uploads.add, list_id, source, uploaded_by=OPS)))
        assert vouchers.lists.get(list_id).available == MILLION
    what, beside = f"the tenth million in one scope: {taken[-1]:.2f} s", f"the first: {taken[0]:.2f} s"
    record(GROUP, what, taken[-1] / taken[0], beside=beside, goal=1.1)


def test_the_write_lock_is_never_held_long(tmp_path: Path, held: list[float]) -> None:
    source = write_codes(tmp_path / "codes.csv", random_codes(MILLION, seed=3))
    _upload(tmp_path, source, MILLION)()
    p99, median = percentile(held, 0.99), percentile(held, 0.5)
    beside = f"held {len(held)} times, p99 {p99:.1f} ms, median {median:.1f} ms"
    record(
        GROUP, "the longest time that the writer lock is held", max(held), beside=beside, goal=20, unit="ms"
    )


ASSIGNER = """
    import sys, time
    from partner_vouchers import PartnerVouchers
    from partner_vouchers.adapters.sqlite import SQLiteStorage

    vouchers = PartnerVouchers(SQLiteStorage(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    waits, number = [], 0
    import select
    while not select.select([sys.stdin], [], [], 0)[0]:
        number += 1
        started = time.perf_counter()
        vouchers.codes.assign(list_id=sys.argv[2], user_id=f"user-{number}")
        waits.append(time.perf_counter() - started)
        time.sleep(0.001)
    waits.sort()
    print(len(waits), waits[len(waits) // 2], waits[int(len(waits) * 0.99)], waits[-1])
"""


def test_assignments_of_another_process_go_on(tmp_path: Path) -> None:
    vouchers = new_library(tmp_path / "vouchers.db")
    old, new = new_list(vouchers, "old", random_codes(100_000, seed=4)), new_list(vouchers, "new")
    source = write_codes(tmp_path / "codes.csv", random_codes(MILLION, seed=5))
    command = [sys.executable, "-c", textwrap.dedent(ASSIGNER), str(tmp_path / "vouchers.db"), old]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin
        assert other.stdout
        other.stdout.readline()
        other.stdin.write("go\n")
        other.stdin.flush()
        vouchers.uploads.add(new, source, uploaded_by=OPS)
        other.stdin.write("stop\n")
        other.stdin.flush()
        count, median, p99, longest = other.stdout.readline().split()
    beside = f"{count} calls, median {1000 * float(median):.2f} ms, longest {1000 * float(longest):.1f} ms"
    what = "assign of another process during an upload, p99"
    record(GROUP, what, 1000 * float(p99), beside=beside, goal=10, unit="ms")


PEAK = """
    import sys
    from partner_vouchers import PartnerVouchers
    from partner_vouchers.adapters.sqlite import SQLiteStorage
    from datetime import UTC, datetime
    from pathlib import Path

    def peak():
        # Unlike getrusage, this begins anew with the program, and does not count the parent.
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

    vouchers = PartnerVouchers(SQLiteStorage(sys.argv[1]))
    vouchers.partners.add("Puma")
    expires_at = datetime(2100, 1, 1, tzinfo=UTC)
    small, large = (vouchers.lists.create(partner="Puma", tag=t, name=t, expires_at=expires_at).id for t in "ab")
    vouchers.uploads.add(small, b"ONE\\n", filename="one.csv", uploaded_by="ops@example.com")
    idle = peak()
    upload = vouchers.uploads.add(large, sys.argv[2], uploaded_by="ops@example.com")
    assert upload.accepted == 1_000_000, upload
    print(idle / 1024, peak() / 1024)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    for length in (12, 48):
        source = write_codes(tmp_path / f"{length}.csv", random_codes(MILLION, seed=6, length=length))
        command = [sys.executable, "-c", textwrap.dedent(PEAK), str(tmp_path / f"{length}.db"), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        idle, peak = map(float, done.stdout.split())
        size = source.stat().st_size / 1024**2
        what, beside = f"memory for a file of {size:.0f} MB", f"above the idle process: {idle:.0f} MB"
        record(GROUP, what, peak - idle, beside=beside, goal=16, unit="MB")
