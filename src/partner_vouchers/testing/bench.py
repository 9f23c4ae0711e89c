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
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.ports import Storage
from partner_vouchers.testing.fakes import MovingClock, RecordingSink
from partner_vouchers.testing.hooks import StorageHooks
from partner_vouchers.vouchers import PartnerVouchers

NewStorage: TypeAlias = Callable[[Path], Storage]

_OURS = {
    "memory": ("partner_vouchers.adapters.memory", "MemoryStorage", False),
    "sqlite": ("partner_vouchers.adapters.sqlite", "SQLiteStorage", True),
}
_UPLOADED = 20_000
_BATCH = 1_000


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


class _Measured:
    """The library on one storage, and what is measured on it: the seconds that one code or one call takes."""

    def __init__(self, name: str, storage: Storage, calls: int) -> None:
        self.name, self._calls, self._numbers = name, calls, count()
        self._vouchers = PartnerVouchers(storage, clock=MovingClock())
        self._vouchers.partners.add("Puma")
        self._sink = RecordingSink(batch_size=_BATCH)
        self._list_id = self._filled()
        self._vouchers.campaigns.link(self._list_id, "CMP", repeat=RepeatPolicy.SAME_CODE)

    def _filled(self) -> str:
        number = next(self._numbers)
        list_id = self._vouchers.lists.create(
            partner="Puma",
            tag=f"tag_{number}",
            name="Bench",
            expires_at=MovingClock()().replace(year=2100),
        ).id
        content = b"".join(b"C%08d%08d\n" % (number, each) for each in range(_UPLOADED))
        self._vouchers.uploads.add(list_id, content, filename="codes.csv", uploaded_by="bench")
        return list_id

    def _repeated(self, call: Callable[[str], object]) -> float:
        names = [f"user-{next(self._numbers)}" for _ in range(self._calls)]
        return _seconds(lambda: [call(name) for name in names]) / self._calls

    def upload(self) -> float:
        return _seconds(self._filled) / _UPLOADED

    def assign(self) -> float:
        return self._repeated(lambda user: self._vouchers.codes.assign(campaign_id="CMP", user_id=user))

    def assign_with_key(self) -> float:
        return self._repeated(
            lambda user: self._vouchers.codes.assign(campaign_id="CMP", user_id=user, idempotency_key=user)
        )

    def replay(self) -> float:
        self._vouchers.codes.assign(campaign_id="CMP", user_id="again")
        return self._repeated(lambda _: self._vouchers.codes.assign(campaign_id="CMP", user_id="again"))

    def assign_many(self) -> float:
        users = [f"user-{next(self._numbers)}" for _ in range(_BATCH)]
        return _seconds(lambda: self._vouchers.codes.assign_many(users, campaign_id="CMP")) / _BATCH

    def deliver(self) -> float:
        self._vouchers.events.deliver(self._sink)
        before = len(self._sink.events)
        self.assign_many()
        taken = _seconds(lambda: self._vouchers.events.deliver(self._sink))
        return taken / (len(self._sink.events) - before)

    def of_user(self) -> float:
        return self._repeated(lambda user: self._vouchers.codes.of_user(user))


_WORKS: dict[str, Callable[[_Measured], float]] = {
    "upload, a code": _Measured.upload,
    "assign": _Measured.assign,
    "assign with an idempotency key": _Measured.assign_with_key,
    "assign again (replay)": _Measured.replay,
    "assign_many of 1,000, a code": _Measured.assign_many,
    "deliver, an event": _Measured.deliver,
    "of_user": _Measured.of_user,
}


class _Floor:
    """Bare SQLite in a file: an unchecked insert for each code, and a durable commit for each call."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "CREATE TABLE codes (code TEXT UNIQUE)",
        ):
            self._connection.execute(statement)
        self._numbers = count()

    def insert(self) -> float:
        rows = [(f"C{next(self._numbers):08}",) for _ in range(_UPLOADED)]
        return _seconds(lambda: self._insert(rows)) / _UPLOADED

    def commit(self) -> float:
        def commits() -> None:
            for _ in range(100):
                self._insert([(f"C{next(self._numbers):08}",)])

        return _seconds(commits) / 100

    def _insert(self, rows: Sequence[tuple[str]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO codes VALUES (?)", rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


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
        place, opened = Path(directory), list[_Measured]()
        floor = _Floor(place / "floor.db")
        for number, spec in enumerate(specs):
            own = place / str(number)
            own.mkdir()
            opened.append(_Measured(spec, new_storage_from(spec)(own), calls))
        for _ in range(rounds):
            bulk, commit = floor.insert(), floor.commit()
            for work, measured in _WORKS.items():
                times = found.setdefault(work, {})
                times.setdefault("floor", []).append(
                    bulk if work.endswith(("a code", "an event")) else commit
                )
                for each in opened:
                    times.setdefault(each.name, []).append(measured(each))
        floor.close()
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
