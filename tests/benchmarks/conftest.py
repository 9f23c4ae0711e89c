"""A benchmark fails if it misses a goal, but only once it has ended: no figure is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.benchmarks.figures import missed


@pytest.fixture(autouse=True)
def goals() -> Iterator[None]:
    missed.clear()
    yield
    assert missed == []
