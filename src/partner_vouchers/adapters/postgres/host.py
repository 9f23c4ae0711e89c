"""Take part in a transaction that a host opened on its own connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import psycopg

from partner_vouchers.adapters.postgres.contexts import HostContext, require_transaction
from partner_vouchers.adapters.postgres.driver import Connection, Session
from partner_vouchers.adapters.postgres.schema import STORAGE_ID
from partner_vouchers.adapters.postgres.shared import Shared
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import HostTransactionError

_ISOLATION = "read committed"


class HostTransaction:
    """A storage whose transactions are parts of a host's, which the host alone commits."""

    def __init__(self, host: object, shared: Shared, storage_id: str) -> None:
        if not isinstance(host, psycopg.Connection):
            raise HostTransactionError(
                reason="pass an open psycopg.Connection to the database of the storage, not "
                f"{type(host).__module__}.{type(host).__qualname__}"
            )
        self._connection: Connection = host
        self._shared = shared
        self._storage_id = storage_id
        require_transaction(self._connection)
        try:
            with self._context(write=False):
                pass
        except psycopg.Error as error:
            raise HostTransactionError(
                reason=f"the connection cannot be used ({type(error).__name__})"
            ) from error

    def begin(self, *, write: bool = True) -> HostContext:
        """See `ports.Storage`."""
        return self._context(write=write)

    def join(self, connection: object) -> NoReturn:
        """See `ports.Storage`."""
        raise HostTransactionError(
            reason="this is within a host's transaction already; join the storage itself"
        )

    def import_codes(self, upload: Upload, scope: str, counts: Callable[[State], bool]) -> NoReturn:
        """See `ports.Storage`."""
        raise HostTransactionError(reason="codes cannot be imported within a host's transaction")

    def abandon(self, upload_id: str) -> NoReturn:
        """See `ports.Storage`."""
        raise HostTransactionError(reason="an upload cannot be abandoned within a host's transaction")

    def reclaim(self) -> None:
        """See `ports.Storage`: not within a host's transaction."""

    def _context(self, *, write: bool) -> HostContext:
        return HostContext(self._shared, self._connection, self._check, write=write)

    def _check(self, session: Session) -> None:
        """Check that the connection sees the tables of the storage, and that it sees others' commits."""
        settings = session.names.table("settings")
        found, isolation = session.execute(
            "SELECT to_regclass(%s), current_setting('transaction_isolation')", (settings,)
        ).fetchall()[0]
        if found is None:
            raise HostTransactionError(
                reason=f"the connection does not see the tables of the storage ({settings}): it is to another "
                "database, or has another search_path"
            )
        rows = session.execute("SELECT value FROM pv_settings WHERE name = %s", (STORAGE_ID,)).fetchall()
        if [row[0] for row in rows] != [self._storage_id]:
            raise HostTransactionError(
                reason="the connection is to the database of another storage; open it on the database of this one"
            )
        if isolation != _ISOLATION:
            raise HostTransactionError(
                reason=f"the transaction is {isolation.upper()}, and would not see what others gave out since it "
                "began; begin it as READ COMMITTED"
            )
        self._shared.require_migrated(session)
