"""`SQLiteStorage`: one file, any number of threads and processes of one machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

from partner_vouchers.adapters.sql.campaigns import Catalog
from partner_vouchers.adapters.sqlite.connections import Connections
from partner_vouchers.adapters.sqlite.contexts import ReadContext, TransactionContext, WriteContext
from partner_vouchers.adapters.sqlite.group_commit import SharedWrite
from partner_vouchers.adapters.sqlite.host import HostTransaction
from partner_vouchers.adapters.sqlite.importing import SQLiteCodeImport
from partner_vouchers.adapters.sqlite.reclaim import abandon_failed_uploads, abandon_upload, reclaim_lists
from partner_vouchers.adapters.sqlite.schema import upgrade
from partner_vouchers.adapters.sqlite.transaction import SQLiteTransaction
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports.storage import Storage

T = TypeVar("T")

Synchronous = Literal["FULL", "NORMAL", "EXTRA"]


class SQLiteStorage(Storage):
    """A storage in an SQLite database, which may hold your own tables too: ours begin with `pv_`.

    Any number of threads and processes of one machine can use the file. It is opened, created and upgraded by the
    first call, and put into WAL mode.

    Example:
        >>> from partner_vouchers.adapters.sqlite import SQLiteStorage
        >>> storage = SQLiteStorage("vouchers.db")
    """

    def __init__(
        self, path: str | os.PathLike[str], *, synchronous: Synchronous = "FULL", busy_timeout: float = 30.0
    ) -> None:
        """Name the file; nothing is opened yet.

        The first call can raise `NotAPartnerVouchersStorage` (the file is not a database, or of another program),
        `SchemaTooNew` (a newer version of this library has upgraded it), or another `StorageError`.

        Args:
            path: the database file.
            synchronous: SQLite's setting. With `FULL`, whatever was committed survives a loss of power; with
                `NORMAL` the last commits before it may be lost, but never a part of one.
            busy_timeout: seconds to wait for other writers, and before a fork for the transactions of other threads.

        Raises:
            InvalidInput: an argument has a wrong type, or `path` names no file.
        """
        # A later change of the working directory must not lead to another file.
        self._path = str(Path(_file_name(path)).absolute())
        if synchronous not in ("FULL", "NORMAL", "EXTRA"):
            raise InvalidInput(field="synchronous", reason="must be 'FULL', 'NORMAL' or 'EXTRA'")
        self._connections = Connections(self._path, synchronous, _seconds(busy_timeout), upgrade)
        self._catalog = Catalog()

    def __repr__(self) -> str:
        return f"SQLiteStorage({self._path!r})"

    def begin(self, *, write: bool = True) -> TransactionContext:
        return (WriteContext if write else ReadContext)(self._connections, self._catalog)

    def run_shared(self, work: Callable[[SQLiteTransaction], T]) -> T:
        """Run a function in a transaction that writes, in this thread or another one; return what it returns.

        Threads that call it at the same time share one durable commit.

        Args:
            work: commits the transaction that it is given. It may be run more than once, and by another thread.

        Raises:
            StorageError: as for `begin`.
            Exception: what `work` raises.
        """
        shared: SharedWrite[T] = SharedWrite(self._connections, self._catalog)
        return shared.run(work)

    def join(self, connection: object) -> HostTransaction:
        return HostTransaction(connection, self._connections, self._catalog)

    def import_codes(self, upload: Upload, scope: str, counts: Callable[[State], bool]) -> SQLiteCodeImport:
        return SQLiteCodeImport(self._connections, self._catalog, upload, scope, counts)

    def abandon(self, upload_id: str) -> None:
        abandon_upload(self.begin, upload_id)

    def reclaim(self, seconds: float | None = None) -> None:
        if seconds is None:
            abandon_failed_uploads(self.begin)
        reclaim_lists(self.begin, seconds)

    def close(self) -> None:
        """Close the connections that no thread uses now. The next call opens the file again."""
        self._connections.close()


def _file_name(path: object) -> str:
    if not isinstance(path, str | os.PathLike):
        raise InvalidInput(field="path", reason=f"must be a string or a path, not {type(path).__name__}")
    name = os.fspath(path)
    if name in ("", ":memory:") or (isinstance(name, str) and (name.startswith("file:") or "://" in name)):
        raise InvalidInput(
            field="path",
            reason="must be the path of a file, such as vouchers.db, and no address; for a storage in memory use "
            "adapters.memory.MemoryStorage",
        )
    with suppress(UnicodeEncodeError):
        if isinstance(name, str) and b"\0" not in os.fsencode(name):
            return name
    raise InvalidInput(field="path", reason="must be a path that the operating system accepts")


def _seconds(given: object) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given < threading.TIMEOUT_MAX:
        return float(given)
    raise InvalidInput(field="busy_timeout", reason="must be a number of seconds, 0 or more")
