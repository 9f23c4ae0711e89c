"""Measure things side by side: on a shared machine a ratio says more than a time."""

from __future__ import annotations

import random
import resource
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import NamedTuple

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import OutboxEntry, Rejection, Storage
from tests.benchmarks.figures import record
from tests.support.host import a_file

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
EXPIRES_AT = datetime(2100, 1, 1, tzinfo=UTC)
MILLION = 1_000_000
CAMPAIGN = "CMP"
OPS = "ops@example.com"
NUMBERS = count()
"""Of users and tags, so that each is new."""


class Ratio(NamedTuple):
    """How long a thing takes beside its floor: the median of the rounds."""

    ratio: float
    seconds: float
    floor: float


def user_time() -> float:
    """Return the seconds that the processor has worked for this process outside of the system, in all threads."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def seconds(action: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    action()
    return clock() - started


def cpu(action: Callable[[], object]) -> float:
    """Return the seconds of processor time that this process needs."""
    return seconds(action, time.process_time)


def for_new_users(
    calls: int, call: Callable[[str], object], clock: Callable[[], float] = time.perf_counter
) -> Callable[[], float]:
    """Return a round: so many calls, each for a user who was not there before. It returns the seconds of a call."""

    def run() -> float:
        users = [f"user-{next(NUMBERS)}" for _ in range(calls)]
        return seconds(lambda: [call(user) for user in users], clock) / calls

    return run


def in_turn(rounds: int, floor: Callable[[], float], measured: Callable[[], float]) -> Ratio:
    """Measure two things in turn, and compare within each round."""
    pairs = [(floor(), measured()) for _ in range(rounds)]
    return Ratio(
        statistics.median(measured / floor for floor, measured in pairs),
        statistics.median(measured for _, measured in pairs),
        statistics.median(floor for floor, _ in pairs),
    )


def compare(
    group: str,
    what: str,
    floor: Callable[[], float],
    measured: Callable[[], float],
    *,
    beside: str,
    goal: float | None,
    rounds: int = 7,
    warm_up: int = 1,
) -> None:
    """Measure two calls in turn, and record the ratio of both. A round of either returns the seconds of a call.

    The rounds of the warm-up do not count: files, caches and plans are as they stay afterwards.
    """
    for _ in range(warm_up):
        floor(), measured()
    found = in_turn(rounds, floor, measured)
    beside = f"{beside}: {1e6 * found.floor:.1f} µs"
    record(group, f"{what}: {1e6 * found.seconds:.1f} µs", found.ratio, beside=beside, goal=goal)


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

    def __call__(self, user: str) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("UPDATE counter SET n = n + 1 WHERE id = 1 RETURNING n").fetchall()
        self._connection.execute("COMMIT")


class NoSink:
    """A sink that takes everything and keeps nothing."""

    batch_size, concurrency = 1_000, 1

    def __init__(self, name: str = "sink") -> None:
        self.name = name

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        return []


def new_library(path: Path) -> PartnerVouchers:
    """Return the library on a new file in the place of another one."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return PartnerVouchers(SQLiteStorage(path))


def new_list(vouchers: PartnerVouchers, tag: str = "winter", codes: Sequence[str] = ()) -> str:
    """Create a list with these codes; return its id."""
    vouchers.partners.ensure("Puma")
    made = vouchers.lists.create(partner="Puma", tag=tag, name="Winter Sale", expires_at=EXPIRES_AT)
    if codes:
        vouchers.uploads.add(made.id, a_file(*codes), filename="codes.csv", uploaded_by=OPS)
    return made.id


def with_campaign(storage: Storage, codes: Sequence[str]) -> PartnerVouchers:
    """Return the library with a list of these codes that is linked to `CAMPAIGN`."""
    vouchers = PartnerVouchers(storage)
    vouchers.campaigns.link(new_list(vouchers, codes=codes), CAMPAIGN)
    return vouchers


def assigning(vouchers: PartnerVouchers, list_id: str | None = None) -> Callable[[str], object]:
    """Return what gives a user a code of `CAMPAIGN`, or of a list."""
    assign, campaign_id = vouchers.codes.assign, CAMPAIGN if list_id is None else None
    return lambda user: assign(user_id=user, campaign_id=campaign_id, list_id=list_id)


def compare_sizes(
    group: str, vouchers: PartnerVouchers, large: str, *, rounds: int, calls: int, goal: float
) -> None:
    """Record what an assignment from a list of a million codes costs beside one from a new list of a thousand."""

    def from_small() -> float:
        small = new_list(vouchers, f"small_{next(NUMBERS)}", random_codes(1_000, seed=next(NUMBERS)))
        return for_new_users(calls, assigning(vouchers, small))()

    from_large = for_new_users(calls, assigning(vouchers, large))
    from_large()
    found = in_turn(rounds, from_small, from_large)
    record(group, "assign from a million codes", found.ratio, beside="from a thousand", goal=goal)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
