"""Measure things side by side: on a shared machine a ratio says more than a time."""

from __future__ import annotations

import random
import resource
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from partner_vouchers import ListView, PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
EXPIRES_AT = datetime(2100, 1, 1, tzinfo=UTC)


class Ratio(NamedTuple):
    """How long a thing takes beside its floor: the median of the rounds."""

    ratio: float
    seconds: float
    floor: float

    def __str__(self) -> str:
        return f"{self.ratio:.2f} x ({self.seconds:.4f} s beside {self.floor:.4f} s)"


def user_time() -> float:
    """Return the seconds that the processor has worked for this process outside of the system, in all threads."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def seconds(action: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    action()
    return clock() - started


def cpu(action: Callable[[], object]) -> float:
    """Return the seconds of processor time that this process needs."""
    started = time.process_time()
    action()
    return time.process_time() - started


def in_turn(rounds: int, floor: Callable[[], float], measured: Callable[[], float]) -> Ratio:
    """Measure two things in turn, and compare within each round."""
    pairs = [(floor(), measured()) for _ in range(rounds)]
    return Ratio(
        statistics.median(measured / floor for floor, measured in pairs),
        statistics.median(measured for _, measured in pairs),
        statistics.median(floor for floor, _ in pairs),
    )


def random_codes(count: int, seed: int, length: int = 12) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(ALPHABET, k=length)) for _ in range(count)]


def write_codes(path: Path, codes: Iterable[str]) -> Path:
    path.write_text("".join(f"{code}\n" for code in codes), encoding="ascii")
    return path


def bare_insert(path: Path, codes: Sequence[str], clock: Callable[[], float] = time.perf_counter) -> float:
    """The floor of an upload: `executemany` into one UNIQUE column, one transaction, no checks at all."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("CREATE TABLE codes (code TEXT UNIQUE)")
    started = clock()
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO codes VALUES (?)", ((code,) for code in codes))
    connection.execute("COMMIT")
    taken = clock() - started
    connection.close()
    return taken


class BareCommit:
    """The floor of an assignment: one durable `UPDATE ... RETURNING`."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER)")
        self._connection.execute("INSERT INTO counter VALUES (1, 0)")

    def __call__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("UPDATE counter SET n = n + 1 WHERE id = 1 RETURNING n").fetchall()
        self._connection.execute("COMMIT")


def new_library(path: Path) -> PartnerVouchers:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    vouchers = PartnerVouchers(SQLiteStorage(path))
    vouchers.partners.add("Puma")
    return vouchers


def new_list(vouchers: PartnerVouchers, tag: str) -> ListView:
    return vouchers.lists.create(partner="Puma", tag=tag, name="Winter Sale", expires_at=EXPIRES_AT)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
