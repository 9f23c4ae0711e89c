"""The tables: their SQL, their upgrade, and the check that they are there."""

from __future__ import annotations

from collections.abc import Sequence

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.errors import not_migrated
from partner_vouchers.adapters.postgres.names import Names
from partner_vouchers.adapters.sql.outbox import STORAGE_ID
from partner_vouchers.adapters.sql.tables import read_migration
from partner_vouchers.errors import InvalidInput, NotAPartnerVouchersStorage, SchemaTooNew, StorageError

_VERSION = "schema version"
_MIGRATIONS = ("0001.sql", "0002.sql", "0003.sql", "0004.sql")

SCHEMA_VERSION = len(_MIGRATIONS)
"""The newest version of the schema that this library knows."""


def schema_sql(names: Names, after: int = 0) -> str:
    """Return the SQL that brings tables of version `after` (0 for none) to the newest version.

    Raises:
        InvalidInput: there is no such version.
    """
    if type(after) is not int or after not in range(SCHEMA_VERSION + 1):
        raise InvalidInput(field="after", reason=f"must be a version from 0 to {SCHEMA_VERSION}")
    return "\n".join(_script(names, version) for version in range(after + 1, SCHEMA_VERSION + 1))


def upgrade(session: Session) -> None:
    """Bring the tables to the newest version, within a transaction. Other callers wait.

    Raises:
        SchemaTooNew: a newer version of this library was here.
        NotAPartnerVouchersStorage: a table of our name belongs to another program.
        StorageError: the database does not speak UTF-8, or the server refused.
    """
    session.lock_database()
    encoding = session.execute("SELECT current_setting('server_encoding')").fetchall()[0][0]
    if encoding != "UTF8":
        raise StorageError(reason=f"the database is encoded in {encoding}; create one with ENCODING 'UTF8'")
    stored = stored_version(session)
    if stored > SCHEMA_VERSION:
        raise SchemaTooNew(found=stored, supported=SCHEMA_VERSION)
    if stored == 0 and session.names.schema is not None:
        _create_schema(session, session.names.schema)
    for version in range(stored + 1, SCHEMA_VERSION + 1):
        # One script, many statements: without parameters the server takes them all at once.
        session.run(_script(session.names, version))


def require_version(session: Session) -> None:
    """Check that the tables are of the newest version.

    Raises:
        StorageNotMigrated: they are not there, or older.
        SchemaTooNew: a newer version of this library was here.
    """
    stored = stored_version(session)
    if stored > SCHEMA_VERSION:
        raise SchemaTooNew(found=stored, supported=SCHEMA_VERSION)
    if stored == 0:
        raise not_migrated("the tables of the storage are not there")
    if stored < SCHEMA_VERSION:
        raise not_migrated(f"the tables have version {stored}, this library needs {SCHEMA_VERSION}")


def stored_version(session: Session) -> int:
    """Return the version of the tables; 0 for none."""
    sql = "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
    columns = {row[0] for row in session.execute(sql, (session.names.table("settings"),)).fetchall()}
    if not columns:
        return 0
    rows: Sequence[tuple[str]] = []
    if {"name", "value"} <= columns:
        rows = session.execute("SELECT value FROM pv_settings WHERE name = %s", (_VERSION,)).fetchall()
    if not rows or not str(rows[0][0]).isdecimal():
        table = session.names.table("settings")
        raise NotAPartnerVouchersStorage(
            reason=f"the table {table} belongs to another program; choose another prefix or schema"
        )
    return int(rows[0][0])


def _create_schema(session: Session, schema: str) -> None:
    sql = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
    if not session.execute(sql, (schema,)).fetchall():
        session.run(f"CREATE SCHEMA {session.names.table('x').rpartition('.')[0]}")


def _script(names: Names, version: int) -> str:
    script = read_migration(
        "postgres", _MIGRATIONS[version - 1], lambda shared: shared.replace(" WITHOUT ROWID", "")
    )
    first = f"INSERT INTO pv_settings VALUES ('{STORAGE_ID}', gen_random_uuid());\n" if version == 1 else ""
    last = (
        f"INSERT INTO pv_settings VALUES ('{_VERSION}', '{version}')\n"
        "    ON CONFLICT (name) DO UPDATE SET value = excluded.value;\n"
    )
    return names.text(f"{script}\n{first}{last}")
