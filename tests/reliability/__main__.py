"""Long searches for what breaks the promises, which print what they saw.

python -m tests.reliability faults    each call of SQLite's to its disk fails in turn
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.reliability.faults import FAULTS, Figures, Trial, run_opening
from tests.reliability.jobs import JOBS, prepare


def faults(directory: Path, options: argparse.Namespace) -> None:
    """Let each call fail, in each job, on two storages."""
    print("SQLite", sqlite3.sqlite_version)
    prepared = {"closed": directory / "closed.db", "with a log": directory / "log.db"}
    prepare(prepared["closed"], checkpoint_due=False)
    prepare(prepared["with a log"], checkpoint_due=True)
    for fault, make in FAULTS.items():
        figures = Figures()
        for path in prepared.values():
            for job in JOBS.values():
                Trial(job, path, directory).with_each_call_failing(make, figures)
        run_opening(directory, make, figures)
        print(f"{fault}: {figures.faults.total()} runs failed at {_told(figures.faults)}")
        print(f"    the call ended as {_told(figures.outcomes)}")


def _told(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counter.most_common())


RUNS: dict[str, Callable[[Path, argparse.Namespace], None]] = {"faults": faults}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability")
    parser.add_argument("run", choices=RUNS)
    options = parser.parse_args()
    started = time.monotonic()
    with TemporaryDirectory() as directory:
        RUNS[options.run](Path(directory), options)
    print(f"nothing broke, in {time.monotonic() - started:.0f} s", file=sys.stdout)


if __name__ == "__main__":
    main()
