"""What nobody should pass in, and what somebody will."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers import CodeFault, CodeFormat, RepeatPolicy, RowFaultKind, UploadStatus
from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports import Storage
from tests.support.host import FixedClock, Host, a_file, some_codes
from tests.support.interrupts import steps

SURROGATE = "\ud800"


def test_a_number_or_an_object_for_an_id_says_what_to_pass(host: Host) -> None:
    found = host.a_list("A", campaign="CMP")
    upload = host.upload(found.id, "B")
    assignment = host.vouchers.codes.assign(list_id=found.id, user_id="ann").assignment
    vouchers: Any = host.vouchers
    calls: dict[str, Callable[[], object]] = {
        "list_id: must be a string, not int: pass '1'": lambda: vouchers.lists.get(1),
        "list_id: must be a string, not ListView: pass its id": lambda: vouchers.lists.get(found),
        "upload_id: must be a string, not Upload: pass its id": lambda: vouchers.uploads.get(upload),
        "user_id: must be a string, not int: pass '42'": lambda: vouchers.codes.of_user(42),
        "campaign_id: must be a string, not int: pass '7'": lambda: vouchers.campaigns.lists_of(7),
        "user_ids: must be a string, not Assignment: pass its id": (
            lambda: vouchers.codes.assign_many([assignment], list_id=found.id)
        ),
    }
    for text, call in calls.items():
        with pytest.raises(InvalidInput) as refused:
            call()
        assert str(refused.value) == text


@pytest.mark.parametrize("line", [-1, -(1 << 33), 1 << 32, 10**30, None, "1", True])
def test_errors_are_not_shown_from_a_line_that_no_file_has(host: Host, line: Any) -> None:
    upload = host.upload(host.a_list().id, "A", "B;B")
    with pytest.raises(InvalidInput):
        host.vouchers.uploads.errors(upload.id, after_line=line)


# --- sources of files ----------------------------------------------------------------------------------------


def test_a_path_whose_name_is_no_text(host: Host, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    path.write_bytes(a_file("A"))
    found = host.a_list()
    with pytest.raises(InvalidInput):
        host.vouchers.uploads.add(found.id, path, uploaded_by="ops")
    assert host.vouchers.uploads.add(found.id, path, uploaded_by="ops", filename="cafe.csv").accepted == 1


def test_a_path_to_a_pipe_is_read_like_a_stream(host: Host, tmp_path: Path) -> None:
    found = host.a_list()
    read_end, write_end = os.pipe()
    os.write(write_end, a_file("A", "B"))
    os.close(write_end)
    try:
        path = f"/dev/fd/{read_end}"
        upload = host.vouchers.uploads.add(found.id, path, uploaded_by="ops", filename="codes.csv")
    finally:
        os.close(read_end)
    assert upload.accepted == 2
    assert host.vouchers.uploads.original_file(upload.id).read() == a_file("A", "B")


# --- policies of a host that promise too much ------------------------------------------------------------------


class Careless(CodeFormat):
    """Takes everything for a code."""

    def fault(self, code: str) -> tuple[CodeFault, str] | None:
        return None


class CarelessTrim(Careless):
    """Puts into a code what no storage can keep."""

    plain = ""

    def trim(self, raw: str) -> str:
        return raw.replace("?", SURROGATE)


@pytest.mark.parametrize("rules, row", [(Careless(), "A\0B"), (CarelessTrim(), "A?B")])
def test_no_rules_let_through_what_a_storage_would_change(
    storage: Storage, clock: FixedClock, rules: CodeFormat, row: str
) -> None:
    host = Host(storage, clock, code_format=rules)
    found = host.a_list()
    upload = host.upload(found.id, row, "A;B")
    assert (upload.status, upload.errors) == (UploadStatus.COMPLETED, {RowFaultKind.INVALID_CHARACTER: 1})
    assert host.left(found.id) == ["A;B"]


@pytest.mark.parametrize("scope", [None, 5, b"x", ("a",), SURROGATE, "\0"])
def test_a_scope_that_is_no_text(storage: Storage, clock: FixedClock, scope: Any) -> None:
    class Odd:
        name = "odd"

        def scope(self, _voucher_list: object) -> Any:
            return scope

    host = Host(storage, clock, duplicates=Odd())
    host.vouchers.partners.add("Puma")
    with host.nothing_changes(), pytest.raises(InvalidInput, match=r"^duplicates: "):
        host.a_list()


# --- a user who stands in a batch very often --------------------------------------------------------------------


@pytest.mark.every_storage
@pytest.mark.parametrize("storage", ["sqlite"], indirect=True)
def test_a_batch_of_one_user_costs_as_much_as_it_is_long(host: Host) -> None:
    host.a_list(*some_codes(280), campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    ordinals: list[int] = []

    def ask(length: int) -> None:
        outcome = host.vouchers.codes.assign_many(["ann"] * length, campaign_id="CMP")
        ordinals.extend(reward.assignment.ordinal for reward in outcome.rewards)

    ask(40)
    short, long = steps(lambda: ask(40)), steps(lambda: ask(200))
    assert ordinals == list(range(1, 281))
    # A fixed part and one for each user: less than five times as much, where each repeat going through all would be 25.
    assert long < 6 * short
