from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers import ListView, PartnerVouchers, Status
from partner_vouchers.errors import InvalidCursor, InvalidInput, PartnerVouchersError
from tests.support.host import EXPIRY, MICROSECOND, START, Host, rows_of, some_codes
from tests.support.storages import CountingStorage


def pages(host: Host, limit: int, **arguments: Any) -> list[ListView]:
    """Return the lists of all pages."""
    seen: list[ListView] = []
    after: str | None = None
    while True:
        page = host.vouchers.lists.find(after=after, limit=limit, **arguments)
        assert len(page) <= limit
        seen += page
        if page.next is None:
            return seen
        assert len(page) == limit
        after = page.next


# --- the lists page ----------------------------------------------------------------------------------------


def test_a_row_of_the_lists_page(host: Host) -> None:
    found = host.a_list("A", "B", partner="Puma", tag="winter", campaign="CMP1")
    host.vouchers.campaigns.link(found.id, "CMP2")
    host.give(found.id, "ann")
    (row,) = host.vouchers.lists.find()
    assert (row.id, row.partner, row.tag, row.updated_at, row.status) == (
        found.id,
        "Puma",
        "winter",
        START,
        Status.ACTIVE,
    )
    assert (row.campaigns, row.uploaded, row.distributed) == (2, 2, 1)


@pytest.fixture
def shelf(host: Host) -> dict[str, str]:
    """Lists of two partners in every status; their ids by name."""
    return {
        "winter": host.a_list(name="Winter Sale", tag="w500", partner="Puma").id,
        "paused": host.a_list(name="Pause", tag="p", partner="Puma", status=Status.PAUSED).id,
        "archived": host.a_list(name="Old", tag="w500x", partner="Amazon", status=Status.ARCHIVED).id,
        "expired": host.a_list(
            name="Gone", tag="g", description="Ein WEIẞES Hemd", partner="Amazon", status=Status.EXPIRED
        ).id,
        "summer": host.a_list(name="Summer", tag="50%_off", partner="Amazon", description="").id,
    }


def names(shelf: dict[str, str], found: list[ListView]) -> set[str]:
    by_id = {list_id: name for name, list_id in shelf.items()}
    return {by_id[each.id] for each in found}


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({}, {"winter", "paused", "archived", "expired", "summer"}),
        ({"partner": "Puma"}, {"winter", "paused"}),
        ({"partner": "puma"}, set()),
        ({"status": "Active"}, {"winter", "summer"}),
        ({"status": Status.PAUSED}, {"paused"}),
        ({"status": "Expired"}, {"expired"}),
        ({"status": "Archived"}, {"archived"}),
        ({"text": "w500"}, {"winter", "archived"}),
        ({"text": "SALE"}, {"winter"}),
        ({"text": "puma"}, {"winter", "paused"}),
        ({"text": "weisses"}, {"expired"}),
        ({"text": "50%_"}, {"summer"}),
        ({"text": "%"}, {"summer"}),
        ({"text": "_"}, {"summer"}),
        ({"text": ""}, {"winter", "paused", "archived", "expired", "summer"}),
        ({"text": "no such thing"}, set()),
        ({"partner": "Amazon", "status": "Active", "text": "OFF"}, {"summer"}),
        ({"partner": "Puma", "status": "Active", "text": "PAUSE"}, set()),
    ],
    # A set has no order: the names of the tests must have one.
    ids=lambda value: str(value if isinstance(value, dict) else sorted(value)),
)
def test_lists_are_filtered(
    host: Host, shelf: dict[str, str], arguments: dict[str, Any], expected: set[str]
) -> None:
    for limit in (1, 50):
        assert names(shelf, pages(host, limit, **arguments)) == expected


def test_the_latest_change_comes_first_by_default(host: Host) -> None:
    first = host.a_list()
    host.clock.advance(seconds=1)
    second = host.a_list()
    host.clock.advance(seconds=1)
    host.vouchers.lists.edit(first.id, name="Edited")
    assert [row.id for row in host.vouchers.lists.find()] == [first.id, second.id]


def test_changes_between_pages_neither_repeat_nor_skip_what_did_not_move(host: Host) -> None:
    ids = []
    for _ in range(6):
        ids.append(host.a_list().id)
        host.clock.advance(seconds=1)
    lists = host.vouchers.lists
    page = lists.find(sort="created_at", limit=2)
    lists.delete(ids[1])  # the list where the page ended
    lists.delete(ids[3])
    new = host.a_list().id
    rest = lists.find(sort="created_at", limit=10, after=page.next)
    assert [row.id for row in rest] == [ids[2], ids[4], ids[5], new]
    page = lists.find(sort="-updated_at", limit=2)
    lists.edit(ids[0], name="Moved to the front")
    rest = lists.find(sort="-updated_at", limit=10, after=page.next)
    assert [row.id for row in rest] == [ids[4], ids[2]]


def test_the_last_page_says_that_it_is(host: Host) -> None:
    for _ in range(4):
        host.a_list()
    assert host.vouchers.lists.find(limit=4).next is None
    page = host.vouchers.lists.find(limit=3)
    assert page.next is not None
    assert host.vouchers.lists.find(limit=3, after=page.next).next is None
    assert len(host.vouchers.lists.find(text="no such thing")) == 0


