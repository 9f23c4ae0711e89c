"""The few things that every test does, done through the ports in the way in which the library does them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from attrs import evolve, frozen

from partner_vouchers.domain.assignment import Assignment, Request
from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy
from partner_vouchers.domain.duplicates import PerPartnerAndTag, counts_for_duplicates, refusal
from partner_vouchers.domain.events import AuditedEvent, Event
from partner_vouchers.domain.lifecycle import State, Status, StatusCriteria
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.domain.uploads import RowFaultKind, Tally, Upload, interrupted, list_is_full
from partner_vouchers.domain.voucher_list import VoucherList, new_list
from partner_vouchers.errors import (
    CodesExhausted,
    IdempotencyConflict,
    NoActiveList,
    StorageBusy,
    UnknownList,
    UploadInterrupted,
)
from partner_vouchers.ports import (
    CodeImport,
    ListOrder,
    ListQuery,
    OutboxEntry,
    Storage,
    TakenCode,
    Transaction,
)

T = TypeVar("T")

START = datetime(2026, 1, 1, 12, 0, 0, 123_457, tzinfo=UTC)
"""The instant at which everything begins. It has microseconds, so that a storage that loses them is found."""

FAR = START + timedelta(days=365)
"""An expiry that no test reaches by itself."""

ALL = 100_000
"""More than any test stores."""

PATIENCE = 60.0
"""Seconds after which a thread or process is taken to hang."""

_LEASE = timedelta(seconds=30)


# --- lists ---


def a_list(
    storage: Storage,
    codes: Sequence[str] = (),
    *,
    tag: str = "winter",
    partner: str = "Puma",
    expires_at: datetime = FAR,
    state: State = State.ACTIVE,
) -> str:
    """Store a list, upload codes to it, and bring it into a state; return its id."""
    with storage.begin() as tx:
        made = unstored_list(tx, tag=tag, partner=partner, expires_at=expires_at)
        tx.lists.add(made)
        tx.commit()
    if codes:
        upload(storage, made.id, codes)
    if state is not State.ACTIVE:
        change(storage, made.id, state=state)
    return made.id


def unstored_list(
    tx: Transaction, *, tag: str = "winter", partner: str = "Puma", expires_at: datetime = FAR
) -> VoucherList:
    """Return a list with an id of the storage, not stored yet."""
    made, _ = new_list(
        id=tx.lists.new_id(),
        partner=partner,
        tag=tag,
        name="Winter Sale",
        description="₹500 off",
        expires_at=expires_at,
        now=START,
    )
    return evolve(made, scope=PerPartnerAndTag().scope(made))


def stored(storage: Storage, list_id: str) -> VoucherList:
    """Return a list as it is stored."""
    with storage.begin(write=False) as tx:
        found = tx.lists.get(list_id)
    assert found is not None, f"list {list_id} is not there"
    return found


def require_list(tx: Transaction, list_id: str) -> VoucherList:
    """Return a list that is there."""
    found = tx.lists.get(list_id)
    assert found is not None, f"list {list_id} is not there"
    return found


def change(storage: Storage, list_id: str, **fields: Any) -> VoucherList:
    """Save the next version of a list, with these fields changed."""
    with storage.begin() as tx:
        found = read_to_change(tx, list_id)
        assert found is not None, f"list {list_id} is not there"
        changed = evolve(found, version=found.version + 1, **fields)
        tx.lists.save(changed)
        tx.commit()
    return changed


def a_link(list_id: str, campaign_id: str = "CMP1", *, priority: int = 0, days: int = 0) -> CampaignLink:
    """Return a link."""
    return CampaignLink(
        list_id=list_id,
        campaign_id=campaign_id,
        repeat=RepeatPolicy.SAME_CODE,
        priority=priority,
        eligibility=None,
        linked_at=START + timedelta(days=days),
    )


def read_to_change(tx: Transaction, list_id: str) -> VoucherList | None:
    """Return a list, in a transaction that will change it by what it reads."""
    return tx.lists.get_for_update(list_id)


# --- uploads ---


@frozen
class Outcome:
    """What became of an upload.

    Attributes:
        upload: the entry, as it ended.
        refused: how many rows were refused, by reason.
    """

    upload: Upload
    refused: Mapping[RowFaultKind, int]

    @property
    def accepted(self) -> int:
        """How many codes became available."""
        return self.upload.accepted


def enter_upload(storage: Storage, list_id: str, filename: str = "codes.csv") -> Upload:
    """Store the entry of an upload that begins."""
    with storage.begin() as tx:
        entry = Upload(
            id=tx.uploads.new_id(), list_id=list_id, uploaded_by="ops", filename=filename, started_at=START
        )
        tx.uploads.add(entry)
        tx.commit()
    return entry


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


def publish(storage: Storage, opened: CodeImport, entry: Upload, rows: int) -> Upload:
    """End an upload: publish its codes where there are any."""
    with storage.begin() as tx:
        ended = publish_in(tx, opened, entry, rows)
        tx.commit()
    return ended


def publish_in(tx: Transaction, opened: CodeImport, entry: Upload, rows: int) -> Upload:
    """Publish the codes of an upload in a transaction, and end its entry."""
    tally = Tally(rows, opened.refused)
    if tally.error_count == rows:
        ended, events = entry.failed(tally, interrupted("no code is left"), START)
    else:
        ended, events = entry.completed(tally, opened.publish(tx), START)
    tx.uploads.save(ended)
    record(tx, events)
    return ended


def record(tx: Transaction, events: Sequence[Event]) -> None:
    """Store events, and those of them that are changes in the audit log."""
    tx.outbox.append(events)
    tx.audit.append("ops", [event for event in events if isinstance(event, AuditedEvent)])


def upload(storage: Storage, list_id: str, codes: Sequence[str]) -> Outcome:
    """Upload codes, waiting for other uploads to the scope, and return what became of them."""
    entry = enter_upload(storage, list_id)
    scope = f"upload scope {stored(storage, list_id).scope}"

    def keep_alive(tx: Transaction) -> None:
        if not tx.leases.held(scope, entry.id):
            raise UploadInterrupted(upload_id=entry.id)

    with importing(storage, entry, codes) as opened:
        _wait_for_lease(storage, scope, entry.id)
        claim(opened, list_id, keep_alive)
        opened.save_faults(keep_alive)

        def end(tx: Transaction) -> Upload:
            keep_alive(tx)
            ended = publish_in(tx, opened, entry, len(codes))
            tx.leases.release(scope, entry.id)
            return ended

        return Outcome(in_transaction(storage, end), opened.refused)


def _wait_for_lease(storage: Storage, name: str, holder: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not in_transaction(storage, lambda tx: tx.leases.take(name, holder, START, START + _LEASE)):
        assert time.monotonic() < deadline, f"the lease {name!r} was never free"
        time.sleep(0.002)


# --- assignments ---


def in_transaction(storage: Storage, work: Callable[[Transaction], T]) -> T:
    """Do work in a transaction and commit; repeat it while the storage is busy, as a caller would."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with storage.begin() as tx:
                done = work(tx)
                tx.commit()
            return done
        except StorageBusy:
            if time.monotonic() > deadline:
                raise


