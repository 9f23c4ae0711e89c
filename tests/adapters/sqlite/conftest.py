from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.support.host import PATIENCE, FixedClock, Host
from tests.support.scratch import tmp_path as tmp_path

ROOT = Path(__file__).parents[3]

Start = Callable[..., "subprocess.Popen[str]"]
Run = Callable[..., list[str]]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "vouchers.db"


@pytest.fixture
def storage(database: Path) -> Iterator[SQLiteStorage]:
    opened = SQLiteStorage(database, synchronous="NORMAL")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def host(storage: SQLiteStorage, clock: FixedClock) -> Host:
    return Host(storage, clock)


@pytest.fixture
def vouchers(host: Host) -> PartnerVouchers:
    return host.vouchers


@pytest.fixture
def start() -> Iterator[Start]:
    """Start another process; see `children.py`."""
    started: list[subprocess.Popen[str]] = []

    def run(command: str, *arguments: object) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.adapters.sqlite.children", command, *map(str, arguments)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=PATIENCE)


@pytest.fixture
def run(start: Start) -> Run:
    """Run another process to its end, and return what it said."""

    def run_one(command: str, *arguments: object) -> list[str]:
        process = start(command, *arguments)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        return said.splitlines()

    return run_one
