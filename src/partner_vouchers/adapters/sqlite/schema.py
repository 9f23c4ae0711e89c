"""Create and upgrade the tables; safe when two processes do it at once."""

from __future__ import annotations

import re
import sqlite3
from uuid import uuid4

from partner_vouchers.adapters.sql.outbox import STORAGE_ID
from partner_vouchers.adapters.sql.tables import read_migration
from partner_vouchers.adapters.sqlite.driver import retry_while_busy
from partner_vouchers.errors import NotAPartnerVouchersStorage, SchemaTooNew

_VERSION = "schema version"
_MIGRATIONS = ("0001.sql", "0002.sql", "0003.sql", "0004.sql", "0005.sql")

SCHEMA_VERSION = len(_MIGRATIONS)
"""The newest version of the schema that this library knows."""


def upgrade(connection: sqlite3.Connection, timeout: float) -> None:
    """Bring the tables of a database to the newest version, all at once or not at all.

    Raises:
        SchemaTooNew: a newer version of this library was here.
        sqlite3.Error: the database cannot be read or written.
    """
    if _version_seen(connection, timeout) == SCHEMA_VERSION:
        return
    retry_while_busy(connection, "BEGIN IMMEDIATE", timeout)
    try:
        stored = _stored_version(connection)
        if stored > SCHEMA_VERSION:
            raise SchemaTooNew(found=stored, supported=SCHEMA_VERSION)
        for name in _MIGRATIONS[stored:]:
            for statement in _statements(name):
                connection.execute(statement)
        if stored == 0:
            connection.executemany(
                "INSERT INTO pv_settings (name, value) VALUES (?, ?)",
                [(STORAGE_ID, uuid4().hex), ("catalog token", "")],
            )
        connection.execute(
            "INSERT OR REPLACE INTO pv_settings (name, value) VALUES (?, ?)", (_VERSION, str(SCHEMA_VERSION))
        )
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _version_seen(connection: sqlite3.Connection, timeout: float) -> int:
    connection.execute("BEGIN")
    try:
        # The first connection to the file rebuilds the index of its log, and locks out others meanwhile.
        retry_while_busy(connection, "SELECT 1 FROM sqlite_master", timeout)
        return _stored_version(connection)
    finally:
        connection.execute("ROLLBACK")


def _stored_version(connection: sqlite3.Connection) -> int:
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pv_settings'").fetchone()
    if exists is None:
        return 0
    row = connection.execute("SELECT value FROM pv_settings WHERE name = ?", (_VERSION,)).fetchone()
    if row is None or not str(row[0]).isdecimal():
        raise NotAPartnerVouchersStorage(
            reason="the table pv_settings belongs to another program; choose another database file"
        )
    return int(row[0])


def _statements(name: str) -> list[str]:
    statements, lines = list[str](), list[str]()
    for line in read_migration("sqlite", name, _with_types).splitlines():
        lines.append(line)
        if sqlite3.complete_statement("\n".join(lines)):
            statements.append("\n".join(lines))
            lines.clear()
    return statements


def _with_types(script: str) -> str:
    """Return tables that both databases share with the types of SQLite."""
    script = re.sub(r'\btext\b( COLLATE "C")?', "TEXT", script)
    script = re.sub(
        r"\b(bigint|integer|smallint|boolean)\b( GENERATED ALWAYS AS IDENTITY)?", "INTEGER", script
    )
    return re.sub(r" WITH \([^;]*\);", ";", script)
