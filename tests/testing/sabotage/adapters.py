"""Memory storages with one fault each, and the test of the contract that must find it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from inspect import signature
from typing import Any, cast
from unittest.mock import patch

import pytest
from attrs import evolve

from partner_vouchers.adapters.memory import (
    MemoryStorage,
    codes,
    imports,
    lists,
    records,
    tables,
    unit,
)
from partner_vouchers.adapters.memory.transaction import MemoryTransaction
from partner_vouchers.adapters.simple import SimpleDeliveries
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.delivery import Deferred, DeliveryState, SinkProgress
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.ports import Taken

FOUND = (Exception, pytest.fail.Exception)
MISTAKES = (AttributeError, NameError, NotImplementedError, TypeError, pytest.skip.Exception)
"""Those would be mistakes of the sabotage itself."""

THE_MACHINE = "the machine"
"""Finds what only a sequence of calls of the library shows."""


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: what is wrong, in a few words.
        named_test: the test of the contract that is named for it, with its parameter, or `THE_MACHINE`.
        targets: what is replaced: a class, the name of a method, and the method.
    """

    name: str
    named_test: str
    targets: tuple[tuple[type, str, Any], ...]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with _patched(self.targets):
            yield


@contextmanager
def _patched(targets: Sequence[tuple[type, str, Any]]) -> Iterator[None]:
    if not targets:
        yield
        return
    (owner, name, method), *rest = targets
    with patch.object(owner, name, method), _patched(rest):
        yield


def entering(faults: list[Fault]) -> Callable[[str, type, str], Callable[[Any], Any]]:
    """Return a decorator that enters a replacement of a method; its name, in words, is the name of the fault.

    A replacement whose first parameter is `original` is given the method that it replaces.
    """

    def fault(named_test: str, owner: type, method: str) -> Callable[[Any], Any]:
        def enter(replacement: Any) -> Any:
            named: Any = replacement.fget if isinstance(replacement, property) else replacement
            put = replacement
            if "original" in signature(named).parameters:
                original = getattr(owner, method)
                put = lambda *given, **options: replacement(original, *given, **options)  # noqa: E731
            faults.append(Fault(named.__name__.replace("_", " "), named_test, ((owner, method, put),)))
            return replacement

        return enter

    return fault


FAULTS: list[Fault] = []
fault = entering(FAULTS)


# --- lists ---


@fault("test_a_save_of_an_old_version_is_refused_and_changes_nothing", lists.Lists, "save")
def last_write_wins(self: lists.Lists, voucher_list: VoucherList) -> None:
    known = self._unit.tables.list(voucher_list.id)
    kept = evolve(voucher_list, counts=known.counts, notified=known.notified, campaigns=known.campaigns)
    self._unit.log.put(self._unit.tables.lists, known.id, kept)


@fault("test_every_field_of_a_list_comes_back", lists.Lists, "save")
def expired_list_still_assigning(original: Any, self: lists.Lists, voucher_list: VoucherList) -> None:
    # The column was forgotten in the UPDATE.
    original(self, evolve(voucher_list, expires_at=self._unit.tables.list(voucher_list.id).expires_at))


@fault("test_saving_leaves_alone_what_the_storage_keeps", lists.Lists, "save")
def save_that_overwrites_the_counters(original: Any, self: lists.Lists, voucher_list: VoucherList) -> None:
    original(self, voucher_list)
    self._unit.log.put(self._unit.tables.lists, voucher_list.id, voucher_list)


@fault("test_a_tag_belongs_to_one_list_of_a_partner_until_that_is_archived", lists.Lists, "with_tag")
def archived_list_that_keeps_its_tag(self: lists.Lists, partner: str, tag: str) -> VoucherList | None:
    known = self._unit.tables.lists.values()
    return next((each for each in known if (each.partner, each.tag) == (partner, tag)), None)


@fault("test_pages_of_lists_are_complete_and_in_order", lists.Lists, "find")
def page_that_skips_a_row(original: Any, self: lists.Lists, query: Any) -> Any:
    found = original(self, evolve(query, limit=query.limit + 1))
    return found[1:] if query.after is not None and len(found) > query.limit else found[: query.limit]


@fault("test_lists_are_ordered_by_their_counters_and_then_by_age", lists.Lists, "find")
def ids_compared_as_texts(original: Any, self: lists.Lists, query: Any) -> Any:
    found = original(self, evolve(query, after=None, limit=1000))
    counted = query.order.value in ("uploaded", "distributed")
    found.sort(key=lambda each: (getattr(each.counts if counted else each, query.order.value), each.id))
    ids = [each.id for each in found]
    start = 0 if query.after is None else ids.index(query.after[1]) + 1
    return found[start : start + query.limit]


