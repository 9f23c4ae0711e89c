"""What a storage owes to the library.

A host that keeps its data elsewhere writes a class for each protocol here; `adapters/memory` shows how
little that takes. An adapter obeys: it keeps what it is given, reports facts, and decides nothing. Rules
stand in `domain`.

**Transactions.** `Storage.begin()` opens one; all that is done through it becomes visible to others at
once by `commit()`, or not at all. Two transactions that write the same things behave as if one ran after
the other. Whatever is committed is durable, as far as the storage is.

**Identity.** Ids of lists, uploads and codes are strings that the storage gives and never uses again.

**What is not there.** A look-up returns None or nothing for an id that nobody has, whatever its form. A change
of a list or an upload that does not exist raises `UnknownList` or `UnknownUpload`, or changes nothing. What may
be stored only once raises a `StorageError` the second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from attrs import field, frozen

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.events import Event, Recorded
from partner_vouchers.domain.lifecycle import State, StatusCriteria
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, Upload
from partner_vouchers.domain.voucher_list import VoucherList

Clock = Callable[[], datetime]
"""Returns the present instant as an aware datetime."""


class Partners(Protocol):
    """The partners."""

    def add(self, partner: Partner) -> bool:
        """Store a new partner; return False, and store nothing, where the name exists."""
        ...

    def get(self, name: str) -> Partner | None:
        """Return the partner of exactly this name."""
        ...

    def all(self) -> list[Partner]:
        """Return all partners, ordered by name as strings of code points."""
        ...


class ListOrder(StrEnum):
    """By what a page of lists is sorted; a `-` before it turns the order round."""

    UPDATED = "updated_at"
    CREATED = "created_at"
    EXPIRES = "expires_at"
    PARTNER = "partner"
    TAG = "tag"
    NAME = "name"
    UPLOADED = "uploaded"
    DISTRIBUTED = "distributed"


SortKey = str | int | datetime
"""The value by which a list is sorted."""


@frozen
class ListQuery:
    """Which lists, in which order, from where on.

    Attributes:
        partner: only lists of this partner.
        criteria: only lists that meet it; None for all that are not deleted.
        text: only lists in whose `search_text` this stands; folded already.
        order: by what to sort; equal ones by id.
        descending: whether the greatest comes first.
        after: only those that come after the list with this sort key and id, in the order asked for.
        limit: how many at the most.
    """

    partner: str | None
    criteria: StatusCriteria | None
    text: str | None
    order: ListOrder
    descending: bool
    after: tuple[SortKey, str] | None
    limit: int


class Lists(Protocol):
    """The voucher lists. The storage keeps the counters, the announced level and the number of campaigns itself."""

    def new_id(self) -> str:
        """Return an id that no list ever had: the decimal form of a number that only grows."""
        ...

    def add(self, voucher_list: VoucherList) -> None:
        """Store a new list, without codes."""
        ...

    def get(self, list_id: str) -> VoucherList | None:
        """Return a list, or None where there is none or it was removed."""
        ...

    def with_tag(self, partner: str, tag: str) -> VoucherList | None:
        """Return the list of this partner and tag that is not archived. There is at most one."""
        ...

    def save(self, voucher_list: VoucherList) -> None:
        """Replace the stored list by its next version: every field except those that the storage keeps.

        Raises:
            StaleVersion: the stored version is not the one before `voucher_list.version`.
        """
        ...

    def remove(self, list_id: str) -> None:
        """Make a list with its codes, uploads and links disappear, at a cost that does not grow with its codes."""
        ...

    def find(self, query: ListQuery) -> list[VoucherList]:
        """Return a page of lists."""
        ...

    def announce(self, list_id: str, level: StockLevel) -> None:
        """Remember the stock level that was announced."""
        ...

    def touch(self, list_id: str, now: datetime) -> None:
        """Set `updated_at`, and leave the version as it is."""
        ...


class Campaigns(Protocol):
    """The links between lists and campaigns."""

    def put(self, link: CampaignLink) -> None:
        """Store a link, or replace the one of the same list and campaign; its age stays that of the first."""
        ...

    def remove(self, list_id: str, campaign_id: str) -> bool:
        """Remove a link; return whether there was one."""
        ...

    def get(self, list_id: str, campaign_id: str) -> CampaignLink | None:
        """Return a link."""
        ...

    def of_list(self, list_id: str) -> list[CampaignLink]:
        """Return the links of a list, ordered by campaign id."""
        ...

    def of_campaign(self, campaign_id: str) -> list[tuple[CampaignLink, VoucherList]]:
        """Return the links of a campaign with their lists, ordered by priority, then age of the link.

        The counters and the announced level of these lists need not be up to date: `Codes.take` tells them.
        """
        ...


@frozen
class TakenCode:
    """A code taken out of a list.

    Attributes:
        id: the id of the code, which becomes the id of its assignment.
        code: the voucher code, masked in the repr.
    """

    id: str
    code: str = field(repr=mask)


@frozen
class Taken:
    """What was taken out of a list, and what is left.

    Attributes:
        codes: the codes, in upload order.
        counts: the counters of the list, after the taking.
        announced: the stock level of the list that was announced last.
    """

    codes: Sequence[TakenCode]
    counts: Counts
    announced: StockLevel


class Codes(Protocol):
    """The codes of the lists that were published, and were not withdrawn."""

    def take(self, list_id: str, limit: int) -> Taken:
        """Take up to `limit` of a list's available codes, in upload order, and count them as distributed.

        No code is ever taken twice. Fewer than `limit` codes, or none, are returned where no more are available.
        """
        ...

    def counts(self, list_id: str) -> Counts:
        """Return the counters of a list as of now, within the transaction."""
        ...

    def withdraw(self, upload_id: str) -> int:
        """Take back the codes of an upload that were not taken; count and return them."""
        ...

    def holder(self, scope: str, code: str, counts: Callable[[State], bool]) -> Holder | None:
        """Return which list of a scope holds a code, where `counts` says that the codes of such a list count."""
        ...

    def remaining(self, list_id: str, after: str | None, limit: int) -> list[TakenCode]:
        """Return available codes of a list in the order in which they would be taken, after the one with an id."""
        ...


class Assignments(Protocol):
    """Who has which code."""

    def add(self, assignments: Sequence[Assignment]) -> None:
        """Store assignments of codes that were taken in this transaction, and their events, one for one.

        The event of an assignment (`Assignment.event`) goes into the outbox with it, in the order given.
        A code, and likewise an ordinal of a user in a campaign or else list, can be stored only once.
        """
        ...

    def latest(self, user_id: str, campaign_id: str | None, list_id: str | None) -> Assignment | None:
        """Return the user's assignment with the greatest ordinal in a campaign, or of a list asked directly."""
        ...

    def latest_of_many(
        self, user_ids: Sequence[str], campaign_id: str | None, list_id: str | None
    ) -> dict[str, Assignment]:
        """Return `latest` for each user who has one."""
        ...

    def get_many(self, ids: Sequence[str]) -> list[Assignment]:
        """Return the assignments with these ids, in this order."""
        ...

    def of_user(self, user_id: str) -> list[Assignment]:
        """Return a user's assignments, the oldest first."""
        ...

    def of_code(self, code: str) -> list[Assignment]:
        """Return the assignments of a code in all lists, archived ones too, the oldest list first."""
        ...

    def of_list(self, list_id: str, after: str | None, limit: int) -> list[Assignment]:
        """Return assignments of a list in the order of their codes, after the one with an id."""
        ...


