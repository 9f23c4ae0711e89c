"""What benchmarks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from partner_vouchers.slices import SliceSize
from tests.benchmarks.figures import missed


@pytest.fixture(autouse=True)
def goals() -> Iterator[None]:
    """A benchmark fails if it misses a goal, but only once it has ended: no figure is lost."""
    missed.clear()
    yield
    assert missed == []


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        yield Path(directory)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The milliseconds for which slices of work hold the writer lock, one after the other."""
    found: list[float] = []
    learn: Callable[[SliceSize, float], None] = SliceSize.learn

    def observe(size: SliceSize, taken: float) -> None:
        found.append(1000 * taken)
        learn(size, taken)

    monkeypatch.setattr(SliceSize, "learn", observe)
    return found
