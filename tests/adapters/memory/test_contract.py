"""The in-memory storage under the contract."""

from __future__ import annotations

from tests.support.contracts import InMemory


class TestMemoryStorage(InMemory):
    pass