@fault("test_a_removed_list_takes_everything_with_it", lists.Lists, "remove")
def removed_list_that_leaves_its_links(self: lists.Lists, list_id: str) -> None:
    listed, log = self._unit.tables, self._unit.log
    log.drop(listed.lists, list_id)
    log.drop(listed.stocks, list_id)


@fault("test_a_link_comes_back_and_can_be_replaced_and_removed", lists.Campaigns, "put")
def replaced_link_that_becomes_young(original: Any, self: lists.Campaigns, link: Any) -> None:
    self.remove(link.list_id, link.campaign_id)
    original(self, link)


# --- codes and assignments ---

_take = codes.Codes.take


@fault("test_taking_tells_the_counters_and_the_notified_level", codes.Codes, "take")
def codes_in_the_order_of_the_alphabet(self: codes.Codes, list_id: str, limit: int) -> Taken:
    taken = _take(self, list_id, limit)
    return taken._replace(codes=sorted(taken.codes, key=lambda each: each.code))


@fault(THE_MACHINE, codes.Codes, "withdraw")
def count_drift(self: codes.Codes, upload_id: str) -> int:
    batch = self._unit.tables.batches.get(upload_id)
    if batch is None or batch.withdrawn:
        return 0
    withdrawn = len(batch.available)
    self._unit.log.set(batch, "withdrawn", True)
    return withdrawn


def withdrawn_codes_still_going_out(batch: tables.Batch) -> range:
    return range(batch.taken, len(batch.codes))


fault(THE_MACHINE, tables.Batch, "available")(property(withdrawn_codes_still_going_out))


@fault(THE_MACHINE, codes.Assignments, "add")
def lost_outbox_row(original: Any, self: codes.Assignments, assignments: Sequence[Assignment]) -> None:
    box = self._outbox
    self._outbox = _OnlyTheFirst(box)  # type: ignore[assignment]
    try:
        original(self, assignments)
    finally:
        self._outbox = box


class _OnlyTheFirst:
    def __init__(self, outbox: records.Outbox) -> None:
        self._outbox = outbox

    def append(self, events: Sequence[Any]) -> None:
        self._outbox.append(events[:1])


@fault(THE_MACHINE, codes.Assignments, "holding")
def replay_that_emits_a_second_event(original: Any, self: codes.Assignments, *asked: Any) -> Any:
    found = original(self, *asked)
    if found.held is not None and self._unit.write:
        self._outbox.append([found.held.event])
    return found


@fault("test_a_code_and_an_ordinal_are_assigned_once", codes.Assignments, "add")
def code_assigned_to_whoever_asks(
    original: Any, self: codes.Assignments, assignments: Sequence[Assignment]
) -> None:
    for each in assignments:
        self._unit.log.drop(self._unit.tables.assignments, each.id)
    original(self, assignments)


@fault(
    "test_a_users_assignments_are_ordered_by_time_ordinal_and_age_of_the_list", codes.Assignments, "of_user"
)
def vouchers_of_a_user_in_any_order(self: codes.Assignments, user_id: str) -> list[Assignment]:
    return self.get_many(self._unit.tables.of_user.get(user_id, ()))


# --- idempotency keys ---


@fault(THE_MACHINE, records.IdempotencyKeys, "get")
def key_reuse_undetected(self: records.IdempotencyKeys, key: str) -> tuple[str, tuple[str, ...]] | None:
    known = self._unit.tables.keys.get(key)
    return None if known is None else (_Anything(), known[1])


