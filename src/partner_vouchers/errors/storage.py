"""Storages, and the transactions of hosts."""

from typing import ClassVar

from partner_vouchers.errors.base import PartnerVouchersError, structured


@structured
class StorageError(PartnerVouchersError):
    """The storage failed. Unless the message says otherwise, nothing of the call was stored.

    Attributes:
        reason: what happened, and what to do.
    """

    code: ClassVar[str] = "storage_error"
    reason: str

    def __str__(self) -> str:
        return self.reason


class StorageBusy(StorageError):
    """Others held the storage's lock for longer than the time-out; the call can be repeated."""

    code = "storage_busy"


@structured
class TransactionConflict(StorageBusy):
    """The transaction got in the way of another one, so that it was given up; nothing was stored.

    The library repeats its own transactions, but not a host's: roll that back and begin it again.

    Attributes:
        attempts: how many transactions the library made of the call.
    """

    code: ClassVar[str] = "transaction_conflict"
    attempts: int = 1


class StorageFull(StorageError):
    """The disk is full; the call can be repeated after space was made."""

    code = "storage_full"


class StorageUnavailable(StorageError):
    """The server cannot be reached, or ended the connection; nothing was stored, and the call can be repeated."""

    code = "storage_unavailable"


@structured
class ConnectionLost(StorageUnavailable):
    """The connection was lost before the transaction was committed; nothing was stored.

    The library repeats its own transactions, but not a host's: begin that again on another connection.

    Attributes:
        attempts: how many transactions the library made of the call.
    """

    code: ClassVar[str] = "connection_lost"
    attempts: int = 1


class CommitOutcomeUnknown(StorageError):
    """The connection was lost while the transaction was committed: all of it was stored, or nothing.

    A repeat with the same idempotency key returns what was stored, and does it where nothing was.
    """

    code = "commit_outcome_unknown"


class StorageNotMigrated(StorageError):
    """The tables are not there, older than this library, or copied from another server; `migrate()` mends it."""

    code = "storage_not_migrated"


class NotAPartnerVouchersStorage(StorageError):
    """The file is not a database, or a database that belongs to another program."""

    code = "not_a_partner_vouchers_storage"


@structured
class SchemaTooNew(PartnerVouchersError):
    """The storage was upgraded by a newer version of this library.

    Attributes:
        found: the version of the stored schema.
        supported: the newest version that this library knows.
    """

    code: ClassVar[str] = "schema_too_new"
    found: int
    supported: int

    def __str__(self) -> str:
        return (
            f"the storage has schema version {self.found}, this library knows up to {self.supported}; "
            f"upgrade partner_vouchers"
        )


@structured
class DuplicatePolicyMismatch(PartnerVouchersError):
    """The storage was set up with another duplicate policy.

    Attributes:
        stored: the name of the policy that the storage was set up with.
        given: the name of the policy passed now.
    """

    code: ClassVar[str] = "duplicate_policy_mismatch"
    stored: str
    given: str

    def __str__(self) -> str:
        return (
            f"the storage was set up with the duplicate policy {self.stored!r}, not {self.given!r}; "
            f"open it with {self.stored!r}, or set up a new storage"
        )


@structured
class HostTransactionError(PartnerVouchersError):
    """Something cannot be done in a host's own transaction, or there is none.

    Attributes:
        reason: what is wrong, and what to do.
    """

    code: ClassVar[str] = "host_transaction"
    reason: str

    def __str__(self) -> str:
        return self.reason
