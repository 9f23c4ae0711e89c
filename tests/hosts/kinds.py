"""The databases and engines with which a shop is tried, and the tests that need some of them."""

from __future__ import annotations

import sys

import pytest

# Who begins a transaction on SQLite: the driver before the first change, SQLAlchemy, or the driver at once.
LATE, LISTENER, AT_ONCE = "sqlite", "sqlite with a listener", "sqlite with autocommit=False"
POSTGRES = "postgres"
KINDS = [LATE, LISTENER, *([AT_ONCE] if sys.version_info >= (3, 12) else []), POSTGRES]
# Django, told to begin by BEGIN IMMEDIATE.
IMMEDIATE = "sqlite with IMMEDIATE"

# For tests to which the engine is all the same.
databases = pytest.mark.parametrize("kind", [LATE, POSTGRES], indirect=True)
# For tests that start processes: on PostgreSQL in the deep run only.
databases_by_turns = pytest.mark.parametrize(
    "kind", [LATE, pytest.param(POSTGRES, marks=pytest.mark.deep)], indirect=True
)
postgres = pytest.mark.parametrize("kind", [POSTGRES], indirect=True)
# For tests of SQLite alone, and for those of savepoints, which need a transaction around them.
sqlite = pytest.mark.parametrize("kind", [LATE], indirect=True)
savepoints = pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
