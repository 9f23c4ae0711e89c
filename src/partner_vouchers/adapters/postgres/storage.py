"""`PostgresStorage`: one database, any number of threads, processes and hosts."""

from __future__ import annotations

from collections.abc import Callable

from partner_vouchers.adapters.postgres.connections import Connections, Pool
from partner_vouchers.adapters.postgres.contexts import OwnConnectionContext, OwnContext
from partner_vouchers.adapters.postgres.host import HostTransaction, Identity, seen_by
from partner_vouchers.adapters.postgres.importing import PostgresCodeImport
from partner_vouchers.adapters.postgres.liveness import Liveness
from partner_vouchers.adapters.postgres.names import Names
from partner_vouchers.adapters.postgres.reclaim import abandon_dead_imports, abandon_upload, reclaim_lists
from partner_vouchers.adapters.postgres.schema import schema_sql, upgrade
from partner_vouchers.adapters.postgres.shared import Shared
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import Upload
from partner_vouchers.ports.storage import Storage


class PostgresStorage(Storage):
    """A storage in a PostgreSQL database, which may hold the host's own tables too: ours have a prefix.

    The tables are made by `migrate`, once. Any number of threads, processes and machines may use one storage.

    Example:
        >>> from partner_vouchers.adapters.postgres import PostgresStorage
        >>> storage = PostgresStorage("postgresql://shop@db.example/shop")
        >>> storage.close()
    """

    def __init__(
        self,
        conninfo: str | Pool,
        *,
        prefix: str = "pv_",
        schema: str | None = None,
        max_connections: int = 10,
        timeout: float = 30.0,
    ) -> None:
        """Say where the storage is; nothing is connected yet.

        Args:
            conninfo: how to connect, as `psycopg.connect` takes it (what it cannot read is an `InvalidInput`); or a
                pool of the host's, such as `psycopg_pool.ConnectionPool`.
            prefix: what the names of the tables begin with.
            schema: the schema that they are in; None for the first of the connection's `search_path`.
            max_connections: how many connections to keep at the most, 3 or more; one of them is for leases. Not for a
                host's pool.
            timeout: seconds to wait for a connection, and for a lock of others. Not for a host's pool.

        Raises:
            InvalidInput: `prefix` or `schema` cannot name tables, `conninfo` is neither text nor a pool, or
                `max_connections` is too few.
        """
        self._names = Names(prefix, schema)
        self._connections = Connections(conninfo, max_connections=max_connections, timeout=timeout)
        self._shared = Shared(self._names, Liveness(self._connections))
        self._identity: Identity | None = None

    def __repr__(self) -> str:
        return f"PostgresStorage({self._names.table('*')})"

    def migrate(self) -> None:
        """Make the tables, or bring them to the version that this library needs. Whatever is there stays.

        Call it when the host is deployed. It does nothing if there is nothing to do, and others who call it at the
        same time wait.

        Raises:
            SchemaTooNew: a newer version of this library has upgraded them.
            NotAPartnerVouchersStorage: a table of that name belongs to another program.
            StorageError: the database is not encoded in UTF-8, or cannot be used.
        """
        lent = self._connections.lend("transaction")
        try:
            with OwnConnectionContext(self._shared, lent.connection) as tx:
                upgrade(tx.session)
                tx.commit()
        finally:
            lent.end()

    def schema_sql(self, *, after: int = 0) -> str:
        """Return the SQL that `migrate` executes, for a host that keeps its migrations with Alembic or Django.

        Args:
            after: the version of the tables that are there; 0 for none. `SCHEMA_VERSION` is the newest.

        Raises:
            InvalidInput: there is no version `after`.
        """
        return schema_sql(self._names, after)

    def begin(self, *, write: bool = True) -> OwnContext:
        return OwnContext(self._shared, self._connections, write=write)

    def join(self, connection: object) -> HostTransaction:
        """Join the transaction of a `psycopg.Connection` to the same database."""
        return HostTransaction(connection, self._shared, self._identify)

    def import_codes(self, upload: Upload, scope: str, counts: Callable[[State], bool]) -> PostgresCodeImport:
        return PostgresCodeImport(self._shared, self._connections, upload, scope, counts)

    def abandon(self, upload_id: str) -> None:
        abandon_upload(self.begin, upload_id)

    def reclaim(self, seconds: float | None = None) -> None:
        if seconds is None:
            abandon_dead_imports(self.begin)
        reclaim_lists(self.begin, seconds)

    def close(self) -> None:
        """Close the connections. A host's pool is left alone."""
        self._shared.liveness.close()
        self._connections.close()

    def _identify(self, again: bool) -> Identity | None:
        """Return what identifies the tables of this storage; with `again`, ask the server even if it is known."""
        if again or self._identity is None:
            with self.begin(write=False) as tx:
                self._identity = seen_by(tx.session)[0]
        return self._identity
