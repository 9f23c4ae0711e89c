"""Look-ups read, and nothing else: they wait for no writer, and none waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from partner_vouchers.ports import Storage
from tests.support.host import Host, some_codes
from tests.support.scene import CALLS, LOOK_UPS, Scene


@pytest.mark.parametrize("look_up", LOOK_UPS)
def test_a_look_up_only_reads(storage: Storage, monkeypatch: pytest.MonkeyPatch, look_up: str) -> None:
    scene = Scene(storage)
    begin, kinds = storage.begin, list[object]()

    @contextmanager
    def watched(*, write: bool = True) -> Iterator[Any]:
        kinds.append(write)
        with begin(write=write) as tx:
            yield tx

    monkeypatch.setattr(storage, "begin", watched)
    CALLS[look_up](scene)
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