class IdempotencyKeys(Protocol):
    """The results of requests that carried an idempotency key; kept for ever."""

    def get(self, key: str) -> tuple[str, tuple[str, ...]] | None:
        """Return the fingerprint of a key's request and the ids of the assignments that it led to."""
        ...

    def put(self, key: str, fingerprint: str, assignment_ids: tuple[str, ...]) -> None:
        """Store a key. It must not exist."""
        ...


@frozen
class OutboxEntry:
    """An event on its way to the sinks.

    Attributes:
        id: unique among all events of all storages, for ever; a receiver can tell repeats by it.
        position: grows with each entry of a storage, in the order of commits.
        event: what happened.
    """

    id: str
    position: int
    event: Event


class Outbox(Protocol):
    """The events that were committed with what caused them."""

    def append(self, events: Sequence[Event]) -> None:
        """Store events other than those of assignments, which come with `Assignments.add`."""
        ...

    def read(self, after: int, limit: int) -> list[OutboxEntry]:
        """Return the entries after a position, in order."""
        ...


@frozen
class AuditEntry:
    """A change in the audit log.

    Attributes:
        position: grows with each entry.
        actor: who made the change, or None where the host did not say.
        event: what was changed, when, from what to what.
    """

    position: int
    actor: str | None
    event: Recorded


