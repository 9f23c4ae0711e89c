"""The processor time of calls beside an older version of the library.

`BEFORE` in the environment names a commit, such as `BEFORE=7372190 python -m tests.benchmarks versions`. A process of
each version does the same job, one after the other within each round. User mode; the files are in memory.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.benchmarks.measure import compare
from tests.support.postgres import Server

ROOT = Path(__file__).parents[2]
BEFORE = os.environ.get("BEFORE")
ROUNDS = 7
CALLS = {
    "assign": 1_000,
    "assign_with_a_key": 1_000,
    "assign_many": 1_000,
    "deliver": 5_000,
    "render": 2_000,
    "of_user": 1_000,
    "lists_page": 100,
    "upload": 200_000,
    "upload_with_faults": 200_000,
    "assign_on_postgres": 300,
}
"""The jobs, and how many calls, codes, or events each has."""


class Version:
    """A process with one version of the library."""

    def __init__(self, source: Path, directory: Path, conninfo: str) -> None:
        directory.mkdir()
        script = str(Path(__file__).with_name("version_jobs.py"))
        self._process = subprocess.Popen(
            [sys.executable, script, str(directory), conninfo],
            env={**os.environ, "PYTHONPATH": str(source)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def time_of_a_call(self, job: str, calls: int) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{job}\n")
        self._process.stdin.flush()
        return float(self._answer()) / calls

    def end(self) -> None:
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def conninfo() -> Iterator[str]:
    server = Server()
    yield server.conninfo
    server.remove()


@pytest.mark.skipif(BEFORE is None, reason="BEFORE names no commit")
def test_each_call_beside_the_version_before(memory: Path, conninfo: str) -> None:
    packed = subprocess.run(
        ["git", "archive", str(BEFORE), "src"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(memory / "source", filter="data")
    before = Version(memory / "source" / "src", memory / "before", conninfo)
    now = Version(ROOT / "src", memory / "now", conninfo)
    for job, calls in CALLS.items():
        old, new = (partial(version.time_of_a_call, job, calls) for version in (before, now))
        name = job.replace("_", " ")
        compare(f"Beside commit {BEFORE}", name, old, new, beside="before", goal=1.05, rounds=ROUNDS)
    before.end()
    now.end()
