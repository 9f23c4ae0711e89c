"""The in-memory storage: for tests, for trying things out, and to show how little an adapter needs.

Read it in this order: `tables` (the stored data), `unit` (how a transaction is undone), the repositories in
`lists`, `codes` and `records`, `imports` (uploads), `storage` (the writer lock).
"""

from partner_vouchers.adapters.memory.storage import MemoryStorage

__all__ = ["MemoryStorage"]