class Audit(Protocol):
    """The log of changes. Nothing in it is ever changed or removed."""

    def append(self, actor: str | None, events: Sequence[Recorded]) -> None:
        """Add changes."""
        ...

    def entries(self, list_id: str | None, actor: str | None, after: int, limit: int) -> list[AuditEntry]:
        """Return the entries after a position, in order, of a list and of an actor where these are given."""
        ...


class Uploads(Protocol):
    """The upload log, with the files and the refused rows."""

    def new_id(self) -> str:
        """Return an id that no upload ever had: the decimal form of a number that only grows."""
        ...

    def add(self, upload: Upload) -> None:
        """Store a new entry."""
        ...

    def save(self, upload: Upload) -> None:
        """Replace an entry."""
        ...

    def get(self, upload_id: str) -> Upload | None:
        """Return an entry."""
        ...

    def of_list(self, list_id: str, before: str | None, limit: int) -> list[Upload]:
        """Return entries of a list, the newest first, older than the one with an id."""
        ...

    def running(self) -> list[Upload]:
        """Return all entries that are in progress, the oldest first."""
        ...

    def completed_with(self, list_id: str, sha256: str) -> Upload | None:
        """Return the latest completed upload of a file to a list."""
        ...

    def add_piece(self, upload_id: str, index: int, data: bytes) -> None:
        """Store one piece of the original file, the first with index 0."""
        ...

    def piece(self, upload_id: str, index: int) -> bytes | None:
        """Return a piece of the original file, or None after the last."""
        ...

    def faults(self, upload_id: str, after_line: int, limit: int) -> list[RowFault]:
        """Return refused rows in the order of their lines, after a line."""
        ...


