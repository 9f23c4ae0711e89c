"""Clear away the codes of broken-off uploads and of removed lists."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.rows import first_code_id, last_code_id, to_number
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction

Begin = Callable[[], AbstractContextManager[PostgresTransaction]]

_SLICE = 20_000


def abandon_upload(begin: Begin, upload_id: str) -> None:
    """Delete the codes of an upload that was never published."""
    number = to_number(upload_id)
    with begin() as tx:
        rows = tx.session.execute("SELECT list_id FROM pv_uploads WHERE id = %s", (number,)).fetchall()
        if not rows:
            return
        tx.session.lock("import", str(rows[0][0]))
        delete_unpublished(tx.session, number)
        tx.session.execute(
            "DELETE FROM pv_upload_pieces WHERE upload_id = "
            "(SELECT id FROM pv_uploads WHERE id = %s AND sha256 IS NULL AND status = 'Failed')",
            (number,),
        )
        tx.commit()


def abandon_failed_uploads(begin: Begin) -> None:
    """Delete the codes of failed uploads whose process was killed before it could do so."""
    with begin() as tx:
        rows = tx.session.execute(
            "SELECT id FROM pv_uploads WHERE status = 'Failed' AND first_code IS NOT NULL ORDER BY id"
        ).fetchall()
    for (number,) in rows:
        abandon_upload(begin, str(number))


def delete_unpublished(db: Session, upload_number: int) -> None:
    """Delete the codes of an upload that is not Completed. What they were entered as can be taken over."""
    db.execute(
        """
        DELETE FROM pv_codes WHERE id
            BETWEEN (SELECT first_code FROM pv_uploads WHERE id = %s AND status <> 'Completed')
            AND (SELECT last_code FROM pv_uploads WHERE id = %s AND status <> 'Completed')
        """,
        (upload_number, upload_number),
    )
    db.execute(
        "UPDATE pv_uploads SET first_code = NULL, last_code = NULL, importer = NULL "
        "WHERE id = %s AND status <> 'Completed' AND first_code IS NOT NULL",
        (upload_number,),
    )


def reclaim_lists(begin: Begin) -> None:
    """Free the space of removed lists."""
    while True:
        with begin() as tx:
            rows = tx.session.execute("SELECT id, scope_id FROM pv_lists WHERE removed = 1 LIMIT 1").fetchall()
        if not rows:
            return
        _reclaim_list(begin, *rows[0])


def _reclaim_list(begin: Begin, number: int, scope_id: int) -> None:
    first, last = first_code_id(number), last_code_id(number)
    rows = _SLICE
    while rows == _SLICE:
        with begin() as tx:
            tx.session.lock("import", str(number))
            rows = tx.session.execute(
                """
                WITH codes AS (
                    DELETE FROM pv_codes WHERE id IN (
                        SELECT id FROM pv_codes WHERE id BETWEEN %s AND %s ORDER BY id LIMIT %s)
                    RETURNING id, code
                ), entries AS (
                    DELETE FROM pv_active_codes AS a USING codes AS c
                    WHERE a.scope_id = %s AND a.code = c.code AND a.code_id = c.id
                )
                SELECT count(*) FROM codes
                """,
                (first, last, _SLICE, scope_id),
            ).fetchall()[0][0]
            tx.commit()
    with begin() as tx:
        for table in ("pv_upload_pieces", "pv_upload_faults"):
            sql = f"DELETE FROM {table} WHERE upload_id IN (SELECT id FROM pv_uploads WHERE list_id = %s)"
            tx.session.execute(sql, (number,))
        tx.session.execute("DELETE FROM pv_uploads WHERE list_id = %s", (number,))
        tx.session.execute("DELETE FROM pv_positions WHERE list_id = %s", (number,))
        tx.session.execute("DELETE FROM pv_distributed WHERE list_id = %s", (number,))
        tx.session.execute("UPDATE pv_lists SET removed = 2 WHERE id = %s", (number,))
        tx.commit()
