"""A storage in a SQLite database: the default."""

from partner_vouchers.adapters.sqlite.storage import SQLiteStorage

__all__ = ["SQLiteStorage"]
