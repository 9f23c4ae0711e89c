"""Crashes are tried on all storages that outlive a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import Place, a_place


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place that survives the processes that use it."""
    with a_place(request.param, tmp_path) as found:
        yield found
