"""What a storage owes to the library.

A host that keeps its data elsewhere writes a class for each protocol here. An adapter obeys: it keeps what it is
given, reports facts, and decides nothing. Rules stand in `domain`.

All are imported from `partner_vouchers.ports` itself, whatever module they stand in.

**What can be left out.** A method that says "It has a body" is worked out from the others, for whoever inherits from
the protocol. A storage that can do it faster does so itself.

**Transactions.** `Storage.begin()` opens one; all that is done through it becomes visible to others at
once by `commit()`, or not at all. Two transactions that write the same things behave as if one ran after
the other. Whatever is committed is durable, as far as the storage is.

**Identity.** Ids of lists, uploads and codes are strings that the storage gives and never uses again.

**Pages.** `after` and `before` are the id or position of the last entry of the page before, also where that is not
found any more, such as a code that was taken since. A text that no id of the storage looks like finds nothing. What
the id of something else finds is not promised.

**Texts.** The library checks texts before it stores them: none has a lone surrogate. Names, tags and ids of users and
campaigns stand on one line, without control characters. Descriptions may have line breaks and tabs; codes, under a
host's own rules, any character but NUL. The row of a file that was refused (`RowFault.raw`) may hold all characters,
NUL too. Texts are compared and ordered by code points.

**What is not there.** An id is a text. A look-up returns None or nothing for a text that is nobody's id, whatever
its form. What changes a list or an upload, or something that belongs to one, raises `UnknownList` or
`UnknownUpload` where there is none; taking away what is not there does nothing. What may be stored only once raises
a `StorageError` the second time.

**Errors.** An adapter raises errors of this library only, at the latest when the context of the transaction is left:
`StorageBusy` where the call can be repeated as it is, another `StorageError` for any other failure of what is below.

**Repeats.** By two errors an adapter says that it gave a transaction up before its commit, that nothing of it is
stored, and that a new one may do better at once: `TransactionConflict`, where it was in the way of another one
(a deadlock, a serialisation failure), and `ConnectionLost`. The library then does all of the call again in a new
transaction, a few times. So neither may be raised where the commit may have been made (`CommitOutcomeUnknown`), once
it was made, or after waiting for a time-out (`StorageBusy`), since the next attempt would wait again. A storage that
never raises them leaves all repeating to the caller.

The contract tests in `partner_vouchers.testing` check what is said here.
"""

from partner_vouchers.ports.codes import Assignments, Codes, IdempotencyKeys, Taken, TakenCode
from partner_vouchers.ports.deliveries import Deliveries
from partner_vouchers.ports.imports import CodeImport, Judge
from partner_vouchers.ports.journal import Audit, AuditEntry, Leases, Outbox, OutboxEntry, Settings
from partner_vouchers.ports.lists import Campaigns, ListOrder, ListQuery, Lists, Partners, SortKey
from partner_vouchers.ports.sinks import EventSink, Rejection
from partner_vouchers.ports.storage import Clock, Storage
from partner_vouchers.ports.transaction import Transaction
from partner_vouchers.ports.uploads import Uploads

__all__ = [
    "Assignments",
    "Audit",
    "AuditEntry",
    "Campaigns",
    "Clock",
    "CodeImport",
    "Codes",
    "Deliveries",
    "EventSink",
    "IdempotencyKeys",
    "Judge",
    "Leases",
    "ListOrder",
    "ListQuery",
    "Lists",
    "Outbox",
    "OutboxEntry",
    "Partners",
    "Rejection",
    "Settings",
    "SortKey",
    "Storage",
    "Taken",
    "TakenCode",
    "Transaction",
    "Uploads",
]
