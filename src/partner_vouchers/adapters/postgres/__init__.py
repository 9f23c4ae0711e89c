"""A storage in a PostgreSQL database: for when one machine is outgrown."""

from partner_vouchers.adapters.postgres.connections import Pool
from partner_vouchers.adapters.postgres.schema import SCHEMA_VERSION
from partner_vouchers.adapters.postgres.storage import PostgresStorage

__all__ = ["SCHEMA_VERSION", "Pool", "PostgresStorage"]
