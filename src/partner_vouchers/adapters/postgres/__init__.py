"""A storage in a PostgreSQL database: for when one machine is outgrown."""

try:
    import psycopg as _driver  # noqa: F401 - it needs psycopg, which needs libpq
except ImportError as _missing:
    raise ImportError(
        f"PostgreSQL needs psycopg: install partner-vouchers[postgres] and 'psycopg[binary]' ({_missing})",
        name="psycopg",
    ) from _missing

from partner_vouchers.adapters.postgres.connections import Pool
from partner_vouchers.adapters.postgres.schema import SCHEMA_VERSION
from partner_vouchers.adapters.postgres.storage import PostgresStorage

__all__ = ["SCHEMA_VERSION", "Pool", "PostgresStorage"]
