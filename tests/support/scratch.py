"""Directories where a sync costs nothing, for storages of which no power is cut."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

_MEMORY = Path("/dev/shm")
_ENOUGH = 1 << 30


@cache
def in_memory() -> Path | None:
    """Return where files are kept in memory; None where the system has no such place, or little room in it."""
    try:
        enough = shutil.disk_usage(_MEMORY).free >= _ENOUGH
    except OSError:
        return None
    return _MEMORY if enough else None


@contextmanager
def scratch() -> Iterator[Path]:
    """Lend an empty directory, in memory where that can be."""
    with TemporaryDirectory(dir=in_memory(), prefix="partner-vouchers-") as directory:
        yield Path(directory)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """The directory of a test, in memory where that can be: a `conftest.py` imports this for its tests."""
    with scratch() as directory:
        yield directory