class Leases(Protocol):
    """Promises that one process works on a thing, which end by themselves when that process is silent or dead."""

    def take(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Take or renew a lease; return False where another holder has it.

        A lease that ended before `now`, or whose holder the storage knows to be dead, is free.
        """
        ...

    def held(self, name: str, holder: str) -> bool:
        """Return whether this holder is the last who took the lease."""
        ...

    def release(self, name: str, holder: str) -> None:
        """Give a lease back, where this holder has it."""
        ...


class Settings(Protocol):
    """What the storage remembers about how it was set up."""

    def get(self, name: str) -> str | None:
        """Return a setting."""
        ...

    def put(self, name: str, value: str) -> None:
        """Store a setting."""
        ...


class Transaction(Protocol):
    """All that can be done in one transaction."""

    @property
    def partners(self) -> Partners: ...
    @property
    def lists(self) -> Lists: ...
    @property
    def campaigns(self) -> Campaigns: ...
    @property
    def codes(self) -> Codes: ...
    @property
    def assignments(self) -> Assignments: ...
    @property
    def keys(self) -> IdempotencyKeys: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def uploads(self) -> Uploads: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def settings(self) -> Settings: ...

    def commit(self) -> None:
        """Make everything durable and visible. The transaction ends."""
        ...


Judge = Callable[[Holder], tuple[RowFaultKind, str]]
"""Says why a code that `Holder` has is refused."""


class CodeImport(Protocol):
    """The codes of one upload on their way into a list: private until they are published, all at once.

    The calls come in this order: `add` and `refuse` by turns while the file is read; then `check` alone, or
    `claim` and `publish`. A storage does the work in transactions of its own, each so short that others are
    not kept waiting. Leaving the context without `publish` gives up what was not published.
    """

    def add(self, lines: Sequence[int], codes: Sequence[str]) -> None:
        """Add valid codes with the lines of the file on which they stand, in the order of the file."""
        ...

    def refuse(self, faults: Sequence[RowFault]) -> None:
        """Add refused rows, to be kept with the upload, up to `MAX_KEPT_FAULTS`."""
        ...

    def check(self, judge: Judge, full: Callable[[], tuple[RowFaultKind, str]]) -> None:
        """Find what `claim` would refuse, without storing anything."""
        ...

    def claim(
        self,
        judge: Judge,
        full: Callable[[], tuple[RowFaultKind, str]],
        keep_alive: Callable[[Transaction], None],
    ) -> None:
        """Claim the codes in the scope of the list, in the order of the file, and refuse those that another holds.

        What another import has claimed counts as held, also before it is published. Of a code that stands twice
        in the file the first wins. Codes of lists that do not count (see
        `Storage.import_codes`), withdrawn codes and leftovers of uploads that were given up are taken over.
        Where the list would receive more than `stock.CAPACITY` codes, those at the end of the file are refused
        with `full()`.

        Args:
            judge: says why a code is refused.
            full: says why a code is refused that does not fit.
            keep_alive: called in each transaction before it commits; what it raises ends the import.
        """
        ...

    @property
    def refused(self) -> dict[RowFaultKind, int]:
        """How many rows were refused so far, by reason."""
        ...

    def sample(self, limit: int) -> list[RowFault]:
        """Return the first refused rows, in the order of their lines."""
        ...

    def save_faults(self, keep_alive: Callable[[Transaction], None]) -> None:
        """Keep the refused rows with the upload."""
        ...

    def publish(self, tx: Transaction) -> int:
        """Make the claimed codes available and count them as uploaded, when `tx` commits; return how many."""
        ...


class Storage(Protocol):
    """A storage. Any number of threads may use one."""

    def begin(self, *, write: bool = True) -> AbstractContextManager[Transaction]:
        """Open a transaction; leaving the context without `commit()` undoes it.

        Args:
            write: False for one that only reads, sees one state of the storage, and blocks nobody.

        Raises:
            StorageError: the storage cannot be used now; its subclasses say why.
        """
        ...

    def join(self, connection: object) -> Storage:
        """Return a storage whose transactions are part of the one that is open on a host's connection.

        Their `commit()` leaves everything to the host's commit or rollback; leaving the context without it
        undoes only what was done in the context.

        Raises:
            HostTransactionError: the connection is of a kind that this storage does not know, is connected to
                another database, or has no transaction that somebody would commit.
        """
        ...

    def import_codes(
        self, upload: Upload, scope: str, counts: Callable[[State], bool]
    ) -> AbstractContextManager[CodeImport]:
        """Open the import of an upload's codes.

        Args:
            upload: the upload, of which the list and, unless only `check` follows, the entry exist.
            scope: where the codes must be unique.
            counts: says whether the codes of a list with a state count as held.

        Raises:
            HostTransactionError: the storage is joined to a host's transaction.
        """
        ...

    def reclaim(self) -> None:
        """Free the space of removed lists, in short transactions. A storage may have nothing to do here."""
        ...

    def abandon(self, upload_id: str) -> None:
        """Clear away what a broken-off import of an upload left behind. Nothing of it was ever available.

        The pieces of its file are kept where the file was stored whole.
        """
        ...
