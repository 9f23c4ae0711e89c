"""One transaction on one connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from partner_vouchers.adapters.sqlite.assignments import SQLiteAssignments, SQLiteIdempotencyKeys
from partner_vouchers.adapters.sqlite.catalog import Catalog
from partner_vouchers.adapters.sqlite.codes import SQLiteCodes
from partner_vouchers.adapters.sqlite.deliveries import SQLiteDeliveries
from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.adapters.sqlite.journal import SQLiteAudit, SQLiteLeases, SQLiteOutbox, SQLiteSettings
from partner_vouchers.adapters.sqlite.lists import SQLiteCampaigns, SQLiteLists, SQLitePartners
from partner_vouchers.adapters.sqlite.uploads import SQLiteUploads
from partner_vouchers.errors import StorageError


class SQLiteTransaction:
    """The repositories of one transaction, which `commit` ends."""

    def __init__(self, db: Database, catalog: Catalog, commit: Callable[[], None]) -> None:
        self._db = db
        self._catalog = catalog
        self._commit = commit

    @property
    def expired(self) -> bool:
        """Whether the transaction has ended."""
        return self._db is _ENDED

    def expire(self) -> None:
        """Make every further use an error."""
        self._db = _ENDED

    @property
    def catalog(self) -> Catalog:
        """What the storage remembers of its lists; each storage has one of its own."""
        return self._catalog

    @property
    def db(self) -> Database:
        """The connection, for the other parts of this adapter."""
        return self._db

    @property
    def partners(self) -> SQLitePartners:
        """See `ports.Partners`."""
        return SQLitePartners(self._db)

    @property
    def lists(self) -> SQLiteLists:
        """See `ports.Lists`."""
        return SQLiteLists(self._db)

    @property
    def campaigns(self) -> SQLiteCampaigns:
        """See `ports.Campaigns`."""
        return SQLiteCampaigns(self._db, self._catalog)

    @property
    def codes(self) -> SQLiteCodes:
        """See `ports.Codes`."""
        return SQLiteCodes(self._db)

    @property
    def assignments(self) -> SQLiteAssignments:
        """See `ports.Assignments`."""
        return SQLiteAssignments(self._db)

    @property
    def keys(self) -> SQLiteIdempotencyKeys:
        """See `ports.IdempotencyKeys`."""
        return SQLiteIdempotencyKeys(self._db)

    @property
    def outbox(self) -> SQLiteOutbox:
        """See `ports.Outbox`."""
        return SQLiteOutbox(self._db)

    @property
    def deliveries(self) -> SQLiteDeliveries:
        """See `ports.Deliveries`."""
        return SQLiteDeliveries(self._db)

    @property
    def audit(self) -> SQLiteAudit:
        """See `ports.Audit`."""
        return SQLiteAudit(self._db)

    @property
    def uploads(self) -> SQLiteUploads:
        """See `ports.Uploads`."""
        return SQLiteUploads(self._db)

    @property
    def leases(self) -> SQLiteLeases:
        """See `ports.Leases`."""
        return SQLiteLeases(self._db)

    @property
    def settings(self) -> SQLiteSettings:
        """See `ports.Settings`."""
        return SQLiteSettings(self._db)

    def commit(self) -> None:
        """See `ports.Transaction`."""
        self._commit()


class _Ended:
    """Stands in for the connection of a transaction that has ended."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> sqlite3.Cursor:
        raise StorageError(reason="the transaction has ended; open another one with storage.begin()")

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> sqlite3.Cursor:
        return self.execute(sql)


_ENDED = _Ended()