class _Anything(str):
    """A fingerprint that equals every other, as where it is not stored."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


@fault("test_a_key_is_stored_once", records.IdempotencyKeys, "put")
def key_that_is_overwritten(self: records.IdempotencyKeys, key: str, *result: Any) -> None:
    self._unit.log.put(self._unit.tables.keys, key, result)


# --- imports ---


def _counting(counts: Callable[[State], bool]) -> Any:
    def import_codes(self: MemoryStorage, upload: Any, scope: str, _counts: object) -> Any:
        return _import_codes(self, upload, scope, counts)

    return import_codes


_import_codes = MemoryStorage.import_codes

FAULTS += [
    Fault(
        "duplicate check that forgets paused lists",
        THE_MACHINE,
        ((MemoryStorage, "import_codes", _counting(lambda state: state is State.ACTIVE)),),
    ),
    Fault(
        "archived codes still blocking",
        THE_MACHINE,
        ((MemoryStorage, "import_codes", _counting(lambda state: True)),),
    ),
]


@fault(THE_MACHINE, imports.MemoryImport, "find_holder")
def in_list_duplicate_after_a_top_up(original: Any, self: imports.MemoryImport, tx: Any) -> Any:
    def find(code: str) -> Any:
        found = original(self, tx)(code)
        return None if found is None or found.list_id == self.upload.list_id else found

    return find


@fault(
    "test_codes_become_available_when_their_publishing_commits_and_not_before", imports.MemoryImport, "claim"
)
def tail_moved_too_early(
    original: Any, self: imports.MemoryImport, judge: Any, full: Any, keep_alive: Any
) -> None:
    original(self, judge, full, keep_alive)
    with self.storage.begin() as tx:
        self.publish(tx)
        tx.commit()


@fault("test_nothing_of_an_import_that_was_not_published_remains", imports.MemoryImport, "claim")
def leftovers_of_a_failed_upload_that_block(
    original: Any, self: imports.MemoryImport, judge: Any, full: Any, keep_alive: Any
) -> None:
    original(self, judge, full, keep_alive)
    with self.storage.begin(write=False) as tx:
        owners = cast(MemoryTransaction, tx).unit.tables.owners[self.scope]
    claimed = tables.Batch(self.upload.list_id, [code for _, code in self._accepted], 0)
    owners |= {code: (claimed, place) for place, code in enumerate(claimed.codes)}


# --- transactions ---


@fault("test_leaving_without_commit_undoes_everything", unit.UndoLog, "set")
def rollback_that_keeps_the_code(self: unit.UndoLog, target: object, name: str, value: object) -> None:
    setattr(target, name, value)


@fault("test_leaving_without_commit_undoes_everything", unit.UndoLog, "undo")
def rollback_that_forgets_the_last_step(self: unit.UndoLog, down_to: int) -> None:
    while len(self) > down_to + 1:
        self._steps.pop()()


@fault("test_what_is_not_committed_is_not_seen", MemoryStorage, "begin")
@contextmanager
def reader_that_sees_what_is_not_committed(
    self: MemoryStorage, *, write: bool = True
) -> Iterator[MemoryTransaction]:
    if write:
        with _begin(self) as tx:
            yield tx
        return
    yield MemoryTransaction(unit.Unit(self._tables, unit.UndoLog(), write=False), self, self._origin)


_begin = MemoryStorage.begin


# --- delivery ---


@fault("test_the_progress_of_a_sink_comes_back", records.Deliveries, "save_progress")
def delivery_progress_that_is_lost(self: records.Deliveries, sink: str, progress: SinkProgress) -> None:
    self._unit.tables.progress[sink] = progress


@fault("test_the_progress_of_a_sink_comes_back", records.Deliveries, "progress")
def progress_without_what_is_ahead(self: records.Deliveries, sink: str) -> SinkProgress | None:
    found = self._unit.tables.progress.get(sink)
    return None if found is None else evolve(found, ahead=())


@fault("test_a_later_event_is_not_due_before_an_earlier_one_of_the_same_key", records.Deliveries, "due")
def later_event_that_overtakes(
    self: records.Deliveries, sink: str, now: datetime, limit: int
) -> list[Deferred]:
    alive = [row for row in self.all_deferred(sink) if not row.is_dead]
    due = [row for row in alive if row.retry_at is not None and row.retry_at <= now]
    return sorted(due, key=lambda row: (row.retry_at, row.position))[:limit]


@fault("test_a_later_event_is_not_due_before_an_earlier_one_of_the_same_key", records.Deliveries, "promote")
def next_event_that_never_becomes_due(
    self: records.Deliveries, sink: str, keys: Collection[str], now: datetime
) -> set[str]:
    return self.deferred_keys(sink, keys)


@fault("test_what_is_deferred_is_what_was_put_and_not_removed", records.Deliveries, "due")
def event_in_flight_that_is_never_sent_again(
    self: records.Deliveries, sink: str, now: datetime, limit: int
) -> list[Deferred]:
    found = SimpleDeliveries.due(self, sink, now, limit)
    return [row for row in found if row.state is not DeliveryState.IN_FLIGHT]


@fault("test_what_is_removed_from_the_outbox_is_gone_but_what_a_sink_needs_stays", records.Outbox, "remove")
def removal_of_what_a_sink_needs(self: records.Outbox, until: int) -> int:
    outbox = self._unit.tables.outbox
    kept = [entry for entry in outbox if entry.position > until]
    removed = len(outbox) - len(kept)
    self._unit.log.keep(outbox, kept)
    return removed


@fault("test_entries_of_the_outbox_are_counted_and_found_by_position", records.Outbox, "count")
def count_without_a_limit(self: records.Outbox, after: int, until: int, limit: int) -> int:
    return sum(after < entry.position <= until for entry in self._unit.tables.outbox)


# --- leases ---


@fault("test_a_lease_has_one_holder_until_it_ends", records.Leases, "take")
def lease_that_anybody_takes(
    self: records.Leases, name: str, holder: str, now: datetime, until: datetime
) -> bool:
    self._unit.log.put(self._unit.tables.leases, name, (holder, until))
    return True
