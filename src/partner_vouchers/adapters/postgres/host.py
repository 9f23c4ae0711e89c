"""Take part in a transaction that a host opened on its own connection."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from partner_vouchers.adapters.postgres.bridge import BridgedConnection
from partner_vouchers.adapters.postgres.contexts import HostContext
from partner_vouchers.adapters.postgres.driver import Connection, Session
from partner_vouchers.adapters.postgres.shared import Shared
from partner_vouchers.adapters.simple.joined import JoinedStorage
from partner_vouchers.adapters.sql.outbox import STORAGE_ID
from partner_vouchers.errors import HostTransactionError
from partner_vouchers.ports import AsyncHostConnection

_ISOLATION = "read committed"

Identity = tuple[str, ...]
"""When the server was started, the numbers of a table and its database, and the id of the storage."""


class HostTransaction(JoinedStorage):
    """A storage whose transactions are parts of a host's, which the host alone commits."""

    def __init__(self, host: object, shared: Shared, identity: Callable[[bool], Identity | None]) -> None:
        if isinstance(host, AsyncHostConnection) and isinstance(host.driver, psycopg.AsyncConnection):
            host = BridgedConnection(host)
        if not isinstance(host, psycopg.Connection):
            raise HostTransactionError(
                reason="pass an open psycopg.Connection to the database of the storage, not "
                f"{type(host).__module__}.{type(host).__qualname__}"
            )
        self._connection: Connection = host
        self._shared = shared
        self._identity = identity
        with self._context(write=False):
            pass

    def begin(self, *, write: bool = True) -> HostContext:
        return self._context(write=write)

    def _context(self, *, write: bool) -> HostContext:
        return HostContext(self._shared, self._connection, self._check, write=write)

    def _check(self, session: Session) -> None:
        """Check that the connection sees the tables of the storage, and that it sees others' commits."""
        found, isolation = seen_by(session)
        if found is None:
            raise HostTransactionError(
                reason="the connection does not see the tables of the storage "
                f"({session.names.table('settings')}): it is to another database, or has another search_path"
            )
        known = self._identified(again=False)
        if known is not None and known[0] != found[0]:
            # The server may have restarted since the storage asked.
            known = self._identified(again=True)
        if found != known:
            raise HostTransactionError(
                reason="the connection sees the tables of another storage, or a copy of those of this one; open it "
                "on the server, database and schema of this storage"
            )
        if isolation != _ISOLATION:
            raise HostTransactionError(
                reason=f"the transaction is {isolation.upper()}, and would not see what others gave out since it "
                "began; begin it as READ COMMITTED"
            )
        self._shared.require_migrated(session)

    def _identified(self, *, again: bool) -> Identity | None:
        if isinstance(self._connection, BridgedConnection):
            return self._connection.in_thread(self._identity, again)
        return self._identity(again)


def seen_by(session: Session) -> tuple[Identity | None, str]:
    """Return what identifies the tables that a connection sees, or None, and the isolation level.

    A copy has the same id, made by the first migration, but is in another schema (another number of the table), in
    another database, or on another running server.
    """
    sql = """
        SELECT to_regclass(%s)::oid::text, d.oid::text, extract(epoch FROM pg_postmaster_start_time())::text,
               current_setting('transaction_isolation')
        FROM pg_database AS d WHERE d.datname = current_database()
    """
    table, database, server, isolation = session.execute(sql, (session.names.table("settings"),)).fetchall()[
        0
    ]
    if table is None:
        return None, isolation
    rows = session.execute("SELECT value FROM pv_settings WHERE name = %s", (STORAGE_ID,)).fetchall()
    return (server, table, database, *(row[0] for row in rows)), isolation
