"""Cursors are texts that hosts keep and hand back: what they accept, and what storages remember, does not change."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from partner_vouchers.errors import InvalidCursor
from partner_vouchers.usecases.paging import LARGEST, decode_cursor, encode_cursor
from tests.support.host import Host


def test_a_cursor_needs_no_quoting_in_a_url() -> None:
    for length in range(8):
        cursor = encode_cursor("lists", "ä" * length, 1837)
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert decode_cursor("lists", cursor, str, int) == ["ä" * length, 1837]


def test_the_first_page_has_no_cursor() -> None:
    assert decode_cursor("lists", None, str) is None


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "1837", "€", 5, b"x", [], "\ud800", "W" * 10_000,
        encode_cursor("uploads", "a", 1),
        encode_cursor("lists", "a"),
        encode_cursor("lists", "a", 1, 1),
        encode_cursor("lists", 1, "a"),
        encode_cursor("lists", "a", True),
        encode_cursor("lists", "a\0", 1),
        encode_cursor("lists", "\ud800", 1),
        encode_cursor("lists", "a", 10**18),
        encode_cursor("lists", "a", -(10**18)),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b'["lists", "a", ' + b"9" * 5_000 + b"]").decode(),
        base64.urlsafe_b64encode(b"{}").decode(),
    ],
)  # fmt: skip
def test_what_is_no_cursor_of_the_result_is_refused(cursor: Any) -> None:
    with pytest.raises(InvalidCursor, match="lists") as refused:
        decode_cursor("lists", cursor, str, int)
    assert refused.value.field == "after"


def test_a_cursor_holds_no_greater_number_than_storages_have(host: Host) -> None:
    assert host.vouchers.audit.entries(after=encode_cursor("the audit log", LARGEST)).items == ()
    with pytest.raises(InvalidCursor):
        host.vouchers.audit.entries(after=encode_cursor("the audit log", LARGEST + 1))
    found = host.a_list()
    for number in (-LARGEST, -1, 0, LARGEST):
        host.vouchers.audit.entries(after=encode_cursor("the audit log", number))
        host.vouchers.uploads.find(list_id=found.id, after=encode_cursor("the upload log", number))
        host.vouchers.lists.find(
            sort="uploaded", after=encode_cursor("lists in the order uploaded", number, 1)
        )


@pytest.mark.parametrize("key, list_id", [("noon", 1), ("2026-11-21", 1), ("2026-11-21T12:00Z", "1")])
def test_a_forged_cursor_of_lists_is_refused(host: Host, key: str, list_id: str | int) -> None:
    with pytest.raises(InvalidCursor):
        host.vouchers.lists.find(
            sort="created_at", after=encode_cursor("lists in the order created_at", key, list_id)
        )


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
