"""Memory storages with one fault each at the edges: ids used before, pages behind nothing, foreign transactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from partner_vouchers.adapters.memory import codes, imports, lists, records
from partner_vouchers.adapters.memory.transaction import MemoryTransaction
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import StorageError
from tests.testing.sabotage.adapters import Fault, entering

EDGES: list[Fault] = []
fault = entering(EDGES)


# --- lists and uploads ---

_add_list = lists.Lists.add


@fault("test_a_new_list_begins_at_zero_and_unannounced", lists.Lists, "add")
def new_list_that_was_announced_before(self: lists.Lists, voucher_list: VoucherList) -> None:
    _add_list(self, voucher_list)
    self.set_notified_level(voucher_list.id, voucher_list.notified)


@fault("test_a_list_is_stored_once_and_its_id_never_again", lists.Lists, "add")
def list_that_comes_back_from_the_dead(self: lists.Lists, voucher_list: VoucherList) -> None:
    if self.get(voucher_list.id) is None:
        self._unit.log.drop(self._unit.tables.ids_of_lists, voucher_list.id)
    _add_list(self, voucher_list)


@fault("test_a_list_is_stored_once_and_its_id_never_again", records.Uploads, "add")
def upload_that_comes_back_from_the_dead(original: Any, self: records.Uploads, upload: Any) -> None:
    if self.get(upload.id) is None:
        self._unit.log.drop(self._unit.tables.ids_of_uploads, upload.id)
    original(self, upload)


@fault("test_lists_of_a_campaign_are_ordered_by_priority_then_age", lists.Campaigns, "of_campaign")
def links_whose_age_is_what_a_clock_said(original: Any, self: lists.Campaigns, campaign_id: str) -> list[Any]:
    return sorted(original(self, campaign_id), key=lambda found: (found[0].priority, found[0].linked_at))


@fault("test_pieces_of_a_file_are_stored_once_and_come_back_byte_for_byte", records.Uploads, "add_piece")
def empty_piece_that_is_taken_for_none(
    original: Any, self: records.Uploads, upload_id: str, index: int, data: bytes
) -> None:
    if self.piece(upload_id, index) == b"":
        self._unit.log.drop(self._unit.tables.pieces[upload_id], index)
    original(self, upload_id, index, data)


# --- assignments ---


@fault(
    "test_a_users_assignments_are_ordered_by_time_ordinal_and_age_of_the_list", codes.Assignments, "of_user"
)
def vouchers_by_the_text_of_their_lists(self: codes.Assignments, user_id: str) -> list[Assignment]:
    found = self.get_many(self._unit.tables.of_user.get(user_id, ()))
    return sorted(found, key=lambda each: (each.assigned_at, each.ordinal, each.list_id))


@fault("test_holders_of_a_code_are_found_in_all_lists_the_oldest_first", codes.Assignments, "of_code")
def holders_by_the_text_of_their_lists(self: codes.Assignments, code: str) -> list[Assignment]:
    return sorted(self.get_many(self._unit.tables.of_code.get(code, ())), key=lambda each: each.list_id)


_ONCE = "test_a_code_and_an_ordinal_are_assigned_once"


@fault(_ONCE, codes.Assignments, "add")
def ordinal_that_is_not_looked_for(self: codes.Assignments, assignments: Sequence[Assignment]) -> None:
    for each in assignments:
        self.insert(each)
    self.append_events(assignments)


@fault(_ONCE, codes.Assignments, "add")
def code_that_is_only_looked_for_in_what_was_stored_before(
    original: Any, self: codes.Assignments, assignments: Sequence[Assignment]
) -> None:
    before = set(self._unit.tables.assignments)
    for each in assignments:
        if each.id not in before and each.id in self._unit.tables.assignments:
            self._unit.log.drop(self._unit.tables.assignments, each.id)
        original(self, [each])


# --- pages ---


def _from_the_start(page: Any) -> Any:
    def from_the_start_behind_a_string_that_is_no_id(self: Any, *asked: Any) -> Any:
        *of, after, limit = asked
        return page(self, *of, None if after is None or not after.isdecimal() else after, limit)

    return from_the_start_behind_a_string_that_is_no_id


def _from_the_last_id(page: Any) -> Any:
    def from_the_last_entry_of_the_page_before(self: Any, *asked: Any) -> Any:
        *of, after, limit = asked
        whole = page(self, *of, None, 2**31)
        start = 0 if after is None else [each.id for each in whole].index(after)
        return whole[start : start + limit]

    return from_the_last_entry_of_the_page_before


def _from_the_last_number(page: Any) -> Any:
    def from_the_last_entry_of_the_page_before(self: Any, *asked: Any) -> Any:
        *of, after, limit = asked
        return page(self, *of, after - 1, limit)

    return from_the_last_entry_of_the_page_before


_NO_ID = "test_nothing_comes_after_a_string_that_is_no_id"
_LEFT = "test_remaining_codes_are_paged_in_the_order_in_which_they_go_out"
_GIVEN = "test_a_lists_assignments_are_paged_in_the_order_of_their_codes"
_UPLOADS = "test_uploads_are_paged_from_the_newest_and_run_from_the_oldest"
_EVENTS = "test_the_outbox_is_read_in_the_order_of_commits"
_FAULTS = "test_refused_rows_are_kept_in_the_order_of_their_lines"
_PAGES = [
    ("codes from the start behind a string that is no id", _NO_ID, codes.Codes, "remaining", _from_the_start),
    ("assignments from the start likewise", _NO_ID, codes.Assignments, "of_list", _from_the_start),
    ("uploads from the start likewise", _NO_ID, records.Uploads, "find", _from_the_start),
    ("codes on two pages", _LEFT, codes.Codes, "remaining", _from_the_last_id),
    ("assignments on two pages", _GIVEN, codes.Assignments, "of_list", _from_the_last_id),
    ("uploads on two pages", _UPLOADS, records.Uploads, "find", _from_the_last_id),
    ("events on two pages", _EVENTS, records.Outbox, "read", _from_the_last_number),
    ("refused rows on two pages", _FAULTS, records.Uploads, "faults", _from_the_last_number),
]
EDGES += [
    Fault(what, named_test, ((owner, method, sabotage(getattr(owner, method))),))
    for what, named_test, owner, method, sabotage in _PAGES
]


@fault("test_a_page_goes_on_behind_a_code_that_was_taken_since", codes.Codes, "remaining")
def page_that_ends_where_its_code_was_taken(
    original: Any, self: codes.Codes, list_id: str, after: str | None, limit: int
) -> Any:
    left = original(self, list_id, None, 1000)
    ids = [each.id for each in left]
    if after is None:
        return left[:limit]
    return left[ids.index(after) + 1 :][:limit] if after in ids else []


# --- imports ---

_publish = imports.MemoryImport.publish


@fault(
    "test_codes_become_available_when_their_publishing_commits_and_not_before",
    imports.MemoryImport,
    "publish",
)
def publishing_once_whatever_became_of_it(self: imports.MemoryImport, tx: Any) -> int:
    if "asked" in vars(self):
        raise StorageError(reason="publish once")
    vars(self)["asked"] = True
    return _publish(self, tx)


@fault("test_publishing_needs_a_transaction_of_the_same_storage", imports.MemoryImport, "publish")
def publishing_in_a_transaction_of_any_storage(self: imports.MemoryImport, tx: Any) -> int:
    if not isinstance(tx, MemoryTransaction):
        raise StorageError(reason="this is no transaction of such a storage")
    own, self.storage = self.storage, tx.storage
    try:
        return _publish(self, tx)
    finally:
        self.storage = own


@fault("test_refused_rows_are_kept_in_the_order_of_their_lines", imports.MemoryImport, "save_faults")
def refused_row_that_ends_at_a_nul(original: Any, self: imports.MemoryImport, keep_alive: Any) -> None:
    self._faults = [each._replace(raw=each.raw.partition("\0")[0]) for each in self._faults]
    original(self, keep_alive)
