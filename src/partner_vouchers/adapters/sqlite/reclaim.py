"""Clear away the codes of abandoned uploads and of deleted lists, in transactions of a few milliseconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from operator import itemgetter

from partner_vouchers.adapters.sql.columns import first_code_id, last_code_id, to_number
from partner_vouchers.adapters.sql.session import first
from partner_vouchers.adapters.sqlite.slices import in_slices
from partner_vouchers.adapters.sqlite.transaction import SQLiteTransaction

LINE_BITS = 32

_LAST = (
    "DELETE FROM pv_uploads WHERE list_id = ?",
    "DELETE FROM pv_ended_reservations WHERE list_id = ?",
    "delete_dead_ranges_of_list",
    "delete_returned_of_list",
    "delete_open_reservations",
    "mark_list_reclaimed",
)
"""What is left of a list once its codes are gone."""

_BATCH, _SMALL_BATCH = 100_000, 2_000

Begin = Callable[..., AbstractContextManager[SQLiteTransaction]]


def abandon_upload(begin: Begin, upload_id: str) -> None:
    """Delete the codes of an upload that was never published. Its range of ids stays dead for ever."""
    number = to_number(upload_id)
    in_slices(begin, lambda tx, rows: delete_unpublished(tx, number, rows))
    in_slices(begin, lambda tx, _: tx.session.change("delete_piece_of_incomplete_file", number) == 1)
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
    until = math.inf if seconds is None else time.monotonic() + seconds
    while True:
        with begin(write=False) as tx:
            row = first(tx.session.fetch("deleted_list"))
        if row is None or not _clean(begin, row[0], row[1], until):
            return


def _clean(begin: Begin, number: int, scope_id: int, until: float) -> bool:
    """Free the space of a list; return False if time has run out before."""

    def finish(tx: SQLiteTransaction, _rows: int) -> bool:
        for statement in _LAST:
            tx.session.change(statement, number)
        return False

    return (
        _delete_codes(begin, number, scope_id, until)
        and in_slices(
            begin, lambda tx, rows: tx.session.change("delete_faults_of_list", number, rows) == rows, until
        )
        # A piece of a file weighs as much as thousands of rows.
        and in_slices(begin, lambda tx, _: tx.session.change("delete_piece_of_list", number) == 1, until)
        and in_slices(begin, finish, until)
    )


def _delete_codes(begin: Begin, number: int, scope_id: int, until: float) -> bool:
    after, last = first_code_id(number), last_code_id(number)
    while True:
        with begin(write=False) as tx:
            batch = tx.session.fetch(
                "codes_between", after, last, _BATCH if until == math.inf else _SMALL_BATCH
            )
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

        if not (in_slices(begin, delete_entries, until) and in_slices(begin, delete_codes, until)):
            return False
