"""Steps that many tests share: through the library, or through the ports for what no caller sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar, cast

from attrs import evolve

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy
from partner_vouchers.domain.duplicates import PerPartnerAndTag, counts_for_duplicates, refusal
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.domain.uploads import Upload, list_is_full
from partner_vouchers.domain.voucher_list import VoucherList, new_list
from partner_vouchers.errors import StorageBusy
from partner_vouchers.ports import (
    CodeImport,
    ListOrder,
    ListQuery,
    OutboxEntry,
    Storage,
    TakenCode,
    Transaction,
)
from partner_vouchers.vouchers import PartnerVouchers

T = TypeVar("T")

START = datetime(2026, 1, 1, 12, 0, 0, 123_457, tzinfo=UTC)
"""The instant at which everything begins. It has microseconds, so that a storage that loses them is found."""

FAR = START + timedelta(days=365)
"""An expiry that no test reaches by itself."""

ALL = 100_000
"""More than any test stores."""

PATIENCE = 60.0
"""Seconds after which a thread or process is taken to hang."""


# --- the library ---


def library(storage: Storage, now: datetime = START) -> PartnerVouchers:
    """Return the library on a storage, with a clock that stands still."""
    return PartnerVouchers(storage, clock=lambda: now, keep_events=None)


class _Inside:
    """A storage whose transactions are all the one that is open: its owner commits, or does not."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[Uncommitted]:
        yield Uncommitted(self._tx)

    def join(self, connection: object) -> Storage:
        """Take part in no other transaction."""
        raise NotImplementedError

    def reclaim(self, seconds: float | None = None) -> None:
        """Leave it to the owner, like all that works in transactions of its own."""


class Uncommitted:
    """A transaction that somebody else commits."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def commit(self) -> None:
        """Leave it to the owner."""


def inside(tx: Transaction, now: datetime = START) -> PartnerVouchers:
    """Return the library within an open transaction, which it does not commit."""
    return library(cast(Storage, _Inside(tx)), now)


def patiently(work: Callable[[], T]) -> T:
    """Do work, and repeat it while the storage is busy, as a caller would."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return work()
        except StorageBusy:
            if time.monotonic() > deadline:
                raise


@contextmanager
def committing(storage: Storage) -> Iterator[Transaction]:
    """Open a transaction, and commit it at the end."""
    with storage.begin() as tx:
        yield tx
        tx.commit()


def in_transaction(storage: Storage, work: Callable[[Transaction], T]) -> T:
    """Do work in a transaction and commit; repeat it while the storage is busy."""

    def run() -> T:
        with committing(storage) as tx:
            return work(tx)

    return patiently(run)


# --- lists ---


def a_list(
    storage: Storage,
    codes: Sequence[str] = (),
    *,
    tag: str = "winter",
    partner: str = "Puma",
    state: State = State.ACTIVE,
) -> str:
    """Create a list, upload codes to it, and bring it into a state; return its id."""
    vouchers = library(storage)
    vouchers.partners.ensure(partner)
    made = vouchers.lists.create(
        partner=partner, tag=tag, name="Winter Sale", description="₹500 off", expires_at=FAR
    )
    if codes:
        assert upload(storage, made.id, codes).accepted == len(codes)
    if state is not State.ACTIVE:
        change(storage, made.id, state=state)
    return made.id


def unstored_list(tx: Transaction, *, tag: str = "winter", partner: str = "Puma") -> VoucherList:
    """Return a list with an id of the storage, not stored yet."""
    made, _ = new_list(
        id=tx.lists.new_id(),
        partner=partner,
        tag=tag,
        name="Winter Sale",
        description="₹500 off",
        expires_at=FAR,
        now=START,
    )
    return evolve(made, scope=PerPartnerAndTag().scope(made))


def a_list_in(storage: Storage, scope: str, *, tag: str = "other") -> str:
    """Store a list whose codes must be unique in a scope; return its id."""

    def add(tx: Transaction) -> str:
        made = evolve(unstored_list(tx, tag=tag), scope=scope)
        tx.lists.add(made)
        return made.id

    return in_transaction(storage, add)


def stored(storage: Storage, list_id: str) -> VoucherList:
    """Return a list as it is stored."""
    with storage.begin(write=False) as tx:
        return require_list(tx, list_id)


def require_list(tx: Transaction, list_id: str) -> VoucherList:
    """Return a list that is there."""
    found = tx.lists.get(list_id)
    assert found is not None, f"list {list_id} is not there"
    return found


def change(storage: Storage, list_id: str, **fields: Any) -> VoucherList:
    """Save the next version of a list, with these fields changed, whatever the rules say."""

    def save(tx: Transaction) -> VoucherList:
        found = tx.lists.get_for_update(list_id)
        assert found is not None, f"list {list_id} is not there"
        changed = evolve(found, version=found.version + 1, **fields)
        tx.lists.save(changed)
        return changed

    return in_transaction(storage, save)


def a_link(list_id: str, campaign_id: str = "CMP1", *, priority: int = 0, days: int = 0) -> CampaignLink:
    """Return a link, not stored yet."""
    return CampaignLink(
        list_id=list_id,
        campaign_id=campaign_id,
        repeat=RepeatPolicy.SAME_CODE,
        priority=priority,
        eligibility=None,
        linked_at=START + timedelta(days=days),
    )


def link(storage: Storage, list_id: str, campaign_id: str = "CMP1", **settings: Any) -> None:
    """Link a list to a campaign."""
    library(storage).campaigns.link(list_id, campaign_id, **settings)


# --- uploads ---


def upload(storage: Storage, list_id: str, codes: Sequence[str]) -> Upload:
    """Upload codes, and return what became of them."""
    file = "".join(f"{code}\n" for code in codes).encode()
    return patiently(
        lambda: library(storage).uploads.add(
            list_id, file, filename="codes.csv", uploaded_by="ops", header=False, force=True
        )
    )


