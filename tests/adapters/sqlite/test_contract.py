"""The SQLite storage under the contract."""

from __future__ import annotations

from tests.support.contracts import InSQLite


class TestSQLiteStorage(InSQLite):
    pass
