"""Cursors are texts that hosts keep and hand back: what they accept, and what storages remember, does not change."""

from __future__ import annotations

import pytest

from partner_vouchers.errors import InvalidCursor
from partner_vouchers.ports import ListOrder
from partner_vouchers.usecases.paging import decode_cursor, encode_cursor
from tests.support.host import Host

_LONGEST = "9" * 18


def test_a_cursor_needs_no_quoting_in_a_url() -> None:
    for length in range(8):
        cursor = encode_cursor(ListOrder.NAME, False, "ä" * length, "1837")
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert decode_cursor(cursor, ListOrder.NAME, False) == ("ä" * length, "1837")


def test_a_cursor_holds_no_greater_number_than_storages_have(host: Host) -> None:
    assert host.vouchers.audit.entries(after=_LONGEST).items == ()
    with pytest.raises(InvalidCursor):
        host.vouchers.audit.entries(after=_LONGEST + "9")
    for key in (10**18 - 1, 1 - 10**18):
        cursor = encode_cursor(ListOrder.UPLOADED, True, key, _LONGEST)
        assert decode_cursor(cursor, ListOrder.UPLOADED, True) == (key, _LONGEST)
    for key in (10**18, -(10**18)):
        with pytest.raises(InvalidCursor):
            decode_cursor(encode_cursor(ListOrder.UPLOADED, True, key, "1"), ListOrder.UPLOADED, True)


def test_any_line_of_a_file_can_be_where_a_page_begins(host: Host) -> None:
    upload = host.upload(host.a_list().id, "A", *["no code"] * 99)
    assert [fault.line for fault in host.vouchers.uploads.errors(upload.id, after_line=99)] == [100]


def test_keys_that_storages_remember_keep_their_meaning(host: Host) -> None:
    found = host.a_list("A", "B")
    host.vouchers.codes.assign(list_id=found.id, user_id="ann", idempotency_key="one")
    host.vouchers.codes.assign_many(["ann"], list_id=found.id, idempotency_key="many")
    with host.storage.begin(write=False) as tx:
        stored = [tx.keys.get(key) for key in ("one", "many")]
    assert [known[0] if known else None for known in stored] == [
        "3d8fa7686ef6ba19f41a2a9fac601f827e6346e6aea8219e1db53a3a672ae2c8",
        "9441a50da2379e3f82a695e69e27b940c3074744d4d606531064773c5e1ad336",
    ]
