"""How fast and how quiet the reconciliation of a million rows is, beside the upload of as many codes.

One list, SQLite with `synchronous=FULL`, user and system CPU of this process. Each round uploads a million codes, gives
them to users, and reconciles files about them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from partner_vouchers import PartnerVouchers
from tests.benchmarks.figures import record
from tests.benchmarks.measure import (
    MILLION,
    OPS,
    cpu,
    new_library,
    new_list,
    percentile,
    random_codes,
    write_codes,
)

GROUP = "Reconciliation on SQLite"


def write_redemptions(path: Path, codes: Sequence[str]) -> Path:
    with path.open("w", encoding="ascii") as file:
        file.write("code,redeemed_at,order_id,amount\n")
        for number, code in enumerate(codes):
            minute, second = divmod(number, 60)
            at = f"2026-01-{minute // 1440 % 28 + 1:02}T{minute // 60 % 24:02}:{minute % 60:02}:{second:02}Z"
            file.write(f"{code},{at},o{number},{number % 50}.90\n")
    return path


def given_list(vouchers: PartnerVouchers, source: Path, count: int) -> tuple[str, float]:
    """Return a list whose codes users have, and the CPU seconds of its upload."""
    list_id = new_list(vouchers)
    taken = cpu(lambda: vouchers.uploads.add(list_id, source, uploaded_by=OPS))
    for start in range(0, count, 10_000):
        users = [f"user-{number}" for number in range(start, start + 10_000)]
        vouchers.codes.assign_many(users, list_id=list_id)
    return list_id, taken


def test_a_million_rows_beside_an_upload(tmp_path: Path) -> None:
    codes = random_codes(MILLION, seed=1)
    source = write_codes(tmp_path / "codes.csv", codes)
    shuffled = random.Random(2).sample(codes, len(codes))
    unknown = write_redemptions(tmp_path / "unknown.csv", random_codes(MILLION, seed=3))
    for name, rows in (("in order", codes), ("shuffled", shuffled)):
        vouchers = new_library(tmp_path / "vouchers.db")
        list_id, upload = given_list(vouchers, source, MILLION)
        used = write_redemptions(tmp_path / "used.csv", rows)
        for what, file in ((name, used), (f"{name}, known", used), ("unknown", unknown)):
            taken = cpu(partial(vouchers.redemptions.upload, file, list_id=list_id, uploaded_by=OPS))
            beside = f"processor time of an upload of as many: {upload:.1f} s"
            record(GROUP, f"a million rows, {what}: {taken:.1f} s", taken / upload, beside=beside, goal=2)


def test_the_write_lock_is_never_held_long(tmp_path: Path, held: list[float]) -> None:
    codes = random_codes(200_000, seed=4)
    vouchers = new_library(tmp_path / "vouchers.db")
    list_id, _ = given_list(vouchers, write_codes(tmp_path / "codes.csv", codes), len(codes))
    held.clear()
    used = write_redemptions(tmp_path / "used.csv", codes)
    vouchers.redemptions.upload(used, list_id=list_id, uploaded_by=OPS)
    beside = f"held {len(held)} times, longest {max(held):.1f} ms, median {percentile(held, 0.5):.1f} ms"
    what = "the writer lock of a reconciliation, p99"
    record(GROUP, what, percentile(held, 0.99), beside=beside, goal=20, unit="ms")
