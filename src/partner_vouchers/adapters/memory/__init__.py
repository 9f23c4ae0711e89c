"""The in-memory storage: for tests, for trying things out, and to show how little an adapter needs.

Read it in this order: `tables` (what is kept), `unit` (how a transaction is undone), the repositories in
`lists`, `codes` and `records`, `imports` (how codes come in), `storage` (who may work when).
"""

from partner_vouchers.adapters.memory.storage import MemoryStorage

__all__ = ["MemoryStorage"]
