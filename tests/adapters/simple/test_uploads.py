"""Uploads that are worked out are those of the memory storage."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, Tally, Upload, interrupted
from partner_vouchers.errors import StorageError, UnknownList, UnknownUpload
from partner_vouchers.testing.driver import ALL, START
from tests.adapters.simple.parts import Uploads, reading, stocked_lists


def an_upload(upload_id: str, list_id: str) -> Upload:
    """Return an upload that begins."""
    return Upload(id=upload_id, list_id=list_id, uploaded_by="ops", filename="codes.csv", started_at=START)


@given(
    begun=st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=8),
    random=st.randoms(use_true_random=False),
    limit=st.integers(1, 3),
)
def test_uploads_are_found_as_in_memory(begun: list[tuple[int, bool]], random: Random, limit: int) -> None:
    storage = MemoryStorage()
    ids = stocked_lists(storage, 2)
    with reading(storage) as tx:
        uploads = Uploads(tx, random)
        for each in [found for list_id in ids for found in tx.uploads.find(list_id, None, None, ALL)]:
            uploads.add(each)
        for index, is_ended in begun:
            new = an_upload(tx.uploads.new_id(), ids[index])
            for part in (tx.uploads, uploads):
                part.add(new)
                if is_ended:
                    part.save(new.failed(Tally(), interrupted("no reason"), START)[0])
        assert uploads.running() == tx.uploads.running()
        for list_id in ids:
            whole = tx.uploads.find(list_id, None, None, ALL)
            for start, before in enumerate([None, *(each.id for each in whole)]):
                assert uploads.find(list_id, None, before, limit) == whole[start : start + limit]
            assert uploads.find(list_id, None, "nobody's", ALL) == []


def test_what_belongs_to_nothing_is_not_stored() -> None:
    with reading(MemoryStorage()) as tx:
        uploads = Uploads(tx)
        with pytest.raises(UnknownList):
            uploads.add(an_upload("1", "nobody's"))
        with pytest.raises(UnknownUpload):
            uploads.save(an_upload("1", "nobody's"))
        with pytest.raises(UnknownUpload):
            uploads.add_piece("1", 0, b"codes")
        assert (uploads.rows, uploads.pieces) == ({}, {})


def test_a_piece_is_stored_once() -> None:
    storage = MemoryStorage()
    [list_id] = stocked_lists(storage, 1)
    with reading(storage) as tx:
        uploads = Uploads(tx)
        uploads.add(an_upload("77", list_id))
        for data in (b"", b"codes"):
            uploads.add_piece("77", len(data), data)
            with pytest.raises(StorageError, match="stored already"):
                uploads.add_piece("77", len(data), b"others")
        assert (uploads.piece("77", 0), uploads.piece("77", 5)) == (b"", b"codes")


@given(lines=st.lists(st.integers(1, 30), unique=True), random=st.randoms(use_true_random=False))
def test_refused_rows_come_by_line(lines: list[int], random: Random) -> None:
    with reading(MemoryStorage()) as tx:
        uploads = Uploads(tx, random)
        uploads.refused["77"] = [RowFault(line, "", RowFaultKind.EMPTY, "empty") for line in lines]
        whole = sorted(lines)
        for start, after in enumerate([0, *whole]):
            found = uploads.faults("77", after, 2)
            assert [fault.line for fault in found] == whole[start : start + 2]
        assert uploads.faults("78", 0, 2) == []
