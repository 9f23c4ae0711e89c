"""Clear away the codes of abandoned uploads and of deleted lists, in transactions of a few milliseconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from operator import itemgetter

from partner_vouchers.adapters.sql.columns import first_code_id, last_code_id, to_number
from partner_vouchers.adapters.sql.session import first
from partner_vouchers.adapters.sqlite.slices import SliceSize, in_slices, one_slice
from partner_vouchers.adapters.sqlite.transaction import SQLiteTransaction

LINE_BITS = 32

_LAST = (
    "delete_uploads_of_list",
    "delete_dead_ranges_of_list",
    "delete_returned_of_list",
    "delete_reservations_of_list",
    "delete_ended_reservations_of_list",
    "mark_list_reclaimed",
)
"""What is left of a list once its codes are gone."""

_BATCH, _SMALL_BATCH = 100_000, 2_000

Begin = Callable[..., AbstractContextManager[SQLiteTransaction]]
Step = Callable[[SQLiteTransaction, int], bool]
"""Deletes up to a number of rows; returns whether there may be more."""


def abandon_upload(begin: Begin, upload_id: str) -> None:
    """Delete the codes of an upload that was never published. Its range of ids stays dead for ever."""
    number = to_number(upload_id)

    def delete_codes(tx: SQLiteTransaction, rows: int) -> bool:
        return delete_unpublished(tx, number, rows)

    def delete_piece(tx: SQLiteTransaction, _rows: int) -> bool:
        return tx.session.change("delete_piece_of_incomplete_file", number) == 1

    in_slices(begin, delete_codes)
    in_slices(begin, delete_piece)
    with begin() as tx:
        tx.session.change("forget_range_of_failed_upload", number)
        tx.commit()


def abandon_failed_uploads(begin: Begin) -> None:
    """Delete the codes of failed uploads whose process was killed before it could do so."""
    with begin(write=False) as tx:
        rows = tx.session.fetch("failed_uploads_with_codes")
    for (number,) in rows:
        abandon_upload(begin, str(number))


def delete_unpublished(tx: SQLiteTransaction, upload_number: int, rows: int) -> bool:
    """Delete up to `rows` codes of an upload that is not Completed; return whether there may be more."""
    return tx.session.change("delete_unpublished_codes", upload_number, rows) == rows


def reclaim_lists(begin: Begin, seconds: float | None) -> None:
    """Free the space of deleted lists, for about so many seconds, or until nothing is left."""
    cleaning = _Cleaning(begin, math.inf if seconds is None else time.monotonic() + seconds)
    row = cleaning.next_list()
    while row is not None and cleaning.clean(*row):
        row = cleaning.next_list()


class _Cleaning:
    def __init__(self, begin: Begin, deadline: float) -> None:
        self._begin = begin
        self._deadline = deadline
        self._batch = _BATCH if deadline == math.inf else _SMALL_BATCH

    def next_list(self) -> tuple[int, int] | None:
        """Return the number and the scope of a deleted list whose space was not freed."""
        with self._begin(write=False) as tx:
            row = first(tx.session.fetch("deleted_list"))
        return None if row is None else (row[0], row[1])

    def clean(self, number: int, scope_id: int) -> bool:
        """Free the space of a list; return False where the time has run out before."""
        return (
            self._delete_codes(number, scope_id)
            and self._repeat(
                lambda tx, rows: tx.session.change("delete_faults_of_list", number, rows) == rows
            )
            # A piece of a file weighs as much as thousands of rows.
            and self._repeat(lambda tx, _: tx.session.change("delete_piece_of_list", number) == 1)
            and self._repeat(lambda tx, _: self._finish(tx, number))
        )

    def _delete_codes(self, number: int, scope_id: int) -> bool:
        after, last = first_code_id(number), last_code_id(number)
        while True:
            with self._begin(write=False) as tx:
                batch = tx.session.fetch("codes_between", after, last, self._batch)
            if not batch:
                return True
            # In the order of the index, which touches each of its pages once.
            entries = [(scope_id, code, code_id) for code_id, code in sorted(batch, key=itemgetter(1))]

            def delete_entries(
                tx: SQLiteTransaction, rows: int, entries: list[tuple[int, str, int]] = entries
            ) -> bool:
                tx.session.queue_many("delete_entry", entries[-rows:])
                del entries[-rows:]
                return bool(entries)

            def delete_codes(tx: SQLiteTransaction, rows: int, end: int = batch[-1][0]) -> bool:
                return tx.session.change("delete_codes_up_to", after, end, rows) == rows

            if not (self._repeat(delete_entries) and self._repeat(delete_codes)):
                return False

    def _finish(self, tx: SQLiteTransaction, number: int) -> bool:
        for statement in _LAST:
            tx.session.change(statement, number)
        return False

    def _repeat(self, step: Step) -> bool:
        """Take steps, at least one, each in its own transaction; return False if time has run out."""
        size, more = SliceSize(), True

        def work(tx: SQLiteTransaction, rows: int) -> None:
            nonlocal more
            more = step(tx, rows)

        while True:
            one_slice(self._begin, work, size)
            if not more:
                return True
            if time.monotonic() >= self._deadline:
                return False
