"""Clear away the codes of abandoned uploads and of deleted lists, in short transactions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.liveness import is_dead
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.adapters.sql.columns import first_code_id, last_code_id, to_number
from partner_vouchers.adapters.sql.session import first

Begin = Callable[[], AbstractContextManager[PostgresTransaction]]

_SLICE, _SMALL_SLICE = 20_000, 2_000
_TABLES = ("uploads", "imports", "positions", "announced", "distributed", "ended_reservations")
"""What else has rows of a list."""


def abandon_upload(begin: Begin, upload_id: str) -> None:
    """Clear away what an upload that failed left behind."""
    number = to_number(upload_id)
    with begin() as tx:
        row = first(tx.session.fetch("list_of_failed_upload", number))
        if row is None:
            return
        tx.session.lock("import", str(row[0]))
        delete_unpublished(tx.session, row[0], only_dead=True)
        tx.session.change("delete_pieces_of_incomplete_file", number)
        tx.commit()


def abandon_dead_imports(begin: Begin) -> None:
    """Delete the codes of imports whose connection has ended before they were published."""
    with begin() as tx:
        sql = f"SELECT DISTINCT list_id FROM pv_imports AS i WHERE {is_dead('i.importer')}"
        rows = tx.session.execute(sql).fetchall()
    for (number,) in rows:
        with begin() as tx:
            tx.session.lock("import", str(number))
            delete_unpublished(tx.session, number, only_dead=True)
            tx.commit()


def delete_unpublished(db: Session, list_number: int, *, only_dead: bool = False) -> None:
    """Delete what imports into a list brought in and did not publish. The entries of these codes can be taken over."""
    condition = f" AND {is_dead('i.importer')}" if only_dead else ""
    sql = f"DELETE FROM pv_imports AS i WHERE i.list_id = %s{condition} RETURNING first_code, last_code"
    for start, end in db.execute(sql, (list_number,)).fetchall():
        db.change("delete_codes_between", start, end)


def reclaim_lists(begin: Begin, seconds: float | None) -> None:
    """Free the space of deleted lists, for about so many seconds, or until nothing is left."""
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    slice_ = _SLICE if seconds is None else _SMALL_SLICE
    while True:
        with begin() as tx:
            row = first(tx.session.fetch("deleted_list"))
            if row is None:
                return
            number, scope_id = row
            tx.session.lock("import", str(number))
            bounds = first_code_id(number), last_code_id(number)
            if tx.session.fetch("delete_codes_of_list", *bounds, slice_, scope_id)[0][0] < slice_:
                for statement in (
                    "delete_pieces_of_list",
                    "delete_faults_of_list",
                    "delete_open_reservations",
                ):
                    tx.session.change(statement, number)
                tx.session.change("delete_returned_between", *bounds)
                for table in _TABLES:
                    tx.session.change(f"DELETE FROM pv_{table} WHERE list_id = ?", number)
                tx.session.change("mark_list_reclaimed", number)
            tx.commit()
        if time.monotonic() >= deadline:
            return