def enter_upload(storage: Storage, list_id: str, filename: str = "codes.csv") -> Upload:
    """Store the entry of an upload that begins."""

    def add(tx: Transaction) -> Upload:
        entry = Upload(
            id=tx.uploads.new_id(), list_id=list_id, uploaded_by="ops", filename=filename, started_at=START
        )
        tx.uploads.add(entry)
        return entry

    return in_transaction(storage, add)


@contextmanager
def importing(storage: Storage, entry: Upload, codes: Sequence[str]) -> Iterator[CodeImport]:
    """Open the import of an upload, with its codes added as the lines from 1 on."""
    scope = stored(storage, entry.list_id).scope
    with storage.import_codes(entry, scope, counts_for_duplicates) as opened:
        opened.add(range(1, len(codes) + 1), codes)
        yield opened


def claim(
    opened: CodeImport, list_id: str, keep_alive: Callable[[Transaction], None] = lambda tx: None
) -> None:
    """Claim the codes of an import."""
    opened.claim(partial(refusal, list_id), list_is_full, keep_alive)


def publish(storage: Storage, opened: CodeImport) -> int:
    """Publish the codes of an import; return how many."""
    return in_transaction(storage, opened.publish)


# --- assignments ---


def assign(
    storage: Storage,
    user_id: str,
    *,
    list_id: str | None = None,
    campaign_id: str | None = None,
    key: str | None = None,
    now: datetime = START,
) -> Assignment:
    """Give a user a code by the rules of the library, or return the one that they have."""
    codes = library(storage, now).codes
    return patiently(
        lambda: (
            codes.assign(
                user_id=user_id, list_id=list_id, campaign_id=campaign_id, idempotency_key=key
            ).assignment
        )
    )


def take(
    tx: Transaction,
    list_id: str,
    user_ids: Sequence[str],
    *,
    campaign_id: str | None = None,
    ordinal: int = 1,
    now: datetime = START,
) -> list[Assignment]:
    """Take codes of a list for users, whatever the rules say; the assignments are not stored yet."""
    taken = tx.codes.take(list_id, len(user_ids), now).codes
    snapshot = require_list(tx, list_id).snapshot
    return [
        Assignment(code.id, code.code, user_id, campaign_id, ordinal, now, snapshot)
        for code, user_id in zip(taken, user_ids, strict=True)
    ]


def give(storage: Storage, list_id: str, user_id: str, **options: Any) -> Assignment:
    """Give a user a code of a list, whatever the rules say; see `take`."""

    def add(tx: Transaction) -> Assignment:
        (given,) = take(tx, list_id, [user_id], **options)
        tx.assignments.add([given])
        return given

    return in_transaction(storage, add)


# --- what a storage shows ---


def all_lists(*, order: ListOrder = ListOrder.TAG, descending: bool = False, limit: int = ALL) -> ListQuery:
    """Return a query for all lists."""
    return ListQuery(
        partner=None, criteria=None, text=None, order=order, descending=descending, after=None, limit=limit
    )


def outbox(storage: Storage) -> list[OutboxEntry]:
    """Return all entries of the outbox."""
    with storage.begin(write=False) as tx:
        if not tx.outbox.can_order():
            return tx.outbox.read(0, ALL)
    with storage.begin() as tx:
        while tx.outbox.order():
            pass
        tx.commit()
    return outbox(storage)


def rewards(storage: Storage) -> list[VoucherRewarded]:
    """Return the events of assignments."""
    return [entry.event for entry in outbox(storage) if isinstance(entry.event, VoucherRewarded)]


def remaining(storage: Storage, list_id: str) -> list[str]:
    """Return the codes that are left in a list, in order."""
    with storage.begin(write=False) as tx:
        return codes_of(tx.codes.remaining(list_id, None, ALL))


def codes_of(taken: Sequence[TakenCode | Assignment]) -> list[str]:
    """Return the codes alone."""
    return [found.code for found in taken]


def some_codes(number: int, prefix: str = "PM") -> list[str]:
    """Return different codes, in order."""
    return [f"{prefix}{index:04}" for index in range(number)]


def pages(read: Callable[[Any, int], Sequence[T]], size: int, after: Any, key: Callable[[T], Any]) -> list[T]:
    """Read all pages of a size, and return what is on them; no page is longer, and none is read for ever."""
    found: list[T] = []
    while part := read(after, size):
        assert len(part) <= size, f"{len(part)} on a page of {size}"
        found += part
        assert len(found) < ALL, "the pages have no end"
        assert key(part[-1]) != after, "a page begins where the one before did"
        after = key(part[-1])
    return found


def require_consistent(storage: Storage, list_id: str) -> list[Assignment]:
    """Check that counters, codes, assignments and events of a list agree; return its assignments."""
    with storage.begin(write=False) as tx:
        counts = tx.codes.counts(list_id)
        found = require_list(tx, list_id)
        assert found.counts == counts, "a list shows other counters than its codes"
        given = tx.assignments.of_list(list_id, None, ALL)
        left = codes_of(tx.codes.remaining(list_id, None, ALL))
    assert counts.distributed == len(given), "the counter of distributed codes differs from the assignments"
    assert counts.available == len(left), "the counter of available codes differs from those that are left"
    assert len({found.id for found in given}) == len(given), "a code was assigned twice"
    codes = codes_of(given) + left
    assert len(set(codes)) == len(codes), "a code is in the list twice"
    told = sorted(
        (event.voucher_code, event.user_id) for event in rewards(storage) if event.list_id == list_id
    )
    assert told == sorted((found.code, found.user_id) for found in given), "not one event for each assignment"
    return given
