"""The protocols of a storage.

A host that keeps its data elsewhere writes a class for each protocol. An adapter stores what it is given, reports
facts and decides nothing: the rules are in `domain`. Import all of them from `partner_vouchers.ports`.

**Optional methods.** A method whose description says "It has a body" is computed from the others, if your class
inherits from the protocol. Override it where your storage can do it faster.

**Transactions.** `Storage.begin()` opens a transaction. `commit()` makes all its changes visible at once; without it,
none of them. Two transactions that write the same rows behave as if one ran after the other. A commit is as durable
as the storage.

**Ids.** Ids of lists, uploads and codes are strings that the storage makes and never uses again.

**Pages.** `after` and `before` are the id or position of the last entry of the page before, also if that entry is
gone (a code that was taken since), or None for the first page. `limit` is the most entries to return. A string that
cannot be an id of the storage finds nothing. The result for an id of another kind of thing is undefined.

**None.** A filter that is None lets everything pass: all lists, all days. `now` is the present instant.

**Strings.** The library checks strings before it stores them: none has a lone surrogate. Names, tags and ids of users
and campaigns are one line without control characters. Descriptions may have line breaks and tabs. Codes may have any
character but NUL, if a host's own rules allow it. A refused row (`RowFault.raw`) may have any character, NUL
included. Strings are compared and ordered by code points.

**Missing rows.** Ids are strings. A look-up returns None or nothing for a string that is no id, whatever its form. A
change of a list or an upload, or of something that belongs to one, raises `UnknownList` or `UnknownUpload` if it does
not exist. Removing something that does not exist does nothing. Storing something twice that may exist once raises a
`StorageError`.

**Errors.** An adapter raises only errors of this library, at the latest when the context of the transaction is left:
`StorageBusy` if the call can be repeated as it is, another `StorageError` for any other failure.

**Repeats.** `TransactionConflict` (a deadlock, a serialisation failure) and `ConnectionLost` say that the transaction
was rolled back before its commit, that nothing was stored, and that a repeat may succeed at once. The library then
repeats the whole call in a new transaction, a few times. So raise neither if the commit may have succeeded
(`CommitOutcomeUnknown`), after it succeeded, or after waiting for a time limit (`StorageBusy`). A storage that never
raises them leaves all repeating to the caller.

**Abilities that may be left out.** A storage may keep no reservations, limits, refusals or revocations: these
attributes of its transaction then raise `Unsupported`, as they do by themselves if its class inherits from
`OptionalParts`. The methods with a body that mention them (`Assignments.holding`, `Campaigns.offer`) are right as they
are for such a storage.

The contract tests in `partner_vouchers.testing` check these rules.
"""

from partner_vouchers.ports.codes import Assignments, Codes, Holding, IdempotencyKeys, Taken, TakenCode
from partner_vouchers.ports.deliveries import Deliveries
from partner_vouchers.ports.imports import CodeImport, Judge
from partner_vouchers.ports.journal import Audit, AuditEntry, Leases, Outbox, OutboxEntry, Settings, Unordered
from partner_vouchers.ports.lists import Campaigns, ListOrder, ListQuery, Lists, Offer, Partners, SortKey
from partner_vouchers.ports.redemptions import HeldEntries, Redemptions, Reports, Uses
from partner_vouchers.ports.reservations import Limits, Refusals, Reservations, RunOut
from partner_vouchers.ports.revocations import Revocations, Unsent
from partner_vouchers.ports.sinks import EventSink, Rejection
from partner_vouchers.ports.storage import AsyncHostConnection, Clock, SharesCommits, Storage
from partner_vouchers.ports.transaction import OptionalParts, Transaction
from partner_vouchers.ports.uploads import Uploads
from partner_vouchers.ports.users import Users

__all__ = [
    "Assignments",
    "AsyncHostConnection",
    "Audit",
    "AuditEntry",
    "Campaigns",
    "Clock",
    "CodeImport",
    "Codes",
    "Deliveries",
    "EventSink",
    "HeldEntries",
    "Holding",
    "IdempotencyKeys",
    "Judge",
    "Leases",
    "Limits",
    "ListOrder",
    "ListQuery",
    "Lists",
    "Offer",
    "OptionalParts",
    "Outbox",
    "OutboxEntry",
    "Partners",
    "Redemptions",
    "Refusals",
    "Rejection",
    "Reports",
    "Reservations",
    "Revocations",
    "RunOut",
    "Settings",
    "SharesCommits",
    "SortKey",
    "Storage",
    "Taken",
    "TakenCode",
    "Transaction",
    "Unordered",
    "Unsent",
    "Uploads",
    "Users",
    "Uses",
]
