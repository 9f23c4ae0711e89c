"""A storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import HostTransactionError
from partner_vouchers.ports.imports import CodeImport
from partner_vouchers.ports.transaction import Transaction

Clock = Callable[[], datetime]
"""Returns the present instant as an aware datetime."""


class AsyncHostConnection(NamedTuple):
    """A connection of an asynchronous driver, in a greenlet that can wait for it.

    Attributes:
        driver: the driver's connection.
        wait_for: waits for an awaitable on the event loop, and returns its result.
    """

    driver: Any
    wait_for: Callable[[Awaitable[Any]], Any]


T = TypeVar("T")


class SharesCommits(Protocol):
    """An optional ability of a storage: threads that write at the same time share one durable commit."""

    def run_shared(self, work: Callable[[Transaction], T]) -> T:
        """Run a function in a transaction that writes, in this thread or another one; return what it returns.

        Args:
            work: commits the transaction that it is given. It may be run more than once, and by another thread.

        Raises:
            StorageError: as for `Storage.begin`. A shared commit that fails is the error of every call that shared it.
            Exception: what `work` raises.
        """


class Storage(Protocol):
    """A storage. Any number of threads may use one."""

    def begin(self, *, write: bool = True) -> AbstractContextManager[Transaction]:
        """Open a transaction; leaving the context without `commit()` undoes it.

        Args:
            write: False for one that only reads, sees one state of the storage, and blocks no other transaction.
                Writing in it is an error: the call or the commit raises an error of this library, or nothing is stored.

        Raises:
            StorageError: the storage cannot be used now; its subclasses say why.
            TransactionConflict: within the context: it was given up; see "Repeats" in `partner_vouchers.ports`.
            ConnectionLost: likewise.
        """

    def join(self, connection: object) -> Storage:  # noqa: ARG002 - for those that know connections
        """Return a storage whose transactions are part of the one that is open on a host's connection.

        Their `commit()` leaves everything to the host's commit or rollback; leaving the context without it
        undoes only what was done in the context. What works in transactions of its own has no place there: on the
        storage returned `import_codes`, `abandon` and `join` raise `HostTransactionError`, and `reclaim` does
        nothing.

        It has a body, which refuses every connection.

        Raises:
            HostTransactionError: the connection is of a kind that this storage does not know, is connected to
                another database, or has no transaction that the host would commit.
        """
        raise HostTransactionError(reason="this storage has no connection that could be joined")

    def import_codes(
        self, upload: Upload, scope: str, counts: Callable[[State], bool]
    ) -> AbstractContextManager[CodeImport]:
        """Open the import of an upload's codes.

        Args:
            upload: the upload, of which the list and, unless only `check` follows, the entry exist.
            scope: where the codes must be unique.
            counts: says whether the codes of a list with a state count as held: `counts_for_duplicates` of
                `domain.duplicates`.

        Raises:
            HostTransactionError: the storage is joined to a host's transaction.
        """

    def reclaim(self, seconds: float | None = None) -> None:  # noqa: ARG002 - for those that free space
        """Free the space of deleted lists and failed uploads, in short transactions.

        It has a body, for a storage that has nothing to do here.

        Args:
            seconds: after about how long to stop, and leave the rest to the next call; None to free all.
        """
        # Without a statement, type checkers would require it of every class.
        return

    def abandon(self, upload_id: str) -> None:
        """Clear away what the import of an upload that has ended as Failed left behind.

        The pieces of its file are kept where the file was stored whole.
        """