def assign(
    storage: Storage,
    user_id: str,
    *,
    list_id: str | None = None,
    campaign_id: str | None = None,
    key: str | None = None,
    again: bool = False,
    now: datetime = START,
) -> tuple[Assignment, bool]:
    """Give a user a code in a transaction; see `assign_in`."""
    return in_transaction(
        storage,
        lambda tx: assign_in(
            tx, user_id, list_id=list_id, campaign_id=campaign_id, key=key, again=again, now=now
        ),
    )


def assign_in(
    tx: Transaction,
    user_id: str,
    *,
    list_id: str | None = None,
    campaign_id: str | None = None,
    key: str | None = None,
    again: bool = False,
    now: datetime = START,
) -> tuple[Assignment, bool]:
    """Give a user a code from a list, or the lists of a campaign.

    Args:
        tx: the transaction.
        user_id: the user.
        list_id: the list, or None.
        campaign_id: the campaign, or None.
        key: the idempotency key, or None.
        again: whether a user who has a code gets another one.
        now: the present instant.

    Returns:
        the assignment, and whether the user had it before.

    Raises:
        IdempotencyConflict: the key was used for another request.
        UnknownList: there is no such list.
        NoActiveList: no list is active.
        CodesExhausted: no active list has a code.
    """
    fingerprint = Request(campaign_id, list_id, key).fingerprint(user_id)
    if key is not None:
        known = tx.keys.get(key)
        if known is not None:
            if known[0] != fingerprint:
                raise IdempotencyConflict(key=key)
            return tx.assignments.get_many(known[1])[0], True
    given, replayed = _serve(tx, user_id, list_id, campaign_id, again, now)
    if key is not None:
        tx.keys.put(key, fingerprint, (given.id,))
    return given, replayed


