"""Parts for small storages take what is stored in any order; the example of the how-to proves the rest."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.simple import SimpleAssignments, SimpleUploads
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, Upload
from partner_vouchers.ports import Transaction
from partner_vouchers.testing.driver import START
from tests.support.host import FixedClock, Host, some_codes


class Assignments(SimpleAssignments[Transaction]):
    """Ids of codes that are no numbers, in any order."""

    def __init__(self, rows: list[Assignment]) -> None:
        self.rows = rows

    def all_stored(self) -> Iterable[Assignment]:
        return self.rows

    def place(self, assignment: Assignment) -> int:
        return int(assignment.code[2:])


class Uploads(SimpleUploads[Transaction]):
    """Uploads and refused rows in any order."""

    def __init__(self, rows: list[Upload], refused: list[RowFault]) -> None:
        self.rows, self.refused = rows, refused

    def all_stored(self) -> Iterable[Upload]:
        return self.rows

    def all_faults(self, upload_id: str) -> Iterable[RowFault]:
        return self.refused


@pytest.fixture(scope="module")
def whole() -> list[Assignment]:
    """The assignments of a list, in order."""
    host = Host(MemoryStorage(), FixedClock())
    found = host.a_list(*some_codes(5))
    host.vouchers.codes.assign_many(["ann", "ben", "cleo", "dan"], list_id=found.id)
    with host.storage.begin(write=False) as tx:
        return tx.assignments.of_list(found.id, None, 9)


@given(random=st.randoms(use_true_random=False), limit=st.integers(1, 3))
def test_what_is_stored_in_any_order_is_found_in_order(
    whole: list[Assignment], random: Random, limit: int
) -> None:
    part = Assignments(random.sample(whole, len(whole)))
    for start, after in enumerate([None, *(each.id for each in whole)]):
        assert part.of_list(whole[0].list_id, after, limit) == whole[start : start + limit]
    assert part.get_many([whole[3].id, "nobody's", whole[0].id]) == [whole[3], whole[0]]

    newest_first = [
        Upload(id=str(number), list_id="1", uploaded_by="ops", filename="codes.csv", started_at=START)
        for number in range(11, 7, -1)
    ]
    faults = [RowFault(line, "", RowFaultKind.EMPTY, "empty") for line in (2, 5, 10, 30)]
    uploads = Uploads(  # type: ignore[abstract]
        random.sample(newest_first, 4), random.sample(faults, 4)
    )
    assert uploads.running() == newest_first[::-1]
    for start, before in enumerate([None, *(each.id for each in newest_first)]):
        assert uploads.find("1", None, before, limit) == newest_first[start : start + limit]
    for start, after_line in enumerate([0, *(fault.line for fault in faults)]):
        assert uploads.faults("77", after_line, limit) == faults[start : start + limit]