@pytest.mark.parametrize(
    "arguments, error, field",
    [
        ({"status": "active"}, InvalidInput, "status"),
        ({"sort": "id"}, InvalidInput, "sort"),
        ({"sort": "--name"}, InvalidInput, "sort"),
        ({"limit": 0}, InvalidInput, "limit"),
        ({"limit": 1001}, InvalidInput, "limit"),
        ({"after": "nonsense"}, InvalidCursor, "after"),
    ],
)
def test_a_page_that_does_not_exist_is_refused(
    host: Host, arguments: dict[str, Any], error: type[PartnerVouchersError], field: str
) -> None:
    host.a_list()
    with pytest.raises(error) as refused:
        host.vouchers.lists.find(**arguments)
    assert getattr(refused.value, "field", None) == field


def test_a_cursor_of_another_order_is_refused(host: Host) -> None:
    host.a_list()
    host.a_list()
    after = host.vouchers.lists.find(sort="name", limit=1).next
    for sort in ("-name", "tag", "uploaded"):
        with pytest.raises(InvalidCursor):
            host.vouchers.lists.find(sort=sort, after=after)


# --- users and codes -----------------------------------------------------------------------------------


def test_expired_vouchers_can_be_left_out(host: Host) -> None:
    short = host.a_list("A", expires_at=START + timedelta(days=1))
    long = host.a_list("B")
    archived = host.a_list("C")
    for found in (short, long, archived):
        host.give(found.id, "ann")
    host.vouchers.lists.archive(archived.id)
    codes = host.vouchers.codes
    host.clock.now = short.expires_at
    assert [held.code for held in codes.of_user("ann", expired=False)] == ["A", "B", "C"]
    host.clock.now += MICROSECOND
    assert [held.code for held in codes.of_user("ann", expired=False)] == ["B", "C"]
    assert [held.code for held in codes.of_user("ann")] == ["A", "B", "C"]
    host.vouchers.lists.edit(short.id, expires_at=EXPIRY)
    assert [held.code for held in codes.of_user("ann", expired=False)] == ["A", "B", "C"]


# --- whole lists -----------------------------------------------------------------------------------------


PAGE_BORDERS = [0, 1, 999, 1000, 1001, 2000, 2500]


def test_assignments_can_be_made_while_the_iterator_is_read(host: Host) -> None:
    found = host.a_list(*some_codes(1500))
    host.vouchers.codes.assign_many([f"user-{n}" for n in range(1200)], list_id=found.id)
    seen = []
    for held in host.vouchers.codes.assignments(found.id):
        seen.append(held.code)
        if len(seen) % 500 == 0:
            host.give(found.id, f"late-{len(seen)}")
    assert seen[:1200] == some_codes(1200)
    assert len(seen) == len(set(seen))


def test_the_distributed_codes_are_exported(host: Host) -> None:
    found = host.a_list("A", "B", "C", campaign="CMP")
    host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    host.give(found.id, 'Bén, "B"')
    assert rows_of(host.vouchers.codes.export(found.id)) == [
        ["code", "user_id", "campaign_id", "assigned_at", "redeemed_at", "revoked_at"],
        ["A", "ann", "CMP", "2026-11-21T12:00:00+00:00", "", ""],
        ["B", 'Bén, "B"', "", "2026-11-21T12:00:00+00:00", "", ""],
    ]


def test_the_remaining_codes_are_exported(host: Host) -> None:
    found = host.a_list("A", "B", "C")
    wrong = host.upload(found.id, "D", "E")
    host.upload(found.id, "F")
    host.vouchers.uploads.withdraw(wrong.id)
    host.give(found.id, "ann")
    exported = host.vouchers.codes.export(found.id, remaining=True)
    assert rows_of(exported) == [["code"], ["B"], ["C"], ["F"]]


def test_an_export_is_safe_to_open_in_a_spreadsheet_and_a_raw_one_exists(host: Host) -> None:
    found = host.a_list("=1+1", "-5")
    host.give(found.id, "@ann")
    codes = host.vouchers.codes
    assert rows_of(codes.export(found.id))[1][:2] == ["'=1+1", "'@ann"]
    assert rows_of(codes.export(found.id, raw=True))[1][:2] == ["=1+1", "@ann"]
    assert rows_of(codes.export(found.id, remaining=True))[1] == ["'-5"]
    assert rows_of(codes.export(found.id, remaining=True, raw=True))[1] == ["-5"]


@pytest.mark.parametrize("number", PAGE_BORDERS)
def test_exports_over_many_pages_are_complete(host: Host, number: int) -> None:
    codes = some_codes(number)
    found = host.a_list("FIRST", *codes)
    host.give(found.id, "ann")
    exported = host.vouchers.codes.export(found.id, remaining=True)
    assert rows_of(exported) == [["code"], *([code] for code in codes)]


def test_the_expiries_of_a_users_lists_are_looked_up_at_once(host: Host) -> None:
    asked = list[str]()

    class Asked(CountingStorage):
        @contextmanager
        def begin(self, *, write: bool = True) -> Iterator[Any]:
            with self._storage.begin(write=write) as tx:
                yield _Watched(tx, asked)

    for number in range(20):
        host.give(host.a_list("A", "B", expires_at=EXPIRY + timedelta(days=number)).id, "ann")
    host.clock.now = EXPIRY + timedelta(days=9, seconds=1)
    vouchers = PartnerVouchers(Asked(host.storage), clock=host.clock)
    assert len(vouchers.codes.of_user("ann", expired=False)) == 10
    assert [name for name in asked if name.startswith("lists.")] == ["lists.expiries"]


class _Watched:
    """A transaction that notes which methods are called."""

    def __init__(self, found: Any, asked: list[str], name: str = "") -> None:
        self._found, self._asked, self._name = found, asked, name

    def __getattr__(self, name: str) -> Any:
        return _Watched(getattr(self._found, name), self._asked, f"{self._name}.{name}".lstrip("."))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self._asked.append(self._name)
        return self._found(*arguments, **named)
