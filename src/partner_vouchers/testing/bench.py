"""Measure a storage: how long calls take on it, beside those on other storages and beside bare SQLite.

Run it with the class of your contract tests, or with a function that takes an empty directory and returns a storage:

    python -m partner_vouchers.testing.bench tests.test_my_storage:TestMyStorage
    python -m partner_vouchers.testing.bench my_project.storages:new_storage memory sqlite

`memory` and `sqlite` are the library's own. Every storage does the same work in turn, in several rounds. The table
shows medians.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib import import_module
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from partner_vouchers.domain.assignment import Reward
from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.ports import Storage
from partner_vouchers.testing.fakes import FailingSink
from partner_vouchers.testing.hooks import StorageHooks
from partner_vouchers.vouchers import PartnerVouchers

NewStorage: TypeAlias = Callable[[Path], Storage]

_OURS = {
    "memory": ("partner_vouchers.adapters.memory", "MemoryStorage", False),
    "sqlite": ("partner_vouchers.adapters.sqlite", "SQLiteStorage", True),
}
_UPLOADED = 20_000
_BATCH = 1_000
_NEVER = datetime(2100, 1, 1, tzinfo=UTC)


def new_storage_from(spec: str) -> NewStorage:
    """Return the function that makes the storage which a name on the command line stands for.

    Args:
        spec: `memory`, `sqlite`, or `module:name` of a subclass of `StorageContract` or of a function that takes an
            empty directory and returns a new storage.

    Raises:
        SystemExit: there is no such thing.

    Example:
        >>> type(new_storage_from("memory")(Path("."))).__name__
        'MemoryStorage'
    """
    if spec in _OURS:
        module, name, in_file = _OURS[spec]
        ours = getattr(import_module(module), name)
        return lambda directory: ours(directory / "vouchers.db") if in_file else ours()
    module, colon, name = spec.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SystemExit(f"cannot load {spec!r} ({error}); write module:name, memory or sqlite") from None
    if isinstance(found, type) and issubclass(found, StorageHooks):
        return found().new_storage
    if not colon or not callable(found):
        raise SystemExit(
            f"{spec!r} is neither a contract nor a function; write module:name, memory or sqlite"
        )
    make: NewStorage = found
    return make


def _works(storage: Storage, calls: int) -> dict[str, Callable[[], float]]:
    """Return the measurements of a storage. Each returns the seconds for one code or one call."""
    numbers, sink = count(), FailingSink(batch_size=_BATCH)
    vouchers = PartnerVouchers(storage)
    codes = vouchers.codes
    vouchers.partners.add("Puma")

    def a_full_list() -> str:
        number = next(numbers)
        made = vouchers.lists.create(partner="Puma", tag=f"tag_{number}", name="Bench", expires_at=_NEVER)
        content = b"".join(b"C%08d%08d\n" % (number, each) for each in range(_UPLOADED))
        vouchers.uploads.add(made.id, content, filename="codes.csv", uploaded_by="bench")
        return made.id

    def repeated(call: Callable[[str], object]) -> float:
        names = [f"user-{next(numbers)}" for _ in range(calls)]
        return _seconds(lambda: [call(name) for name in names]) / calls

    def assign(user_id: str, key: str | None = None) -> Reward:
        return codes.assign(campaign_id="CMP", user_id=user_id, idempotency_key=key)

    def replay() -> float:
        assign("again")
        return repeated(lambda _: assign("again"))

    def assign_many() -> float:
        users = [f"user-{next(numbers)}" for _ in range(_BATCH)]
        return _seconds(lambda: codes.assign_many(users, campaign_id="CMP")) / _BATCH

    def deliver() -> float:
        vouchers.events.deliver(sink)
        before = len(sink.events)
        assign_many()
        taken = _seconds(lambda: vouchers.events.deliver(sink))
        return taken / (len(sink.events) - before)

    vouchers.campaigns.link(a_full_list(), "CMP", repeat=RepeatPolicy.SAME_CODE)
    return {
        "upload, a code": lambda: _seconds(a_full_list) / _UPLOADED,
        "assign": lambda: repeated(assign),
        "assign with an idempotency key": lambda: repeated(lambda user: assign(user, user)),
        "assign again (replay)": replay,
        "assign_many of 1,000, a code": assign_many,
        "deliver, an event": deliver,
        "of_user": lambda: repeated(codes.of_user),
    }


def _floor(connection: sqlite3.Connection, numbers: Iterator[int]) -> tuple[float, float]:
    """Return the seconds that bare SQLite takes for an unchecked insert of a code, and for a durable commit."""

    def insert(codes: int, commits: int) -> float:
        parts = [[(f"C{next(numbers):08}",) for _ in range(codes)] for _ in range(commits)]

        def work() -> None:
            for rows in parts:
                with connection:
                    connection.executemany("INSERT INTO codes VALUES (?)", rows)

        return _seconds(work) / (codes * commits)

    return insert(_UPLOADED, 1), insert(1, 100)


def measure(specs: Sequence[str], *, rounds: int = 5, calls: int = 200) -> dict[str, dict[str, float]]:
    """Measure storages in turn.

    Args:
        specs: the storages, as on the command line.
        rounds: how often each thing is measured; the median counts.
        calls: how many calls make up one measurement of a call.

    Returns:
        for each thing that was measured the microseconds by storage; and of bare SQLite, by `floor`.

    Example:
        >>> sorted(measure(["memory"], rounds=1, calls=5)["assign"])
        ['floor', 'memory']
    """
    found: dict[str, dict[str, list[float]]] = {}
    with TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        places = [Path(directory) / str(number) for number in range(len(specs) + 1)]
        for place in places:
            place.mkdir()
        opened = {
            spec: _works(new_storage_from(spec)(place), calls)
            for spec, place in zip(specs, places, strict=False)
        }
        with closing(sqlite3.connect(places[-1] / "floor.db")) as connection:
            connection.executescript(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE codes (code TEXT UNIQUE)"
            )
            numbers = count()
            for _ in range(rounds):
                bulk, commit = _floor(connection, numbers)
                for work in next(iter(opened.values())):
                    times = found.setdefault(work, {})
                    is_bulk = work.endswith(("a code", "an event"))
                    times.setdefault("floor", []).append(bulk if is_bulk else commit)
                    for spec, works in opened.items():
                        times.setdefault(spec, []).append(works[work]())
    return {
        work: {name: 1e6 * statistics.median(values) for name, values in times.items()}
        for work, times in found.items()
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table for the storages named on the command line; by default for the library's own."""
    parser = argparse.ArgumentParser(
        prog="python -m partner_vouchers.testing.bench", description="Measure storages beside one another."
    )
    parser.add_argument(
        "storages", nargs="*", default=["memory", "sqlite"], help="memory, sqlite, module:name"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    wanted = parser.parse_args(arguments)
    # So that a module of the project is found, as by pytest.
    sys.path.insert(0, str(Path.cwd()))
    print(
        "microseconds, median; `floor` is bare SQLite: an insert for each code, or a durable commit for each call"
    )
    table = measure(wanted.storages, rounds=wanted.rounds, calls=wanted.calls)
    names = ["floor", *wanted.storages]
    print("".join([f"{'':32}", *(f"{name.rpartition(':')[2]:>18}" for name in names)]))
    for work, times in table.items():
        print("".join([f"{work:32}", *(f"{times[name]:18,.1f}" for name in names)]))


if __name__ == "__main__":
    main()
