"""The collaborators of every use case: the storage, the policies, the clock."""

from __future__ import annotations

import functools
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar, TypeVarTuple

from attrs import define, field, frozen

from partner_vouchers.domain.codes import CodeRules
from partner_vouchers.domain.duplicates import DuplicatePolicy
from partner_vouchers.domain.events import AuditedEvent, CodesDownloaded, Event, FieldChange
from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.text import could_be_id, require_id, require_name
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import (
    HostTransactionError,
    InvalidInput,
    PartnerVouchersError,
    StorageError,
    UnknownList,
    UnknownPartner,
)
from partner_vouchers.ports import Clock, Storage, Transaction
from partner_vouchers.usecases.refusing import RefusalTally, Refused
from partner_vouchers.usecases.transactions import run_in_transaction

T = TypeVar("T")
Row = TypeVar("Row")
Place = TypeVar("Place")

_LOG = logging.getLogger("partner_vouchers.refusals")
_FIRST_INSTANT = datetime.min.replace(tzinfo=UTC)
Arguments = TypeVarTuple("Arguments")

Commit = Callable[[Transaction], None]
"""Commits the transaction of a request."""

EligibilityRule = Callable[[Mapping[str, object]], bool]
"""A host's rule over a user's context.

It must be quick, since the storage waits for it, and have no effects, since a transaction that is repeated calls it
again.
"""


@define
class PolicyCheck:
    """Whether the duplicate policy of the storage was checked in this process.

    Attributes:
        passed: True after the first successful check.
        in_doubt: True while the policy was stored only in a host's transaction, which may be rolled back.
    """

    passed: bool = False
    in_doubt: bool = False


PAGE = 1000
"""How many rows are read in one transaction where all rows of a result are streamed."""

_RECLAIM_SECONDS = 0.05
"""How long a call frees space that deletions left: enough for some thousand codes."""


@frozen
class Wiring:
    """The collaborators of the use cases, and how these run in a transaction.

    Attributes:
        storage: where everything is kept.
        duplicates: where a code must be unique.
        code_format: what a valid code is.
        clock: returns the present instant.
        eligibility: the host's eligibility rules by name.
        new_token: returns a string that no other process has.
        pause: waits for a number of seconds.
        chance: returns a random number from 0 to 1.
        keep_events: how long an event is kept after it was delivered; None for ever.
        in_host_transaction: whether the storage is joined to a host's transaction.
        policy_check: shared by all that use the same storage and policy.
        refusal_tally: the refused requests that are not stored or logged yet; shared likewise.
    """

    storage: Storage
    duplicates: DuplicatePolicy
    code_format: CodeRules
    clock: Clock
    eligibility: Mapping[str, EligibilityRule] = field(factory=dict)
    new_token: Callable[[], str] = lambda: os.urandom(16).hex()
    pause: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    keep_events: timedelta | None = None
    in_host_transaction: bool = False
    policy_check: PolicyCheck = field(factory=PolicyCheck, eq=False, repr=False)
    refusal_tally: RefusalTally = field(factory=RefusalTally, eq=False, repr=False)

    def now(self) -> datetime:
        """Return the present instant in UTC.

        Raises:
            NaiveDatetime: the host's clock returns an instant without a time zone.
            InvalidInput: it returns something else, or an instant outside the years 1970 to 9998: leases, limits and
                waits reach into the time before and after it.
        """
        now = require_aware("clock", self.clock())
        if 1970 <= now.year < 9999:
            return now
        raise InvalidInput(field="clock", reason=f"must lie within the years 1970 to 9998, not in {now.year}")

    def require_own_transactions(self, reason: str) -> None:
        """Check that the call is not part of a host's transaction; `reason` says why it cannot be, and what to do.

        Raises:
            HostTransactionError: it is.
        """
        if self.in_host_transaction:
            raise HostTransactionError(reason=reason)

    def read(self, work: Callable[[Transaction, *Arguments], T], *arguments: *Arguments) -> T:
        """Run work that only reads in a transaction, and return its result (see `run_in_transaction`)."""
        if self.refusal_tally.pending and self.refusal_tally.is_due(self.now()):
            self.store_refusals()
        return run_in_transaction(self, work, arguments, write=False)

    def store_refusals(self) -> None:
        """Store what was refused, in a transaction of its own; nothing within a host's transaction."""
        if self.refusal_tally.pending and not self.in_host_transaction:
            try:
                self._with_refusals(lambda tx, commit: commit(tx))
            except PartnerVouchersError as error:
                _LOG.warning("refusals could not be stored, and will be with the next call: %s", error)

    def request(
        self, now: datetime, work: Callable[[Transaction, Commit], T], *, calls_rules: bool = False
    ) -> T:
        """Do what `write` does for work that gives out codes, and that calls `commit` itself unless it is a replay.

        With `calls_rules` it does what `write_alone` does, if there are any eligibility rules.
        """
        if self.refusal_tally.pending and self.refusal_tally.is_due(now):
            self.store_refusals()
        return self._with_refusals(work, alone=calls_rules and bool(self.eligibility))

    def _with_refusals(self, work: Callable[[Transaction, Commit], T], *, alone: bool = False) -> T:
        """Run work that commits. Refusals that wait are stored in its transaction, unless that is a host's."""
        tally = self.refusal_tally
        if self.in_host_transaction or not tally.pending:
            return run_in_transaction(self, work, (_commit,), write=True, alone=alone)
        taken: dict[Refused, int] = {}

        def give_back() -> None:
            tally.put_back(taken)
            taken.clear()

        def commit(tx: Transaction) -> None:
            taken.update(tally.take())
            tally.store(tx, taken)
            tx.commit()

        def run(tx: Transaction) -> T:
            # A shared commit can be undone after `commit` has returned; the work is then run again, or fails.
            if taken:
                give_back()
            return work(tx, commit)

        # For the log of slow calls.
        run.__qualname__ = work.__qualname__
        try:
            return run_in_transaction(self, run, (), write=True, alone=alone)
        except BaseException:
            give_back()
            raise

    def write(self, work: Callable[[Transaction, *Arguments], T], *arguments: *Arguments) -> T:
        """Run work in a transaction, commit what it wrote, and return its result (see `run_in_transaction`).

        Another thread may run it, so that several calls share one durable commit. So it calls nothing that the host
        passed, such as the clock, and does not take long; `write_alone` is for other work.
        """
        self.store_refusals()
        return run_in_transaction(self, _committing(work), arguments, write=True)

    def write_alone(self, work: Callable[[Transaction, *Arguments], T], *arguments: *Arguments) -> T:
        """Do what `write` does in the thread of the caller, with a commit of its own."""
        self.store_refusals()
        return run_in_transaction(self, _committing(work), arguments, write=True, alone=True)


