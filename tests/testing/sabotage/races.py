"""Faults that only show when two work at once: what is read before it is one's turn is out of date by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from typing import Any
from unittest.mock import patch

from partner_vouchers.adapters.memory import MemoryStorage, imports, unit
from partner_vouchers.adapters.memory.transaction import MemoryTransaction
from partner_vouchers.domain.events import Event
from partner_vouchers.ports import OutboxEntry
from tests.testing.sabotage.adapters import Fault

_begin = MemoryStorage.begin


def _reading_too_early(*names: str) -> Any:
    """Return a `begin` that gives whoever had to wait these tables as they were before those it waited for."""
    before: list[tuple[dict[str, Any], dict[Any, int]]] = []

    @contextmanager
    def begin(self: MemoryStorage, *, write: bool = True) -> Iterator[MemoryTransaction]:
        tables = self._tables
        early = before[-1] if before else None
        with _begin(self, write=write) as tx:
            if early is not None and write:
                for name, table in early[0].items():
                    setattr(tables, name, table)
                for batch, taken in early[1].items():
                    batch.taken = taken
            kept = {name: deepcopy(getattr(tables, name)) for name in names if name != "batches"}
            places = {batch: batch.taken for batch in tables.batches.values()} if "batches" in names else {}
            before.append((kept, places))
            try:
                yield tx
            finally:
                before.remove((kept, places))

    return begin


def _fault(name: str, named_test: str, *tables: str) -> Fault:
    return Fault(name, named_test, ((MemoryStorage, "begin", _reading_too_early(*tables)),))


_GIVEN = ("batches", "assignments", "of_user", "of_code", "keys", "outbox")


class _EarlyOwners(imports.MemoryImport):
    """Knows the holders of codes as they were when the import was opened."""

    def __init__(self, storage: MemoryStorage, upload: Any, scope: str, counts: Any) -> None:
        super().__init__(storage, upload, scope, counts)
        self._early = dict(storage._tables.owners.get(scope, {}))

    def find_holder(self, tx: Any) -> Any:
        with patch.dict(tx.unit.tables.owners, {self.scope: self._early}):
            return super().find_holder(tx)


def _import_codes(self: MemoryStorage, upload: Any, scope: str, counts: Any) -> Any:
    return nullcontext(_EarlyOwners(self, upload, scope, counts))


@contextmanager
def _begin_at_once(self: MemoryStorage, *, write: bool = True) -> Iterator[MemoryTransaction]:
    """Let everybody work at once, and show events at the commit, at the positions where they were written."""
    tx = MemoryTransaction(unit.Unit(self._tables, unit.UndoLog(), write=write), self, self._origin)
    tables, written, commit = self._tables, list[OutboxEntry](), tx.commit

    def append(events: Sequence[Event]) -> None:
        for event in events:
            position = next(tables.outbox_positions)
            written.append(OutboxEntry(f"{self._origin}-{position}", position, event))

    def show_and_commit() -> None:
        for entry in written:
            tables.outbox.append(entry)
            tables.outbox.sort(key=lambda entry: entry.position)
        commit()

    tx.outbox.append = append  # type: ignore[method-assign]
    tx.commit = show_and_commit  # type: ignore[method-assign]
    yield tx


RACES = [
    _fault("double assignment in a race", "test_two_assigners_at_once_get_two_codes", *_GIVEN),
    _fault(
        "last code given twice",
        "test_of_two_calls_that_exclude_each_other_one_is_refused[the last code]",
        *_GIVEN,
    ),
    _fault(
        "idempotency key used twice at once",
        "test_a_user_or_a_key_that_asks_twice_at_once_gets_one_code[order-1]",
        "keys",
    ),
    _fault(
        "two codes for a user who asks twice at once",
        "test_a_user_or_a_key_that_asks_twice_at_once_gets_one_code[None]",
        "of_user",
    ),
    _fault("lost update", "test_of_two_calls_that_exclude_each_other_one_is_refused[one version]", "lists"),
    _fault(
        "assignment that undoes a change of its list",
        "test_a_change_of_a_list_and_an_assignment_at_once_are_both_kept",
        "lists",
    ),
    _fault(
        "code given out and withdrawn", "test_a_withdrawn_code_is_not_given_out_at_the_same_time", "lists"
    ),
    _fault(
        "code of an archived list", "test_nothing_is_done_with_a_list_after_it_was_archived[assign]", "lists"
    ),
    _fault(
        "link to an archived list", "test_nothing_is_done_with_a_list_after_it_was_archived[link]", "lists"
    ),
    _fault(
        "link to a removed list",
        "test_of_two_calls_that_exclude_each_other_one_is_refused[delete, and link]",
        "lists",
        "links",
        "stocks",
    ),
    _fault(
        "tag given to two lists", "test_of_two_calls_that_exclude_each_other_one_is_refused[one tag]", "lists"
    ),
    _fault(
        "partner added twice",
        "test_of_two_calls_that_exclude_each_other_one_is_refused[one partner]",
        "partners",
    ),
    _fault("lease given twice", "test_a_lease_goes_to_one_of_two", "leases"),
    Fault(
        "duplicate check as of the opening of the import",
        "test_uploads_to_one_scope_may_overlap_while_their_files_are_read",
        ((MemoryStorage, "import_codes", _import_codes),),
    ),
    Fault(
        "event that is skipped because it commits late",
        "test_a_reader_of_the_outbox_misses_nothing_that_commits_late",
        ((MemoryStorage, "begin", _begin_at_once),),
    ),
]
