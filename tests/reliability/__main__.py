"""Long searches for what breaks the promises, which print what they saw.

Run `python -m tests.reliability` with `faults`, `power`, `kills` or `schedules`. docs/explanation/reliability.md says
what they do.
"""

from __future__ import annotations

import argparse
import logging
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.reliability import schedules as scheduling
from tests.reliability.faults import FAULTS, Figures, Trial, delivering, let_each_call_fail, opening
from tests.reliability.jobs import JOBS, prepare
from tests.reliability.kills import run_kills, run_server_kills
from tests.reliability.power import DAY, cut_the_power, cut_the_power_while_creating, record
from tests.support.postgres import Server


def faults(directory: Path, options: argparse.Namespace) -> None:
    """Let each call fail, in each job, on two storages."""
    print("SQLite", sqlite3.sqlite_version)
    prepared = _prepared(directory)
    for fault, make in FAULTS.items():
        figures = Figures()
        for path in prepared.values():
            for job in JOBS.values():
                let_each_call_fail(Trial(job, path, directory), make, figures, step=options.step)
            let_each_call_fail(delivering(path, directory), make, figures, step=options.step)
        let_each_call_fail(opening(directory), make, figures, step=options.step)
        print(f"{fault}: {figures.faults.total()} runs failed at {_told(figures.faults)}")
        print(
            f"    the call ended as {_told(figures.outcomes)}; there after a kill all the same: {figures.came_true}"
        )


def power(directory: Path, options: argparse.Namespace) -> None:
    """Cut the power between any two calls, many times each."""
    print("SQLite", sqlite3.sqlite_version, "seed", options.seed)
    chance = random.Random(options.seed)
    for name, path in _prepared(directory).items():
        for synchronous in ("FULL", "NORMAL"):
            session = record(path, directory, DAY, synchronous)
            figures = Counter[str]()
            for _ in range(options.rounds):
                cut_the_power(session, directory, chance, figures, last_may_be_lost=synchronous == "NORMAL")
            print(
                f"storage {name}, synchronous={synchronous}: {session.recorder.commits} commits in "
                f"{len(session.recorder.log)} calls; {_told(figures)}"
            )
    figures = Counter[str]()
    for _ in range(options.rounds):
        cut_the_power_while_creating(directory, chance, figures)
    print("while a storage is created:", _told(figures))


def kills(directory: Path, options: argparse.Namespace) -> None:
    """Kill processes that work with one storage, and the server of that storage, if it has one."""
    print("seed", options.seed)
    chance = random.Random(options.seed)
    if options.storage == "sqlite":
        print("SQLite", sqlite3.sqlite_version)
        town = run_kills(
            f"sqlite {directory / 'vouchers.db'}", directory, chance, options.kills, check_every=250
        )
    else:
        server = Server()
        try:
            town = run_server_kills(
                server, directory, chance, options.kills, strikes=options.server_kills, check_every=100
            )
        finally:
            server.remove()
    print(f"kills: {town.kills.total()}, of {_told(town.kills)}")
    print(f"    in the middle of a request: {_told(town.in_flight)}")
    print(f"journeys of codes: {_told(town.ended_journeys)}")
    print(f"requests that were answered: {_told(town.told)}; events that came again: {town.came_again}")
    if town.strikes is not None:
        print(f"kills in the server: {town.strikes.kills.total()}, of {_told(town.strikes.kills)}")
        print(f"    backends in the middle of a transaction: {town.strikes.in_transaction}")
        print(f"errors that were met: {_told(town.met)}; requests answered after one: {_told(town.went_on)}")
        print(
            f"processes that had to go on after a server: {town.outlived}, all in {town.longest_wait:.2f} s"
        )


def schedules(directory: Path, options: argparse.Namespace) -> None:
    """Make calls at once, in threads that an adversary schedules."""
    print("seed", options.seed)
    chance = random.Random(options.seed)
    for backend, share in (("memory", 1), ("sqlite", 4)):
        figures = scheduling.Figures()
        scenes = options.scenes // share
        scheduling.explore(
            scheduling.Shops(backend, directory), chance, figures, scenes=scenes, schedules=options.schedules
        )
        print(f"{backend}: {figures.schedules.total()} schedules of {scenes} scenes, {figures.steps} steps")


def _prepared(directory: Path) -> dict[str, Path]:
    prepared = {"closed": directory / "closed.db", "with a log": directory / "log.db"}
    prepare(prepared["closed"], checkpoint_due=False)
    prepare(prepared["with a log"], checkpoint_due=True)
    return prepared


def _told(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counter.most_common())


RUNS: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "faults": faults,
    "power": power,
    "kills": kills,
    "schedules": schedules,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability")
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default: %(default)s)")
    parser.add_argument("--step", type=int, default=1, help="of `faults`: of so many calls one fails")
    parser.add_argument("--rounds", type=int, default=10, help="of `power` (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=1000, help="of `kills` (default: %(default)s)")
    parser.add_argument(
        "--storage",
        choices=("sqlite", "postgres"),
        default="sqlite",
        help="of `kills` (default: %(default)s)",
    )
    parser.add_argument(
        "--server-kills", type=int, default=60, help="of `kills` in PostgreSQL (default: %(default)s)"
    )
    parser.add_argument("--scenes", type=int, default=400, help="of `schedules` (default: %(default)s)")
    parser.add_argument("--schedules", type=int, default=25, help="of each scene (default: %(default)s)")
    options = parser.parse_args()
    # Refusals and recoveries are what these runs are about.
    logging.disable()
    started = time.monotonic()
    with TemporaryDirectory() as directory:
        RUNS[options.run](Path(directory), options)
    print(f"nothing broke, in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
