"""Memory storages that answer almost right: shortened, reordered, out of date, or with what should not be there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from attrs import evolve

from partner_vouchers.adapters.memory import codes, lists, records, tables
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.ports import Holding, TakenCode
from tests.testing.sabotage.adapters import THE_MACHINE, Fault

Change = Callable[..., Any]


def _answering(owner: type, name: str, change: Change) -> tuple[tuple[type, str, Any], ...]:
    method = getattr(owner, name)

    @wraps(method)
    def answering(self: Any, *asked: Any, **named: Any) -> Any:
        return change(method(self, *asked, **named), self, *asked, **named)

    return ((owner, name, answering),)


def _all_now(found: Any, self: codes.Assignments, *_asked: object) -> Any:
    """Let assignments say what their lists say now."""
    if isinstance(found, dict):
        return {user: each._replace(held=_all_now([each.held], self)[0]) for user, each in found.items()}
    return [evolve(given, snapshot=self._unit.tables.list(given.list_id).snapshot) for given in found]


def _at_most(limit: int) -> Change:
    def shortened(found: Any, *_asked: object) -> Any:
        return dict(list(found.items())[:limit]) if isinstance(found, dict) else found[:limit]

    return shortened


def _once(found: list[Any], *_asked: object) -> list[Any]:
    return [each for place, each in enumerate(found) if each not in found[:place]]


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
    given = [
        TakenCode(each.id, each.code)
        for each in self._unit.tables.assignments.values()
        if after is not None and each.list_id == list_id and int(each.id) > int(after)
    ]
    return [*given, *found][:limit]


def _recounted(**more: int) -> Change:
    """Answer with lists whose counters are wrong by so much."""

    def change(each: Any) -> Any:
        counts = {name: max(getattr(each.counts, name) + number, 0) for name, number in more.items()}
        return evolve(each, counts=evolve(each.counts, **counts))

    def recounted(found: Any, *_asked: object) -> Any:
        return [change(each) for each in found] if isinstance(found, list) else found and change(found)

    return recounted


def _not_archived(found: dict[str, Any], self: lists.Lists, _ids: Sequence[str]) -> dict[str, Any]:
    known = self._unit.tables.lists
    return {key: expiry for key, expiry in found.items() if known[key].state is not State.ARCHIVED}


def _by_time(
    found: dict[str, Holding], self: codes.Assignments, users: Sequence[str], *asked: str | None
) -> dict[str, Holding]:
    last = {user: max(self.given_to([user], *asked), key=lambda each: each.assigned_at) for user in found}
    return {user: each._replace(held=last[user]) for user, each in found.items()}


def _oldest(found: Any, self: records.Uploads, list_id: str, _sha256: str) -> Any:
    same = [each for each in self._unit.tables.uploads.values() if found and each.sha256 == found.sha256]
    return min(same, key=lambda each: int(each.id), default=None)


def _in_seconds(found: Any, *_asked: object) -> Any:
    until = found and found.pause.until and found.pause.until.replace(microsecond=0)
    return found and evolve(found, pause=evolve(found.pause, until=until))


def _early(found: Any, self: records.Deliveries, sink: str, now: datetime, limit: int) -> list[Any]:
    due = now + timedelta(microseconds=1)
    rows = [
        row for row in self.all_deferred(sink) if not row.is_dead and row.retry_at and row.retry_at <= due
    ]
    return rows[:limit]


def _in_any_list(found: Any, self: codes.Codes, scope: str, code: str, _counts: object) -> Any:
    place: tables.Place | None = self._unit.tables.owners.get(scope, {}).get(code)
    return found or (None if place is None else Holder(place[0].list_id))


_THEN = "test_an_assignment_says_what_its_list_said_then"
_MANY = "test_many_assignments_are_returned_as_a_whole"
_OTHERS = "test_many_links_lists_and_uploads_are_returned_as_a_whole"
_HOLDERS = "test_holders_of_a_code_are_found_in_all_lists_the_oldest_first"
_ENTRIES = "test_entries_of_the_outbox_are_counted_and_found_by_position"
_PAGED = "test_a_lists_assignments_are_paged_in_the_order_of_their_codes"
_LEFT = "test_remaining_codes_are_paged_in_the_order_in_which_they_go_out"
_PIECES = "test_pieces_of_a_file_are_stored_once_and_come_back_byte_for_byte"
_EARLIER = "test_a_later_event_is_not_due_before_an_earlier_one_of_the_same_key"

_ROWS: list[tuple[str, str, type, str, Change]] = [
    ("newer terms of a user", _THEN, codes.Assignments, "of_user", _all_now),
    ("newer terms of a code", _THEN, codes.Assignments, "of_code", _all_now),
    ("newer terms of a list", _THEN, codes.Assignments, "of_list", _all_now),
    ("newer terms of the latest", _THEN, codes.Assignments, "holdings", _all_now),
    ("newer terms by id", _THEN, codes.Assignments, "get_many", _all_now),
    ("at most 100 of a user", _MANY, codes.Assignments, "of_user", _at_most(100)),
    ("at most 1000 of a user", _MANY, codes.Assignments, "of_user", _at_most(1_000)),
    ("at most 1000 by id", _MANY, codes.Assignments, "get_many", _at_most(1_000)),
    ("at most 1000 of many", _MANY, codes.Assignments, "holdings", _at_most(1_000)),
    ("at most 100 lists", _OTHERS, lists.Campaigns, "of_campaign", _at_most(100)),
    ("at most 100 campaigns", _OTHERS, lists.Campaigns, "of_list", _at_most(100)),
    ("at most 100 expiries", _OTHERS, lists.Lists, "expiries", _at_most(100)),
    ("at most 100 partners", _OTHERS, lists.Partners, "all", _at_most(100)),
    ("at most 100 uploads", _OTHERS, records.Uploads, "running", _at_most(100)),
    ("at most 100 sinks", _OTHERS, records.Deliveries, "sinks", _at_most(100)),
    ("audit log of one page", _OTHERS, records.Audit, "entries", _at_most(100)),
    ("one holder", _HOLDERS, codes.Assignments, "of_code", _at_most(1)),
    ("assignments without repeats", _PAGED, codes.Assignments, "get_many", _once),
    ("entries without repeats", _ENTRIES, records.Outbox, "get_many", _once),
    (
        "assignments in the order of storing",
        _PAGED,
        codes.Assignments,
        "get_many",
        lambda found, *_: sorted(found, key=lambda given: int(given.id)),
    ),
    (
        "entries in the order of positions",
        _ENTRIES,
        records.Outbox,
        "get_many",
        lambda found, *_: sorted(found, key=lambda entry: entry.position),
    ),
    (
        "results of a key as a set",
        "test_a_key_is_stored_once",
        records.IdempotencyKeys,
        "get",
        lambda found, *_: found and (found[0], tuple(sorted(set(found[1])))),
    ),
    ("remaining code that was just given", _LEFT, codes.Codes, "remaining", _with_the_last_given),
    (
        "remaining code that was given between two pages",
        "test_a_page_goes_on_behind_a_code_that_was_taken_since",
        codes.Codes,
        "remaining",
        _with_what_was_given_since,
    ),
    ("withdrawn codes forgotten", THE_MACHINE, lists.Lists, "get", _recounted(withdrawn=-9)),
    ("withdrawn codes forgotten on a page", THE_MACHINE, lists.Lists, "find", _recounted(withdrawn=-9)),
    ("retired codes forgotten on a page", THE_MACHINE, lists.Lists, "find", _recounted(retired=-9)),
    (
        "expiry of an archived list that is not found",
        "test_the_expiries_of_many_lists_are_looked_up_at_once",
        lists.Lists,
        "expiries",
        _not_archived,
    ),
    (
        "latest assignment by the clock",
        "test_the_latest_assignment_is_by_campaign_or_else_by_list",
        codes.Assignments,
        "holdings",
        _by_time,
    ),
    (
        "piece of a file without its last line end",
        _PIECES,
        records.Uploads,
        "piece",
        lambda found, *_: found and found.rstrip(b"\r\n"),
    ),
    (
        "piece of a file that ends at a NUL",
        _PIECES,
        records.Uploads,
        "piece",
        lambda found, *_: found and found.partition(b"\0")[0],
    ),
    (
        "oldest upload of a file",
        "test_a_completed_upload_is_found_by_its_file",
        records.Uploads,
        "completed_with",
        _oldest,
    ),
    (
        "pause of a sink in whole seconds",
        "test_the_progress_of_a_sink_comes_back",
        records.Deliveries,
        "progress",
        _in_seconds,
    ),
    ("event that is due a microsecond early", _EARLIER, records.Deliveries, "due", _early),
    (
        "holder in an archived list",
        "test_a_holder_is_a_list_whose_codes_count",
        codes.Codes,
        "holder",
        _in_any_list,
    ),
]

ANSWERS = [
    Fault(what, named_test, _answering(owner, name, change))
    for what, named_test, owner, name, change in _ROWS
]