def _serve(
    tx: Transaction, user_id: str, list_id: str | None, campaign_id: str | None, again: bool, now: datetime
) -> tuple[Assignment, bool]:
    held = tx.assignments.latest(user_id, campaign_id, list_id)
    if held is not None and not again:
        return held, True
    ordinal = 1 if held is None else held.ordinal + 1
    candidates = _lists(tx, list_id, campaign_id)
    active = [found for found in candidates if found.status_at(now) is Status.ACTIVE]
    for candidate in active:
        taken = tx.codes.take(candidate.id, 1).codes
        if taken:
            given = Assignment(
                taken[0].id, taken[0].code, user_id, campaign_id, ordinal, now, candidate.snapshot
            )
            tx.assignments.add([given])
            return given, False
    refusal_type = CodesExhausted if active else NoActiveList
    raise refusal_type(campaign_id=campaign_id, lists=tuple((found.id, "") for found in candidates))


def _lists(tx: Transaction, list_id: str | None, campaign_id: str | None) -> list[VoucherList]:
    if list_id is None:
        return [found for _, found in tx.campaigns.of_campaign(campaign_id or "")]
    found = tx.lists.get(list_id)
    if found is None:
        raise UnknownList(list_id=list_id)
    return [found]


# --- what a storage shows ---


def all_lists(
    *,
    order: ListOrder = ListOrder.TAG,
    descending: bool = False,
    criteria: StatusCriteria | None = None,
    limit: int = ALL,
) -> ListQuery:
    """Return a query for all lists, or those that meet criteria."""
    return ListQuery(
        partner=None,
        criteria=criteria,
        text=None,
        order=order,
        descending=descending,
        after=None,
        limit=limit,
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


def require_consistent(storage: Storage, list_id: str) -> list[Assignment]:
    """Check that counters, codes, assignments and events of a list agree; return its assignments."""
    with storage.begin(write=False) as tx:
        counts = tx.codes.counts(list_id)
        found = require_list(tx, list_id)
        assert found.counts == counts, "a list shows other counters than its codes"
        assert found in tx.lists.find(evolve(all_lists(), tag=found.tag)), (
            "a list is found otherwise on a page"
        )
        given = tx.assignments.of_list(list_id, None, ALL)
        left = codes_of(tx.codes.remaining(list_id, None, ALL))
    assert counts.distributed == len(given), "the counter of distributed codes differs from the assignments"
    assert counts.available == len(left), (
        "the counter of available codes differs from the codes that are left"
    )
    assert len({found.id for found in given}) == len(given), "a code was assigned twice"
    codes = codes_of(given) + left
    assert len(set(codes)) == len(codes), "a code stands twice in the list"
    told = sorted(
        (event.voucher_code, event.user_id) for event in rewards(storage) if event.list_id == list_id
    )
    assert told == sorted((found.code, found.user_id) for found in given), "not one event for each assignment"
    return given
