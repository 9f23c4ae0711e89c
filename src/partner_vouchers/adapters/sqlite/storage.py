"""`SQLiteStorage`: one file, any number of threads and processes of one machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from partner_vouchers.adapters.sql.campaigns import Catalog
from partner_vouchers.adapters.sqlite.contexts import (
    OneConnection,
    ReadContext,
    TransactionContext,
    Turn,
    WriteContext,
)
from partner_vouchers.adapters.sqlite.driver import Connections, translated
from partner_vouchers.adapters.sqlite.host import HostTransaction
from partner_vouchers.adapters.sqlite.importing import SQLiteCodeImport
from partner_vouchers.adapters.sqlite.reclaim import abandon_failed_uploads, abandon_upload, reclaim_lists
from partner_vouchers.adapters.sqlite.schema import upgrade
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import InvalidInput

Synchronous = Literal["FULL", "NORMAL", "EXTRA"]


class SQLiteStorage:
    """A storage in a SQLite database, which may hold the host's own tables too: ours begin with `pv_`.

    The file and its tables are created and upgraded when it is opened. It is put into WAL mode. Each thread
    uses connections of its own.

    Example:
        >>> from partner_vouchers.adapters.sqlite import SQLiteStorage
        >>> storage = SQLiteStorage("vouchers.db")
    """

    def __init__(
        self, path: str | os.PathLike[str], *, synchronous: Synchronous = "FULL", busy_timeout: float = 30.0
    ) -> None:
        """Open or create a storage.

        Args:
            path: the database file.
            synchronous: SQLite's setting: with `FULL` what was committed survives a loss of power; with `NORMAL`
                the last commits before it may be lost, but never a part of one.
            busy_timeout: seconds to wait for other writers.

        Raises:
            NotAPartnerVouchersStorage: the file is not a database.
            SchemaTooNew: a newer version of this library has upgraded it.
            StorageError: it cannot be opened.
            InvalidInput: `path` names no file.
        """
        name = os.fsdecode(path)
        if name in ("", ":memory:") or name.startswith("file:") or "\0" in name:
            raise InvalidInput(
                field="path",
                reason="must name a file; for a storage in memory use adapters.memory.MemoryStorage",
            )
        if synchronous not in ("FULL", "NORMAL", "EXTRA"):
            raise InvalidInput(field="synchronous", reason="must be 'FULL', 'NORMAL' or 'EXTRA'")
        # A later change of the working directory must not lead to another file.
        self._path = str(Path(name).absolute())
        self._timeout = busy_timeout
        self._connections = Connections(self._path, synchronous, busy_timeout)
        self._turn = Turn()
        self._catalog = Catalog()
        connection = self._connections.borrow()
        try:
            upgrade(connection, busy_timeout)
        except sqlite3.Error as error:
            raise translated(error) from error
        finally:
            self._connections.give_back(connection)

    def begin(self, *, write: bool = True) -> TransactionContext:
        """See `ports.Storage`."""
        if write:
            return WriteContext(self._turn, self._connections, self._catalog, self._timeout)
        return ReadContext(self._connections, self._catalog, self._timeout)

    def join(self, connection: object) -> HostTransaction:
        """See `ports.Storage`. The host's connection is a `sqlite3.Connection` to the same file."""
        return HostTransaction(connection, self._path, self._catalog, self._timeout)

    def import_codes(self, upload: Upload, scope: str, counts: Callable[[State], bool]) -> SQLiteCodeImport:
        """See `ports.Storage`."""
        return SQLiteCodeImport(self._connections.open, self._write_on, self._catalog, upload, scope, counts)

    def abandon(self, upload_id: str) -> None:
        """See `ports.Storage`."""
        abandon_upload(self.begin, upload_id)

    def reclaim(self) -> None:
        """See `ports.Storage`."""
        abandon_failed_uploads(self.begin)
        reclaim_lists(self.begin)

    def _write_on(self, connection: sqlite3.Connection) -> TransactionContext:
        return WriteContext(self._turn, OneConnection(connection), self._catalog, self._timeout)

    def close(self) -> None:
        """Close the idle connections of this thread; those of other threads are closed when these end."""
        self._connections.close()
