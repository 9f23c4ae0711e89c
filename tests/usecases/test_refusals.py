"""What a refused call says: the argument, and what would be right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from partner_vouchers.errors import (
    InvalidCursor,
    InvalidInput,
    UploadRunning,
)
from partner_vouchers.ports import ListOrder
from tests.support.host import Host

_CURSOR = "after: is not the `next` of a page of {}; ask for the first page again"

REFUSALS: dict[str, Callable[[Host], object]] = {
    "user_ids: must be a list of user ids, not str": lambda host: host.vouchers.codes.assign_many(
        "ann", list_id="1"
    ),
    "partner: must be a string, not int": lambda host: host.vouchers.lists.find(partner=1),  # type: ignore[arg-type]
    "text: must be a string, not int": lambda host: host.vouchers.lists.find(text=1),  # type: ignore[arg-type]
    "limit: must be from 1 to 1000": lambda host: host.vouchers.lists.find(limit=1001),
    "status: must be one of Active, Paused, Expired, Archived": lambda host: host.vouchers.lists.find(
        status="Gone"
    ),
    f"sort: must be one of {', '.join(ListOrder)}, with or without a '-' before it": (
        lambda host: host.vouchers.lists.find(sort="colour")
    ),
    "after_line: must be the number of a line, or 0": lambda host: host.vouchers.uploads.errors(
        "1", after_line=2**32
    ),
    "name: must not be empty": lambda host: host.vouchers.partners.get(" "),
    "code: must not be empty": lambda host: host.vouchers.codes.holders(""),
    "header: must be True, False or None": lambda host: host.vouchers.uploads.validate(
        "1",
        b"A\n",
        filename="codes.csv",
        header="no",  # type: ignore[arg-type]
    ),
}

CURSORS: dict[str, Callable[[Host], object]] = {
    _CURSOR.format("the audit log"): lambda host: host.vouchers.audit.entries(after="x"),
    _CURSOR.format("the upload log"): lambda host: host.vouchers.uploads.find(list_id="1", after="x"),
    _CURSOR.format("lists in the order -updated_at"): lambda host: host.vouchers.lists.find(after="x"),
}


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_names_the_argument_and_says_what_would_be_right(host: Host, text: str) -> None:
    host.a_list("A", "B B")
    with pytest.raises(InvalidInput) as refused:
        REFUSALS[text](host)
    assert str(refused.value) == text


@pytest.mark.parametrize("text", CURSORS)
def test_a_refused_cursor_says_of_what_it_is_none(host: Host, text: str) -> None:
    host.a_list()
    with pytest.raises(InvalidCursor) as refused:
        CURSORS[text](host)
    assert str(refused.value) == text


def test_a_refused_first_row_is_in_the_error_file(host: Host) -> None:
    upload = host.upload(host.a_list().id, "no code", "A")
    rows = host.vouchers.uploads.error_file(upload.id).read().decode().splitlines()
    assert rows[1].startswith("1,no code,")


def test_the_file_of_a_validation_may_have_a_header(host: Host) -> None:
    found = host.a_list("A")
    seen: list[object] = []
    checked = host.vouchers.uploads.validate(
        found.id, b"B\nA\nC\n", filename="codes.csv", header=True, progress=seen.append
    )
    assert (checked.filename, checked.header_skipped, checked.total, checked.acceptable) == (
        "codes.csv",
        True,
        2,
        1,
    )
    assert seen
    refused = host.vouchers.uploads.validate(found.id, b"A\n", filename="codes.txt")
    assert (refused.filename, refused.acceptable) == ("codes.txt", 0)


def test_an_upload_that_runs_cannot_be_withdrawn(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A"), pytest.raises(UploadRunning) as refused:
        host.vouchers.uploads.withdraw("1")
    assert (refused.value.list_id, refused.value.upload_id) == (found.id, "1")
