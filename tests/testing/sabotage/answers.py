"""Memory storages that answer almost right: shortened, reordered, out of date, or with what should not be there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any

from attrs import evolve

from partner_vouchers.adapters.memory import codes, deliveries, lists, records, tables
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts
from partner_vouchers.ports import TakenCode
from tests.testing.sabotage.adapters import THE_MACHINE, Fault

ANSWERS: list[Fault] = []


def _answering(owner: type, name: str, change: Callable[..., Any]) -> tuple[tuple[type, str, Any], ...]:
    method = getattr(owner, name)

    @wraps(method)
    def answering(self: Any, *asked: Any, **named: Any) -> Any:
        return change(method(self, *asked, **named), self, *asked, **named)

    return ((owner, name, answering),)


def _enter(what: str, named_test: str, owner: type, name: str, change: Callable[..., Any]) -> None:
    ANSWERS.append(Fault(what, named_test, _answering(owner, name, change)))


# --- assignments that say what their lists say now ---


def _now(self: codes.Assignments, given: Assignment) -> Assignment:
    return evolve(given, snapshot=self._unit.tables.list(given.list_id).snapshot)


def _all_now(found: Any, self: codes.Assignments, *_asked: object) -> Any:
    if isinstance(found, dict):
        return {key: _now(self, given) for key, given in found.items()}
    return [_now(self, given) for given in found]


for _name in ("of_user", "of_code", "of_list", "latest_of_many"):
    _enter(
        f"newer terms in {_name}",
        "test_an_assignment_says_what_its_list_said_then",
        codes.Assignments,
        _name,
        _all_now,
    )


# --- shortened, reordered and without repeats ---


def _at_most(limit: int) -> Callable[..., Any]:
    def shortened(found: Any, *_asked: object) -> Any:
        return dict(list(found.items())[:limit]) if isinstance(found, dict) else found[:limit]

    return shortened


_MANY = "test_many_assignments_are_returned_as_a_whole"
_OTHERS = "test_many_links_lists_and_uploads_are_returned_as_a_whole"
for _named_test, _owner, _name, _limit in (
    (_MANY, codes.Assignments, "of_user", 100),
    (_MANY, codes.Assignments, "of_user", 1_000),
    (_MANY, codes.Assignments, "get_many", 1_000),
    (_MANY, codes.Assignments, "latest_of_many", 1_000),
    (_OTHERS, lists.Campaigns, "of_campaign", 100),
    (_OTHERS, lists.Campaigns, "of_list", 100),
    (_OTHERS, lists.Lists, "expiries", 100),
    (_OTHERS, lists.Partners, "all", 100),
    (_OTHERS, records.Uploads, "running", 100),
    (_OTHERS, deliveries.Deliveries, "sinks", 100),
    ("test_holders_of_a_code_are_found_in_all_lists_the_oldest_first", codes.Assignments, "of_code", 1),
):
    _enter(f"at most {_limit} in {_name} of {_owner.__name__}", _named_test, _owner, _name, _at_most(_limit))


def _once(found: list[Any], *_asked: object) -> list[Any]:
    return [each for place, each in enumerate(found) if each not in found[:place]]


_TWICE = "test_what_is_asked_for_twice_is_returned_twice"
_enter("assignments without repeats", _TWICE, codes.Assignments, "get_many", _once)
_enter(
    "entries without repeats",
    "test_entries_of_the_outbox_are_counted_and_found_by_position",
    records.Outbox,
    "get_many",
    _once,
)
_enter(
    "assignments in the order of storing",
    "test_a_lists_assignments_are_paged_in_the_order_of_their_codes",
    codes.Assignments,
    "get_many",
    lambda found, *_: sorted(found, key=lambda given: int(given.id)),
)
_enter(
    "entries in the order of positions",
    "test_entries_of_the_outbox_are_counted_and_found_by_position",
    records.Outbox,
    "get_many",
    lambda found, *_: sorted(found, key=lambda entry: entry.position),
)


def _sorted_results(found: Any, *_asked: object) -> Any:
    return found and (found[0], tuple(sorted(set(found[1]))))


_enter(
    "results of a key as a set",
    "test_a_key_is_stored_once",
    records.IdempotencyKeys,
    "get",
    _sorted_results,
)


# --- codes that are not left ---


def _with_the_last_given(
    found: list[TakenCode], self: codes.Codes, list_id: str, after: str | None, limit: int
) -> list[TakenCode]:
    given = [each for each in self._unit.tables.assignments.values() if each.list_id == list_id]
    if after is not None or not given:
        return found
    return [TakenCode(given[-1].id, given[-1].code), *found][:limit]


def _with_what_was_given_since(
    found: list[TakenCode], self: codes.Codes, list_id: str, after: str | None, limit: int
) -> list[TakenCode]:
    if after is None:
        return found
    given = [
        TakenCode(each.id, each.code)
        for each in self._unit.tables.assignments.values()
        if each.list_id == list_id and int(each.id) > int(after)
    ]
    return [*given, *found][:limit]


_enter(
    "remaining code that was just given",
    "test_remaining_codes_are_paged_in_the_order_in_which_they_go_out",
    codes.Codes,
    "remaining",
    _with_the_last_given,
)
_enter(
    "remaining code that was given between two pages",
    "test_a_page_goes_on_behind_a_code_that_was_taken_since",
    codes.Codes,
    "remaining",
    _with_what_was_given_since,
)


# --- counters that drift ---


def _without_withdrawn(found: Any, *_asked: object) -> Any:
    def change(each: Any) -> Any:
        return evolve(each, counts=evolve(each.counts, withdrawn=0))

    return [change(each) for each in found] if isinstance(found, list) else found and change(found)


for _name in ("get", "find"):
    _enter(f"withdrawn codes forgotten in {_name}", THE_MACHINE, lists.Lists, _name, _without_withdrawn)


def _given_codes_too(found: int, self: codes.Codes, upload_id: str) -> int:
    batch = self._unit.tables.batches.get(upload_id)
    if batch is None or not found:
        return found
    known = self._unit.tables.list(batch.list_id)
    counts = evolve(known.counts, withdrawn=known.counts.withdrawn + batch.taken)
    self._unit.log.put(self._unit.tables.lists, known.id, evolve(known, counts=counts))
    return found


_enter(
    "given codes that count as withdrawn",
    THE_MACHINE,
    codes.Codes,
    "withdraw",
    _given_codes_too,
)


def _of_every_list(taken: Any, self: codes.Codes, list_id: str, *_asked: object) -> Any:
    table, log = self._unit.tables.lists, self._unit.log
    for other in [each for each in table.values() if each.id != list_id and taken.codes]:
        counts: Counts = evolve(other.counts, distributed=other.counts.distributed + len(taken.codes))
        log.put(table, other.id, evolve(other, counts=counts))
    return taken


_enter(
    "counter of another list",
    THE_MACHINE,
    codes.Codes,
    "take",
    _of_every_list,
)


def _links_that_only_grow(found: bool, self: lists.Campaigns, list_id: str, _campaign_id: str) -> bool:
    if found:
        known = self._unit.tables.list(list_id)
        self._unit.log.put(self._unit.tables.lists, list_id, evolve(known, campaigns=known.campaigns + 1))
    return found


_enter(
    "number of campaigns that only grows",
    "test_a_link_comes_back_and_can_be_replaced_and_removed",
    lists.Campaigns,
    "remove",
    _links_that_only_grow,
)


# --- what is found ---


def _not_archived(found: dict[str, Any], self: lists.Lists, _ids: Sequence[str]) -> dict[str, Any]:
    known = self._unit.tables.lists
    return {key: expiry for key, expiry in found.items() if known[key].state is not State.ARCHIVED}


_enter(
    "expiry of an archived list that is not found",
    "test_the_expiries_of_many_lists_are_looked_up_at_once",
    lists.Lists,
    "expiries",
    _not_archived,
)


def _by_time(
    found: dict[str, Assignment], self: codes.Assignments, users: Sequence[str], *asked: str | None
) -> dict[str, Assignment]:
    campaign_id, list_id = asked
    mine = {
        user: [
            given
            for given in self.of_user(user)
            if given.campaign_id == campaign_id and (campaign_id is not None or given.list_id == list_id)
        ]
        for user in found
    }
    return {user: max(given, key=lambda each: each.assigned_at) for user, given in mine.items()}


_enter(
    "latest assignment by the clock",
    "test_the_latest_assignment_is_by_campaign_or_else_by_list",
    codes.Assignments,
    "latest_of_many",
    _by_time,
)


def _touching_version(
    _found: None, self: lists.Lists, list_id: str, *_asked: object, **_named: object
) -> None:
    known = self._unit.tables.list(list_id)
    self._unit.log.put(self._unit.tables.lists, list_id, evolve(known, version=known.version + 1))


_enter(
    "version that moves when a list is touched",
    "test_saving_leaves_alone_what_the_storage_keeps",
    lists.Lists,
    "touch",
    _touching_version,
)


def _of_the_default_page(found: list[Any], self: records.Audit, *asked: Any) -> list[Any]:
    return found[:100]


_enter(
    "audit log of one page",
    _OTHERS,
    records.Audit,
    "entries",
    _of_the_default_page,
)
_enter(
    "piece of a file without its last line end",
    "test_pieces_of_a_file_are_stored_once_and_come_back_byte_for_byte",
    records.Uploads,
    "piece",
    lambda found, *_: found and found.rstrip(b"\r\n"),
)
_enter(
    "piece of a file that ends at a NUL",
    "test_pieces_of_a_file_are_stored_once_and_come_back_byte_for_byte",
    records.Uploads,
    "piece",
    lambda found, *_: found and found.partition(b"\0")[0],
)
_enter(
    "oldest upload of a file",
    "test_a_completed_upload_is_found_by_its_file",
    records.Uploads,
    "completed_with",
    lambda found, self, list_id, _sha256: (
        found
        and min(
            (each for each in self._unit.tables.uploads.values() if each.sha256 == found.sha256),
            key=lambda each: int(each.id),
        )
    ),
)
_enter(
    "pause of a sink in whole seconds",
    "test_the_progress_of_a_sink_comes_back",
    deliveries.Deliveries,
    "progress",
    lambda found, *_: (
        found
        and evolve(
            found,
            pause=evolve(found.pause, until=found.pause.until and found.pause.until.replace(microsecond=0)),
        )
    ),
)
_enter(
    "event that is due a microsecond early",
    "test_a_later_event_is_not_due_before_an_earlier_one_of_the_same_key",
    deliveries.Deliveries,
    "due",
    lambda found, self, sink, now, limit: [
        row
        for row in self.all_deferred(sink)
        if not row.is_dead and row.retry_at and row.retry_at <= now + timedelta(microseconds=1)
    ][:limit],
)
_enter(
    "holder in an archived list",
    "test_a_holder_is_a_list_whose_codes_count",
    codes.Codes,
    "holder",
    lambda found, self, scope, code, counts: found or _standing(self, scope, code),
)


def _standing(self: codes.Codes, scope: str, code: str) -> Any:
    place: tables.Place | None = self._unit.tables.owners.get(scope, {}).get(code)
    return None if place is None else Holder(place[0].list_id)