def _commit(tx: Transaction) -> None:
    tx.commit()


def _committing(work: Callable[[Transaction, *Arguments], T]) -> Callable[[Transaction, *Arguments], T]:
    """Return work that commits once it returns."""

    @functools.wraps(work)
    def run(tx: Transaction, *arguments: *Arguments) -> T:
        result = work(tx, *arguments)
        tx.commit()
        return result

    return run


class Group:
    """A group of use cases, or a part of one."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def _stream(
        self, read: Callable[[Transaction, Place | None], Sequence[Row]], place: Callable[[Row], Place]
    ) -> Iterator[Row]:
        """Yield rows, a page in each transaction.

        Args:
            read: returns up to `PAGE` rows after a place, None for the first ones.
            place: returns the place of a row.
        """
        after: Place | None = None
        while True:
            page = self._wiring.read(read, after)
            yield from page
            if len(page) < PAGE:
                return
            after = place(page[-1])


def ago(now: datetime, age: timedelta) -> datetime:
    """Return the instant that was so long ago, or the first one that a datetime can express."""
    return now - min(age, now - _FIRST_INSTANT)


def require_partner(tx: Transaction, name: str) -> Partner:
    """Return a partner.

    Raises:
        UnknownPartner: there is none with exactly this name.
    """
    found = tx.partners.get(name)
    if found is None:
        raise UnknownPartner(name=name)
    return found


def require_list(tx: Transaction, list_id: object, *, for_update: bool = False) -> VoucherList:
    """Return a list.

    Args:
        tx: the transaction.
        list_id: the list.
        for_update: whether the transaction will change it: no other one changes it or takes its codes meanwhile.

    Raises:
        UnknownList: there is none with this id.
        InvalidInput: the id is not a string.
    """
    list_id = require_id("list_id", list_id)
    get = tx.lists.get_for_update if for_update else tx.lists.get
    found = get(list_id) if could_be_id(list_id) else None
    if found is None:
        raise UnknownList(list_id=list_id)
    return found


def require_actor(actor: object) -> str | None:
    """Return the actor of a change, for the audit log; None if the host passed none.

    Raises:
        InvalidInput: it is not a string of 1 to 255 characters on one line.
    """
    return None if actor is None else require_name("actor", actor)


def record(tx: Transaction, events: Sequence[Event], actor: str | None) -> None:
    """Store events in the outbox, and in the audit log if they are changes."""
    tx.outbox.append(events)
    tx.audit.append(actor, [event for event in events if isinstance(event, AuditedEvent)])


def audit_access(wiring: Wiring, event: AuditedEvent, actor: object) -> None:
    """Keep in the audit log that a person saw whole codes. The sinks do not receive it.

    Raises:
        InvalidInput: `actor` is not a string of 1 to 255 characters on one line.
    """
    who = require_name("actor", actor)
    wiring.write(lambda tx: tx.audit.append(who, [event]))


def audit_download(wiring: Wiring, list_id: str | None, file: str, actor: object) -> None:
    """Audit the download of a file with whole codes; do nothing without an actor.

    Raises:
        InvalidInput: `actor` is not a string of 1 to 255 characters on one line.
    """
    if actor is not None:
        change = FieldChange("file", None, file)
        audit_access(
            wiring, CodesDownloaded(occurred_at=wiring.now(), list_id=list_id, changes=(change,)), actor
        )


def reclaim_some(wiring: Wiring) -> None:
    """Free space that deletions left, for a moment. Later deletions and uploads and `uploads.recover` free the rest."""
    with suppress(StorageError):
        wiring.storage.reclaim(_RECLAIM_SECONDS)
