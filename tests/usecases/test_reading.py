"""Look-ups read, and nothing else: they wait for no writer, and none waits for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.host import Host, some_codes
from tests.support.sinks import ScriptedSink

LOOK_UPS: dict[str, Callable[[Host], object]] = {
    "partners.get": lambda host: host.vouchers.partners.get("Puma"),
    "partners.all": lambda host: host.vouchers.partners.all(),
    "lists.get": lambda host: host.vouchers.lists.get("1"),
    "lists.find": lambda host: host.vouchers.lists.find(),
    "lists.stock": lambda host: host.vouchers.lists.get("1").available,
    "campaigns.of_list": lambda host: host.vouchers.campaigns.of_list("1"),
    "campaigns.lists_of": lambda host: host.vouchers.campaigns.lists_of("CMP1"),
    "codes.of_user": lambda host: host.vouchers.codes.of_user("ann", expired=False),
    "codes.holders": lambda host: host.vouchers.codes.holders("A"),
    "codes.assignments": lambda host: list(host.vouchers.codes.assignments("1")),
    "codes.export": lambda host: host.vouchers.codes.export("1").read(),
    "codes.export remaining": lambda host: host.vouchers.codes.export("1", remaining=True).read(),
    "uploads.get": lambda host: host.vouchers.uploads.get("1"),
    "uploads.find": lambda host: host.vouchers.uploads.find(list_id="1"),
    "uploads.errors": lambda host: host.vouchers.uploads.errors("1"),
    "uploads.error_file": lambda host: host.vouchers.uploads.error_file("1").read(),
    "uploads.original_file": lambda host: host.vouchers.uploads.original_file("1").read(),
    "uploads.explain_duplicate": lambda host: host.vouchers.uploads.explain_duplicate("1", "A"),
    "audit.entries": lambda host: host.vouchers.audit.entries(),
    "events.backlog": lambda host: host.vouchers.events.backlog("crm"),
    "events.dead_letters": lambda host: host.vouchers.events.dead_letters(),
}


@pytest.mark.parametrize("look_up", LOOK_UPS)
def test_a_look_up_only_reads(host: Host, monkeypatch: pytest.MonkeyPatch, look_up: str) -> None:
    host.a_list("A", "B", "B B", campaign="CMP1")
    host.give("1", "ann")
    host.vouchers.events.deliver(ScriptedSink())
    begin, kinds = host.storage.begin, list[object]()

    @contextmanager
    def watched(*, write: bool = True) -> Iterator[Any]:
        kinds.append(write)
        with begin(write=write) as tx:
            yield tx

    monkeypatch.setattr(host.storage, "begin", watched)
    LOOK_UPS[look_up](host)
    assert set(kinds) == {False}


def test_a_page_has_fifty_entries_unless_asked_otherwise(host: Host) -> None:
    found = host.a_list()
    for number in range(50):
        host.upload(found.id, f"A{number}")
        host.a_list()
    assert len(host.vouchers.uploads.find(list_id=found.id)) == len(host.vouchers.lists.find()) == 50
    assert host.vouchers.uploads.find(list_id=found.id).next is None
    host.upload(found.id, "A50")
    assert len(host.vouchers.uploads.find(list_id=found.id)) == 50
    assert len(host.vouchers.audit.entries()) == 50


def test_a_page_of_refused_rows_has_a_hundred(host: Host) -> None:
    found = host.a_list()
    upload = host.upload(found.id, "A", *["no code"] * 101)
    assert len(host.vouchers.uploads.errors(upload.id)) == 100


def test_the_last_page_of_a_log_says_so_also_when_it_is_full(host: Host) -> None:
    found = host.a_list()
    for code in some_codes(3):
        host.upload(found.id, code)
    log = host.vouchers.uploads.find(list_id=found.id, limit=2)
    assert [len(host.vouchers.uploads.find(list_id=found.id, limit=2, after=log.next)), len(log)] == [1, 2]
    assert host.vouchers.uploads.find(list_id=found.id, limit=3).next is None
    entries = len(host.vouchers.audit.entries(limit=1000))
    assert host.vouchers.audit.entries(limit=entries).next is None
    assert host.vouchers.audit.entries(limit=entries - 1).next is not None
